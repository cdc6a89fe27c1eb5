#include "net/harness.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "codec/pcap/reader.h"

namespace baleen::net {
namespace {

std::string address_bytes(std::string_view text, size_t size) {
  const IpAddress a = IpAddress::parse(text).value();
  return std::string(reinterpret_cast<const char*>(a.bytes.data()) + (16 - size), size);
}

std::string ip_packet(const Endpoint& src, const Endpoint& dst, uint8_t protocol, std::string_view payload) {
  const bool v4 = src.ip.is_v4() && dst.ip.is_v4();
  return ethernet_frame(v4 ? 0x0800 : 0x86DD,
                        v4 ? ipv4_packet(to_string(src.ip), to_string(dst.ip), protocol, payload)
                           : ipv6_packet(to_string(src.ip), to_string(dst.ip), protocol, payload));
}

}  // namespace

std::string be16_text(uint16_t v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
std::string be32_text(uint32_t v) {
  return be16_text(static_cast<uint16_t>(v >> 16)) + be16_text(static_cast<uint16_t>(v));
}

std::string ethernet_frame(uint16_t type, std::string_view payload) {
  return std::string("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01", 12) + be16_text(type) + std::string(payload);
}

std::string vlan_tag(uint16_t id, uint16_t type, std::string_view payload) {
  return be16_text(id) + be16_text(type) + std::string(payload);
}

std::string ipv4_packet(std::string_view src, std::string_view dst, uint8_t protocol, std::string_view payload,
                        uint16_t fragment, uint16_t id, std::string_view options) {
  const size_t header = 20 + (options.size() + 3) / 4 * 4;
  std::string out{static_cast<char>(0x40 | header / 4), 0};
  out += be16_text(static_cast<uint16_t>(header + payload.size())) + be16_text(id) + be16_text(fragment);
  out += {64, static_cast<char>(protocol), 0, 0};
  out += address_bytes(src, 4) + address_bytes(dst, 4) + std::string(options);
  out.resize(header);
  return out + std::string(payload);
}

std::string ipv6_packet(std::string_view src, std::string_view dst, uint8_t next_header, std::string_view payload) {
  std::string out("\x60\0\0\0", 4);
  out += be16_text(static_cast<uint16_t>(payload.size()));
  out += {static_cast<char>(next_header), 64};
  return out + address_bytes(src, 16) + address_bytes(dst, 16) + std::string(payload);
}

std::string udp_datagram(uint16_t src, uint16_t dst, std::string_view payload) {
  return be16_text(src) + be16_text(dst) + be16_text(static_cast<uint16_t>(8 + payload.size())) + be16_text(0) +
         std::string(payload);
}

std::string tcp_segment(const TcpShape& shape, std::string_view payload) {
  std::string options = shape.options;
  options.resize((options.size() + 3) / 4 * 4);
  std::string out = be16_text(shape.src) + be16_text(shape.dst) + be32_text(shape.seq) + be32_text(shape.ack);
  out += {static_cast<char>((20 + options.size()) / 4 << 4), static_cast<char>(shape.flags)};
  return out + be16_text(65000) + be32_text(0) + options + std::string(payload);
}

std::string tcp_frame(const Endpoint& src, const Endpoint& dst, TcpShape shape, std::string_view payload) {
  shape.src = src.port;
  shape.dst = dst.port;
  return ip_packet(src, dst, 6, tcp_segment(shape, payload));
}

std::string udp_frame(const Endpoint& src, const Endpoint& dst, std::string_view payload) {
  return ip_packet(src, dst, 17, udp_datagram(src.port, dst.port, payload));
}

std::vector<OwnedPacket> load_capture(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  std::vector<OwnedPacket> packets;
  codec::pcap::Reader reader;
  std::array<codec::pcap::PacketRecord, 64> records;
  Bytes window = as_bytes(content);
  for (;;) {
    const auto step = reader.read(window, records);
    for (const auto& r : std::span(records).first(step.packets))
      packets.push_back({r.time, std::string(as_text(r.bytes)), r.wire_length, static_cast<LinkType>(r.link)});
    window = window.subspan(step.consumed);
    if (step.kind == codec::pcap::Reader::Kind::kFailed || step.kind == codec::pcap::Reader::Kind::kNeed) break;
  }
  return packets;
}

std::string captures_folder() {
  const char* shared = std::getenv("BALEEN_SHARED");
  const std::filesystem::path folder =
      std::filesystem::path(shared != nullptr ? shared : BALEEN_SOURCE_DIR "/../shared") / "captures";
  return std::filesystem::is_directory(folder) ? folder.string() : std::string();
}

std::vector<std::string> capture_files() {
  std::vector<std::string> files;
  const std::string folder = captures_folder();
  if (folder.empty()) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".pcap" || extension == ".pcapng" || extension == ".cap"))
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace baleen::net
