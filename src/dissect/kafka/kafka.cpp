#include "dissect/kafka/kafka.h"

#include "dissect/build.h"
#include "dissect/kafka/schema.h"

namespace baleen::dissect::kafka {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {9092};
constexpr Field kFields[] = {
    {"request.apiKey", "kafka_api_key", kInt, "Number of the operation: 0 Produce, 1 Fetch."},
    {"request.apiKeyName", "kafka_api_key_name", kString, "Name of the operation: PRODUCE, FETCH, METADATA."},
    {"request.apiVersion", "", kInt, "Version of the operation's messages."},
    {"request.clientID", "kafka_client_id", kString, "The client's name for itself."},
    {"request.correlationID", "", kInt, "Number that the response repeats."},
    {"request.summary", "kafka_request_summary", kString, "Topics; the group, key or client where there are none."},
    {"request.size", "kafka_size", kInt, "Size as the message says it."},
    {"request.payload", "", kMap,
     "The request's fields by the names of the protocol's definitions; records as count, compression and records."},
    {"requestSize", "kafka_request_size", kInt, "Bytes of the request on the stream."},
    {"responseSize", "kafka_response_size", kInt, "Bytes of the response on the stream."},
    {"response.correlationID", "", kInt, "Number of the request that this answers."},
    {"response.size", "", kInt, "Size as the message says it."},
    {"response.errorCode", "", kInt, "The first error code in the response that is not zero."},
    {"response.status", "", kString, "Name of that error, or NONE."},
    {"response.payload", "", kMap, "The response's fields."},
    {"request.payload.authBytes", "", kBytes, "What a client says to authenticate itself.", true},
    {"response.payload.authBytes", "", kBytes, "What a broker answers to that.", true},
    {"request.payload.hmac", "", kBytes, "Key of a delegation token.", true},
    {"response.payload.hmac", "", kBytes, "Key of a delegation token.", true},
    {"response.payload.tokens", "", kList, "Delegation tokens.", true},
    {"request.payload.upsertions", "", kList, "SCRAM credentials that are set.", true},
};

constexpr uint64_t kMaxMessage = 256 << 20;
constexpr size_t kMaxWholeProbe = 4096;

struct Header {
  int32_t size, correlation;
  int16_t key, version;
  Value client_id;
  const Api* api;
  bool flexible;
};

/// The header of a request (versions 0 to 2 of https://kafka.apache.org/protocol#protocol_messages).
Header read_request(ByteReader& r) {
  Header h{};
  h.size = static_cast<int32_t>(r.be32());
  h.key = static_cast<int16_t>(r.be16());
  h.version = static_cast<int16_t>(r.be16());
  h.correlation = static_cast<int32_t>(r.be32());
  h.api = find_api(h.key);
  h.flexible = h.api != nullptr && h.version >= h.api->flexible_from;
  if (h.key == 7 && h.version == 0) return h;  // ControlledShutdown 0 has no client id
  const int16_t size = static_cast<int16_t>(r.be16());
  if (size >= 0) h.client_id = text_or_bytes(r.text(static_cast<size_t>(size)));
  if (h.flexible) skip_tags(r);
  return h;
}

std::string_view api_key_name(const Api* api, int key, Arena& arena) {
  if (api == nullptr) return join({"API_", decimal(static_cast<uint64_t>(key), arena)}, arena);
  // "OffsetForLeaderEpoch" is shown as OFFSET_FOR_LEADER_EPOCH.
  char name[64];
  size_t n = 0;
  for (size_t i = 0; i < api->name.size() && n + 2 < sizeof name; ++i) {
    const char c = api->name[i];
    if (i != 0 && c >= 'A' && c <= 'Z') name[n++] = '_';
    name[n++] = upper(c);
  }
  return arena.copy(std::string_view(name, n));
}

/// What the reference shows as summary: topics, else what else names the operation's object.
std::string_view summary_of(const Findings& found, Value payload, Value client_id) {
  if (!found.summary.empty()) return found.summary;
  for (const std::string_view name : {"groupId", "transactionalId", "key", "topicNames", "mechanism"})
    if (const Value* v = payload.find(name); v != nullptr && v->is_string()) return v->text();
  for (const std::string_view name : {"groups", "topicNames", "coordinatorKeys", "groupsNames"})
    if (const Value* v = payload.find(name); v != nullptr && v->size() > 0) {
      const Value& first = v->elements()[0];
      if (first.is_string()) return first.text();
      if (first["groupId"].is_string()) return first["groupId"].text();
    }
  return client_id.text();
}

Probe probe_request(Bytes b) {
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 0) return Probe::kNo;
  if (b.size() < 14) {
    if (b.size() >= 6 && find_api(load_be16(&b[4])) == nullptr) return Probe::kNo;
    return Probe::kUnsure;
  }
  ByteReader r(b);
  const uint32_t size = r.be32();
  const Api* api = find_api(r.be16());
  const int version = r.be16();
  const int32_t correlation = static_cast<int32_t>(r.be32());
  const int client = static_cast<int16_t>(r.be16());
  // A client may be newer than the tables here, but not by far.
  if (size < 10 || size > kMaxMessage || api == nullptr || version > api->last_version + 4 || correlation < 0 ||
      client < -1 || client > 512 || static_cast<uint32_t>(client + 10) > size)
    return Probe::kNo;
  if (b.size() < size_t{14} + static_cast<size_t>(std::max(client, 0))) return Probe::kUnsure;
  if (client > 0 && !is_printable(r.text(static_cast<size_t>(client)))) return Probe::kNo;
  if (!api->is_described || version > api->last_version || size > kMaxWholeProbe)
    return client > 0 ? Probe::kYes : Probe::kNo;
  if (b.size() < size + 4) return Probe::kUnsure;
  ByteReader whole(b.first(size + 4));
  const Header h = read_request(whole);
  if (fits(api->request, h.version, h.flexible, whole)) return Probe::kYes;
  // Old librdkafka sends an empty list behind an ApiVersions request that has no fields.
  return h.key == 18 && !h.flexible && size == 14u + static_cast<unsigned>(std::max(client, 0)) ? Probe::kYes
                                                                                                : Probe::kNo;
}

}  // namespace

