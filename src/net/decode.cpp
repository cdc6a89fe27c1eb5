#include "net/decode.h"

#include <algorithm>

#include "net/links.h"

// A packet is a chain of headers, and each function below takes one off the front and names the next. The loop in
// Chain::run() is the only place that follows the chain, so the number of layers is bounded in one place, whatever
// tunnels a hostile packet nests. `wire` is how many bytes of the current layer were on the wire: the capture may hold
// fewer (snap length) or more (Ethernet padding).

namespace baleen::net {
namespace {

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

  DecodeStatus link(LinkType type) {
    if (type == LinkType::kEthernet) return next(Layer::kEthernet);
    return type == LinkType::kNflog ? nflog() : follow(read_link(type, at_));
  }

  /// Goes on behind a header that says what comes next.
  DecodeStatus follow(const LinkHeader& first) {
    const LinkHeader header = follow_links(first, at_);
    if (!have(header.size)) return DecodeStatus::kCutLink;
    if (header.next_frame != 0) note_more(header.next_frame);
    take(header.size);
    switch (header.next) {
      case LinkHeader::Next::kIp: return next(Layer::kIp);
      case LinkHeader::Next::kEtherType: return next_type(header.type);
      case LinkHeader::Next::kEthernet: return next(Layer::kEthernet);
      case LinkHeader::Next::kCut: return DecodeStatus::kCutLink;
      case LinkHeader::Next::kUnknown: return DecodeStatus::kUnknownLink;
      case LinkHeader::Next::kEndless: return DecodeStatus::kTooManyLayers;
      default: return DecodeStatus::kNotIp;
    }
  }

  /// Another subframe of an A-MSDU stands at `offset` from here: the packet's, not the defragmenter's.
  void note_more(size_t offset) {
    const uint8_t* const begin = packet_.bytes.data();
    if (out_.defragmented) return;
    const size_t at = static_cast<size_t>(at_.data() - begin) + offset;
    if (at <= UINT16_MAX) out_.more_at = static_cast<uint16_t>(at);
  }

  DecodeStatus ethernet() {
    if (!have(14)) return DecodeStatus::kCutLink;
    const uint16_t type = load_be16(&at_[12]);
    take(14);
    return next_type(type);
  }

  /// LINKTYPE_NFLOG: family, version, resource id, then attributes; number 9 holds the packet.
  DecodeStatus nflog() {
    if (!have(4)) return DecodeStatus::kCutLink;
    if (at_[1] != 0) return DecodeStatus::kUnknownLink;
    take(4);
    while (have(4)) {
      const uint16_t length = load_le16(at_.data());
      const uint16_t type = load_le16(&at_[2]) & 0x7FFF;
      if (length < 4) return DecodeStatus::kCutLink;
      if (type == 9) {
        const size_t size = std::min<size_t>(length - 4u, at_.size() - 4);
        wire_ = length - 4u;
        at_ = at_.subspan(4, size);
        return next(Layer::kIp);
      }
      const size_t padded = (size_t{length} + 3) & ~size_t{3};
      if (!have(padded)) return DecodeStatus::kCutLink;
      take(padded);
    }
    return DecodeStatus::kNotIp;
  }

  DecodeStatus ether_type() {
    switch (type_) {
      case kEtherIpv4:
      case kEtherIpv6: return next(Layer::kIp);
      case kEtherVlan:
      case kEtherQinQ:
      case kEtherOldQinQ:
      case kEtherOldQinQ + 0x0100:
      case kEtherOldQinQ + 0x0200: return vlan();
      case kEtherMpls:
      case kEtherMplsMulticast: return next(Layer::kMpls);
      case kEtherTransparent: return next(Layer::kEthernet);
      case kEtherErspan:
      case kEtherErspan3: return next(Layer::kErspan);
      case kEtherPppoe: return pppoe();
      case kEtherBackbone:  // IEEE 802.1Q 9.7: the tag, then the frame that crosses the backbone
        if (!have(4)) return DecodeStatus::kCutLink;
        take(4);
        return next(Layer::kEthernet);
      case kEtherNsh: return service_header();
      case kEtherMacsec: return macsec();
      default: break;
    }
    // Below 1536 it is a length (802.3): LLC with SNAP may still carry IP.
    if (type_ >= 1536 || !have(8) || at_[0] != 0xAA || at_[1] != 0xAA || at_[2] != 3) return DecodeStatus::kNotIp;
    const uint16_t type = load_be16(&at_[6]);
    take(8);
    return next_type(type);
  }

