#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "net/packet.h"

namespace baleen::net {

/// What a link's or a tunnel's header says: how many bytes it takes (perhaps more than were captured), and what stands
/// behind it.
struct LinkHeader {
  enum class Next : uint8_t {
    kOther,      // no packet of IP, or one that is sealed or in pieces
    kCut,        // the header is not all there
    kUnknown,    // a link type, or a version of one, that is not read
    kIp,         // an IP header
    kEtherType,  // what `type` says as an EtherType, or a length and LLC
    kEthernet,   // a frame of Ethernet
    kWlan,       // one of 802.11
    kLink,       // another link, whose number is `type`
  };
  Next next = Next::kOther;
  size_t size = 0;
  uint16_t type = 0;
};

/// Links beside Ethernet, cooked, loopback and plain IP: PPP, Cisco HDLC, frame relay, 802.11 with what captures put in
/// front of it, FDDI, token ring, LLC over ATM, SLIP, pflog, enc, IPoIB, ipnet, PKTAP.
LinkHeader read_link(LinkType link, Bytes bytes);

/// IEEE 802.11 9.2: a data frame that is not encrypted, with LLC and SNAP. `swapped`: the bytes of the frame control
/// are the other way round, as controllers of one vendor have them in CAPWAP.
LinkHeader read_wlan(Bytes bytes, bool swapped = false);

/// PPP (RFC 1661 2), with or without the address and control of HDLC (RFC 1662 3.1).
LinkHeader read_ppp(Bytes bytes);

// What is carried over UDP. kOther: none of it.
/// RFC 5415 4.3: data that are neither sealed nor in pieces.
LinkHeader read_capwap(Bytes bytes);
/// TaZmen Sniffer Protocol: frames that were captured elsewhere.
LinkHeader read_tzsp(Bytes bytes);
/// RFC 2661 3.1: data messages, which carry PPP.
LinkHeader read_l2tp(Bytes bytes);

}  // namespace baleen::net
