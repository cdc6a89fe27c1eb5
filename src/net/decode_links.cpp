// Chain: links, and what stands between them and IP.

#include "net/decode_chain.h"

namespace baleen::net {

DecodeStatus Chain::link(LinkType type) {
  if (type == LinkType::kEthernet) return next(Layer::kEthernet);
  return type == LinkType::kNflog ? nflog() : follow(read_link(type, at_));
}

DecodeStatus Chain::follow(const LinkHeader& first) {
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

void Chain::note_more(size_t offset) {
  const uint8_t* const begin = packet_.bytes.data();
  if (out_.defragmented) return;
  const size_t at = static_cast<size_t>(at_.data() - begin) + offset;
  if (at <= UINT16_MAX) out_.more_at = static_cast<uint16_t>(at);
}

DecodeStatus Chain::ethernet() {
  if (!have(14)) return DecodeStatus::kCutLink;
  const uint16_t type = load_be16(&at_[12]);
  take(14);
  return next_type(type);
}

DecodeStatus Chain::nflog() {
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

DecodeStatus Chain::ether_type() {
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

DecodeStatus Chain::service_header() {
  if (!have(8)) return DecodeStatus::kCutLink;
  const size_t header = (at_[1] & 0x3Fu) * 4;
  const uint8_t carried = at_[3];
  if (header < 8 || !have(header)) return DecodeStatus::kCutLink;
  take(header);
  ++out_.tunnels;
  if (carried == 1 || carried == 2) return next(Layer::kIp);
  return carried == 3 ? next(Layer::kEthernet) : carried == 5 ? next(Layer::kMpls) : DecodeStatus::kNotIp;
}

DecodeStatus Chain::vlan() {
  if (!have(4)) return DecodeStatus::kCutLink;
  if (out_.vlan == 0) out_.vlan = load_be16(at_.data()) & 0x0FFF;
  const uint16_t type = load_be16(&at_[2]);
  take(4);
  return next_type(type);
}

DecodeStatus Chain::macsec() {
  if (!have(1)) return DecodeStatus::kCutLink;
  const uint8_t control = at_[0];
  if ((control & 0x8C) != 0) return DecodeStatus::kNotIp;  // another version, encrypted or changed
  const size_t header = (control & 0x20) != 0 ? 14 : 6;
  if (!have(header + 2)) return DecodeStatus::kCutLink;
  const uint16_t type = load_be16(&at_[header]);
  take(header + 2);
  return next_type(type);
}

DecodeStatus Chain::pppoe() {
  if (!have(6)) return DecodeStatus::kCutLink;
  take(6);
  return follow(read_ppp(at_));
}

DecodeStatus Chain::mpls() {
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

}  // namespace baleen::net