  DecodeStatus service_header() {  // RFC 8300 2.2: its length in four bytes, and what is carried
    if (!have(8)) return DecodeStatus::kCutLink;
    const size_t header = (at_[1] & 0x3Fu) * 4;
    const uint8_t carried = at_[3];
    if (header < 8 || !have(header)) return DecodeStatus::kCutLink;
    take(header);
    ++out_.tunnels;
    if (carried == 1 || carried == 2) return next(Layer::kIp);
    return carried == 3 ? next(Layer::kEthernet) : carried == 5 ? next(Layer::kMpls) : DecodeStatus::kNotIp;
  }

  DecodeStatus vlan() {
    if (!have(4)) return DecodeStatus::kCutLink;
    if (out_.vlan == 0) out_.vlan = load_be16(at_.data()) & 0x0FFF;
    const uint16_t type = load_be16(&at_[2]);
    take(4);
    return next_type(type);
  }

  /// IEEE 802.1AE 9: what is only authenticated is there to be read. The check value at the end is padding to IP.
  DecodeStatus macsec() {
    if (!have(1)) return DecodeStatus::kCutLink;
    const uint8_t control = at_[0];
    if ((control & 0x8C) != 0) return DecodeStatus::kNotIp;  // another version, encrypted or changed
    const size_t header = (control & 0x20) != 0 ? 14 : 6;
    if (!have(header + 2)) return DecodeStatus::kCutLink;
    const uint16_t type = load_be16(&at_[header]);
    take(header + 2);
    return next_type(type);
  }

  DecodeStatus pppoe() {  // RFC 2516
    if (!have(6)) return DecodeStatus::kCutLink;
    take(6);
    return follow(read_ppp(at_));
  }

  /// RFC 3032. What lies under the bottom label is not named: an IP header tells, a zero nibble may be a pseudo-wire's
  /// control word (RFC 4385) before Ethernet or a MAC address, anything else is taken for Ethernet.
  DecodeStatus mpls() {
    for (int labels = 0; labels < 16; ++labels) {
      if (!have(4)) return DecodeStatus::kCutLink;
      const bool bottom = (at_[2] & 1) != 0;
      take(4);
      if (!bottom) continue;
      ++out_.tunnels;
      if (!have(1)) return DecodeStatus::kCutLink;
      if (looks_like_ip(0)) return next(Layer::kIp);
      if (at_[0] >> 4 == 0 && (carries_known_type(4) || !carries_known_type(0)) && have(4)) take(4);
      return next(Layer::kEthernet);
    }
    return DecodeStatus::kTooManyLayers;
  }

  // ---- IP ----

  DecodeStatus ip() {
    if (!have(1)) return DecodeStatus::kCutIp;
    const int version = at_[0] >> 4;
    if (version == 4) return ipv4();
    if (version == 6) return ipv6();
    return DecodeStatus::kBadIp;
  }

  /// Cuts away what is behind the packet's own end (padding), and keeps count of what was not captured.
  void limit(uint64_t length) {
    wire_ = length;
    if (at_.size() > length) at_ = at_.first(length);
  }

  DecodeStatus ipv4() {  // RFC 791 3.1
    if (!have(20)) return DecodeStatus::kCutIp;
    const size_t header = (at_[0] & 15u) * 4u;
    uint32_t total = load_be16(&at_[2]);
    if (total == 0)
      total = static_cast<uint32_t>(std::min<uint64_t>(wire_, UINT32_MAX));  // segmentation offload: filled in later
    if (header < 20 || total < header) return DecodeStatus::kBadIp;
    if (!have(header)) return DecodeStatus::kCutIp;
    const uint8_t* p = at_.data();
    const IpAddress src = IpAddress::v4(p + 12), dst = IpAddress::v4(p + 16);
    const uint8_t protocol = p[9];
    const uint16_t fragment = load_be16(p + 6), id = load_be16(p + 4);
    limit(total);
    out_.ip_length = total;
    take(header);
    set_ip(src, dst);
    if ((fragment & 0x3FFF) == 0) return ip_payload(protocol);
    const FragmentPiece piece{(fragment & 0x1FFFu) * 8, at_, (fragment & 0x2000) == 0, protocol, out_.vlan};
    return defragment({src, dst, id, protocol}, piece);
  }