const item::Protocol Kafka::kProtocol = {
    .name = "kafka",
    .version = "12",
    .abbreviation = "KAFKA",
    .long_name = "Apache Kafka Protocol",
    .macro = "kafka",
    .reference = "https://kafka.apache.org/protocol",
    .background = "#000000",
    .foreground = "#ffffff",
    .font_size = 11,
    .priority = 2,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.apiKeyName",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Kafka::probe(const Input& in) {
  if (in.direction == Direction::kToServer) return probe_request(in.bytes);
  // A response says nothing but its size and a number: only a request can tell.
  const Bytes b = in.bytes;
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 0 || in.end_of_stream) return Probe::kNo;
  if (b.size() < 8) return Probe::kUnsure;
  const uint32_t size = load_be32(b.data());
  if (size < 6 || static_cast<int32_t>(load_be32(&b[4])) < 0) return Probe::kNo;
  if (b.size() < size + 12) return Probe::kUnsure;
  return b[size + 4] == 0 ? Probe::kUnsure : Probe::kNo;  // the next one's size
}

Measure Kafka::measure(Direction direction, Bytes bytes) const {
  if (bytes.size() < 4) return Measure::need(4);
  const uint32_t size = load_be32(bytes.data());
  if (size > kMaxMessage || size < (direction == Direction::kToServer ? 8 : 4)) return Measure::bad();
  return Measure::frame(uint64_t{size} + 4);
}

Probe Kafka::begins(Direction direction, Bytes bytes) const {
  if (direction == Direction::kToServer) return probe_request(bytes);
  if (bytes[0] != 0) return Probe::kNo;  // one of 16 MiB or more is not looked for, however many bytes are there
  if (bytes.size() < 8) return Probe::kUnsure;
  const uint32_t size = load_be32(bytes.data()), correlation = load_be32(&bytes[4]);
  if (size < 4 || size > kMaxMessage) return Probe::kNo;
  for (const Item* i = waiting_.front(); i != nullptr; i = i->next)
    if (static_cast<uint32_t>(i->match_key) == correlation) return Probe::kYes;
  return Probe::kNo;
}

