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
    if (link == LinkType::kEthernet) return packet;
    const LinkHeader header = follow_links(read_link(link, packet), packet);
    if (packet.size() <= header.size) return with_type(kExperimental, packet);
    const Bytes rest = packet.subspan(header.size);
    switch (header.next) {
      case LinkHeader::Next::kEthernet: return rest;
      case LinkHeader::Next::kEtherType: return with_type(header.type, rest);
      case LinkHeader::Next::kIp: return with_type(ip_type(rest[0]), rest);
      default: return with_type(kExperimental, packet);
    }
  }

 private:
  static constexpr uint16_t kExperimental = 0x88B5;  // IEEE's for nobody in particular: a reader shows the bytes

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
