// MQTT 3.1.1 and 5.0: https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html

#include "dissect/mqtt/packet.h"

namespace baleen::dissect::mqtt {

using item::Value;

namespace {

enum class Kind : uint8_t { kByte, kTwo, kFour, kVariable, kText, kBytes, kPair };
struct Property {
  uint8_t id;
  std::string_view name;
  Kind kind;
};
using enum Kind;
constexpr Property kProperties[] = {
    // 2.2.2.2
    {0x01, "payloadFormatIndicator", kByte},
    {0x02, "messageExpiryInterval", kFour},
    {0x03, "contentType", kText},
    {0x08, "responseTopic", kText},
    {0x09, "correlationData", kBytes},
    {0x0B, "subscriptionIdentifier", kVariable},
    {0x11, "sessionExpiryInterval", kFour},
    {0x12, "assignedClientIdentifier", kText},
    {0x13, "serverKeepAlive", kTwo},
    {0x15, "authenticationMethod", kText},
    {0x16, "authenticationData", kBytes},
    {0x17, "requestProblemInformation", kByte},
    {0x18, "willDelayInterval", kFour},
    {0x19, "requestResponseInformation", kByte},
    {0x1A, "responseInformation", kText},
    {0x1C, "serverReference", kText},
    {0x1F, "reasonString", kText},
    {0x21, "receiveMaximum", kTwo},
    {0x22, "topicAliasMaximum", kTwo},
    {0x23, "topicAlias", kTwo},
    {0x24, "maximumQoS", kByte},
    {0x25, "retainAvailable", kByte},
    {0x26, "userProperty", kPair},
    {0x27, "maximumPacketSize", kFour},
    {0x28, "wildcardSubscriptionAvailable", kByte},
    {0x29, "subscriptionIdentifierAvailable", kByte},
    {0x2A, "sharedSubscriptionAvailable", kByte},
};

constexpr std::string_view kTypes[] = {"RESERVED", "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
                                       "PUBREL",   "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
                                       "PINGREQ",  "PINGRESP", "DISCONNECT", "AUTH"};

constexpr Name kReasons[] = {
    // 2.4
    {0x00, "Success"},
    {0x01, "Granted QoS 1"},
    {0x02, "Granted QoS 2"},
    {0x04, "Disconnect with Will Message"},
    {0x10, "No matching subscribers"},
    {0x11, "No subscription existed"},
    {0x18, "Continue authentication"},
    {0x19, "Re-authenticate"},
    {0x80, "Unspecified error"},
    {0x81, "Malformed Packet"},
    {0x82, "Protocol Error"},
    {0x83, "Implementation specific error"},
    {0x84, "Unsupported Protocol Version"},
    {0x85, "Client Identifier not valid"},
    {0x86, "Bad User Name or Password"},
    {0x87, "Not authorized"},
    {0x88, "Server unavailable"},
    {0x89, "Server busy"},
    {0x8A, "Banned"},
    {0x8B, "Server shutting down"},
    {0x8C, "Bad authentication method"},
    {0x8D, "Keep Alive timeout"},
    {0x8E, "Session taken over"},
    {0x8F, "Topic Filter invalid"},
    {0x90, "Topic Name invalid"},
    {0x91, "Packet Identifier in use"},
    {0x92, "Packet Identifier not found"},
    {0x93, "Receive Maximum exceeded"},
    {0x94, "Topic Alias invalid"},
    {0x95, "Packet too large"},
    {0x96, "Message rate too high"},
    {0x97, "Quota exceeded"},
    {0x98, "Administrative action"},
    {0x99, "Payload format invalid"},
    {0x9A, "Retain not supported"},
    {0x9B, "QoS not supported"},
    {0x9C, "Use another server"},
    {0x9D, "Server moved"},
    {0x9E, "Shared Subscriptions not supported"},
    {0x9F, "Connection rate exceeded"},
    {0xA0, "Maximum connect time"},
    {0xA1, "Subscription Identifiers not supported"},
    {0xA2, "Wildcard Subscriptions not supported"},
};
constexpr Name kReturnCodes[] = {
    // MQTT 3.1.1 3.2.2.3
    {0, "Connection Accepted"}, {1, "Unacceptable Protocol Version"}, {2, "Identifier Rejected"},
    {3, "Server Unavailable"},  {4, "Bad User Name or Password"},     {5, "Not Authorized"},
};

std::string_view string(ByteReader& r) { return r.text(r.be16()); }
Value string_value(ByteReader& r) { return text_or_bytes(string(r)); }

struct Reading {
  ByteReader& r;
  MapOf& out;
  Arena& arena;
  uint8_t version;

