#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace baleen::dissect::quic {

/// What a version makes different for who reads Initial packets.
struct Version {
  uint32_t number;
  std::string_view name;               // "1", "2", "draft-29"
  std::array<uint8_t, 20> salt;        // of the Initial secrets (RFC 9001 5.2)
  bool second_labels = false;          // those of keys are version 2's (RFC 9369 3.3.2)
  bool second_types = false;           // those of packets are version 2's (RFC 9369 3.2)
  bool old_parameters = false;         // transport parameters are written as before draft-27
  const Version* otherwise = nullptr;  // what else a packet of this number may be sealed by
};

/// The version of that number; null when its Initial packets cannot be read here, or carry no TLS.
const Version* find_version(uint32_t number);

/// Whether it means nothing, so that servers tell their versions (RFC 9000 15).
bool is_reserved(uint32_t number);

}  // namespace baleen::dissect::quic
