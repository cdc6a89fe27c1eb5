#pragma once

// For tests, fuzzers and benchmarks: makes packets, and reads capture files whole.

#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/packet.h"

namespace baleen::net {

/// A packet that owns its bytes.
struct OwnedPacket {
  Timestamp time{};
  std::string bytes;
  uint32_t wire_length = 0;  // 0: all of `bytes`
  LinkType link = LinkType::kEthernet;

  Packet view() const {
    const auto size = static_cast<uint32_t>(bytes.size());
    return {time, as_bytes(bytes), wire_length != 0 ? wire_length : size, 0, link};
  }
};

// Each of these puts one header in front of what it carries.
std::string ethernet_frame(uint16_t type, std::string_view payload);
std::string vlan_tag(uint16_t id, uint16_t type, std::string_view payload);  // goes behind EtherType 0x8100 or 0x88A8
/// `fragment`: flags and offset as in the header. Addresses as text.
std::string ipv4_packet(std::string_view src, std::string_view dst, uint8_t protocol, std::string_view payload,
                        uint16_t fragment = 0, uint16_t id = 1, std::string_view options = {});
std::string ipv6_packet(std::string_view src, std::string_view dst, uint8_t next_header, std::string_view payload);
std::string udp_datagram(uint16_t src, uint16_t dst, std::string_view payload);

struct TcpShape {
  uint16_t src = 0, dst = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t flags = 0;
  std::string options{};  // padded to four bytes by the writer
};
std::string tcp_segment(const TcpShape& shape, std::string_view payload);

/// The whole way up: Ethernet, IPv4 or IPv6 as the addresses say, and the segment or datagram.
std::string tcp_frame(const Endpoint& src, const Endpoint& dst, TcpShape shape, std::string_view payload);
std::string udp_frame(const Endpoint& src, const Endpoint& dst, std::string_view payload);

std::string be16_text(uint16_t v);
std::string be32_text(uint32_t v);

/// The packets of a pcap or pcapng file, as far as it can be read.
std::vector<OwnedPacket> load_capture(const std::string& path);

/// The folder of the shared captures: $BALEEN_SHARED/captures, else ../shared/captures beside the source; empty when it
/// is not there, and then tests that need it skip themselves.
std::string captures_folder();
/// All capture files in it, sorted.
std::vector<std::string> capture_files();

}  // namespace baleen::net
