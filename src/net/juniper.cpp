#include "net/links.h"

// What Juniper's routers put before the frames that they capture, as libpcap's list of link types and tcpdump's
// documentation have it: "MGC", flags, perhaps extensions, perhaps a cookie of the card that saw the frame, then what
// the link's number says. The cookie's first byte may say that it is another card's.

namespace baleen::net {
namespace {

using Next = LinkHeader::Next;

enum Number : uint16_t {
  kMlppp = 130,
  kMlfr = 131,
  kEs = 132,
  kGgsn = 133,
  kMfr = 134,
  kAtm2 = 135,
  kServices = 136,
  kAtm1 = 137,
  kMonitor = 164,
  kPppoe = 167,
  kPppoeAtm = 168,
  kEther = 178,
  kPpp = 179,
  kFrameRelay = 180,
  kCiscoHdlc = 181,
};
constexpr uint16_t kPlainPpp = 9, kPlainCiscoHdlc = 104, kPlainFrameRelay = 107, kLlcOverAtm = 100;  // LINKTYPE_

constexpr uint8_t kExtensions = 0x80, kNoLink = 0x02, kIncoming = 0x01;
constexpr uint8_t kLinkServices = 0x54, kAdaptiveServices = 0x47;  // first bytes of cookies
constexpr uint8_t kIpv4Id = 0xCC, kIpv6Id = 0x8E;                  // network layer protocol identifiers (RFC 2427)

LinkHeader cut() { return {Next::kCut}; }

/// IP by its version, where nothing else says what is carried.
LinkHeader ip_at(Bytes b, size_t at) {
  if (b.size() <= at) return cut();
  const int version = b[at] >> 4;
  return version == 4 || version == 6 ? LinkHeader{Next::kIp, at} : LinkHeader{};
}

/// An unnumbered information frame with a network layer protocol identifier: 03 CC.
LinkHeader identified_at(Bytes b, size_t at) {
  if (b.size() < at + 2) return cut();
  return b[at] == 3 && (b[at + 1] == kIpv4Id || b[at + 1] == kIpv6Id) ? LinkHeader{Next::kIp, at + 2} : LinkHeader{};
}

/// Behind the cookie of an adaptive services card, which says what is carried.
LinkHeader by_services_cookie(Bytes b, size_t cookie) {
  const size_t at = cookie + 8;
  if (b.size() < at) return cut();
  const uint8_t head = b[cookie + 4], kind = b[cookie + 5] & 0x70;
  if (kind == 0 && head == 3) return {Next::kLink, at, kPlainPpp};  // to the routing engine, without a cookie
  if (kind == 0 || kind == 0x10) return {Next::kIp, at};
  return kind == 0x20 ? LinkHeader{Next::kEtherType, at, 0x8847} : LinkHeader{};
}

/// Bundles of PPP, of frame relay and of its other kind (FRF.16), whose single links have no cookie.
LinkHeader bundle(uint16_t link, Bytes b, size_t at) {
  if (b.size() < at + 2) return cut();
  const size_t plain = link == kMfr ? 4 : 2;
  if (link == kMfr && (b[at] & 0xC0) == 0xC0)  // FRF.16: all of a frame; the third bit says that it is of control
    return (b[at] & 0x20) != 0 ? LinkHeader{} : LinkHeader{Next::kLink, at + 2, kPlainFrameRelay};
  if (b[at] == kAdaptiveServices) return by_services_cookie(b, at);
  const size_t behind = at + plain + (b[at] == kLinkServices ? 2 : 0);
  if (link != kMlppp) return identified_at(b, behind);
  const bool is_osi = load_be16(&b[at]) == 0x0023;  // no cookie, but the protocol's number
  return {Next::kLink, is_osi ? at : behind, kPlainPpp};
}

/// RFC 2684: LLC, Cisco's identifiers, PPP or IP at once; of the younger cards Ethernet, too.
LinkHeader atm(uint16_t link, Bytes b, size_t cookie, bool incoming) {
  const size_t at = cookie + (link == kAtm1 ? 4 : 8);
  if (b.size() < at + 3) return cut();
  const bool maintenance = link == kAtm1 ? b[cookie] == 0x80 : (b[cookie + 7] & 0x70) != 0;
  if (maintenance) return {};
  if (b[at + 2] == 3 && b[at] == 0xAA && b[at + 1] == 0xAA) return {Next::kLink, at, kLlcOverAtm};
  if (b[at + 2] == 3 && b[at] == 0xFE && b[at + 1] == 0xFE) return identified_at(b, at + 2);
  if (link == kAtm2 && !incoming && (b[cookie + 3] & 0x3F) != 0) return {Next::kEthernet, at};
  if (b[at] == 3) return identified_at(b, at);
  const uint16_t protocol = load_be16(&b[at]);
  if (link == kAtm2 && (protocol == 0x0021 || protocol == 0x0057 || protocol == 0x0281))
    return {Next::kLink, at, kPlainPpp};
  return ip_at(b, at);
}

/// Sealed tunnels as they are inside: those that a card has opened have its header before IP.
LinkHeader opened_tunnel(Bytes b, size_t at) {
  if (b.size() < at + 4) return cut();
  const bool is_header = b[at + 3] >= 3 && b[at + 3] <= 5 && b[at] >> 4 != 4;
  return ip_at(b, at + (is_header ? 16 : 0));
}

}  // namespace

LinkHeader read_juniper(uint16_t link, Bytes b) {
  if (b.size() < 4) return cut();
  if (b[0] != 'M' || b[1] != 'G' || b[2] != 'C') return {Next::kUnknown};
  const uint8_t flags = b[3];
  size_t at = 4;
  if ((flags & kExtensions) != 0) {
    if (b.size() < 6) return cut();
    at = size_t{6} + load_be16(&b[4]);
  }
  if ((flags & kNoLink) != 0) return ip_at(b, at + 4);
  switch (link) {
    case kPppoe:
    case kEther: return {Next::kEthernet, at};
    case kPppoeAtm: return b.size() < at + 2 ? cut() : LinkHeader{Next::kEtherType, at + 2, load_be16(&b[at])};
    case kPpp: return {Next::kLink, at, kPlainPpp};
    case kFrameRelay: return {Next::kLink, at, kPlainFrameRelay};
    case kCiscoHdlc: return {Next::kLink, at, kPlainCiscoHdlc};
    case kMlppp:
    case kMlfr:
    case kMfr: return bundle(link, b, at);
    case kAtm1:
    case kAtm2: return atm(link, b, at, (flags & kIncoming) != 0);
    case kGgsn:
    case kMonitor:
    case kServices: return ip_at(b, at + 8);
    case kEs: return opened_tunnel(b, at);
    default: return {Next::kUnknown};
  }
}

}  // namespace baleen::net