  DecodeStatus ipv6() {  // RFC 8200 3
    if (!have(40)) return DecodeStatus::kCutIp;
    const uint8_t* p = at_.data();
    const IpAddress src = IpAddress::v6(p + 8), dst = IpAddress::v6(p + 24);
    const uint32_t length = load_be16(p + 4);
    uint8_t header = p[6];
    // Length zero is a jumbogram (RFC 2675) or segmentation offload: what is there is the payload.
    if (length != 0) limit(40 + uint64_t{length});
    out_.ip_length = static_cast<uint32_t>(std::min<uint64_t>(wire_, UINT32_MAX));
    take(40);
    set_ip(src, dst);
    for (int i = 0; i <= kMostExtensions; ++i) {
      switch (header) {
        case kHopByHop:
        case kRouting:
        case kDestinationOptions:
        case kMobility:
          if (const DecodeStatus s = extension(header, 8, 8); s != kGoOn) return s;
          break;
        case kAuthentication:  // RFC 4302 2.2: in 4-byte units, minus 2
          if (const DecodeStatus s = extension(header, 8, 4); s != kGoOn) return s;
          break;
        case kFragmentHeader: {
          if (!have(8)) return DecodeStatus::kCutIp;
          const uint16_t offset = load_be16(&at_[2]);
          const uint32_t id = load_be32(&at_[4]);
          header = at_[0];
          take(8);
          if ((offset & 0xFFF9) == 0) break;  // an atomic fragment (RFC 6946)
          return defragment({src, dst, id, 0}, {offset & 0xFFF8u, at_, (offset & 1) == 0, header, out_.vlan});
        }
        case kNoNext: return DecodeStatus::kOtherTransport;
        default: return ip_payload(header);
      }
    }
    return DecodeStatus::kTooManyLayers;
  }

  DecodeStatus extension(uint8_t& header, size_t fixed, size_t unit) {
    if (!have(2)) return DecodeStatus::kCutIp;
    const size_t size = fixed + at_[1] * unit;
    if (!have(size)) return DecodeStatus::kCutIp;
    header = at_[0];
    take(size);
    return kGoOn;
  }

  void set_ip(const IpAddress& src, const IpAddress& dst) {
    out_.tuple.src = {src, 0};
    out_.tuple.dst = {dst, 0};
  }

  DecodeStatus defragment(const FragmentKey& key, const FragmentPiece& piece) {
    if (is_head_) return DecodeStatus::kFragment;  // within a tunnel; a whole datagram may be in somebody's hands
    if (wire_ > at_.size())  // not captured whole: of no use to the others, but the first of them says what it is
      return piece.offset == 0 ? ip_payload(piece.next_header) : DecodeStatus::kCutIp;
    Defragmenter::Whole whole;
    out_.datagram = fragments_.number_of(key);
    switch (fragments_.add(key, piece, packet_.time, whole)) {
      case Defragmenter::Answer::kWaits: return DecodeStatus::kFragment;
      case Defragmenter::Answer::kBad: return DecodeStatus::kBadFragment;
      case Defragmenter::Answer::kWhole: break;
    }
    at_ = whole.bytes;
    wire_ = whole.bytes.size();
    out_.ip_length = static_cast<uint32_t>(wire_) + (key.src.is_v4() ? 20 : 40);
    out_.defragmented = true;
    return ip_payload(whole.next_header);
  }

