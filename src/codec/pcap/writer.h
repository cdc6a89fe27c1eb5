#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "codec/pcap/format.h"

// Writers append whole records to a string that the caller owns and may empty (after writing it to a file) between any
// two calls. Everything is little-endian with nanoseconds. Nothing allocates beyond the growth of that string.

namespace baleen::codec::pcap {

/// Writes a classic pcap file (magic 0xa1b23c4d): one link type, no names, no comments.
class PcapWriter {
 public:
  /// Borrows `out` for its own life and starts with the file header. `link` is a LINKTYPE_ number.
  PcapWriter(std::string& out, uint16_t link, uint32_t snap_length = 262144);

  /// Appends one packet; its `link` and `interface` are not looked at. Returns the offset of its record in the file.
  uint64_t packet(const PacketRecord& packet);
  /// Bytes of the file so far, also those that the caller has taken out of the string.
  uint64_t offset() const { return offset_; }

 private:
  std::string* out_;
  uint64_t offset_ = 0;
};

/// Bytes that packet() of PcapWriter adds for a packet of `length` bytes.
constexpr size_t pcap_record_size(size_t length) { return 16 + length; }

/// Writes a pcapng file, block by block. A section comes first, then interfaces, each before its packets.
///
///   std::string buffer;
///   PcapngWriter writer(buffer);
///   writer.section({.application = "baleen"});
///   const uint32_t eth0 = writer.interface({.link = 1, .name = "eth0"});
///   const uint64_t at = writer.packet({.time = t, .bytes = b, .wire_length = 60, .interface = eth0});
class PcapngWriter {
 public:
  /// Borrows `out` for its own life. `offset` is where the first block will lie in the file. `interfaces`: goes on with
  /// a section that has so many.
  explicit PcapngWriter(std::string& out, uint64_t offset = 0, uint32_t interfaces = 0)
      : out_(&out), offset_(offset), interfaces_(interfaces) {}

  /// Section Header Block; interface ids start from 0 again.
  uint64_t section(const Section& section);
  /// Interface Description Block; timestamps of its packets are written in nanoseconds whatever `resolution` says.
  /// Returns the id that its packets carry.
  uint32_t interface(const Interface& interface);
  /// Enhanced Packet Block with `comment` and direction when they are there. Returns the block's offset in the file.
  /// REQUIRES: packet.interface came from interface() of this section.
  uint64_t packet(const PacketRecord& packet);
  /// Name Resolution Blocks, as many as it takes; names with an address of neither 4 nor 16 bytes are left out.
  uint64_t names(std::span<const Name> names);
  /// Interface Statistics Block; counters that are kNotCounted are left out.
  uint64_t statistics(uint32_t interface, const InterfaceStatistics& statistics);
  /// Decryption Secrets Block. It must lie before the packets it decrypts.
  uint64_t secrets(Bytes data, uint32_t type = kTlsKeyLog);
  /// Custom Block of a Private Enterprise Number; `copyable`: tools may copy it to files they make.
  uint64_t custom(uint32_t enterprise, Bytes data, bool copyable = true);

  /// Where the next block will lie in the file.
  uint64_t offset() const { return offset_; }
  /// Interfaces of this section so far.
  uint32_t interfaces() const { return interfaces_; }

 private:
  size_t begin(uint32_t type, size_t size_hint);
  void end(size_t block_start);

  std::string* out_;
  uint64_t offset_;
  uint32_t interfaces_;
};

/// Bytes that packet() of PcapngWriter adds for a packet of `length` bytes without options.
constexpr size_t pcapng_packet_size(size_t length) { return 32 + ((length + 3) & ~size_t{3}); }

}  // namespace baleen::codec::pcap
