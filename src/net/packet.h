#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/clock.h"

namespace baleen::net {

using baleen::Timestamp;

/// Link types by their LINKTYPE_ number in pcap files (https://www.tcpdump.org/linktypes.html).
enum class LinkType : uint16_t {
  kNull = 0,  // BSD loopback, address family in the writer's byte order
  kEthernet = 1,
  kTokenRing = 6,
  kPpp = 9,
  kFddi = 10,
  kRawBsd = 12,  // LINKTYPE_RAW on some BSDs
  kRawOpenBsd = 14,
  kPppHdlc = 50,
  kPppEther = 51,
  kAtmRfc1483 = 100,
  kRaw = 101,  // an IP header at once
  kCiscoHdlc = 104,
  kLoop = 108,  // OpenBSD loopback, address family in network byte order
  kEnc = 109,
  kLinuxSll = 113,  // Linux cooked v1
  kPflog = 117,
  kIeee1394 = 138,
  kUser2 = 149,  // what Darwin's pktap has in pcapng files
  kPppd = 166,
  kPppWithDirection = 204,
  kIpnet = 226,  // Solaris
  kIpv4 = 228,
  kIpv6 = 229,
  kNflog = 239,
  kIpoib = 242,
  kPktap = 258,
  kLinuxSll2 = 276,  // Linux cooked v2
};

/// One captured packet: a view into capture memory, valid as long as its batch.
struct Packet {
  Timestamp time;
  Bytes bytes;               // what was captured, from the link header on
  uint32_t wire_length = 0;  // what it was on the wire; at least bytes.size() unless the file lies
  uint32_t interface = 0;    // index into the source's list of interfaces
  LinkType link = LinkType::kEthernet;
};

}  // namespace baleen::net
