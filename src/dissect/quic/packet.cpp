#include "dissect/quic/packet.h"

#include <algorithm>

namespace baleen::dissect::quic {
namespace {

constexpr uint8_t kLongHeader = 0x80;

Packet::Type type_of(uint8_t first, bool second) {
  using enum Packet::Type;
  static constexpr Packet::Type kTypes[2][4] = {{kInitial, kZeroRtt, kHandshake, kRetry},   // RFC 9000 17.2
                                                {kRetry, kInitial, kZeroRtt, kHandshake}};  // RFC 9369 3.2
  return kTypes[second ? 1 : 0][first >> 4 & 3];
}

}  // namespace

ConnectionId::ConnectionId(Bytes id) : size(static_cast<uint8_t>(id.size())) {
  std::copy(id.begin(), id.end(), bytes.begin());
}

uint64_t read_varint(ByteReader& r) {
  const uint8_t first = r.u8();
  uint64_t n = first & 0x3F;
  for (int more = (1 << (first >> 6)) - 1; more > 0; --more) n = n << 8 | r.u8();
  return n;
}

bool read_packet(Bytes datagram, Packet& out) {
  if (datagram.size() < 7 || (datagram[0] & kLongHeader) == 0) return false;
  out = {};
  out.version_number = load_be32(&datagram[1]);
  ByteReader r(datagram.subspan(5));
  // A length of more than 20 bytes is some other version's (RFC 9000 17.2).
  const uint8_t destination = r.u8();
  out.destination = r.bytes(destination);
  const uint8_t source = r.u8();
  out.source = r.bytes(source);
  if (!r.ok() || destination > ConnectionId::kMost || source > ConnectionId::kMost) return false;
  out.bytes = datagram;
  if (out.version_number == 0) {  // RFC 9000 17.2.1
    out.type = Packet::Type::kVersionNegotiation;
    out.versions = r.rest();
    return true;
  }
  out.version = find_version(out.version_number);
  if (out.version == nullptr) return true;  // how long it is nobody knows
  out.type = type_of(datagram[0], out.version->second_types);
  if (out.type == Packet::Type::kRetry) return true;                // until the end
  if (out.type == Packet::Type::kInitial) r.bytes(read_varint(r));  // token
  const uint64_t length = read_varint(r);
  if (!r.ok() || length > r.remaining()) return false;
  out.number_at = 5 + r.position();
  out.bytes = datagram.first(out.number_at + length);
  return true;
}

}  // namespace baleen::dissect::quic