  DecodeStatus ip_payload(uint8_t protocol) {
    switch (protocol) {
      case kTcp: out_.tuple.transport = Transport::kTcp; return next(Layer::kTransport);
      case kUdp: out_.tuple.transport = Transport::kUdp; return next(Layer::kTransport);
      case kIcmp: out_.tuple.transport = Transport::kIcmp; return next(Layer::kTransport);
      case kIcmp6: out_.tuple.transport = Transport::kIcmp6; return next(Layer::kTransport);
      case kSctp: out_.tuple.transport = Transport::kSctp; return next(Layer::kTransport);
      case kIpInIp:
      case kIpv6InIp: ++out_.tunnels; return next(Layer::kIp);
      case kGre: return next(Layer::kGre);
      case 137: return next(Layer::kMpls);  // MPLS-in-IP (RFC 4023)
      case 97: return ether_ip();
      case kAuthentication: return authentication();
      case 143: ++out_.tunnels; return next(Layer::kEthernet);  // segment routing (RFC 8986 4.9)
      default: out_.tuple.transport = Transport::kOther; return DecodeStatus::kOtherTransport;
    }
  }

  DecodeStatus authentication() {  // RFC 4302 2, over IPv4
    uint8_t header = 0;
    const DecodeStatus status = extension(header, 8, 4);
    return status == kGoOn ? header == kAuthentication ? DecodeStatus::kOtherTransport : ip_payload(header) : status;
  }

  DecodeStatus ether_ip() {  // RFC 3378
    if (!have(2)) return DecodeStatus::kCutIp;
    if (at_[0] >> 4 != 3) return DecodeStatus::kOtherTransport;
    take(2);
    ++out_.tunnels;
    return next(Layer::kEthernet);
  }

  // ---- transports ----

  DecodeStatus transport() {
    switch (out_.tuple.transport) {
      case Transport::kTcp: return tcp();
      case Transport::kUdp: return udp();
      case Transport::kSctp: return sctp();
      default: return icmp();
    }
  }

  DecodeStatus finish() {
    out_.payload = at_;
    out_.payload_missing =
        static_cast<uint32_t>(std::min<uint64_t>(wire_ > at_.size() ? wire_ - at_.size() : 0, UINT32_MAX));
    return next(Layer::kDone);
  }

  void set_ports() {
    out_.tuple.src.port = load_be16(at_.data());
    out_.tuple.dst.port = load_be16(&at_[2]);
  }

  DecodeStatus tcp() {  // RFC 9293 3.1
    if (!have(20)) return DecodeStatus::kCutTransport;
    const uint8_t* p = at_.data();
    const size_t header = (p[12] >> 4) * 4u;
    if (header < 20) return DecodeStatus::kBadTransport;
    if (wire_ < header) return DecodeStatus::kBadTransport;
    set_ports();
    // A capture that was cut inside the options still says where its payload stood in the stream.
    const size_t there = std::min(header, at_.size());
    out_.tcp = {load_be32(p + 4), load_be32(p + 8), load_be16(p + 14), static_cast<uint8_t>(p[13] & 0x3F),
                at_.subspan(20, there - 20)};
    out_.checksum = load_be16(p + 16);
    at_ = at_.subspan(there);
    wire_ -= header;
    return finish();
  }

  DecodeStatus udp() {  // RFC 768
    if (!have(8)) return DecodeStatus::kCutTransport;
    set_ports();
    const uint32_t length = load_be16(&at_[4]);
    if (length != 0 && length < 8) return DecodeStatus::kBadTransport;
    out_.checksum = load_be16(&at_[6]);
    if (length > 8 && length < wire_) limit(length);
    if (length == 8) limit(8);
    take(8);
    if (const DecodeStatus s = udp_tunnel(); layer_ != Layer::kTransport) return s;
    return finish();
  }

  /// A tunnel is taken for one when its port says so and its header and the start of what it carries are right;
  /// otherwise the datagram stays what it is.
  DecodeStatus udp_tunnel() {
    const uint16_t dst = out_.tuple.dst.port, src = out_.tuple.src.port;
    if (dst == kVxlanPort || dst == kVxlanLinuxPort) return vxlan();
    if (dst == kVxlanGpePort) return vxlan_gpe();
    if (dst == kGenevePort) return geneve();
    if (dst == kGtpPort || src == kGtpPort) return gtp();
    if (dst == kMplsPort && looks_like_mpls()) return next(Layer::kMpls);
    if (dst == kTeredoPort || src == kTeredoPort) return teredo();
    if (dst == kCapwapPort || src == kCapwapPort) return carried(read_capwap(at_));
    if (dst == kL2tpPort || src == kL2tpPort) return carried(read_l2tp(at_));
    if (dst == kTzspPort) return carried(read_tzsp(at_));
    if (dst == kLispPort && looks_like_ip(8)) return carried({LinkHeader::Next::kIp, 8});  // RFC 9300 5.1
    return kGoOn;
  }

