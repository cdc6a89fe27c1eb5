#pragma once

#include <algorithm>

#include "net/decode.h"
#include "net/links.h"

// A packet is a chain of headers, and each function below takes one off the front and names the next. The loop in
// Chain::run() is the only place that follows the chain, so the number of layers is bounded in one place, whatever
// tunnels a hostile packet nests. `wire` is how many bytes of the current layer were on the wire: the capture may hold
// fewer (snap length) or more (Ethernet padding).

namespace baleen::net {

constexpr int kMostLayers = 24;
constexpr int kMostExtensions = 8;  // IPv6 extension headers of one packet

// EtherTypes (IEEE 802 numbers).
constexpr uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86DD, kEtherVlan = 0x8100,
                   kEtherQinQ = 0x88A8, kEtherOldQinQ = 0x9100, kEtherBackbone = 0x88E7, kEtherNsh = 0x894F,
                   kEtherMacsec = 0x88E5, kEtherMpls = 0x8847, kEtherMplsMulticast = 0x8848, kEtherTransparent = 0x6558,
                   kEtherErspan = 0x88BE, kEtherErspan3 = 0x22EB, kEtherPppoe = 0x8864, kEtherWccp = 0x883E,
                   kPppOfGre = 0x880B;
// IP protocol numbers.
constexpr uint8_t kHopByHop = 0, kIcmp = 1, kIpInIp = 4, kTcp = 6, kUdp = 17, kIpv6InIp = 41, kRouting = 43,
                  kFragmentHeader = 44, kGre = 47, kAuthentication = 51, kIcmp6 = 58, kNoNext = 59,
                  kDestinationOptions = 60, kSctp = 132, kMobility = 135;
// UDP ports of tunnels (IANA).
constexpr uint16_t kVxlanPort = 4789, kVxlanLinuxPort = 8472, kVxlanGpePort = 4790, kGenevePort = 6081, kGtpPort = 2152,
                   kMplsPort = 6635, kTeredoPort = 3544, kL2tpPort = 1701, kCapwapPort = 5247, kTzspPort = 37008,
                   kLispPort = 4341;

enum class Layer : uint8_t { kEthernet, kEtherType, kMpls, kIp, kTransport, kGre, kErspan, kDone };

/// One packet on its way through its headers, and what is known of it so far.
class Chain {
 public:
  Chain(const Packet& packet, Defragmenter& fragments, Decoded& out)
      : packet_(packet), fragments_(fragments), out_(out) {
    at_ = packet.bytes;
    wire_ = std::max<uint64_t>(packet.wire_length, packet.bytes.size());
  }

  DecodeStatus run() { return run(link(packet_.link)); }

  /// The datagram whose first bytes these are, all that came of it in pieces.
  DecodeStatus run_head(const Defragmenter::Head& head) {
    is_head_ = true;
    wire_ = UINT16_MAX;  // its transport's header says more
    out_.vlan = head.vlan;
    set_ip(head.key.src, head.key.dst);
    out_.ip_length = static_cast<uint32_t>(at_.size()) + (head.key.src.is_v4() ? 20 : 40);
    out_.defragmented = true;
    out_.datagram = fragments_.number_of(head.key);
    return run(ip_payload(head.next_header));
  }

 private:
  DecodeStatus run(DecodeStatus status) {
    for (int layers = 0; status == DecodeStatus::kTransport && layer_ != Layer::kDone; ++layers) {
      if (layers == kMostLayers) return DecodeStatus::kTooManyLayers;
      switch (layer_) {
        case Layer::kEthernet: status = ethernet(); break;
        case Layer::kEtherType: status = ether_type(); break;
        case Layer::kMpls: status = mpls(); break;
        case Layer::kIp: status = ip(); break;
        case Layer::kTransport: status = transport(); break;
        case Layer::kGre: status = gre(); break;
        case Layer::kErspan: status = erspan(); break;
        case Layer::kDone: break;
      }
    }
    return status;
  }

  static constexpr DecodeStatus kGoOn = DecodeStatus::kTransport;

  void take(size_t n) {
    at_ = at_.subspan(n);
    wire_ -= std::min<uint64_t>(n, wire_);
  }
  bool have(size_t n) const { return at_.size() >= n; }
  DecodeStatus next(Layer layer) {
    layer_ = layer;
    return kGoOn;
  }
  DecodeStatus next_type(uint16_t type) {
    type_ = type;
    return next(Layer::kEtherType);
  }

