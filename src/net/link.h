#pragma once

#include <cstddef>
#include <cstdint>

#include "net/packet.h"

namespace baleen::net {

/// What stands in front of a packet's network layer.
struct Link {
  enum class Next : uint8_t {
    kUnknown,    // a link type that is not read
    kCut,        // the capture ends within it
    kNotIp,      // something else is behind it
    kEthernet,   // a frame
    kEtherType,  // what `ether_type` says
    kIp,         // IPv4 or IPv6: the first byte tells
    kMpls,
  };
  Next next = Next::kUnknown;
  uint16_t ether_type = 0;
  size_t header = 0;  // bytes to be taken off
};

/// Reads a link header (https://www.tcpdump.org/linktypes.html); of NFLOG's, see Decoder.
Link read_link(LinkType type, Bytes packet);

/// Reads PPP's header, with or without address, control and the first byte of the protocol (RFC 1661, RFC 1662).
Link read_ppp(Bytes packet);

}  // namespace baleen::net