  /// What a tunnel's header says is behind it, if it is there.
  DecodeStatus carried(const LinkHeader& header) {
    const bool fits = header.next == LinkHeader::Next::kIp ? looks_like_ip(header.size)
                      : header.next == LinkHeader::Next::kEthernet
                          ? looks_like_ethernet(header.size)
                          : header.next == LinkHeader::Next::kEtherType || header.next == LinkHeader::Next::kLink;
    if (!fits) return kGoOn;
    ++out_.tunnels;
    return follow(header);
  }

  DecodeStatus teredo() {  // RFC 4380 5.1.1: perhaps an authentication, perhaps an origin, then IPv6
    size_t at = 0;
    if (have(4) && at_[0] == 0 && at_[1] == 1) at = 13u + at_[2] + at_[3];
    if (have(at + 2) && at_[at] == 0 && at_[at + 1] == 0) at += 8;
    if (!looks_like_ip(at) || at_[at] >> 4 != 6) return kGoOn;
    take(at);
    ++out_.tunnels;
    return next(Layer::kIp);
  }

  /// Whether an IP packet begins here: version, header length, and a length that reaches over the header.
  bool looks_like_ip(size_t offset) const {
    if (!have(offset + 20)) return false;
    const uint8_t* p = at_.data() + offset;
    if (p[0] >> 4 == 6) return have(offset + 40);
    const size_t header = (p[0] & 15u) * 4u, total = load_be16(p + 2);
    return p[0] >> 4 == 4 && header >= 20 && (total == 0 || total >= header);
  }

  bool looks_like_mpls() const {
    for (size_t at = 0; at < 16 * 4 && have(at + 4); at += 4)
      if ((at_[at + 2] & 1) != 0) return looks_like_ip(at + 4);
    return false;
  }

  /// Whether an Ethernet frame here would carry something that is known, and IP only where its header is one.
  bool carries_known_type(size_t offset) const {
    if (!have(offset + 14)) return false;
    switch (load_be16(&at_[offset + 12])) {
      case kEtherIpv4:
      case kEtherIpv6: return looks_like_ip(offset + 14);
      case kEtherVlan:
      case kEtherQinQ:
      case kEtherMpls:
      case kEtherArp: return true;
      default: return false;
    }
  }

  bool looks_like_ethernet(size_t offset) const {
    if (carries_known_type(offset)) return true;
    const uint16_t type = have(offset + 14) ? load_be16(&at_[offset + 12]) : 0;
    return type != 0 && type < 1536;  // 802.3: a length
  }

  DecodeStatus vxlan() {  // RFC 7348 5: the I flag must be set, the reserved bytes be zero (but for extensions' flags)
    if (!have(8) || (at_[0] & 0x08) == 0 || at_[7] != 0 || !looks_like_ethernet(8)) return kGoOn;
    take(8);
    ++out_.tunnels;
    return next(Layer::kEthernet);
  }

  DecodeStatus vxlan_gpe() {  // draft-ietf-nvo3-vxlan-gpe 3.1: with the P flag byte 3 says what is carried
    if (!have(8) || (at_[0] & 0x38) != 0x08 || at_[7] != 0) return kGoOn;
    const int carried = (at_[0] & 0x04) != 0 ? at_[3] : 3;
    const bool ip = (carried == 1 || carried == 2) && looks_like_ip(8);
    if (carried == 4 && have(16)) {
      take(8);
      ++out_.tunnels;
      return next_type(kEtherNsh);
    }
    if (!ip && !(carried == 3 && looks_like_ethernet(8))) return kGoOn;
    take(8);
    ++out_.tunnels;
    return next(ip ? Layer::kIp : Layer::kEthernet);
  }

