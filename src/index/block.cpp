#include "index/block.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/crypto.h"

namespace baleen::index {
namespace {

using nlohmann::json;

json object_json(const ObjectRecord& o) {
  json j = {{"key", o.key}, {"size", o.size}, {"crc32c", o.crc32c}};
  if (o.encryption)
    j["encryption"] = {{"salt", io::base64(as_bytes(o.encryption->salt))}, {"text_size", o.encryption->text_size}};
  return j;
}

json ledger_json(const LossLedger& l) {
  json j;
#define X(field) j[#field] = l.field;
#include "index/ledger_fields.def"
#undef X
  return j;
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

std::string date_of(Timestamp t) { return to_rfc3339(t).substr(0, 10); }
std::string hour_of(Timestamp t) { return to_rfc3339(t).substr(11, 2); }

}  // namespace

LossLedger& LossLedger::operator+=(const LossLedger& other) {
#define X(field) field += other.field;
#include "index/ledger_fields.def"
#undef X
  return *this;
}

std::vector<std::pair<std::string_view, uint64_t>> numbers(const LossLedger& ledger) {
  return {
#define X(field) {#field, ledger.field},
#include "index/ledger_fields.def"
#undef X
  };
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
