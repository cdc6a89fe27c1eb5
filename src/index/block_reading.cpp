// Block records as they are read: thousands of them before a query's first row, so that a parser counts that makes no
// tree of small pieces.

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "index/block.h"
#include "io/crypto.h"

namespace baleen::index {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kLargestRecord = 256 << 20;

/// What is wrong with a record, and where.
class Wrong : public std::runtime_error {
 public:
  Wrong(std::string_view name, std::string_view what) : runtime_error(fmt::format("\"{}\": {}", name, what)) {}
};

dom::element at(const dom::object& o, std::string_view name) {
  dom::element out;
  if (o.at_key(name).get(out) != simdjson::SUCCESS) throw Wrong(name, "is missing");
  return out;
}

template <class T>
T as(const dom::element& e, std::string_view name, std::string_view what) {
  T out;
  if (e.get(out) != simdjson::SUCCESS) throw Wrong(name, fmt::format("{} is expected", what));
  return out;
}

std::string text(const dom::element& e, std::string_view name) {
  return std::string(as<std::string_view>(e, name, "a text"));
}
/// What early records do not have is what it was when nobody said it.
std::string text_or_empty(const dom::object& o, std::string_view name) {
  dom::element e;
  return o.at_key(name).get(e) == simdjson::SUCCESS ? text(e, name) : std::string();
}

/// A count as a record has it: nothing negative, no fraction.
uint64_t count(const dom::element& e, std::string_view name, uint64_t largest = UINT64_MAX) {
  const auto out = as<uint64_t>(e, name, "a number from 0 on");
  if (out > largest) throw Wrong(name, fmt::format("a number from 0 to {} is expected", largest));
  return out;
}
uint64_t count(const dom::object& o, std::string_view name) { return count(at(o, name), name); }
uint64_t count_or_zero(const dom::object& o, std::string_view name) {
  dom::element e;
  return o.at_key(name).get(e) == simdjson::SUCCESS ? count(e, name) : 0;
}

Timestamp time(const dom::object& o, std::string_view name) {
  return timestamp_from_ns(as<int64_t>(at(o, name), name, "nanoseconds since 1970"));
}

dom::object object(const dom::object& o, std::string_view name) {
  return as<dom::object>(at(o, name), name, "an object");
}
template <class T>
std::optional<T> maybe(const dom::object& o, std::string_view name, std::string_view what) {
  dom::element e;
  if (o.at_key(name).get(e) != simdjson::SUCCESS) return std::nullopt;
  return as<T>(e, name, what);
}
std::optional<dom::object> maybe_object(const dom::object& o, std::string_view name) {
  return maybe<dom::object>(o, name, "an object");
}

template <class Each>
void each_of(const dom::object& o, std::string_view name, const Each& each) {
  if (const auto list = maybe<dom::array>(o, name, "a list"))
    for (const dom::element e : *list) each(e);
}

std::set<std::string> texts(const dom::object& o, std::string_view name) {
  std::set<std::string> out;
  each_of(o, name, [&](const dom::element& e) { out.insert(text(e, name)); });
  return out;
}

std::map<std::string, uint64_t> counts(const dom::object& o, std::string_view name) {
  std::map<std::string, uint64_t> out;
  if (const auto all = maybe_object(o, name))
    for (const auto& [key, value] : *all) out[std::string(key)] = count(value, name);
  return out;
}

std::string decoded(const dom::object& o, std::string_view name) {
  auto bytes = io::base64_decode(text(at(o, name), name));
  if (!bytes) throw Wrong(name, "base64 is expected");
  return *std::move(bytes);
}

ObjectRecord object_record(const dom::object& o) {
  ObjectRecord out{text(at(o, "key"), "key"), count(o, "size"),
                   static_cast<uint32_t>(count(at(o, "crc32c"), "crc32c", UINT32_MAX))};
  if (const auto e = maybe_object(o, "encryption")) {
    out.encryption = ObjectEncryption{decoded(*e, "salt"), count(*e, "text_size")};
    // Chunks and their tags: see ObjectCipher.
    if (out.size < out.encryption->text_size || out.size - out.encryption->text_size > out.size)
      throw Wrong("text_size", "an encrypted object is larger than its text");
  }
  return out;
}

LossLedger ledger(const dom::object& o) {
  LossLedger l;
#define X(field) l.field = count_or_zero(o, #field);
#include "index/ledger_fields.def"
#undef X
  // Early records do not say it: there was nothing but these two.
  dom::element e;
  if (o.at_key("packets_matched").get(e) != simdjson::SUCCESS)
    l.packets_matched = l.packets_stored + l.packets_lost_recorder;
  return l;
}

DroppedBlocks dropped(const dom::element& e) {
  const auto o = as<dom::object>(e, "dropped", "a list of objects");
  return {text(at(o, "block"), "block"), text_or_empty(o, "cause"), count(o, "blocks"),       count(o, "items"),
          count(o, "packets"),           count(o, "bytes"),         time(o, "first_time_ns"), time(o, "last_time_ns")};
}

StreamPlace place(const dom::element& e) {
  const auto row = as<dom::array>(e, "streams", "a list of lists");
  dom::element cells[4];
  for (size_t i = 0; i < 4; ++i)
    if (row.at(i).get(cells[i]) != simdjson::SUCCESS) throw Wrong("streams", "four cells are expected");
  return {text(cells[0], "streams"), count(cells[1], "streams"), count(cells[2], "streams"),
          count(cells[3], "streams")};
}

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

Result<BlockRecord> record_of(const dom::object& o) {
  BlockRecord r;
  const uint64_t version = count(o, "schema_version");
  if (version < 1 || version > BlockRecord::kSchemaVersion)
    return Error{Code::kInvalid,
                 fmt::format("block record of schema version {}; this program reads up to {}: use a newer one", version,
                             BlockRecord::kSchemaVersion)};
  r.schema_version = static_cast<int>(version);
  r.block = text(at(o, "block"), "block");
  r.recording = text(at(o, "recording"), "recording");
  r.node = text_or_empty(o, "node");
  r.cluster = text_or_empty(o, "cluster");
  r.run = text_or_empty(o, "run");
  r.filter = text_or_empty(o, "filter");
  r.first = time(o, "first_time_ns");
  r.last = time(o, "last_time_ns");
  r.items = count(o, "items");
  r.packets = count(o, "packets");
  r.items_by_protocol = counts(o, "items_by_protocol");
  const auto zone = maybe_object(o, "zone_map");
  r.zone_map_complete = zone && maybe<bool>(*zone, "complete", "true or false").value_or(false);
  if (zone) {
    r.namespaces = texts(*zone, "namespaces");
    r.pods = texts(*zone, "pods");
    r.status_classes = texts(*zone, "status_classes");
  }
  const dom::object objects = object(o, "objects");
  r.packets_object = object_record(object(objects, "packets"));
  r.items_object = object_record(object(objects, "items"));
  if (!is_safe_key(r.packets_object.key) || !is_safe_key(r.items_object.key))
    return Error{Code::kInvalid, "block record names objects outside its recording"};
  if (const auto e = maybe_object(o, "encryption")) {
    if (text(at(*e, "algorithm"), "algorithm") != "AES-256-GCM" ||
        text(at(*e, "wrapping"), "wrapping") != "AES-256-KW" || count(*e, "chunk") != 64 << 10)
      return Error{Code::kInvalid, "block record with an encryption that this program does not know: use a newer one"};
    r.encryption = {text(at(*e, "key_id"), "key_id"), decoded(*e, "wrapped_key")};
  }
  r.header_length = count_or_zero(o, "header_length");
  each_of(o, "streams", [&](const dom::element& e) { r.streams.push_back(place(e)); });
  if (const auto said = maybe_object(o, "ledger")) r.ledger = ledger(*said);
  r.redactions = counts(o, "redactions");
  each_of(o, "dropped", [&](const dom::element& e) { r.dropped.push_back(dropped(e)); });
  return r;
}

}  // namespace

Result<BlockRecord> BlockRecord::from_json(std::string_view json) try {
  if (json.size() > kLargestRecord) return Error{Code::kInvalid, "a block record of more than 256 MiB"};
  dom::parser parser;
  dom::object root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root); error != simdjson::SUCCESS)
    return Error{Code::kInvalid, fmt::format("not a block record: {}", simdjson::error_message(error))};
  return record_of(root);
} catch (const Wrong& e) {
  return Error{Code::kInvalid, fmt::format("not a block record: {}", e.what())};
}

}  // namespace baleen::index