  DecodeStatus geneve() {  // RFC 8926 3.4
    if (!have(8) || at_[0] >> 6 != 0) return kGoOn;
    const size_t header = 8 + (at_[0] & 0x3Fu) * 4;
    const uint16_t type = load_be16(&at_[2]);
    if (!have(header) || (at_[1] & 0x3F) != 0) return kGoOn;
    const bool fits = type == kEtherTransparent ? looks_like_ethernet(header)
                                                : (type == kEtherIpv4 || type == kEtherIpv6) && looks_like_ip(header);
    if (!fits) return kGoOn;
    take(header);
    ++out_.tunnels;
    return next_type(type);
  }

  DecodeStatus gtp() {  // 3GPP TS 29.281 5.1: version 1, protocol type GTP, message type 255 (G-PDU)
    if (!have(8) || (at_[0] & 0xF0) != 0x30 || at_[1] != 255) return kGoOn;
    size_t header = 8;
    if ((at_[0] & 7) != 0) {
      header = 12;
      uint8_t next_type = have(12) && (at_[0] & 4) != 0 ? at_[11] : 0;
      for (int i = 0; next_type != 0 && i < kMostExtensions; ++i) {
        if (!have(header + 1) || at_[header] == 0) return kGoOn;
        const size_t size = at_[header] * 4u;
        if (!have(header + size)) return kGoOn;
        next_type = at_[header + size - 1];
        header += size;
      }
    }
    if (!looks_like_ip(header)) return kGoOn;
    take(header);
    ++out_.tunnels;
    return next(Layer::kIp);
  }

  DecodeStatus sctp() {  // RFC 9260 3.1
    if (!have(12)) return DecodeStatus::kCutTransport;
    set_ports();
    out_.sctp_tag = load_be32(&at_[4]);
    out_.checksum = load_be32(&at_[8]);
    take(12);
    return finish();
  }

  DecodeStatus icmp() {  // RFC 792, RFC 4443
    if (!have(4)) return DecodeStatus::kCutTransport;
    out_.icmp = {at_[0], at_[1], {}};
    const bool v6 = out_.tuple.transport == Transport::kIcmp6;
    const bool is_error = v6 ? at_[0] < 128 : at_[0] == 3 || at_[0] == 4 || at_[0] == 5 || at_[0] == 11 || at_[0] == 12;
    if (is_error && have(8)) out_.icmp.quoted = at_.subspan(8);
    take(4);
    return finish();
  }

  // ---- tunnels over IP ----

  DecodeStatus gre() {  // RFC 2784, RFC 2890; version 1 is PPTP (RFC 2637)
    if (!have(4)) return DecodeStatus::kCutTransport;
    const uint16_t flags = load_be16(at_.data()), type = load_be16(&at_[2]);
    const int version = flags & 7;
    size_t header = 4 + ((flags & 0x8000) != 0 || (flags & 0x4000) != 0 ? 4 : 0) + ((flags & 0x2000) != 0 ? 4 : 0) +
                    ((flags & 0x1000) != 0 ? 4 : 0);
    if (version == 1) return pptp(flags, type);
    if (version != 0) return DecodeStatus::kOtherTransport;
    if ((flags & 0x4000) != 0)
      return DecodeStatus::kOtherTransport;  // source routing (RFC 1701) is gone since RFC 2784
    if (!have(header)) return DecodeStatus::kCutTransport;
    const bool sequence = (flags & 0x1000) != 0;
    take(header);
    ++out_.tunnels;
    // ERSPAN type I has no header of its own, and no sequence number either (draft-foschiano-erspan 4.1).
    if (type == kEtherErspan && !sequence) return next(Layer::kEthernet);
    if (type == kEtherWccp) {  // draft-wilson-wrec-wccp-v2 4: the second version has four bytes of its own
      if (!looks_like_ip(0) && have(4)) take(4);
      return next(Layer::kIp);
    }
    return type == kPppOfGre ? follow(read_ppp(at_)) : next_type(type);
  }

