#include "net/link.h"

#include <algorithm>

namespace baleen::net {
namespace {

using enum Link::Next;

constexpr Link kCutShort{kCut};

/// A header of fixed size with an EtherType in it.
Link typed(Bytes b, size_t type_at, size_t header) {
  return b.size() < header ? kCutShort : Link{kEtherType, load_be16(&b[type_at]), header};
}

/// The address family, in the byte order of the machine that wrote it: IPv4 is 2 everywhere, IPv6 differs.
Link family(Bytes b, size_t header) {
  if (b.size() < header) return kCutShort;
  switch (std::min(load_le32(b.data()), load_be32(b.data()))) {
    case 2:
    case 10:
    case 24:
    case 28:
    case 30: return {kIp, 0, header};
    default: return {kNotIp};
  }
}

/// LLC and SNAP (IEEE 802.2, RFC 1042) behind `header` bytes.
Link snap(Bytes b, size_t header) {
  if (b.size() < header + 8) return kCutShort;
  const uint8_t* const p = &b[header];
  if (p[0] != 0xAA || p[1] != 0xAA || p[2] != 3) return {kNotIp};
  return {kEtherType, load_be16(p + 6), header + 8};
}

/// Access and frame control, two addresses, and a route where the source says so (IEEE 802.5).
Link token_ring(Bytes b) {
  constexpr size_t kHead = 14;
  if (b.size() < kHead + 2) return kCutShort;
  const bool routed = (b[8] & 0x80) != 0;
  return snap(b, kHead + (routed ? b[kHead] & 0x1F : 0));
}

/// OpenBSD's log of its packet filter: its own length, without padding, in front.
Link packet_filter_log(Bytes b) {
  if (b.empty()) return kCutShort;
  const size_t header = (size_t{b[0]} + 3) & ~size_t{3};
  if (header < 48) return {};
  return b.size() < header ? kCutShort : Link{kIp, 0, header};
}

/// Solaris' captures above its links: version, address family, then what a filter may want to know.
Link ipnet(Bytes b) {
  constexpr size_t kHead = 24;
  if (b.size() < kHead) return kCutShort;
  return b[0] == 1 && (b[1] == 2 || b[1] == 26) ? Link{kIp, 0, kHead} : Link{};
}

/// Darwin's captures of several interfaces: a header that names the packet's own link type.
Link pktap(Bytes b) {
  if (b.size() < 12) return kCutShort;
  const uint32_t header = load_le32(b.data()), kind = load_le32(&b[4]), type = load_le32(&b[8]);
  const auto link = LinkType{static_cast<uint16_t>(type)};
  const bool again = link == LinkType::kPktap || link == LinkType::kUser2;
  if (header < 12 || kind != 1 || type > UINT16_MAX || again) return {};
  if (b.size() < header) return kCutShort;
  Link inner = read_link(link, b.subspan(header));
  inner.header += header;
  return inner;
}

}  // namespace

Link read_ppp(Bytes b) {
  size_t at = b.size() >= 2 && b[0] == 0xFF && b[1] == 3 ? 2 : 0;
  if (b.size() < at + 2) return kCutShort;
  // A protocol's first byte is even and its second one odd, so that an even first byte may be left out.
  const uint16_t protocol = (b[at] & 1) != 0 ? b[at] : load_be16(&b[at]);
  at += (b[at] & 1) != 0 ? 1 : 2;
  switch (protocol) {
    case 0x0021:
    case 0x0057: return {kIp, 0, at};
    case 0x0281:
    case 0x0283: return {kMpls, 0, at};  // RFC 3032 4.3
    default: return {kNotIp};
  }
}

Link read_link(LinkType type, Bytes b) {
  switch (type) {
    case LinkType::kEthernet: return {kEthernet};
    case LinkType::kRaw:
    case LinkType::kRawBsd:
    case LinkType::kRawOpenBsd:
    case LinkType::kIpv4:
    case LinkType::kIpv6: return {kIp};
    case LinkType::kNull:
    case LinkType::kLoop: return family(b, 4);
    case LinkType::kEnc: return family(b, 12);
    case LinkType::kLinuxSll: return typed(b, 14, 16);
    case LinkType::kLinuxSll2: return typed(b, 0, 20);
    case LinkType::kCiscoHdlc: return typed(b, 2, 4);
    case LinkType::kIeee1394: return typed(b, 16, 18);
    case LinkType::kIpoib: return typed(b, 40, 44);
    case LinkType::kTokenRing: return token_ring(b);
    case LinkType::kFddi: return snap(b, 13);
    case LinkType::kAtmRfc1483: return snap(b, 0);
    case LinkType::kPpp:
    case LinkType::kPppd: return read_ppp(b);
    case LinkType::kPppHdlc:  // RFC 1547 4.3.1: or what Cisco sends
      return !b.empty() && (b[0] == 0x0F || b[0] == 0x8F) ? typed(b, 2, 4) : read_ppp(b);
    case LinkType::kPppWithDirection: {
      Link inner = b.empty() ? kCutShort : read_ppp(b.subspan(1));
      ++inner.header;
      return inner;
    }
    case LinkType::kPppEther: return {kEtherType, 0x8864, 0};
    case LinkType::kPflog: return packet_filter_log(b);
    case LinkType::kIpnet: return ipnet(b);
    case LinkType::kPktap:
    case LinkType::kUser2: return pktap(b);
    case LinkType::kNflog: break;
  }
  return {};
}

}  // namespace baleen::net
