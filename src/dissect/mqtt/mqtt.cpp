#include "dissect/mqtt/mqtt.h"

#include "dissect/mqtt/packet.h"

namespace baleen::dissect::mqtt {

using item::Field;
using item::Item;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {1883};
constexpr Field kFields[] = {
    {"request.method", "mqtt_type", kString, "Kind of packet: CONNECT, PUBLISH, SUBSCRIBE."},
    {"request.topic", "mqtt_topic", kString, "Topic that is published to."},
    {"request.summary", "mqtt_summary", kString, "Topic, first topic filter, or client identifier."},
    {"request.clientId", "mqtt_client_id", kString, "The client's identifier."},
    {"request.qos", "mqtt_qos", kInt, "Quality of service: 0, 1 or 2."},
    {"request.retain", "", kBool, "The server keeps the message for later subscribers."},
    {"request.dup", "", kBool, "The message may have been sent before."},
    {"request.packetId", "", kInt, "Identifier that the acknowledgement repeats."},
    {"request.message", "", kString, "What is published."},
    {"request.messageSize", "", kInt, "Bytes of it."},
    {"request.topics", "", kList, "Topic filters of SUBSCRIBE and UNSUBSCRIBE with their options."},
    {"request.protocolVersion", "", kInt, "3, 4 (that is 3.1.1) or 5."},
    {"request.keepAlive", "", kInt, "Seconds."},
    {"request.userName", "", kString, "User name of CONNECT."},
    {"request.password", "", kString, "Password of CONNECT.", true},
    {"request.willTopic", "", kString, "Topic of the will."},
    {"request.willMessage", "", kString, "The will."},
    {"request.properties", "", kMap, "Properties of MQTT 5 by their names."},
    {"request.properties.authenticationData", "", kBytes, "What a client says to authenticate itself.", true},
    {"response.method", "", kString, "Kind of packet: CONNACK, PUBACK, SUBACK."},
    {"response.status", "mqtt_status", kString, "The reason in words: Success, Not authorized."},
    {"response.reasonCode", "", kInt, "The reason; 128 and above are failures."},
    {"response.reasonCodes", "", kList, "One reason for each topic filter."},
    {"response.sessionPresent", "", kBool, "The server remembers the client."},
    {"response.properties", "", kMap, "Properties of MQTT 5."},
};

constexpr uint32_t kMost = 268'435'455;

struct Head {
  bool ok = true;
  size_t size = 0;  // of the head; 0: more is needed
  uint32_t rest = 0;
};

Head head_at(Bytes b) {
  for (size_t i = 1; i < 5; ++i) {
    if (i >= b.size()) return {};
    if (b[i] >= 0x80) continue;
    ByteReader r(b.subspan(1));
    return {true, i + 1, variable_integer(r)};
  }
  return {false};
}

/// Flags that the type requires (MQTT 5 2.1.3).
bool flags_fit(uint8_t first) {
  const uint8_t type = first >> 4, flags = first & 15;
  if (type == 0) return false;
  if (type == kPublish) return (flags & 6) != 6;
  const bool two = type == kPubrel || type == kSubscribe || type == kUnsubscribe;
  return flags == (two ? 2 : 0);
}

/// What acknowledges a packet; 0: nothing does.
uint8_t answer_of(uint8_t type, uint8_t qos) {
  switch (type) {
    case kConnect: return kConnack;
    case kPublish: return qos == 1 ? kPuback : qos == 2 ? kPubrec : 0;
    case kPubrel: return kPubcomp;
    case kSubscribe: return kSuback;
    case kUnsubscribe: return kUnsuback;
    case kPingreq: return kPingresp;
    default: return 0;
  }
}
bool is_answer(uint8_t type) {
  return type == kConnack || type == kPuback || type == kPubrec || type == kPubcomp || type == kSuback ||
         type == kUnsuback || type == kPingresp;
}

}  // namespace

namespace {

/// A PUBLISH whose topic is text and fits, perhaps behind packets that are too short to tell.
Probe probe_middle(Bytes b) {
  while (b.size() >= 2) {
    const uint8_t type = b[0] >> 4;
    const bool ping = type == kPingreq || type == kPingresp, ack = type >= kPuback && type <= kPubcomp;
    if (!flags_fit(b[0]) || !(ping ? b[1] == 0 : ack ? b[1] == 2 : type == kPublish)) return Probe::kNo;
    if (type == kPublish) break;
    b = b.subspan(std::min<size_t>(b.size(), size_t{2} + b[1]));
  }
  if (b.size() < 2) return b.empty() || flags_fit(b[0]) ? Probe::kUnsure : Probe::kNo;
  const Head h = head_at(b);
  if (!h.ok || (h.size != 0 && h.rest < 5)) return Probe::kNo;
  if (h.size == 0 || b.size() < h.size + 2) return Probe::kUnsure;
  const size_t topic = load_be16(&b[h.size]);
  if (topic < 3 || topic > 1024 || topic + 2 + ((b[0] & 6) != 0 ? 2 : 0) > h.rest) return Probe::kNo;
  const std::string_view seen = as_text(b.subspan(h.size + 2)).substr(0, topic);
  if (!is_printable(seen) || seen.find_first_of("+#") != seen.npos) return Probe::kNo;
  return seen.size() == topic ? Probe::kYes : Probe::kUnsure;
}

}  // namespace