  DecodeStatus pptp(uint16_t flags, uint16_t type) {
    const size_t header = 8 + ((flags & 0x1000) != 0 ? 4 : 0) + ((flags & 0x0080) != 0 ? 4 : 0);
    if (type != kPppOfGre) return DecodeStatus::kOtherTransport;
    if (!have(header)) return DecodeStatus::kCutTransport;
    take(header);
    ++out_.tunnels;
    if (!have(1)) return DecodeStatus::kOtherTransport;  // only an acknowledgement
    return follow(read_ppp(at_));
  }

  DecodeStatus erspan() {  // draft-foschiano-erspan 4.2 and 4.3: the version stands in the first nibble
    if (!have(8)) return DecodeStatus::kCutTransport;
    const int version = at_[0] >> 4;
    if (version == 1) {
      take(8);
      return next(Layer::kEthernet);
    }
    if (version != 2 || !have(12)) return DecodeStatus::kOtherTransport;
    const bool platform = (at_[11] & 1) != 0;  // an 8-byte subheader follows
    const size_t header = 12 + (platform ? 8 : 0);
    if (!have(header)) return DecodeStatus::kCutTransport;
    take(header);
    return next(Layer::kEthernet);
  }

  const Packet& packet_;
  Defragmenter& fragments_;
  Decoded& out_;
  Bytes at_;
  uint64_t wire_ = 0;
  Layer layer_ = Layer::kEthernet;
  uint16_t type_ = 0;
  bool is_head_ = false;
};

}  // namespace

Packet next_subframe(const Packet& packet, size_t& at) {
  const Bytes rest = packet.bytes.subspan(std::min(at, packet.bytes.size()));
  if (rest.size() < 14) {
    at = 0;
    return {packet.time, {}, 0, packet.interface, LinkType::kEthernet};
  }
  const size_t size = size_t{14} + load_be16(&rest[12]), next = (size + 3) & ~size_t{3};
  at = rest.size() >= next + 14 ? at + next : 0;
  return {packet.time, rest.first(std::min(size, rest.size())), static_cast<uint32_t>(size), packet.interface,
          LinkType::kEthernet};
}

TcpOptions tcp_options(Bytes options) {
  TcpOptions out;
  ByteReader in(options);
  while (!in.at_end()) {
    const uint8_t kind = in.u8();
    if (kind == 0) break;
    if (kind == 1) continue;
    const uint8_t length = in.u8();
    if (!in.ok() || length < 2) break;
    ByteReader body(in.bytes(length - 2u));
    if (!in.ok()) break;
    if (kind == 2 && length == 4) out.maximum_segment = body.be16();
    if (kind == 3 && length == 3) {
      out.window_scale = std::min<uint8_t>(body.u8(), 14);  // RFC 7323 2.3
      out.has_window_scale = true;
    }
    if (kind == 4 && length == 2) out.sack_permitted = true;
    if (kind == 8 && length == 10) {
      out.timestamp = body.be32();
      out.timestamp_echo = body.be32();
      out.has_timestamps = true;
    }
  }
  return out;
}

std::optional<FiveTuple> quoted_tuple(Bytes quoted) {
  FiveTuple tuple;
  uint8_t protocol = 0;
  size_t header = 0;
  if (quoted.size() >= 20 && quoted[0] >> 4 == 4) {
    if ((load_be16(&quoted[6]) & 0x1FFF) != 0) return std::nullopt;  // not the first fragment: no ports
    protocol = quoted[9];
    header = (quoted[0] & 15u) * 4u;
    tuple.src.ip = IpAddress::v4(&quoted[12]);
    tuple.dst.ip = IpAddress::v4(&quoted[16]);
  } else if (quoted.size() >= 40 && quoted[0] >> 4 == 6) {
    protocol = quoted[6];
    header = 40;
    tuple.src.ip = IpAddress::v6(&quoted[8]);
    tuple.dst.ip = IpAddress::v6(&quoted[24]);
  }
  if (header < 20) return std::nullopt;
  switch (protocol) {
    case kTcp: tuple.transport = Transport::kTcp; break;
    case kUdp: tuple.transport = Transport::kUdp; break;
    case kSctp: tuple.transport = Transport::kSctp; break;
    case kIcmp: tuple.transport = Transport::kIcmp; return tuple;
    case kIcmp6: tuple.transport = Transport::kIcmp6; return tuple;
    default: return tuple;
  }
  if (quoted.size() < header + 4) return std::nullopt;
  tuple.src.port = load_be16(&quoted[header]);
  tuple.dst.port = load_be16(&quoted[header + 2]);
  return tuple;
}

