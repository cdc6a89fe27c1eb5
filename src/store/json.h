#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

// For .cpp files only: nlohmann is heavy.

namespace baleen::store {

/// A JSON object, or nothing for anything else.
inline std::optional<nlohmann::json> parse_json(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

/// The text at `key`; numbers come as text too, anything else as empty.
inline std::string json_text(const nlohmann::json& json, const char* key) {
  const auto at = json.find(key);
  if (at == json.end()) return {};
  if (at->is_string()) return at->get<std::string>();
  if (at->is_number_integer()) return at->dump();
  return {};
}

/// A JSON string's text with what JSON cannot hold (bytes that are not UTF-8) replaced.
inline std::string dump_json(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace baleen::store