  void properties(std::string_view name) {
    if (version < 5 || r.at_end()) return;
    ByteReader p(r.bytes(variable_integer(r)));
    MapOf map(arena), user(arena);
    while (!p.at_end()) {
      const uint8_t id = p.u8();
      const Property* known = nullptr;
      for (const Property& each : kProperties)
        if (each.id == id) known = &each;
      if (known == nullptr) return r.fail();
      switch (known->kind) {
        case kByte: map.add(known->name, static_cast<int64_t>(p.u8())); break;
        case kTwo: map.add(known->name, static_cast<int64_t>(p.be16())); break;
        case kFour: map.add(known->name, static_cast<int64_t>(p.be32())); break;
        case kVariable: map.add(known->name, static_cast<int64_t>(variable_integer(p))); break;
        case kText: map.add(known->name, string_value(p)); break;
        case kBytes: map.add(known->name, Value::bytes(p.bytes(p.be16()))); break;
        case kPair: {
          const std::string_view key = string(p);
          const Value v = string_value(p);
          if (p.ok() && is_text(key)) user.add(key, v);
          break;
        }
      }
      if (!p.ok()) return r.fail();
    }
    if (!user.empty()) map.add("userProperties", user.build());
    if (!map.empty()) out.add(name, map.build());
  }
  std::string_view reason_text(int code) {
    const std::string_view name = name_in(kReasons, static_cast<uint32_t>(code));
    return name.empty() ? decimal(static_cast<uint64_t>(code), arena) : name;
  }
  void reason(int code, std::string_view text) {
    out.add("reasonCode", code);
    out.add("status", text);
  }
};

void connect(Reading& in, Packet& p) {
  ByteReader& r = in.r;
  const Value protocol = string_value(r);
  p.version = in.version = r.u8();
  const uint8_t flags = r.u8();
  const uint16_t keep_alive = r.be16();
  in.out.add("protocolName", protocol);
  in.out.add("protocolVersion", static_cast<int64_t>(p.version));
  in.out.add("cleanStart", (flags & 2) != 0);
  in.out.add("keepAlive", static_cast<int64_t>(keep_alive));
  in.properties("properties");
  const Value client = string_value(r);
  in.out.add("clientId", client);
  if ((flags & 4) != 0) {
    in.properties("willProperties");
    in.out.add("willTopic", string_value(r));
    in.out.add("willMessage", string_value(r));
    in.out.add("willQoS", (flags >> 3) & 3);
    in.out.add("willRetain", (flags & 0x20) != 0);
  }
  if ((flags & 0x80) != 0) in.out.add("userName", string_value(r));
  if ((flags & 0x40) != 0) in.out.add("password", string_value(r));
  in.out.add("summary", client);
}

void publish(Reading& in, Packet& p, uint8_t flags, bool cut) {
  ByteReader& r = in.r;
  const Value topic = string_value(r);
  p.qos = flags >> 1 & 3;
  in.out.add("topic", topic);
  in.out.add("qos", static_cast<int64_t>(p.qos));
  in.out.add("retain", (flags & 1) != 0);
  in.out.add("dup", (flags & 8) != 0);
  if (p.qos > 0) {
    p.id = r.be16();
    in.out.add("packetId", static_cast<int64_t>(p.id));
  }
  in.properties("properties");
  const Bytes message = r.rest();
  in.out.add("message", text_or_bytes(as_text(message), cut));
  in.out.add("messageSize", uint64_t{message.size()});
  in.out.add("summary", topic);
}

void topics(Reading& in, bool options) {
  ByteReader& r = in.r;
  ListOf list(in.arena);
  Value first = "";
  while (!r.at_end()) {
    const Value filter = string_value(r);
    const uint8_t o = options ? r.u8() : 0;
    if (!r.ok()) break;
    if (list.empty()) first = filter;
    MapOf one(in.arena);
    one.add("topic", filter);
    if (options) one.add("qos", o & 3);
    if (options && in.version >= 5) {
      one.add("noLocal", (o & 4) != 0);
      one.add("retainAsPublished", (o & 8) != 0);
      one.add("retainHandling", o >> 4 & 3);
    }
    list.push(one.build());
  }
  in.out.add("topics", list.build());
  in.out.add("summary", first);
}

void codes(Reading& in, Packet& p) {
  ListOf list(in.arena);
  while (!in.r.at_end()) {
    const int code = in.r.u8();
    list.push(code);
    if (list.size() == 1 || (code >= 0x80 && p.reason < 0x80)) p.reason = code;
  }
  in.out.add("reasonCodes", list.build());
  in.out.add("status", p.reason >= 0x80 ? in.reason_text(p.reason) : std::string_view("Success"));
}

}  // namespace

std::string_view type_name(uint8_t type) { return type < std::size(kTypes) ? kTypes[type] : std::string_view(); }

uint32_t variable_integer(ByteReader& r) {
  uint32_t v = 0;
  for (int shift = 0; shift < 28; shift += 7) {
    const uint8_t b = r.u8();
    v |= uint32_t{b & 0x7Fu} << shift;
    if (b < 0x80) return v;
  }
  r.fail();
  return 0;
}

Packet read_packet(uint8_t type, uint8_t flags, Bytes body, uint8_t version, bool cut, Arena& arena) {
  ByteReader r(body);
  MapOf out(arena);
  Packet p;
  out.add("method", type_name(type));
  Reading in{r, out, arena, version};
  switch (type) {
    case kConnect: connect(in, p); break;
    case kConnack: {
      out.add("sessionPresent", (r.u8() & 1) != 0);
      p.reason = r.u8();
      in.reason(p.reason, version >= 5 || p.reason > 5 ? in.reason_text(p.reason)
                                                       : name_in(kReturnCodes, static_cast<uint32_t>(p.reason)));
      in.properties("properties");
      break;
    }
    case kPublish: publish(in, p, flags, cut); break;
    case kPuback:
    case kPubrec:
    case kPubrel:
    case kPubcomp:
      p.id = r.be16();
      out.add("packetId", static_cast<int64_t>(p.id));
      p.reason = version >= 5 && !r.at_end() ? r.u8() : 0;
      in.reason(p.reason, in.reason_text(p.reason));
      in.properties("properties");
      break;
    case kSubscribe:
    case kUnsubscribe:
      p.id = r.be16();
      out.add("packetId", static_cast<int64_t>(p.id));
      in.properties("properties");
      topics(in, type == kSubscribe);
      break;
    case kSuback:
    case kUnsuback:
      p.id = r.be16();
      out.add("packetId", static_cast<int64_t>(p.id));
      in.properties("properties");
      codes(in, p);
      break;
    case kDisconnect:
    case kAuth:
      p.reason = version >= 5 && !r.at_end() ? r.u8() : 0;
      in.reason(p.reason, type == kDisconnect && p.reason == 0 ? "Normal disconnection" : in.reason_text(p.reason));
      in.properties("properties");
      break;
    default: break;
  }
  if (cut) out.add("truncated", true);
  p.ok = r.ok() || cut;
  p.payload = out.build();
  return p;
}

}  // namespace baleen::dissect::mqtt
