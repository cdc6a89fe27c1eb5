#pragma once

#include <vector>

#include "net/links.h"
#include "net/packet.h"

namespace baleen::net {

/// A classic pcap file has one link type; packets of others get an Ethernet header with zero addresses in its place.
class EthernetForm {
 public:
  /// A view of `packet`, or of memory that is this object's until the next call.
  Bytes of(Bytes packet, LinkType link) {
    switch (link) {
      case LinkType::kEthernet: return packet;
      case LinkType::kLinuxSll:
        return packet.size() < 16 ? packet : with_type(load_be16(&packet[14]), packet.subspan(16));
      case LinkType::kLinuxSll2:
        return packet.size() < 20 ? packet : with_type(load_be16(packet.data()), packet.subspan(20));
      case LinkType::kNull:
      case LinkType::kLoop: return packet.size() < 5 ? packet : with_type(ip_type(packet[4]), packet.subspan(4));
      case LinkType::kRaw:
      case LinkType::kIpv4:
      case LinkType::kIpv6: return packet.empty() ? packet : with_type(ip_type(packet[0]), packet);
      default: return behind(packet, link);
    }
  }

 private:
  static constexpr int kMostLinks = 4;               // within each other
  static constexpr uint16_t kExperimental = 0x88B5;  // IEEE's for nobody in particular: a reader shows the bytes

  /// Links that are seldom met. What is no packet of IP keeps its bytes.
  Bytes behind(Bytes packet, LinkType link) {
    LinkHeader h = read_link(link, packet);
    for (int depth = 0; depth < kMostLinks && packet.size() > h.size; ++depth) {
      const Bytes rest = packet.subspan(h.size);
      switch (h.next) {
        case LinkHeader::Next::kEthernet: return rest;
        case LinkHeader::Next::kEtherType: return with_type(h.type, rest);
        case LinkHeader::Next::kIp: return with_type(ip_type(rest[0]), rest);
        case LinkHeader::Next::kWlan: h = read_wlan(rest); break;
        case LinkHeader::Next::kLink:
          if (h.type == static_cast<uint16_t>(LinkType::kEthernet)) return rest;
          h = read_link(static_cast<LinkType>(h.type), rest);
          break;
        default: return with_type(kExperimental, packet);
      }
      packet = rest;
    }
    return with_type(kExperimental, packet);
  }
  static uint16_t ip_type(uint8_t first) { return first >> 4 == 6 ? 0x86DD : 0x0800; }
  Bytes with_type(uint16_t type, Bytes payload) {
    buffer_.assign(14, 0);
    buffer_[12] = static_cast<uint8_t>(type >> 8);
    buffer_[13] = static_cast<uint8_t>(type);
    buffer_.insert(buffer_.end(), payload.begin(), payload.end());
    return buffer_;
  }
  std::vector<uint8_t> buffer_;
};

}  // namespace baleen::net
