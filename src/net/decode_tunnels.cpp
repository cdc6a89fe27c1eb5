// Chain: what carries packets within UDP and GRE.

#include "net/decode_chain.h"

namespace baleen::net {

DecodeStatus Chain::udp_tunnel() {
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

DecodeStatus Chain::carried(const LinkHeader& header) {
  const bool fits = header.next == LinkHeader::Next::kIp ? looks_like_ip(header.size)
                    : header.next == LinkHeader::Next::kEthernet
                        ? looks_like_ethernet(header.size)
                        : header.next == LinkHeader::Next::kEtherType || header.next == LinkHeader::Next::kLink;
  if (!fits) return kGoOn;
  ++out_.tunnels;
  return follow(header);
}

DecodeStatus Chain::teredo() {
  size_t at = 0;
  if (have(4) && at_[0] == 0 && at_[1] == 1) at = 13u + at_[2] + at_[3];
  if (have(at + 2) && at_[at] == 0 && at_[at + 1] == 0) at += 8;
  if (!looks_like_ip(at) || at_[at] >> 4 != 6) return kGoOn;
  take(at);
  ++out_.tunnels;
  return next(Layer::kIp);
}

bool Chain::looks_like_ip(size_t offset) const {
  if (!have(offset + 20)) return false;
  const uint8_t* p = at_.data() + offset;
  if (p[0] >> 4 == 6) return have(offset + 40);
  const size_t header = (p[0] & 15u) * 4u, total = load_be16(p + 2);
  return p[0] >> 4 == 4 && header >= 20 && (total == 0 || total >= header);
}

bool Chain::looks_like_mpls() const {
  for (size_t at = 0; at < 16 * 4 && have(at + 4); at += 4)
    if ((at_[at + 2] & 1) != 0) return looks_like_ip(at + 4);
  return false;
}

bool Chain::carries_known_type(size_t offset) const {
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

bool Chain::looks_like_ethernet(size_t offset) const {
  if (carries_known_type(offset)) return true;
  const uint16_t type = have(offset + 14) ? load_be16(&at_[offset + 12]) : 0;
  return type != 0 && type < 1536;  // 802.3: a length
}

DecodeStatus Chain::vxlan() {
  if (!have(8) || (at_[0] & 0x08) == 0 || at_[7] != 0 || !looks_like_ethernet(8)) return kGoOn;
  take(8);
  ++out_.tunnels;
  return next(Layer::kEthernet);
}

DecodeStatus Chain::vxlan_gpe() {
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

DecodeStatus Chain::geneve() {
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

DecodeStatus Chain::gtp() {
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

DecodeStatus Chain::gre() {
  if (!have(4)) return DecodeStatus::kCutTransport;
  const uint16_t flags = load_be16(at_.data()), type = load_be16(&at_[2]);
  const int version = flags & 7;
  size_t header = 4 + ((flags & 0x8000) != 0 || (flags & 0x4000) != 0 ? 4 : 0) + ((flags & 0x2000) != 0 ? 4 : 0) +
                  ((flags & 0x1000) != 0 ? 4 : 0);
  if (version == 1) return pptp(flags, type);
  if (version != 0) return DecodeStatus::kOtherTransport;
  if ((flags & 0x4000) != 0) return DecodeStatus::kOtherTransport;  // source routing (RFC 1701) is gone since RFC 2784
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

DecodeStatus Chain::pptp(uint16_t flags, uint16_t type) {
  const size_t header = 8 + ((flags & 0x1000) != 0 ? 4 : 0) + ((flags & 0x0080) != 0 ? 4 : 0);
  if (type != kPppOfGre) return DecodeStatus::kOtherTransport;
  if (!have(header)) return DecodeStatus::kCutTransport;
  take(header);
  ++out_.tunnels;
  if (!have(1)) return DecodeStatus::kOtherTransport;  // only an acknowledgement
  return follow(read_ppp(at_));
}

DecodeStatus Chain::erspan() {
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

}  // namespace baleen::net
