#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"

namespace baleen::dissect::tls {

/// "TLS_AES_128_GCM_SHA256"; "0x1234" where the number has no name here.
std::string_view cipher_name(uint16_t cipher, Arena& arena);
/// The same; empty where the number has no name here.
std::string_view cipher_name(uint16_t cipher);
/// "server_name"; the number in decimal where it has no name here.
std::string_view extension_name(uint16_t extension, Arena& arena);
/// "TLS 1.3"
std::string_view version_name(uint16_t version, Arena& arena);
/// "handshake_failure"
std::string_view alert_name(uint8_t description, Arena& arena);
std::string_view group_name(uint16_t group, Arena& arena);
/// Values that mean nothing and are thrown in to keep others honest (RFC 8701).
inline bool is_grease(uint16_t v) { return (v & 0x0F0F) == 0x0A0A && v >> 8 == (v & 0xFF); }

}  // namespace baleen::dissect::tls
