#pragma once

#include "base/arena.h"
#include "dissect/build.h"
#include "net/decode.h"

namespace baleen::dissect::l4 {

/// "DestinationUnreachable(Port)": type and code of ICMP (RFC 792, RFC 1812) or ICMPv6 (RFC 4443, RFC 4861).
std::string_view icmp_name(bool v6, uint8_t type, uint8_t code, Arena& arena);

/// What an ICMP packet says, as the item's data without the flow that it may be about.
/// REQUIRES: `d` is an ICMP or ICMPv6 packet.
void describe_icmp(const net::Decoded& d, MapOf& data, Arena& arena);

}  // namespace baleen::dissect::l4
