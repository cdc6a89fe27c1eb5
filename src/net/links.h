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
    kEndless,    // links within links, more than files have
  };
  Next next = Next::kOther;
  size_t size = 0;
  uint16_t type = 0;
  size_t next_frame = 0;  // of an A-MSDU: where its next subframe begins; 0: there is none
};

/// All links but NFLOG: Ethernet, cooked, loopback, plain IP, PPP, Cisco HDLC, frame relay, 802.11 with what captures
/// put in front of it, FDDI, token ring, LLC over ATM, SLIP, pflog, enc, IPoIB, ipnet, PKTAP, Juniper's.
LinkHeader read_link(LinkType link, Bytes bytes);

/// Goes on behind a header of `bytes` for as long as it names another link: what is left is neither kWlan nor kLink,
/// and its size is that of all of them.
LinkHeader follow_links(LinkHeader header, Bytes bytes);

/// Juniper's links (LINKTYPE_JUNIPER_*); kUnknown for others.
LinkHeader read_juniper(uint16_t link, Bytes bytes);

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
