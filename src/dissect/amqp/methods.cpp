// Methods and their arguments after the definitions of AMQP 0-9-1
// (https://www.rabbitmq.com/resources/specs/amqp0-9-1.xml) with RabbitMQ's extensions. Letters: O octet, H short, L
// long, Q long long, s short string, S long string, b bit (bits behind one another share an octet), T table; '!' before
// the letter marks what is not shown.

#include "dissect/amqp/methods.h"

#include <algorithm>
#include <iterator>

#include "dissect/build.h"

namespace baleen::dissect::amqp {

using item::Value;

namespace {

using enum Role;

constexpr Method kMethods[] = {
    {10, 10, "connection.start", kCall, "versionMajor:O versionMinor:O serverProperties:T mechanisms:S locales:S"},
    {10, 11, "connection.start-ok", kAnswer, "clientProperties:T mechanism:s response:S locale:s"},
    {10, 20, "connection.secure", kCall, "challenge:S"},
    {10, 21, "connection.secure-ok", kAnswer, "response:S"},
    {10, 30, "connection.tune", kCall, "channelMax:H frameMax:L heartbeat:H"},
    {10, 31, "connection.tune-ok", kAnswer, "channelMax:H frameMax:L heartbeat:H"},
    {10, 40, "connection.open", kCall, "virtualHost:s capabilities:!s insist:!b"},
    {10, 41, "connection.open-ok", kAnswer, "knownHosts:!s"},
    {10, 50, "connection.close", kCall, "replyCode:H replyText:s classId:H methodId:H"},
    {10, 51, "connection.close-ok", kAnswer, ""},
    {10, 60, "connection.blocked", kAlone, "reason:s"},
    {10, 61, "connection.unblocked", kAlone, ""},
    {10, 70, "connection.update-secret", kCall, "newSecret:S reason:s"},
    {10, 71, "connection.update-secret-ok", kAnswer, ""},
    {20, 10, "channel.open", kCall, "outOfBand:!s"},
    {20, 11, "channel.open-ok", kAnswer, "channelId:!S"},
    {20, 20, "channel.flow", kCall, "active:b"},
    {20, 21, "channel.flow-ok", kAnswer, "active:b"},
    {20, 40, "channel.close", kCall, "replyCode:H replyText:s classId:H methodId:H"},
    {20, 41, "channel.close-ok", kAnswer, ""},
    {30, 10, "access.request", kCall, "realm:s exclusive:b passive:b active:b write:b read:b"},
    {30, 11, "access.request-ok", kAnswer, "ticket:H"},
    {40, 10, "exchange.declare", kCall,
     "ticket:!H exchange:s type:s passive:b durable:b autoDelete:b internal:b noWait:b arguments:T"},
    {40, 11, "exchange.declare-ok", kAnswer, ""},
    {40, 20, "exchange.delete", kCall, "ticket:!H exchange:s ifUnused:b noWait:b"},
    {40, 21, "exchange.delete-ok", kAnswer, ""},
    {40, 30, "exchange.bind", kCall, "ticket:!H destination:s source:s routingKey:s noWait:b arguments:T"},
    {40, 31, "exchange.bind-ok", kAnswer, ""},
    {40, 40, "exchange.unbind", kCall, "ticket:!H destination:s source:s routingKey:s noWait:b arguments:T"},
    {40, 51, "exchange.unbind-ok", kAnswer, ""},
    {50, 10, "queue.declare", kCall,
     "ticket:!H queue:s passive:b durable:b exclusive:b autoDelete:b noWait:b arguments:T"},
    {50, 11, "queue.declare-ok", kAnswer, "queue:s messageCount:L consumerCount:L"},
    {50, 20, "queue.bind", kCall, "ticket:!H queue:s exchange:s routingKey:s noWait:b arguments:T"},
    {50, 21, "queue.bind-ok", kAnswer, ""},
    {50, 30, "queue.purge", kCall, "ticket:!H queue:s noWait:b"},
    {50, 31, "queue.purge-ok", kAnswer, "messageCount:L"},
    {50, 40, "queue.delete", kCall, "ticket:!H queue:s ifUnused:b ifEmpty:b noWait:b"},
    {50, 41, "queue.delete-ok", kAnswer, "messageCount:L"},
    {50, 50, "queue.unbind", kCall, "ticket:!H queue:s exchange:s routingKey:s arguments:T"},
    {50, 51, "queue.unbind-ok", kAnswer, ""},
    {60, 10, "basic.qos", kCall, "prefetchSize:L prefetchCount:H global:b"},
    {60, 11, "basic.qos-ok", kAnswer, ""},
    {60, 20, "basic.consume", kCall,
     "ticket:!H queue:s consumerTag:s noLocal:b noAck:b exclusive:b noWait:b arguments:T"},
    {60, 21, "basic.consume-ok", kAnswer, "consumerTag:s"},
    {60, 30, "basic.cancel", kCall, "consumerTag:s noWait:b"},
    {60, 31, "basic.cancel-ok", kAnswer, "consumerTag:s"},
    {60, 40, "basic.publish", kContent, "ticket:!H exchange:s routingKey:s mandatory:b immediate:b"},
    {60, 50, "basic.return", kContent, "replyCode:H replyText:s exchange:s routingKey:s"},
    {60, 60, "basic.deliver", kContent, "consumerTag:s deliveryTag:Q redelivered:b exchange:s routingKey:s"},
    {60, 70, "basic.get", kCall, "ticket:!H queue:s noAck:b"},
    {60, 71, "basic.get-ok", kAnswer, "deliveryTag:Q redelivered:b exchange:s routingKey:s messageCount:L"},
    {60, 72, "basic.get-empty", kAnswer, "clusterId:!s"},
    {60, 80, "basic.ack", kAlone, "deliveryTag:Q multiple:b"},
    {60, 90, "basic.reject", kAlone, "deliveryTag:Q requeue:b"},
    {60, 100, "basic.recover-async", kAlone, "requeue:b"},
    {60, 110, "basic.recover", kCall, "requeue:b"},
    {60, 111, "basic.recover-ok", kAnswer, ""},
    {60, 120, "basic.nack", kAlone, "deliveryTag:Q multiple:b requeue:b"},
    {85, 10, "confirm.select", kCall, "noWait:b"},
    {85, 11, "confirm.select-ok", kAnswer, ""},
    {90, 10, "tx.select", kCall, ""},
    {90, 11, "tx.select-ok", kAnswer, ""},
    {90, 20, "tx.commit", kCall, ""},
    {90, 21, "tx.commit-ok", kAnswer, ""},
    {90, 30, "tx.rollback", kCall, ""},
    {90, 31, "tx.rollback-ok", kAnswer, ""},
};

constexpr int kMaxDepth = 8;

Value table(ByteReader& r, Arena& arena, int depth);

/// One value of a table, by RabbitMQ's letters, which differ from the specification's for small integers.
Value field_value(ByteReader& r, Arena& arena, int depth) {
  switch (r.u8()) {
    case 't': return Value(r.u8() != 0);
    case 'b': return Value(static_cast<int64_t>(static_cast<int8_t>(r.u8())));
    case 'B': return Value(static_cast<int64_t>(r.u8()));
    case 's': return Value(static_cast<int64_t>(static_cast<int16_t>(r.be16())));
    case 'u': return Value(static_cast<int64_t>(r.be16()));
    case 'I': return Value(static_cast<int64_t>(static_cast<int32_t>(r.be32())));
    case 'i': return Value(static_cast<int64_t>(r.be32()));
    case 'l':
    case 'L': return Value(static_cast<int64_t>(r.be64()));
    case 'T': return Value(r.be64());
    case 'f': {
      const uint32_t bits = r.be32();
      float f;
      std::memcpy(&f, &bits, sizeof f);
      return Value(static_cast<double>(f));
    }
    case 'd': {
      const uint64_t bits = r.be64();
      double d;
      std::memcpy(&d, &bits, sizeof d);
      return Value(d);
    }
    case 'D': {  // a scale and an unscaled number
      const unsigned scale = r.u8();
      double d = static_cast<int32_t>(r.be32());
      for (unsigned i = 0; i < std::min(scale, 255u); ++i) d /= 10;
      return Value(d);
    }
    case 'S': return text_or_bytes(r.text(r.be32()));
    case 'x': return Value::bytes(r.bytes(r.be32()));
    case 'F': return table(r, arena, depth + 1);
    case 'A': {
      ByteReader inner(r.bytes(r.be32()));
      ListOf list(arena);
      if (depth > kMaxDepth) return {};
      while (!inner.at_end()) list.push(field_value(inner, arena, depth + 1));
      if (!inner.ok()) r.fail();
      return list.build();
    }
    case 'V': return {};
    default: r.fail(); return {};
  }
}

Value table(ByteReader& r, Arena& arena, int depth) {
  ByteReader inner(r.bytes(r.be32()));
  if (depth > kMaxDepth) return {};
  MapOf map(arena);
  while (!inner.at_end()) {
    const std::string_view name = inner.text(inner.u8());
    const Value v = field_value(inner, arena, depth);
    if (inner.ok() && is_text(name)) map.add(name, v);
  }
  if (!inner.ok()) r.fail();
  return map.build();
}

Value argument(char letter, ByteReader& r, Arena& arena, unsigned& bits, unsigned& bit) {
  if (letter != 'b') bit = 8;
  switch (letter) {
    case 'O': return Value(static_cast<int64_t>(r.u8()));
    case 'H': return Value(static_cast<int64_t>(r.be16()));
    case 'L': return Value(static_cast<int64_t>(r.be32()));
    case 'Q': return Value(r.be64());
    case 's': return text_or_bytes(r.text(r.u8()));
    case 'S': return text_or_bytes(r.text(r.be32()));
    case 'T': return table(r, arena, 0);
    default:
      if (bit == 8) bits = r.u8(), bit = 0;
      return Value((bits >> bit++ & 1) != 0);
  }
}

}  // namespace

const Method* find_method(uint16_t class_id, uint16_t method_id) {
  const auto* at = std::lower_bound(
      std::begin(kMethods), std::end(kMethods), std::pair(class_id, method_id),
      [](const Method& m, std::pair<uint16_t, uint16_t> key) { return std::pair(m.class_id, m.method_id) < key; });
  return at != std::end(kMethods) && at->class_id == class_id && at->method_id == method_id ? at : nullptr;
}

bool answers(const Method& call, const Method& answer) {
  if (answer.role != kAnswer || call.class_id != answer.class_id) return false;
  if (call.class_id == 40 && call.method_id == 40) return answer.method_id == 51;  // exchange.unbind-ok
  if (answer.class_id == 60 && answer.method_id == 72) return call.method_id == 70;
  return answer.method_id == call.method_id + 1;
}

Value decode_arguments(const Method& method, ByteReader& reader, Arena& arena) {
  MapOf map(arena);
  unsigned bits = 0, bit = 8;
  for (std::string_view rest = method.fields; !rest.empty() && reader.ok();) {
    const std::string_view field = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    const Value v = argument(field.back(), reader, arena, bits, bit);
    const size_t colon = field.find(':');
    if (reader.ok() && field[colon + 1] != '!') map.add(field.substr(0, colon), v);
  }
  return map.build();
}

Value decode_properties(ByteReader& r, Arena& arena) {
  constexpr std::string_view kNames[] = {"contentType",   "contentEncoding", "headers",    "deliveryMode", "priority",
                                         "correlationId", "replyTo",         "expiration", "messageId",    "timestamp",
                                         "type",          "userId",          "appId",      "clusterId"};
  constexpr char kLetters[] = "ssTOOssssQssss";
  const unsigned flags = r.be16();
  for (unsigned more = flags; (more & 1) != 0 && r.ok();) more = r.be16();  // 4.2.6.1: further flag words
  MapOf map(arena);
  unsigned bits = 0, bit = 8;
  for (size_t i = 0; i < std::size(kNames) && r.ok(); ++i) {
    if ((flags >> (15 - i) & 1) == 0) continue;
    const Value v = argument(kLetters[i], r, arena, bits, bit);
    if (r.ok()) map.add(kNames[i], v);
  }
  return map.build();
}

}  // namespace baleen::dissect::amqp
