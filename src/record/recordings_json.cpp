// The one spelling of a recording: in the state file, at the control socket, on the command line.

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/suggest.h"
#include "base/units.h"
#include "record/recordings.h"

namespace baleen::record {
namespace {

using nlohmann::json;

constexpr std::string_view kMembers[] = {
    "name",       "description", "pattern",     "destination", "start",  "duration",  "iterations", "timezone",
    "expiration", "limit_bytes", "limit_items", "redact",      "origin", "look_back", "scope",      "undissected"};
constexpr std::string_view kOrigins[] = {"config", "command", "control"};

json time_json(Timestamp t) { return t == Timestamp{} ? json(nullptr) : json(to_rfc3339(t)); }

Duration duration_of(const json& j, const char* name) {
  const auto found = j.find(name);
  if (found == j.end() || found->is_null()) return Duration{0};
  const auto d = found->is_string()            ? parse_duration(found->get<std::string>())
                 : found->is_number_unsigned() ? parse_duration(found->dump())
                                               : std::nullopt;
  if (!d) throw json::type_error::create(302, fmt::format("{}: expected a duration, as 30m or 2h", name), &j);
  return *d;
}

uint64_t size_of(const json& j, const char* name) {
  const auto found = j.find(name);
  if (found == j.end() || found->is_null()) return 0;
  const auto n = found->is_string()            ? parse_size(found->get<std::string>())
                 : found->is_number_unsigned() ? std::optional(found->get<uint64_t>())
                                               : std::nullopt;
  if (!n) throw json::type_error::create(302, fmt::format("{}: expected a number, as 1000 or 5Gi", name), &j);
  return *n;
}

json rules_json(const RedactionRules& r) {
  return {{"secrets", r.secrets}, {"headers", r.headers}, {"json", r.json}, {"patterns", r.patterns}, {"kfl", r.kfl}};
}

/// `true` stands for {"secrets": true}.
RedactionRules rules_of(const json& j) {
  static constexpr std::string_view kNames[] = {"secrets", "headers", "json", "patterns", "kfl"};
  RedactionRules r;
  if (j.is_boolean()) r.secrets = j;
  if (j.is_null() || j.is_boolean()) return r;
  if (!j.is_object()) throw json::type_error::create(302, "redact: expected true, or an object of rules", &j);
  for (const auto& [name, value] : j.items())
    if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames))
      throw json::other_error::create(501, fmt::format("redact has no '{}'", name), &j);
  r.secrets = j.value("secrets", false);
  r.headers = j.value("headers", r.headers);
  r.json = j.value("json", r.json);
  r.patterns = j.value("patterns", r.patterns);
  r.kfl = j.value("kfl", "");
  return r;
}

}  // namespace

std::string to_json(const RedactionRules& rules) { return rules_json(rules).dump(); }

std::string to_json(const RecordingStatus& s) {
  const Definition& d = s.definition;
  json j = {{"name", d.name},
            {"description", d.description},
            {"pattern", d.pattern},
            {"destination", d.destination},
            {"start", d.schedule.start ? time_json(*d.schedule.start) : json(nullptr)},
            {"duration", baleen::to_string(d.schedule.duration)},
            {"iterations", d.schedule.iterations},
            {"timezone", d.schedule.timezone},
            {"expiration", baleen::to_string(d.expiration)},
            {"limit_bytes", d.limit_bytes},
            {"limit_items", d.limit_items},
            {"origin", kOrigins[static_cast<int>(d.origin)]}};
  if (!d.redact.empty()) j["redact"] = rules_json(d.redact);
  if (d.look_back != Duration{0}) j["look_back"] = baleen::to_string(d.look_back);
  if (!d.scope.empty()) j["scope"] = d.scope;
  if (d.undissected) j["undissected"] = true;
  const Progress& p = s.progress;
  j["state"] = {{"phase", to_string(s.phase)},
                {"created", time_json(p.created)},
                {"began", time_json(p.began)},
                {"ended", time_json(p.ended)},
                {"next_change", s.next_change ? time_json(*s.next_change) : json(nullptr)},
                {"iterations_done", p.done},
                {"iterations_missed", p.missed},
                {"clock_jumps", p.clock_jumps},
                {"items", s.items},
                {"streams", s.streams},
                {"packets", s.packets},
                {"bytes", s.bytes},
                {"problem", s.problem}};
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Definition> definition_from_json(std::string_view text) try {
  const json j = json::parse(text);
  if (!j.is_object()) return Error{Code::kInvalid, "a recording is an object with name, pattern and destination"};
  for (const auto& [name, value] : j.items()) {
    if (std::find(std::begin(kMembers), std::end(kMembers), name) != std::end(kMembers)) continue;
    const std::string near(suggest(name, kMembers));
    return Error{Code::kInvalid, fmt::format("a recording has no '{}'{}", name,
                                             near.empty() ? "" : fmt::format("; did you mean '{}'?", near))};
  }
  Definition d;
  d.name = j.at("name").get<std::string>();
  d.description = j.value("description", "");
  d.pattern = j.value("pattern", "");
  d.destination = j.at("destination").get<std::string>();
  if (const auto start = j.find("start"); start != j.end() && !start->is_null()) {
    const std::string when = start->get<std::string>();
    const auto in = parse_duration(when);  // from now on, and not an age
    d.schedule.start = in ? std::optional(now() + *in) : parse_time(when, now());
    if (!d.schedule.start)
      return Error{Code::kInvalid,
                   "start: expected a time, as 2026-11-24T12:00:00Z or with an offset, or in how long, as 10m"};
  }
  d.schedule.duration = duration_of(j, "duration");
  const uint64_t iterations = j.contains("iterations") ? size_of(j, "iterations") : 1;
  if (iterations > UINT32_MAX) return Error{Code::kInvalid, "iterations: that many days are not to be"};
  d.schedule.iterations = static_cast<uint32_t>(iterations);
  d.schedule.timezone = j.value("timezone", "");
  d.expiration = duration_of(j, "expiration");
  d.limit_bytes = size_of(j, "limit_bytes");
  d.limit_items = size_of(j, "limit_items");
  if (const auto redact = j.find("redact"); redact != j.end()) d.redact = rules_of(*redact);
  d.look_back = duration_of(j, "look_back");
  d.scope = j.value("scope", "");
  d.undissected = j.value("undissected", false);
  const std::string origin = j.value("origin", "control");
  for (size_t i = 0; i < std::size(kOrigins); ++i)
    if (kOrigins[i] == origin) d.origin = static_cast<Definition::Origin>(i);
  return d;
} catch (const json::exception& e) {
  // "[json.exception.type_error.302] type must be string, but is number"
  std::string_view what = e.what();
  if (const size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
  return Error{Code::kInvalid, fmt::format("not a recording: {}", what)};
}

}  // namespace baleen::record
