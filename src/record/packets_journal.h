#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "codec/pcap/format.h"

// The packets journal of an open block: kPacketsMagic, then records of
//
//   size    32 bits, of all of the record
//   number  32 bits: of the packet's stream in this block, or one of the kinds below
//   crc32c  32 bits, of what follows
//   content
//
// Everything is little-endian. A packet's content is its Enhanced Packet Block as the finished file will have it, so
// that this file is put together from ranges of the journal. Streams and interfaces are numbered in the order in which
// their records come, which is before their first packets. The sum tells what a loss of power has left half written.

namespace baleen::record {

inline constexpr std::string_view kPacketsMagic = "BLNPKTS2";
inline constexpr size_t kRecordHead = 12;

/// Numbers of records; those below are packets' of that stream.
enum RecordKind : uint32_t {
  kStreamName = 0xFFFFFF00,
  kInterface,  // number of the capture's interface (32 bits), link type (16 bits)
  kSecrets,    // lines of a TLS key log
};

/// A packet's block in the journal, without the record's head.
struct PacketPlace {
  uint64_t offset = 0;
  uint32_t size = 0, crc32c = 0;
};

/// Appends a record; returns the place of its content when `at` is where the buffer will lie in the journal.
PacketPlace append_record(std::string& buffer, uint64_t at, uint32_t number, std::string_view content);
/// The same for a packet, whose interface is a number of the journal.
PacketPlace append_packet(std::string& buffer, uint64_t at, uint32_t stream, const codec::pcap::PacketRecord& packet);

struct JournalRecord {
  uint32_t number = 0;
  PacketPlace place;
  Bytes content;
};
/// Takes the record at `at` apart and moves `at` behind it; false when it is not whole.
bool next_record(Bytes journal, uint64_t& at, JournalRecord& out);

/// The content of a packet's record. False when it is no Enhanced Packet Block (draft-ietf-opsawg-pcapng 4.3).
bool read_packet_block(Bytes block, codec::pcap::PacketRecord& out);

/// What journals had before they had a magic: a size, time, wire length, interface, link type, length of the stream's
/// name, that name, the packet. `stream` is empty for lines of a key log, which are `packet.bytes` then.
struct OldRecord {
  std::string_view stream;
  codec::pcap::PacketRecord packet;
  bool secrets = false;
};
bool next_old_record(Bytes journal, uint64_t& at, OldRecord& out);

}  // namespace baleen::record
