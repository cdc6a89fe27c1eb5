#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "dissect/quic/version.h"

namespace baleen::dissect::quic {

/// A connection identifier of at most 20 bytes (RFC 9000 17.2), kept.
struct ConnectionId {
  static constexpr size_t kMost = 20;
  uint8_t size = 0;
  std::array<uint8_t, kMost> bytes{};

  ConnectionId() = default;
  /// REQUIRES: at most kMost bytes.
  explicit ConnectionId(Bytes id);
  Bytes view() const { return {bytes.data(), size}; }
  bool is(Bytes id) const { return as_text(view()) == as_text(id); }
};

/// A variable-length integer (RFC 9000 16).
uint64_t read_varint(ByteReader& r);

/// A packet with a long header, as views of its datagram.
struct Packet {
  enum class Type : uint8_t { kInitial, kZeroRtt, kHandshake, kRetry, kVersionNegotiation, kUnknown };
  Type type = Type::kUnknown;
  uint32_t version_number = 0;
  const Version* version = nullptr;  // null: not one of find_version()
  Bytes destination, source;         // connection identifiers
  Bytes bytes;                       // all of it, header and tag
  size_t number_at = 0;              // where the packet number stands in `bytes`, of an Initial packet
  Bytes versions;                    // of a version negotiation packet, four bytes each
};

/// The packet at the front of a datagram (RFC 9000 17.2); false when it has no long header, or is not all there. What
/// follows it is the next one's (12.2). Nothing is asked of the fixed bit (RFC 9287).
bool read_packet(Bytes datagram, Packet& out);

}  // namespace baleen::dissect::quic
