#include "net/links.h"

#include <algorithm>

namespace baleen::net {
namespace {

using Next = LinkHeader::Next;

constexpr int kMostLinks = 4;  // within each other, as files have them

// LINKTYPE_ numbers that only this file knows (https://www.tcpdump.org/linktypes.html).
enum Number : uint16_t {
  kTokenRing = 6,
  kSlip = 8,
  kPpp = 9,
  kFddi = 10,
  kAtmRfc1483Dlt = 11,  // as some wrote it
  kRawOnSome = 12,      // DLT_RAW of some systems, and of others
  kRawOnOthers = 14,
  kPppHdlc = 50,
  kPppEthernet = 51,
  kAtmRfc1483 = 100,
  kCiscoHdlc = 104,
  kIeee80211 = 105,
  kAtmClip = 106,
  kFrameRelay = 107,
  kEnc = 109,
  kPflog = 117,
  kPrism = 119,
  kRadiotap = 127,
  kFirewire = 138,
  kPktapOld = 149,
  kAvs = 163,
  kPppPppd = 166,
  kPpi = 192,
  kPppWithDirection = 204,
  kCiscoHdlcWithDirection = 205,
  kFrameRelayWithDirection = 206,
  kIpnet = 226,
  kNetAnalyzer = 240,
  kIpoib = 242,
  kPktap = 258,
};

LinkHeader cut() { return {Next::kCut}; }
LinkHeader ether_type(size_t size, uint16_t type) { return {Next::kEtherType, size, type}; }

/// 802.2: with SNAP an EtherType, without it IP by its own number (RFC 1042).
LinkHeader llc(Bytes b, size_t at) {
  if (b.size() < at + 3) return cut();
  if (b[at] == 0xAA && b[at + 1] == 0xAA && b[at + 2] == 3)
    return b.size() < at + 8 ? cut() : ether_type(at + 8, load_be16(&b[at + 6]));
  return b[at] == 6 && b[at + 1] == 6 && b[at + 2] == 3 ? LinkHeader{Next::kIp, at + 3} : LinkHeader{};
}

LinkHeader further(LinkHeader h, size_t by) {
  h.size += by;
  if (h.next_frame != 0) h.next_frame += by;
  return h;
}

LinkHeader cisco_hdlc(Bytes b) { return b.size() < 4 ? cut() : ether_type(4, load_be16(&b[2])); }

/// Serial lines: PPP in HDLC, or Cisco's, whose address is 0x0F or 0x8F.
LinkHeader serial(Bytes b) {
  if (b.size() < 4) return cut();
  return (b[0] == 0x0F || b[0] == 0x8F) && b[1] == 0 ? cisco_hdlc(b) : read_ppp(b);
}

/// RFC 2427 3: an address of Q.922, then a network protocol's number; or an EtherType at once, as Cisco has it.
LinkHeader frame_relay(Bytes b) {
  size_t at = 0;
  while (at < 4 && at < b.size() && (b[at] & 1) == 0) ++at;
  if (++at + 2 > b.size()) return cut();
  if (at < 2) return {};
  if (b[at] != 3) return ether_type(at + 2, load_be16(&b[at]));
  size_t number = at + 1;
  if (b[number] == 0) ++number;  // a pad that makes it even
  if (number >= b.size()) return cut();
  if (b[number] == 0xCC || b[number] == 0x8E) return {Next::kIp, number + 1};
  if (b[number] != 0x80) return {};
  return b.size() < number + 6 ? cut() : ether_type(number + 6, load_be16(&b[number + 4]));
}

/// The family's number is that of the system that wrote it: IPv4 is 2 everywhere, IPv6 differs.
LinkHeader by_family(uint32_t family, size_t size) {
  return family == 2 || family == 10 || family == 24 || family == 28 || family == 30 ? LinkHeader{Next::kIp, size}
                                                                                     : LinkHeader{};
}

/// The same in the byte order of the machine that wrote it.
LinkHeader loopback(Bytes b) {
  return b.size() < 4 ? cut() : by_family(std::min(load_le32(b.data()), load_be32(b.data())), 4);
}

/// https://www.radiotap.org: what a radio heard, then the frame, perhaps with padding behind its header.
LinkHeader radiotap(Bytes b) {
  if (b.size() < 8) return cut();
  const size_t size = load_le16(&b[2]);
  if (b[0] != 0) return {Next::kUnknown};
  if (size < 8 || b.size() < size) return cut();
  return {Next::kWlan, size};
}

LinkHeader avs(Bytes b) {
  if (b.size() < 8) return cut();
  const uint32_t size = load_be32(&b[4]);
  return size < 8 || b.size() < size ? cut() : LinkHeader{Next::kWlan, size};
}

LinkHeader prism(Bytes b) {
  if (b.size() < 8) return cut();
  if (load_be32(b.data()) >> 4 == 0x8021100) return avs(b);  // files call it by the other's number
  return b.size() < 144 ? cut() : LinkHeader{Next::kWlan, 144};
}

/// A number of a DLT in a header, as a LINKTYPE: those that differ.
uint16_t link_of_dlt(uint32_t dlt) { return static_cast<uint16_t>(dlt == 12 || dlt == 14 ? 101 : dlt); }

LinkHeader ppi(Bytes b) {
  if (b.size() < 8) return cut();
  const size_t size = load_le16(&b[2]);
  return size < 8 || b.size() < size ? cut() : LinkHeader{Next::kLink, size, link_of_dlt(load_le32(&b[4]))};
}

LinkHeader pktap(Bytes b) {  // XNU's bsd/net/pktap.h, in the writer's order, which is little
  if (b.size() < 12) return cut();
  const uint32_t size = load_le32(b.data());
  return size < 12 || b.size() < size ? cut() : LinkHeader{Next::kLink, size, link_of_dlt(load_le32(&b[8]))};
}

LinkHeader token_ring(Bytes b) {
  if (b.size() < 15) return cut();
  const size_t routing = (b[8] & 0x80) != 0 ? b[14] & 0x1Fu : 0;
  return llc(b, 14 + routing);
}

/// IEEE 802.11 9.3.2.2.2: the first subframe of an A-MSDU: two addresses, a length, and LLC; the next one begins at a
/// multiple of four behind its beginning.
LinkHeader subframe(Bytes b, size_t at) {
  if (b.size() < at + 14) return cut();
  LinkHeader h = llc(b, at + 14);
  if (h.next == Next::kCut) return h;
  if (h.size == 0) h.size = at + 14;  // no IP, but there are others
  const size_t next = at + ((size_t{14} + load_be16(&b[at + 12]) + 3) & ~size_t{3});
  if (b.size() >= next + 14) h.next_frame = next;
  return h;
}

}  // namespace

LinkHeader read_wlan(Bytes b, bool swapped) {
  if (b.size() < 24) return cut();
  const uint8_t kind = b[swapped ? 1 : 0], flags = b[swapped ? 0 : 1];
  const bool data = (kind & 0x0F) == 0x08, empty = (kind & 0x40) != 0, quality = (kind & 0x80) != 0;
  const bool sealed = (flags & 0x40) != 0, first = (b[swapped ? 23 : 22] & 0x0F) == 0;
  if (!data || empty || sealed || !first) return {};
  size_t at = (flags & 3) == 3 ? 30 : 24;  // between access points there are four addresses
  if (quality) {
    if (b.size() < at + 2) return cut();
    const bool several = (b[at] & 0x80) != 0;
    at += (flags & 0x80) != 0 ? 6 : 2;
    if (several) {
      const LinkHeader h = subframe(b, at);
      const bool aligned = h.next == Next::kOther && !swapped && at % 4 != 0;
      return aligned && subframe(b, at + 2).next == Next::kEtherType ? subframe(b, at + 2) : h;
    }
  }
  LinkHeader h = llc(b, at);
  if (h.next == Next::kOther && !swapped) h = llc(b, (at + 3) & ~size_t{3});  // radios that align the body
  return h;
}

LinkHeader read_ppp(Bytes b) {
  size_t at = b.size() >= 2 && b[0] == 0xFF && b[1] == 3 ? 2 : 0;
  if (b.size() < at + 2) return cut();
  const bool compressed = (b[at] & 1) != 0;  // RFC 1661 6.5
  const uint16_t protocol = compressed ? b[at] : load_be16(&b[at]);
  at += compressed ? 1 : 2;
  switch (protocol) {
    case 0x0021:
    case 0x0057: return {Next::kIp, at};
    case 0x0281: return ether_type(at, 0x8847);  // MPLS
    default: return {};
  }
}

LinkHeader read_capwap(Bytes b) {
  if (b.size() < 8 || b[0] != 0) return {};  // version 0, not sealed
  const size_t size = (b[1] >> 3) * size_t{4};
  const bool native = (b[2] & 1) != 0, piece = (b[3] & 0x80) != 0;
  const int binding = b[2] >> 1 & 0x1F;
  if (size < 8 || b.size() < size || piece) return {};
  if (!native) return {Next::kEthernet, size};
  if (binding != 1) return {};  // 802.11
  const LinkHeader straight = read_wlan(b.subspan(size)), swapped = read_wlan(b.subspan(size), true);
  return further(straight.next == Next::kEtherType ? straight : swapped, size);
}

LinkHeader read_tzsp(Bytes b) {
  if (b.size() < 5 || b[0] != 1 || b[1] > 1) return {};
  const uint16_t carried = load_be16(&b[2]);
  size_t at = 4;
  while (at < b.size() && b[at] != 1) {  // tags; 0 is padding, 1 the end
    if (b[at] == 0) {
      ++at;
    } else if (at + 1 < b.size()) {
      at += 2u + b[at + 1];
    } else {
      return {};
    }
  }
  if (++at >= b.size()) return {};
  switch (carried) {
    case 1: return {Next::kEthernet, at};
    case 18: return further(read_wlan(b.subspan(at)), at);
    case 119: return {Next::kLink, at, kPrism};
    case 127: return {Next::kLink, at, kAvs};
    default: return {};
  }
}

LinkHeader read_l2tp(Bytes b) {
  if (b.size() < 6) return {};
  const uint16_t flags = load_be16(b.data());
  const bool control = (flags & 0x8000) != 0, length = (flags & 0x4000) != 0, numbers = (flags & 0x0800) != 0,
             offset = (flags & 0x0200) != 0;
  if (control || (flags & 0x000F) != 2 || (flags & 0x34F0) != 0) return {};
  size_t at = 2 + (length ? 2u : 0) + 4 + (numbers ? 4u : 0);
  if (offset) {
    if (b.size() < at + 2) return {};
    at += 2u + load_be16(&b[at]);
  }
  return b.size() < at ? LinkHeader{} : further(read_ppp(b.subspan(at)), at);
}

LinkHeader read_link(LinkType link, Bytes b) {
  const auto behind = [&](size_t size, Next next = Next::kIp) {
    return b.size() < size ? cut() : LinkHeader{next, size};
  };
  switch (link) {
    case LinkType::kEthernet: return {Next::kEthernet, 0};
    case LinkType::kRaw:
    case LinkType::kIpv4:
    case LinkType::kIpv6: return {Next::kIp, 0};
    case LinkType::kNull:
    case LinkType::kLoop: return loopback(b);
    case LinkType::kLinuxSll: return b.size() < 16 ? cut() : ether_type(16, load_be16(&b[14]));
    case LinkType::kLinuxSll2: return b.size() < 20 ? cut() : ether_type(20, load_be16(b.data()));
    default: break;
  }
  switch (static_cast<uint16_t>(link)) {
    case kRawOnSome:
    case kRawOnOthers: return {Next::kIp, 0};
    case kPpp:
    case kPppHdlc: return serial(b);
    case kPppEthernet: return b.size() < 6 ? cut() : further(read_ppp(b.subspan(6)), 6);  // RFC 2516 4
    case kPppPppd:  // the first byte of the address says the direction: 0 or 1
      if (b.size() >= 2 && b[0] > 1) return read_ppp(b);
      [[fallthrough]];
    case kPppWithDirection:  // ... or stands in front
      return b.size() < 5 ? cut() : b[1] == 3 ? further(read_ppp(b.subspan(2)), 2) : further(read_ppp(b.subspan(1)), 1);
    case kCiscoHdlc: return cisco_hdlc(b);
    case kCiscoHdlcWithDirection: return b.size() < 5 ? cut() : further(cisco_hdlc(b.subspan(1)), 1);
    case kFrameRelay: return frame_relay(b);
    case kFrameRelayWithDirection: return b.size() < 5 ? cut() : further(frame_relay(b.subspan(1)), 1);
    case kIeee80211: return {Next::kWlan, 0};
    case kRadiotap: return radiotap(b);
    case kPrism: return prism(b);
    case kAvs: return avs(b);
    case kPpi: return ppi(b);
    case kPktap:
    case kPktapOld: return pktap(b);
    case kTokenRing: return token_ring(b);
    case kFddi: return llc(b, 13);
    case kAtmRfc1483Dlt:
    case kAtmRfc1483:
    case kAtmClip: return !b.empty() && b[0] == 0x45 ? LinkHeader{Next::kIp, 0} : llc(b, 0);
    case kSlip: return behind(16);
    case kIpnet: return behind(24);
    case kNetAnalyzer: return behind(4, Next::kEthernet);
    case kFirewire: return b.size() < 18 ? cut() : ether_type(18, load_be16(&b[16]));
    case kIpoib: return b.size() < 44 ? cut() : ether_type(44, load_be16(&b[40]));
    case kEnc:  // family, index, flags, in the writer's order
      return b.size() < 12 ? cut() : by_family(std::min(load_le32(b.data()), load_be32(b.data())), 12);
    case kPflog:  // its length, aligned to four, and the family
      return b.size() < 4 ? cut() : by_family(b[1], (b[0] + size_t{3}) & ~size_t{3});
    default: return read_juniper(static_cast<uint16_t>(link), b);
  }
}

LinkHeader follow_links(LinkHeader h, Bytes b) {
  for (int depth = 1; h.next == Next::kWlan || h.next == Next::kLink; ++depth) {
    if (b.size() < h.size) return cut();
    if (depth == kMostLinks) return {Next::kEndless};
    const Bytes rest = b.subspan(h.size);
    h = further(h.next == Next::kWlan ? read_wlan(rest) : read_link(static_cast<LinkType>(h.type), rest), h.size);
  }
  return h;
}

}  // namespace baleen::net
