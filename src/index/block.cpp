#include "index/block.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace baleen::index {
namespace {

using nlohmann::json;

constexpr size_t kLargestRecord = 256 << 20;

json object_json(const ObjectRecord& o) { return {{"key", o.key}, {"size", o.size}, {"crc32c", o.crc32c}}; }

ObjectRecord object_of(const json& j) {
  return {j.at("key").get<std::string>(), j.at("size").get<uint64_t>(), j.at("crc32c").get<uint32_t>()};
}

// clang-format off
#define BALEEN_LEDGER_FIELDS(X) \
  X(items_seen) \
  X(items_stored) \
  X(items_not_matched) \
  X(items_dropped_queue) \
  X(items_in_flight) \
  X(packets_captured) \
  X(packets_dropped_kernel) \
  X(packets_stored) \
  X(packets_lost_recorder) \
  X(packets_truncated)
// clang-format on

json ledger_json(const LossLedger& l) {
  json j;
#define X(field) j[#field] = l.field;
  BALEEN_LEDGER_FIELDS(X)
#undef X
  return j;
}

LossLedger ledger_of(const json& j) {
  LossLedger l;
#define X(field) l.field = j.value(#field, uint64_t{0});
  BALEEN_LEDGER_FIELDS(X)
#undef X
  return l;
}

std::string date_of(Timestamp t) { return to_rfc3339(std::chrono::floor<std::chrono::seconds>(t)).substr(0, 10); }
std::string hour_of(Timestamp t) { return to_rfc3339(std::chrono::floor<std::chrono::seconds>(t)).substr(11, 2); }

/// A key names an object below the destination; one that climbs out of it is a hostile record's.
bool is_safe_key(std::string_view key) {
  return !key.empty() && key.front() != '/' && key.find("..") == std::string_view::npos;
}

}  // namespace

std::string BlockRecord::to_json() const {
  json j;
  j["schema_version"] = schema_version;
  j["block"] = block;
  j["recording"] = recording;
  j["node"] = node;
  j["cluster"] = cluster;
  j["run"] = run;
  j["filter"] = filter;
  j["first_time"] = to_rfc3339(first);
  j["last_time"] = to_rfc3339(last);
  j["first_time_ns"] = to_ns(first);
  j["last_time_ns"] = to_ns(last);
  j["items"] = items;
  j["packets"] = packets;
  j["items_by_protocol"] = items_by_protocol;
  j["zone_map"] = {
      {"complete", zone_map_complete}, {"namespaces", namespaces}, {"pods", pods}, {"status_classes", status_classes}};
  j["objects"] = {{"packets", object_json(packets_object)}, {"items", object_json(items_object)}};
  j["header_length"] = header_length;
  json places = json::array();
  for (const StreamPlace& s : streams) places.push_back({s.stream, s.offset, s.length, s.packets});
  j["streams"] = std::move(places);
  j["ledger"] = ledger_json(ledger);
  return j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<BlockRecord> BlockRecord::from_json(std::string_view text) try {
  if (text.size() > kLargestRecord) return Error{Code::kInvalid, "a block record of more than 256 MiB"};
  const json j = json::parse(text);
  BlockRecord r;
  r.schema_version = j.at("schema_version").get<int>();
  if (r.schema_version < 1 || r.schema_version > kSchemaVersion)
    return Error{Code::kInvalid,
                 fmt::format("block record of schema version {}; this program reads up to {}: use a newer one",
                             r.schema_version, kSchemaVersion)};
  r.block = j.at("block").get<std::string>();
  r.recording = j.at("recording").get<std::string>();
  r.node = j.value("node", "");
  r.cluster = j.value("cluster", "");
  r.run = j.value("run", "");
  r.filter = j.value("filter", "");
  r.first = timestamp_from_ns(j.at("first_time_ns").get<int64_t>());
  r.last = timestamp_from_ns(j.at("last_time_ns").get<int64_t>());
  r.items = j.at("items").get<uint64_t>();
  r.packets = j.at("packets").get<uint64_t>();
  r.items_by_protocol = j.value("items_by_protocol", std::map<std::string, uint64_t>{});
  if (const auto zone = j.find("zone_map"); zone != j.end()) {
    r.zone_map_complete = zone->value("complete", false);
    r.namespaces = zone->value("namespaces", std::set<std::string>{});
    r.pods = zone->value("pods", std::set<std::string>{});
    r.status_classes = zone->value("status_classes", std::set<std::string>{});
  } else {
    r.zone_map_complete = false;
  }
  r.packets_object = object_of(j.at("objects").at("packets"));
  r.items_object = object_of(j.at("objects").at("items"));
  if (!is_safe_key(r.packets_object.key) || !is_safe_key(r.items_object.key))
    return Error{Code::kInvalid, "block record names objects outside its recording"};
  r.header_length = j.value("header_length", uint64_t{0});
  for (const json& s : j.value("streams", json::array()))
    r.streams.push_back(
        {s.at(0).get<std::string>(), s.at(1).get<uint64_t>(), s.at(2).get<uint64_t>(), s.at(3).get<uint64_t>()});
  if (const auto ledger = j.find("ledger"); ledger != j.end()) r.ledger = ledger_of(*ledger);
  return r;
} catch (const json::exception& e) {
  return Error{Code::kInvalid, fmt::format("not a block record: {}", e.what())};
}

std::string block_id(Timestamp first, std::string_view node, std::string_view run, uint64_t sequence) {
  const auto day = std::chrono::floor<std::chrono::seconds>(first);
  std::string time = to_rfc3339(day);
  std::erase(time, '-');
  std::erase(time, ':');
  time.pop_back();  // the Z comes after the fraction
  std::string safe_node;
  for (const char c : node)
    safe_node += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ? c : '_';
  return fmt::format("{}.{:09}Z-{}-{}-{:06}", time, (first - day).count(), safe_node, run, sequence);
}

BlockKeys block_keys(std::string_view recording, Timestamp first, std::string_view block) {
  const auto key = [&](std::string_view kind, std::string_view extension) {
    return fmt::format("recording={}/{}/date={}/hour={}/{}.{}", recording, kind, date_of(first), hour_of(first), block,
                       extension);
  };
  return {key("packets", "pcapng"), key("items", "parquet"), key("blocks", "json")};
}

std::string records_prefix(std::string_view recording, std::string_view date) {
  return date.empty() ? fmt::format("recording={}/blocks/", recording)
                      : fmt::format("recording={}/blocks/date={}/", recording, date);
}

}  // namespace baleen::index
