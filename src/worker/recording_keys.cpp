#include <fmt/core.h>

#include "base/suggest.h"
#include "base/units.h"
#include "record/scope.h"
#include "worker/config_values.h"

// The maps below the keys `recording` and `redact`.

namespace baleen::worker {
namespace {

/// False when there is no such key.
bool read_recording_member(ConfigValues& values, const std::string& name, const std::string& value,
                           const YAML::Node& node, RecordingConfig& r) {
  const auto expected = [&](std::string_view what) {
    values.problem(node.Mark(), fmt::format("recording.{}: expected {}, found '{}'", name, what, value));
  };
  const auto duration = [&](Duration& out) {
    const auto d = parse_duration(value);
    if (!d) expected("a duration, as 30m or 2h");
    out = d.value_or(Duration{0});
  };
  const auto size = [&](uint64_t& out) {
    const auto n = parse_size(value);
    if (!n) expected("a number, as 1000 or 5Gi");
    out = n.value_or(0);
  };
  if (name == "description") {
    r.description = value;
  } else if (name == "start") {
    r.start = value.empty() ? std::nullopt : parse_time(value, Timestamp{});
    // An age would be another time with every reading.
    if (!value.empty() && (!r.start || parse_duration(value)))
      expected("a time, as 2026-11-24T12:00:00Z or with an offset");
  } else if (name == "duration") {
    duration(r.duration);
  } else if (name == "iterations") {
    if (!YAML::convert<int64_t>::decode(node, r.iterations) || r.iterations < 0 || r.iterations > 1'000'000)
      expected("how many days, 0 for every day");
  } else if (name == "timezone") {
    r.timezone = value;
  } else if (name == "expiration") {
    duration(r.expiration);
  } else if (name == "limitBytes") {
    size(r.limit_bytes);
  } else if (name == "limitItems") {
    size(r.limit_items);
  } else if (name == "lookBack") {
    duration(r.look_back);
  } else if (name == "scope") {
    r.scope = value;
    if (const auto good = record::Scope::compile(value); !good)
      values.problem(node.Mark(), "recording.scope: " + good.error().message);
  } else if (name == "undissected") {
    if (!YAML::convert<bool>::decode(node, r.undissected)) expected("true or false");
  } else {
    return false;
  }
  return true;
}

void read_recording(ConfigValues& values, const YAML::Node& node, std::vector<RecordingConfig>& out) {
  if (!node.IsMap()) return values.problem(node.Mark(), "recording: expected a map of name, pattern and to");
  RecordingConfig r;
  static constexpr std::string_view kNames[] = {
      "name",     "pattern",    "to",         "enabled",    "description", "start",    "duration", "iterations",
      "timezone", "expiration", "limitBytes", "limitItems", "redact",      "lookBack", "scope",    "undissected"};
  for (const auto& entry : node) {
    const std::string name = entry.first.as<std::string>("");
    const std::string value = entry.second.IsScalar() ? entry.second.Scalar() : std::string();
    if (name == "name") {
      r.name = value;
    } else if (name == "pattern") {
      r.pattern = value;
    } else if (name == "to") {
      r.to = value;
    } else if (name == "redact") {
      read_redaction(values, entry.second, "recording.redact", r.redact);
    } else if (name == "enabled") {
      if (!YAML::convert<bool>::decode(entry.second, r.enabled))
        values.problem(entry.second.Mark(), "recording.enabled: expected true or false");
    } else if (!read_recording_member(values, name, value, entry.second, r)) {
      values.problem(entry.first.Mark(), fmt::format("unknown key 'recording.{}'", name),
                     std::string(suggest(name, kNames)));
    }
  }
  if (r.name.empty() || r.name.find_first_of("/\\=\n") != std::string::npos || r.name.starts_with('.'))
    values.problem(
        node.Mark(),
        fmt::format("recording.name: '{}' must be a name that a folder can have, without '/' and '='", r.name));
  const bool wanted = !r.pattern.empty() || !r.scope.empty() || r.undissected;
  if (r.to.empty() && wanted)
    values.problem(
        node.Mark(),
        fmt::format("recording '{}' has no destination: give it 'to: gs://bucket/prefix' or a folder", r.name));
  if (!wanted && r.enabled && !r.to.empty())
    values.problem(
        node.Mark(),
        fmt::format("recording '{}' has no pattern, so nothing is recorded: 'pattern: true' takes every item", r.name),
        {}, /*fatal=*/false);
  if (wanted && r.enabled) out.push_back(std::move(r));
}

}  // namespace

std::vector<RecordingConfig> read_recordings(ConfigValues& values) {
  std::vector<RecordingConfig> out;
  const YAML::Node& node = values.node("recording");
  if (node.IsMap()) {
    read_recording(values, node, out);
  } else if (node.IsSequence()) {
    for (const auto& element : node) read_recording(values, element, out);
  } else if (!node.IsNull()) {
    values.wrong("recording", "a map, or a list of maps, of name, pattern and to");
  }
  std::set<std::string> names;
  for (const RecordingConfig& r : out)
    if (!names.insert(r.name).second) values.problem(node.Mark(), fmt::format("two recordings are named '{}'", r.name));
  return out;
}

void read_redaction(ConfigValues& values, const YAML::Node& node, std::string_view where, record::RedactionRules& out) {
  if (node.IsNull()) return;
  if (node.IsScalar()) {
    if (!YAML::convert<bool>::decode(node, out.secrets))
      values.problem(node.Mark(), fmt::format("{}: expected true, false or a map of rules", where));
    return;
  }
  if (!node.IsMap()) return values.problem(node.Mark(), fmt::format("{}: expected a map of rules", where));
  static constexpr std::string_view kNames[] = {"secrets", "headers", "json", "patterns", "kfl"};
  for (const auto& entry : node) {
    const std::string name = entry.first.as<std::string>("");
    const YAML::Node& value = entry.second;
    auto* const list = name == "headers"    ? &out.headers
                       : name == "json"     ? &out.json
                       : name == "patterns" ? &out.patterns
                                            : nullptr;
    if (list != nullptr) {
      if (!YAML::convert<std::vector<std::string>>::decode(value, *list))
        values.problem(value.Mark(), fmt::format("{}.{}: expected a list of texts", where, name));
    } else if (name == "secrets") {
      if (!YAML::convert<bool>::decode(value, out.secrets))
        values.problem(value.Mark(), fmt::format("{}.secrets: expected true or false", where));
    } else if (name == "kfl") {
      out.kfl = value.IsScalar() ? value.Scalar() : std::string();
    } else {
      values.problem(entry.first.Mark(), fmt::format("unknown key '{}.{}'", where, name),
                     std::string(suggest(name, kNames)));
    }
  }
}

}  // namespace baleen::worker