const char* to_string(DecodeStatus status) {
  switch (status) {
    case DecodeStatus::kTransport: return "decoded";
    case DecodeStatus::kNotIp: return "not IP";
    case DecodeStatus::kFragment: return "fragments";
    case DecodeStatus::kUnknownLink: return "unknown link type";
    case DecodeStatus::kCutLink: return "cut in the link header";
    case DecodeStatus::kCutIp: return "cut in the IP header";
    case DecodeStatus::kCutTransport: return "cut in the transport header";
    case DecodeStatus::kBadIp: return "wrong IP header";
    case DecodeStatus::kBadTransport: return "wrong transport header";
    case DecodeStatus::kTooManyLayers: return "too many layers";
    case DecodeStatus::kBadFragment: return "wrong fragments";
    case DecodeStatus::kOtherTransport: return "other IP protocols";
    case DecodeStatus::kCount: break;
  }
  return "";
}

namespace {

/// The packet that nearly all are: Ethernet, IPv4 without options or fragments, TCP, captured whole. False: it is
/// another, and the chain takes it apart, with the same result.
bool decode_plain_tcp(const Packet& packet, Decoded& out) {
  constexpr size_t kIp = 14, kTcpAt = kIp + 20;
  const uint8_t* const p = packet.bytes.data();
  const size_t size = packet.bytes.size();
  if (packet.link != LinkType::kEthernet || size < kTcpAt + 20 || size < packet.wire_length) return false;
  if (load_be16(p + 12) != kEtherIpv4 || p[kIp] != 0x45 || p[kIp + 9] != kTcp) return false;
  const size_t total = load_be16(p + kIp + 2), header = (p[kTcpAt + 12] >> 4) * 4u;
  if ((load_be16(p + kIp + 6) & 0x3FFF) != 0 || header < 20 || total < 20 + header || kIp + total > size) return false;
  out.tuple = {{IpAddress::v4(p + kIp + 12), load_be16(p + kTcpAt)},
               {IpAddress::v4(p + kIp + 16), load_be16(p + kTcpAt + 2)},
               Transport::kTcp};
  out.tcp = {load_be32(p + kTcpAt + 4),
             load_be32(p + kTcpAt + 8),
             load_be16(p + kTcpAt + 14),
             static_cast<uint8_t>(p[kTcpAt + 13] & 0x3F),
             {p + kTcpAt + 20, header - 20}};
  out.payload = {p + kTcpAt + header, total - 20 - header};
  out.payload_missing = 0;
  out.ip_length = static_cast<uint32_t>(total);
  out.icmp = {};
  out.sctp_tag = 0;
  out.checksum = load_be16(p + kTcpAt + 16);
  out.vlan = 0;
  out.tunnels = 0;
  out.defragmented = false;
  out.datagram = 0;
  out.more_at = 0;
  return true;
}

}  // namespace

DecodeStatus Decoder::decode(const Packet& packet, Decoded& out) {
  DecodeStatus status = DecodeStatus::kTransport;
  if (!decode_plain_tcp(packet, out)) {
    out = Decoded{};
    status = Chain(packet, fragments_, out).run();
  }
  ++counts_[static_cast<size_t>(status)];
  return status;
}

bool Decoder::next_head(Timestamp now, bool all, Decoded& out, Timestamp& time) {
  Defragmenter::Head head;
  while (fragments_.take_head(now, all, head)) {
    if (head.next_header != kUdp) continue;  // of others the first bytes are no message, or have numbers of their own
    out = Decoded{};
    time = head.time;
    if (Chain({.time = head.time, .bytes = head.bytes}, fragments_, out).run_head(head) != DecodeStatus::kTransport ||
        out.tuple.transport != Transport::kUdp)
      continue;
    return true;
  }
  return false;
}

}  // namespace baleen::net
