#include "store/gcs/answers.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "store/checksum.h"
#include "store/json.h"

namespace baleen::store::gcs {
namespace {

/// RFC 3339 in UTC, as the API writes it: "2026-11-23T12:00:00.123Z".
Timestamp parse_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || parts.tm_year < 70 || parts.tm_year > 300) return {};
  int64_t ns = int64_t{::timegm(&parts)} * 1'000'000'000;
  if (*rest == '.') {
    int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9' && unit > 0; ++rest, unit /= 10) ns += (*rest - '0') * unit;
  }
  return timestamp_from_ns(ns);
}

Result<ObjectFacts> object_of(const nlohmann::json& json) {
  ObjectFacts object;
  object.key = json_text(json, "name");
  if (object.key.empty()) return Error{Code::kUnavailable, "the answer describes no object"};
  const std::string size = json_text(json, "size");
  if (const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), object.size);
      error != std::errc{} || end != size.data() + size.size())
    return Error{Code::kUnavailable, "the answer has no size for \"" + object.key + "\""};
  object.crc32c = decode_crc32c(json_text(json, "crc32c"));
  object.modified = parse_time(json_text(json, "updated"));
  object.etag = json_text(json, "etag");
  object.generation = json_text(json, "generation");
  return object;
}

/// "storage.objects.create" out of a sentence, if it is there.
std::string permission_in(std::string_view message) {
  for (size_t at = message.find("storage."); at != std::string_view::npos; at = message.find("storage.", at + 1)) {
    size_t end = at, dots = 0;
    while (end < message.size() && (std::isalpha(static_cast<unsigned char>(message[end])) || message[end] == '.'))
      dots += message[end++] == '.';
    while (end > at && message[end - 1] == '.') --end, --dots;
    const std::string_view word = message.substr(at, end - at);
    if (dots == 2 && word.find("googleapis") == std::string_view::npos) return std::string(word);
  }
  return {};
}

}  // namespace

Result<ObjectFacts> parse_object(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return Error{Code::kUnavailable, "the answer is not JSON"};
  return object_of(*json);
}

Result<ListPage> parse_list(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return Error{Code::kUnavailable, "the answer is not JSON"};
  ListPage page;
  page.next_page_token = json_text(*json, "nextPageToken");
  if (const auto items = json->find("items"); items != json->end() && items->is_array()) {
    for (const auto& item : *items) {
      if (!item.is_object()) return Error{Code::kUnavailable, "the answer lists something that is no object"};
      BALEEN_TRY(ObjectFacts object, object_of(item));
      page.objects.push_back(std::move(object));
    }
  }
  if (const auto prefixes = json->find("prefixes"); prefixes != json->end() && prefixes->is_array())
    for (const auto& prefix : *prefixes)
      if (prefix.is_string()) page.prefixes.push_back(prefix.get<std::string>());
  return page;
}

std::optional<uint32_t> crc32c_of_hash_header(std::string_view value) {
  const size_t at = value.find("crc32c=");
  if (at == std::string_view::npos) return std::nullopt;
  value.remove_prefix(at + 7);
  return decode_crc32c(value.substr(0, value.find_first_of(", ")));
}

uint64_t received_of_range_header(std::string_view value) {
  const size_t dash = value.find("0-");
  if (!value.starts_with("bytes") || dash == std::string_view::npos) return 0;
  uint64_t last = 0;
  const auto [end, error] = std::from_chars(value.data() + dash + 2, value.data() + value.size(), last);
  if (error != std::errc{} || last == UINT64_MAX) return 0;
  return last + 1;
}

Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view identity) {
  std::string message, reason;
  if (const auto json = parse_json(answer.body)) {
    if (const auto error = json->find("error"); error != json->end() && error->is_object()) {
      message = json_text(*error, "message");
      if (const auto list = error->find("errors");
          list != error->end() && list->is_array() && !list->empty() && (*list)[0].is_object())
        reason = json_text((*list)[0], "reason");
    }
  }
  if (message.empty() && answer.body.size() < 300 && answer.body.find('<') == std::string::npos) message = answer.body;
  while (!message.empty() && (message.back() == '\n' || message.back() == '.')) message.pop_back();

  Code code = io::code_of_status(answer.status);
  // Quotas come as 403 (cloud.google.com/storage/docs/json_api/v1/status-codes); a damaged upload as 400.
  if (reason == "rateLimitExceeded" || reason == "userRateLimitExceeded") code = Code::kUnavailable;
  if (answer.status == 400 &&
      (message.find("CRC32C") != std::string::npos || message.find("crc32c") != std::string::npos))
    code = Code::kUnavailable;

  std::string text = fmt::format("{}: {} {}", what, answer.status, message.empty() ? to_string(code) : message);
  const std::string who = identity.empty() ? "these credentials" : std::string(identity);
  if (answer.status == 403 && code == Code::kDenied) {
    if (const std::string permission = permission_in(message); !permission.empty())
      text += fmt::format(" [{} lacks the permission {}]", who, permission);
    if (reason == "userProjectMissing" || message.find("requester pays") != std::string::npos)
      text += " [the bucket makes the requester pay: name a project to bill]";
  } else if (answer.status == 401) {
    text += fmt::format(" [{} was not accepted]", who);
  }
  Error error{code, std::move(text), io::retry_after(answer)};
  error.unauthenticated = answer.status == 401;
  return error;
}

}  // namespace baleen::store::gcs
