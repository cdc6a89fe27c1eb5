#pragma once

#include <vector>

#include "net/link.h"

namespace baleen::net {

/// A classic pcap file has one link type; packets of others get an Ethernet header with zero addresses in its place.
class EthernetForm {
 public:
  /// A view of `packet`, or of memory that is this object's until the next call.
  Bytes of(Bytes packet, LinkType link) {
    const Link l = read_link(link, packet);
    if (l.next == Link::Next::kEthernet) return packet.subspan(l.header);
    if (packet.size() <= l.header) return packet;
    const Bytes payload = packet.subspan(l.header);
    return with_type(l.next == Link::Next::kEtherType ? l.ether_type
                     : l.next == Link::Next::kMpls    ? uint16_t{0x8847}
                                                      : ip_type(payload[0]),
                     payload);
  }

 private:
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
