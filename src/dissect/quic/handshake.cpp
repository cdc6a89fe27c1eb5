#include "dissect/quic/handshake.h"

#include "dissect/quic/parameters.h"
#include "dissect/tls/describe.h"
#include "dissect/tls/names.h"

namespace baleen::dissect::quic {

using item::Item;
using item::Outcome;
using item::Value;

namespace {

enum Frame : uint8_t { kPadding = 0, kPing = 1, kAck = 2, kAckWithEcn = 3, kCrypto = 6, kConnectionClose = 0x1C };
constexpr uint8_t kClientHello = 1, kServerHello = 2;

constexpr Name kErrors[] = {
    // RFC 9000 20.1
    {0x00, "no_error"},
    {0x01, "internal_error"},
    {0x02, "connection_refused"},
    {0x03, "flow_control_error"},
    {0x04, "stream_limit_error"},
    {0x05, "stream_state_error"},
    {0x06, "final_size_error"},
    {0x07, "frame_encoding_error"},
    {0x08, "transport_parameter_error"},
    {0x09, "connection_id_limit_error"},
    {0x0A, "protocol_violation"},
    {0x0B, "invalid_token"},
    {0x0C, "application_error"},
    {0x0D, "crypto_buffer_exceeded"},
    {0x0E, "key_update_error"},
    {0x0F, "aead_limit_reached"},
    {0x10, "no_viable_path"},
    {0x11, "version_negotiation_error"},  // RFC 9368 7
};

std::string_view error_name(uint64_t code, Arena& arena) {
  if (code >> 8 == 1) return tls::alert_name(static_cast<uint8_t>(code), arena);  // RFC 9001 4.8
  const std::string_view name = code <= UINT32_MAX ? name_in(kErrors, static_cast<uint32_t>(code)) : std::string_view();
  return name.empty() ? decimal(code, arena) : name;
}

void read_message(Handshake& h, Direction direction, Bytes message) {
  const bool client = direction == Direction::kToServer;
  Side& side = h.of(direction);
  Arena& arena = h.item->arena;
  // After a HelloRetryRequest the client says nearly the same again.
  if (message[0] != (client ? kClientHello : kServerHello) || side.fields != nullptr) return;
  tls::Hello hello = tls::read_hello(message.subspan(4), client);
  if (!hello.ok) {
    side.broken = true;
    return;
  }
  if (!client && tls::is_retry(hello)) {
    h.hello_retry = true;
    return;
  }
  side.version = h.version;
  side.fields = new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
  if (client) {
    hello.over_quic = true;
    tls::describe_client(hello, *side.fields, arena);
    side.parameters = read_parameters(hello, *h.version, arena);
    return;
  }
  tls::describe_server(hello, *side.fields, arena);
  side.fields->add("resumed", hello.has_psk);
  side.fields->add("status", tls::version_name(hello.version(), arena));
  h.over = true;  // what follows is sealed
}

/// RFC 9000 19.6.
void read_crypto(Handshake& h, ByteReader& r, Direction direction, Output& out) {
  const uint64_t offset = read_varint(r);
  const Bytes piece = r.bytes(read_varint(r));
  if (!r.ok()) return;
  CryptoStream& stream = h.of(direction).stream;
  if (!stream.insert(offset, piece, h.item->arena)) out.count(Counter::kMessageTooLong);
  for (Bytes m = stream.front(); !m.empty() && !h.over; m = stream.front()) {
    stream.consume(m.size());
    read_message(h, direction, m);
  }
}

/// RFC 9000 19.3.
void skip_ack(ByteReader& r, bool with_ecn) {
  read_varint(r);  // largest
  read_varint(r);  // delay
  const uint64_t ranges = read_varint(r);
  read_varint(r);  // the first of them
  for (uint64_t i = 0; i < ranges && r.ok(); ++i) {
    read_varint(r);
    read_varint(r);
  }
  for (int i = 0; with_ecn && i < 3; ++i) read_varint(r);
}

/// RFC 9000 19.19.
void read_close(Handshake& h, ByteReader& r, Direction direction) {
  const uint64_t code = read_varint(r);
  read_varint(r);  // type of the frame that was at fault
  const std::string_view reason = r.text(read_varint(r));
  if (!r.ok()) return;
  Arena& arena = h.item->arena;
  const std::string_view name = error_name(code, arena);
  MapOf map(arena);
  map.add("level", "fatal");
  map.add("description", name);
  if (!reason.empty()) map.add("reason", text_or_bytes(arena.copy(reason)));
  h.of(direction).alert = map.build();
  h.failure = join({"closed by the ", direction == Direction::kToServer ? "client: " : "server: ", name}, arena);
  h.over = true;
}

void describe_side(Handshake& h, bool client) {
  Item* const item = h.item;
  Arena& arena = item->arena;
  Side& side = h.side[client ? 0 : 1];
  const Value other = h.side[client ? 1 : 0].alert;
  if (side.fields == nullptr && side.alert.is_null() && (client || h.versions.is_null())) return;
  MapOf bare(arena);
  MapOf& fields = side.fields != nullptr ? *side.fields : bare;
  if (side.fields == nullptr) bare.add("info", side.alert.is_null() ? "VersionNegotiation" : "Alert");
  if (side.version != nullptr) fields.add("quicVersion", side.version->name);
  fields.add_text("connectionId", hex((client ? h.first : h.server).view(), arena));
  if (!side.parameters.is_null()) fields.add("transportParameters", side.parameters);
  if (!side.alert.is_null()) fields.add("alert", side.alert);
  if (!client) {
    if (h.retried) fields.add("retry", true);
    if (h.hello_retry) fields.add("helloRetry", true);
    if (!h.versions.is_null()) fields.add("versionNegotiation", h.versions);
    if (side.fields == nullptr)
      fields.add("status", !side.alert.is_null() ? side.alert["description"]
                           : !other.is_null()    ? other["description"]
                                                 : Value("version negotiation"));
  }
  (client ? item->request : item->response) = {fields.build(), side.time, side.wire_size, true};
}

}  // namespace

bool read_frames(Handshake& h, Direction direction, Bytes frames, Output& out) {
  for (ByteReader r(frames); !r.at_end() && !h.over;) {
    switch (const uint64_t type = read_varint(r)) {
      case kPadding:
      case kPing: break;
      case kAck:
      case kAckWithEcn: skip_ack(r, type == kAckWithEcn); break;
      case kCrypto: read_crypto(h, r, direction, out); break;
      case kConnectionClose: read_close(h, r, direction); break;
      default: return false;
    }
    if (!r.ok()) return false;
  }
  return true;
}

void describe(Handshake& h) {
  describe_side(h, true);
  describe_side(h, false);
  if (h.failure.empty()) return;
  h.item->outcome = Outcome::kConnection;
  h.item->error_message = h.failure;
}

Value read_versions(Bytes content, Arena& arena) {
  ListOf list(arena);
  for (ByteReader r(content); r.remaining() >= 4;) {
    const Bytes bytes = r.bytes(4);
    const uint32_t number = load_be32(bytes.data());
    if (is_reserved(number)) continue;
    const Version* const version = find_version(number);
    list.push(version != nullptr ? version->name : hex(bytes, arena));
  }
  return list.build();
}

}  // namespace baleen::dissect::quic