Step Kafka::message(const Frame& frame, Output& out) {
  return frame.to_server() ? request(frame, out) : response(frame, out);
}

Step Kafka::request(const Frame& frame, Output& out) {
  ByteReader head(frame.bytes);
  const Header peeked = read_request(head);
  if (!head.ok() || peeked.key < 0 || peeked.key > 1000 || peeked.version < 0 || peeked.version > 100)
    return Step::lost();
  Item* const item = out.begin(kProtocol);
  ByteReader r(item->arena.copy(frame.bytes));
  const Header h = read_request(r);
  Findings found;
  Value payload;
  if (h.api != nullptr && h.api->is_described && h.version <= h.api->last_version)
    payload = decode(h.api->request, h.version, h.flexible, r, out.settings().body_cap, item->arena, found);
  MapOf map(item->arena);
  map.add("size", h.size);
  map.add("apiKeyName", api_key_name(h.api, h.key, item->arena));
  map.add("apiKey", h.key);
  map.add("apiVersion", h.version);
  map.add("correlationID", h.correlation);
  map.add("clientID", h.client_id);
  map.add("payload", payload);
  map.add("summary", h.key == 18 ? h.client_id : Value(summary_of(found, payload, h.client_id)));
  if (frame.cut) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  } else if (!found.ok) {
    mark_malformed(item, "fields of the request are missing", out);
  }
  set(item->request, map.build(), frame);
  item->match_key = static_cast<uint32_t>(h.correlation) | uint64_t{static_cast<uint16_t>(h.key)} << 32 |
                    uint64_t{static_cast<uint16_t>(h.version)} << 48;
  if (found.no_answer && h.key == 0) {
    out.finish(item);
  } else {
    waiting_.push(item, out);
  }
  return Step::took(frame.size);
}

Step Kafka::response(const Frame& frame, Output& out) {
  if (frame.bytes.size() < 8) return Step::lost();
  const uint32_t correlation = load_be32(&frame.bytes[4]);
  const auto wanted = [correlation](const Item* i) { return static_cast<uint32_t>(i->match_key) == correlation; };
  Item* item = waiting_.empty()           ? nullptr
               : wanted(waiting_.front()) ? waiting_.pop()
                                          : waiting_.take_after_front(wanted);
  const bool known = item != nullptr;
  if (!known) item = begin_orphan(kProtocol, out);
  Findings found;
  Value payload;
  ByteReader r(item->arena.copy(frame.bytes));
  r.skip(8);
  if (known) {
    const int key = static_cast<uint16_t>(item->match_key >> 32);
    int version = static_cast<uint16_t>(item->match_key >> 48);
    const Api* api = find_api(key);
    // A broker that does not know the client's version of ApiVersions answers in version 0 (KIP-35).
    const bool downgraded = key == 18 && frame.bytes.size() >= 10 && load_be16(&frame.bytes[8]) == 35;
    if (downgraded) version = 0;
    if (api != nullptr && api->is_described && version <= api->last_version) {
      const bool flexible = version >= api->flexible_from;
      if (flexible && key != 18) skip_tags(r);
      payload = decode(api->response, version, flexible, r, out.settings().body_cap, item->arena, found);
      // librdkafka's mock broker then writes its list in the manner of the version that it does not know.
      found.ok |= downgraded;
    }
  }
  MapOf map(item->arena);
  map.add("size", static_cast<int64_t>(frame.size - 4));
  map.add("correlationID", static_cast<int64_t>(static_cast<int32_t>(correlation)));
  if (known) {
    map.add("payload", payload);
    map.add("errorCode", found.error);
    const std::string_view name = error_name(found.error);
    map.add("status", name.empty() ? decimal(static_cast<uint64_t>(std::abs(found.error)), item->arena) : name);
  }
  if (frame.cut) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  } else if (!found.ok && item->outcome == item::Outcome::kPaired) {
    mark_malformed(item, "fields of the response are missing", out);
  }
  set(item->response, map.build(), frame);
  out.finish(item);
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::kafka
