// Chain: IP, its extension headers and fragments.

#include "net/decode_chain.h"

namespace baleen::net {

DecodeStatus Chain::ip() {
  if (!have(1)) return DecodeStatus::kCutIp;
  const int version = at_[0] >> 4;
  if (version == 4) return ipv4();
  if (version == 6) return ipv6();
  return DecodeStatus::kBadIp;
}

DecodeStatus Chain::ipv4() {
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

DecodeStatus Chain::ipv6() {
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

DecodeStatus Chain::extension(uint8_t& header, size_t fixed, size_t unit) {
  if (!have(2)) return DecodeStatus::kCutIp;
  const size_t size = fixed + at_[1] * unit;
  if (!have(size)) return DecodeStatus::kCutIp;
  header = at_[0];
  take(size);
  return kGoOn;
}

DecodeStatus Chain::defragment(const FragmentKey& key, const FragmentPiece& piece) {
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

DecodeStatus Chain::ip_payload(uint8_t protocol) {
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

DecodeStatus Chain::authentication() {
  uint8_t header = 0;
  const DecodeStatus status = extension(header, 8, 4);
  return status == kGoOn ? header == kAuthentication ? DecodeStatus::kOtherTransport : ip_payload(header) : status;
}

DecodeStatus Chain::ether_ip() {
  if (!have(2)) return DecodeStatus::kCutIp;
  if (at_[0] >> 4 != 3) return DecodeStatus::kOtherTransport;
  take(2);
  ++out_.tunnels;
  return next(Layer::kEthernet);
}

}  // namespace baleen::net