  // ---- links ----

  DecodeStatus link(LinkType type);
  /// Goes on behind a header that says what comes next.
  DecodeStatus follow(const LinkHeader& first);
  /// Another subframe of an A-MSDU stands at `offset` from here: the packet's, not the defragmenter's.
  void note_more(size_t offset);
  DecodeStatus ethernet();
  /// LINKTYPE_NFLOG: family, version, resource id, then attributes; number 9 holds the packet.
  DecodeStatus nflog();
  DecodeStatus ether_type();
  DecodeStatus service_header();  // RFC 8300 2.2: its length in four bytes, and what is carried
  DecodeStatus vlan();
  /// IEEE 802.1AE 9: what is only authenticated is there to be read. The check value at the end is padding to IP.
  DecodeStatus macsec();
  DecodeStatus pppoe();  // RFC 2516
  /// RFC 3032. What lies under the bottom label is not named: an IP header tells, a zero nibble may be a pseudo-wire's
  /// control word (RFC 4385) before Ethernet or a MAC address, anything else is taken for Ethernet.
  DecodeStatus mpls();

  // ---- IP ----

  DecodeStatus ip();
  /// Cuts away what is behind the packet's own end (padding), and keeps count of what was not captured.
  void limit(uint64_t length) {
    wire_ = length;
    if (at_.size() > length) at_ = at_.first(length);
  }

  DecodeStatus ipv4();  // RFC 791 3.1
  DecodeStatus ipv6();  // RFC 8200 3
  DecodeStatus extension(uint8_t& header, size_t fixed, size_t unit);
  void set_ip(const IpAddress& src, const IpAddress& dst) {
    out_.tuple.src.ip.set(src);
    out_.tuple.dst.ip.set(dst);
    out_.tuple.src.port = out_.tuple.dst.port = 0;
  }

  DecodeStatus defragment(const FragmentKey& key, const FragmentPiece& piece);
  DecodeStatus ip_payload(uint8_t protocol);
  DecodeStatus authentication();  // RFC 4302 2, over IPv4
  DecodeStatus ether_ip();        // RFC 3378

  // ---- transports ----

  DecodeStatus transport();
  DecodeStatus finish();
  void set_ports() {
    out_.tuple.src.port = load_be16(at_.data());
    out_.tuple.dst.port = load_be16(&at_[2]);
  }

  DecodeStatus tcp();  // RFC 9293 3.1
  DecodeStatus udp();  // RFC 768
  /// A tunnel is taken for one when its port says so and its header and the start of what it carries are right;
  /// otherwise the datagram stays what it is.
  DecodeStatus udp_tunnel();
  /// What a tunnel's header says is behind it, if it is there.
  DecodeStatus carried(const LinkHeader& header);
  DecodeStatus teredo();  // RFC 4380 5.1.1: perhaps an authentication, perhaps an origin, then IPv6
  /// Whether an IP packet begins here: version, header length, and a length that reaches over the header.
  bool looks_like_ip(size_t offset) const;
  bool looks_like_mpls() const;
  /// Whether an Ethernet frame here would carry something that is known, and IP only where its header is one.
  bool carries_known_type(size_t offset) const;
  bool looks_like_ethernet(size_t offset) const;
  DecodeStatus vxlan();  // RFC 7348 5: the I flag must be set, the reserved bytes be zero (but for extensions' flags)
  DecodeStatus vxlan_gpe();  // draft-ietf-nvo3-vxlan-gpe 3.1: with the P flag byte 3 says what is carried
  DecodeStatus geneve();     // RFC 8926 3.4
  DecodeStatus gtp();        // 3GPP TS 29.281 5.1: version 1, protocol type GTP, message type 255 (G-PDU)
  DecodeStatus sctp();       // RFC 9260 3.1
  DecodeStatus icmp();       // RFC 792, RFC 4443

  // ---- tunnels over IP ----

  DecodeStatus gre();  // RFC 2784, RFC 2890; version 1 is PPTP (RFC 2637)
  DecodeStatus pptp(uint16_t flags, uint16_t type);
  DecodeStatus erspan();  // draft-foschiano-erspan 4.2 and 4.3: the version stands in the first nibble

  const Packet& packet_;
  Defragmenter& fragments_;
  Decoded& out_;
  Bytes at_;
  uint64_t wire_ = 0;
  Layer layer_ = Layer::kEthernet;
  uint16_t type_ = 0;
  bool is_head_ = false;
};

}  // namespace baleen::net
