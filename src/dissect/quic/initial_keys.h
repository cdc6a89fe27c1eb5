#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dissect/quic/packet.h"

namespace baleen::dissect::quic {

/// Keys of one direction's Initial packets: AES-128-GCM for what they carry, AES-128 for their headers (RFC 9001 5).
struct InitialKey {
  std::array<uint8_t, 16> key, header;
  std::array<uint8_t, 12> iv;
};

/// Both directions' keys, made of the client's first destination connection identifier (RFC 9001 5.2).
struct InitialKeys {
  InitialKey client, server;
};
InitialKeys derive_initial_keys(const Version& version, Bytes destination);
struct Opened {
  uint64_t number;  // of the packet
  Bytes frames;     // this thread's, until it opens another packet
};
/// What an Initial packet carries; nothing when it was not made with this key, or not all of it is there. `next` is one
/// more than the highest packet number seen in this direction. REQUIRES: packet.type is kInitial.
std::optional<Opened> open_initial(const Packet& packet, const InitialKey& key, uint64_t next);

}  // namespace baleen::dissect::quic