const item::Protocol Mqtt::kProtocol = {
    .name = "mqtt",
    .version = "5",
    .abbreviation = "MQTT",
    .long_name = "Message Queuing Telemetry Transport",
    .macro = "mqtt",
    .reference = "https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html",
    .background = "#660066",
    .foreground = "#ffffff",
    .priority = 9,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Mqtt::probe(const Input& in) {
  // A connection's beginning says most: CONNECT names the protocol, CONNACK answers it. In its middle a PUBLISH does.
  const Bytes b = in.bytes;
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 0x10 && b[0] != 0x20) return probe_middle(b);
  if (in.direction == Direction::kToClient) {
    if (b[0] != 0x20) return Probe::kNo;
    const Head h = head_at(b);
    if (!h.ok || (h.size != 0 && (h.rest < 2 || h.rest > 512))) return Probe::kNo;
    if (h.size == 0 || b.size() < h.size + 2) return Probe::kUnsure;
    if (b[h.size] > 1) return Probe::kNo;
    const uint8_t code = b[h.size + 1];
    if (h.rest == 2) return code <= 5 ? Probe::kYes : Probe::kNo;
    return code == 0 || (code >= 0x80 && code <= 0x9F) ? Probe::kYes : Probe::kNo;
  }
  if (b[0] != 0x10) return Probe::kNo;
  const Head h = head_at(b);
  if (!h.ok || (h.size != 0 && h.rest < 10)) return Probe::kNo;
  if (h.size == 0) return Probe::kUnsure;
  const std::string_view name = as_text(b.subspan(h.size));
  for (const std::string_view known : {std::string_view("\0\4MQTT", 6), std::string_view("\0\6MQIsdp", 8)}) {
    if (name.starts_with(known)) return Probe::kYes;
    if (known.starts_with(name)) return Probe::kUnsure;
  }
  return Probe::kNo;
}

Measure Mqtt::measure(Direction, Bytes b) const {
  if (!flags_fit(b[0])) return Measure::bad();
  const Head h = head_at(b);
  if (!h.ok || h.rest > kMost) return Measure::bad();
  return h.size == 0 ? Measure::need(b.size() + 1) : Measure::frame(h.size + uint64_t{h.rest});
}

Probe Mqtt::begins(Direction, Bytes b) {
  // A packet whose end is the beginning of another.
  if (!flags_fit(b[0])) return Probe::kNo;
  const Head h = head_at(b);
  if (!h.ok || h.rest > 65536) return Probe::kNo;
  if (h.size == 0) return Probe::kUnsure;
  const uint8_t type = b[0] >> 4;
  const bool short_one = (type >= kPuback && type <= kPubcomp) || type == kUnsuback;
  if ((short_one && h.rest < 2) || ((type == kPingreq || type == kPingresp) && h.rest != 0)) return Probe::kNo;
  if (type == kPublish) {
    if (h.rest < 3) return Probe::kNo;
    if (b.size() < h.size + 2) return Probe::kUnsure;
    const size_t topic = load_be16(&b[h.size]);
    if (topic == 0 || topic + 2 > h.rest) return Probe::kNo;
    const std::string_view seen = as_text(b.subspan(h.size + 2)).substr(0, topic);
    if (!is_text(seen, true) || !std::none_of(seen.begin(), seen.end(), [](char ch) { return ch < 0x20 && ch >= 0; }))
      return Probe::kNo;
  }
  const size_t end = h.size + h.rest;
  if (b.size() < end + 1) return Probe::kUnsure;
  return flags_fit(b[end]) && type != 15 ? Probe::kYes : Probe::kNo;
}

Step Mqtt::message(const Frame& frame, Output& out) {
  const uint8_t type = frame.bytes[0] >> 4;
  const Head h = head_at(frame.bytes);
  if (h.size == 0) return Step::lost();
  // The identifiers of both sides are independent (MQTT 5 2.2.1).
  const auto key = [&](uint8_t wanted, bool asked_by_client, uint16_t id) {
    return uint64_t{wanted} << 32 | uint64_t{asked_by_client} << 16 | id;
  };
  Item* item = nullptr;
  if (is_answer(type)) {
    uint16_t id = 0;
    if (type != kConnack && type != kPingresp && frame.bytes.size() >= h.size + 2) id = load_be16(&frame.bytes[h.size]);
    item = waiting_.take(key(type, !frame.to_server(), id));
    if (item == nullptr) item = begin_orphan(kProtocol, out);
  } else {
    item = out.begin(kProtocol);
  }
  const Bytes body = item->arena.copy(frame.bytes).subspan(h.size);
  const Packet p = read_packet(type, frame.bytes[0] & 15, body, version_, frame.cut, item->arena);
  if (type == kConnect && p.version >= 3 && p.version <= 5) version_ = p.version;
  set(is_answer(type) ? item->response : item->request, p.payload, frame);
  if (frame.cut) out.count(Counter::kBodyCapped);
  if (!p.ok) mark_malformed(item, "malformed packet", out);
  if (is_answer(type)) {
    out.finish(item);
  } else if (const uint8_t wanted = answer_of(type, p.qos); wanted != 0) {
    waiting_.push(key(wanted, frame.to_server(), p.id), item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::mqtt
