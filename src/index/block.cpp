#include "index/block.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/crypto.h"

namespace baleen::index {
namespace {

using nlohmann::json;

constexpr size_t kLargestRecord = 256 << 20;

json object_json(const ObjectRecord& o) {
  json j = {{"key", o.key}, {"size", o.size}, {"crc32c", o.crc32c}};
  if (o.encryption)
    j["encryption"] = {{"salt", io::base64(as_bytes(o.encryption->salt))}, {"text_size", o.encryption->text_size}};
  return j;
}

/// A count as a record has it: nothing negative, no fraction.
uint64_t count_of(const json& j, uint64_t largest = UINT64_MAX) {
  if (!j.is_number_unsigned() || j.get<uint64_t>() > largest)
    throw json::type_error::create(302, "a number from 0 to " + std::to_string(largest) + " is expected", &j);
  return j.get<uint64_t>();
}

uint64_t count_of(const json& j, const char* name) {
  const auto found = j.find(name);
  return found == j.end() ? 0 : count_of(*found);
}

Timestamp time_of(const json& j) {
  if (!j.is_number_integer() || (j.is_number_unsigned() && j.get<uint64_t>() > uint64_t{INT64_MAX}))
    throw json::type_error::create(302, "nanoseconds since 1970 are expected", &j);
  return timestamp_from_ns(j.get<int64_t>());
}

std::string decoded(const json& j, const char* name) {
  auto bytes = io::base64_decode(j.at(name).get<std::string>());
  if (!bytes) throw json::other_error::create(501, std::string(name) + " is not base64", &j);
  return *std::move(bytes);
}

ObjectRecord object_of(const json& j) {
  ObjectRecord o{j.at("key").get<std::string>(), count_of(j.at("size")),
                 static_cast<uint32_t>(count_of(j.at("crc32c"), UINT32_MAX))};
  if (const auto e = j.find("encryption"); e != j.end()) {
    o.encryption = ObjectEncryption{decoded(*e, "salt"), count_of(e->at("text_size"))};
    // Chunks and their tags: see ObjectCipher.
    if (o.size < o.encryption->text_size || o.size - o.encryption->text_size > o.size)
      throw json::other_error::create(501, "an encrypted object is larger than its text", &j);
  }
  return o;
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
  X(packets_truncated) \
  X(items_failed) \
  X(items_refused_spool) \
  X(packets_matched) \
  X(packets_in_flight) \
  X(packets_failed) \
  X(packets_refused_spool) \
  X(streams_refused_spool) \
  X(packets_refused_recorder) \
  X(blocks_dropped_spool) \
  X(bytes_dropped_spool) \
  X(items_dropped_spool) \
  X(packets_dropped_spool) \
  X(items_redacted) \
  X(packets_redacted) \
  X(packets_blanked) \
  X(streams_in_scope) \
  X(streams_undissected) \
  X(streams_dropped_queue) \
  X(items_looked_back) \
  X(packets_unseen)
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
#define X(field) l.field = count_of(j, #field);
  BALEEN_LEDGER_FIELDS(X)
#undef X
  // Early records do not say it: there was nothing but these two.
  if (!j.contains("packets_matched")) l.packets_matched = l.packets_stored + l.packets_lost_recorder;
  return l;
}

json dropped_json(const DroppedBlocks& d) {
  return {{"block", d.block},
          {"cause", d.cause},
          {"blocks", d.blocks},
          {"items", d.items},
          {"packets", d.packets},
          {"bytes", d.bytes},
          {"first_time_ns", to_ns(d.first)},
          {"last_time_ns", to_ns(d.last)}};
}

DroppedBlocks dropped_of(const json& j) {
  return {j.at("block").get<std::string>(), j.value("cause", ""),         count_of(j.at("blocks")),
          count_of(j.at("items")),          count_of(j.at("packets")),    count_of(j.at("bytes")),
          time_of(j.at("first_time_ns")),   time_of(j.at("last_time_ns"))};
}

std::string date_of(Timestamp t) { return to_rfc3339(t).substr(0, 10); }
std::string hour_of(Timestamp t) { return to_rfc3339(t).substr(11, 2); }

/// A key names an object below the destination; one that climbs out of it is a hostile record's.
bool is_safe_key(std::string_view key) {
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return key.find('\0') == std::string_view::npos;
}

}  // namespace

LossLedger& LossLedger::operator+=(const LossLedger& other) {
#define X(field) field += other.field;
  BALEEN_LEDGER_FIELDS(X)
#undef X
  return *this;
}

std::vector<std::pair<std::string_view, uint64_t>> numbers(const LossLedger& ledger) {
#define X(field) {#field, ledger.field},
  return {BALEEN_LEDGER_FIELDS(X)};
#undef X
}

std::string BlockRecord::to_json() const {
  json j;
  const bool encrypted = !encryption.wrapped_key.empty();
  j["schema_version"] = encrypted ? 2 : schema_version;
  if (encrypted)
    j["encryption"] = {{"algorithm", "AES-256-GCM"},
                       {"chunk", 64 << 10},
                       {"key_id", encryption.key_id},
                       {"wrapped_key", io::base64(as_bytes(encryption.wrapped_key))},
                       {"wrapping", "AES-256-KW"}};
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
  if (!redactions.empty()) j["redactions"] = redactions;
  for (const DroppedBlocks& d : dropped) j["dropped"].push_back(dropped_json(d));
  return j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<BlockRecord> BlockRecord::from_json(std::string_view text) try {
  if (text.size() > kLargestRecord) return Error{Code::kInvalid, "a block record of more than 256 MiB"};
  const json j = json::parse(text);
  BlockRecord r;
  const uint64_t version = count_of(j.at("schema_version"));
  if (version < 1 || version > kSchemaVersion)
    return Error{Code::kInvalid,
                 fmt::format("block record of schema version {}; this program reads up to {}: use a newer one", version,
                             kSchemaVersion)};
  r.schema_version = static_cast<int>(version);
  r.block = j.at("block").get<std::string>();
  r.recording = j.at("recording").get<std::string>();
  r.node = j.value("node", "");
  r.cluster = j.value("cluster", "");
  r.run = j.value("run", "");
  r.filter = j.value("filter", "");
  r.first = time_of(j.at("first_time_ns"));
  r.last = time_of(j.at("last_time_ns"));
  r.items = count_of(j.at("items"));
  r.packets = count_of(j.at("packets"));
  const json by_protocol = j.value("items_by_protocol", json::object());
  for (const auto& [protocol, n] : by_protocol.items()) r.items_by_protocol[protocol] = count_of(n);
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
  if (const auto e = j.find("encryption"); e != j.end()) {
    if (e->at("algorithm") != "AES-256-GCM" || e->at("wrapping") != "AES-256-KW" ||
        count_of(e->at("chunk")) != 64 << 10)
      return Error{Code::kInvalid, "block record with an encryption that this program does not know: use a newer one"};
    r.encryption = {e->at("key_id").get<std::string>(), decoded(*e, "wrapped_key")};
  }
  r.header_length = count_of(j, "header_length");
  for (const json& s : j.value("streams", json::array()))
    r.streams.push_back({s.at(0).get<std::string>(), count_of(s.at(1)), count_of(s.at(2)), count_of(s.at(3))});
  if (const auto ledger = j.find("ledger"); ledger != j.end()) r.ledger = ledger_of(*ledger);
  const json redactions = j.value("redactions", json::object());
  for (const auto& [rule, n] : redactions.items()) r.redactions[rule] = count_of(n);
  for (const json& d : j.value("dropped", json::array())) r.dropped.push_back(dropped_of(d));
  return r;
} catch (const json::exception& e) {
  return Error{Code::kInvalid, fmt::format("not a block record: {}", e.what())};
}

std::string block_id(Timestamp first, std::string_view node, std::string_view run, uint64_t sequence) {
  constexpr int64_t kSecond = 1'000'000'000;
  std::string time = to_rfc3339(first).substr(0, 19);
  std::erase(time, '-');
  std::erase(time, ':');
  std::string safe_node;
  for (const char c : node)
    safe_node += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ? c : '_';
  return fmt::format("{}.{:09}Z-{}-{}-{:06}", time, (to_ns(first) % kSecond + kSecond) % kSecond, safe_node, run,
                     sequence);
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
