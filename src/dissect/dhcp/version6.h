#pragma once

#include "dissect/build.h"
#include "dissect/dissector.h"
#include "item/value.h"

namespace baleen::dissect::dhcp {

/// Of a message of DHCP for IPv6 (RFC 8415 8, 9), within those of relay agents.
struct V6 {
  uint8_t type = 0;
  uint32_t transaction = 0;
  Bytes client;  // its DUID, in the message; empty when it does not say
  bool asks = false, is_answered = false;
};

/// Whether a datagram is one: type, options that fit exactly, and an identifier of client or server among them.
bool is_v6(const Input& in);
/// REQUIRES: is_v6().
V6 read_v6(Bytes message);
/// The payload's members; false when options do not fit.
bool describe_v6(Bytes message, MapOf& out, Arena& arena);

}  // namespace baleen::dissect::dhcp
