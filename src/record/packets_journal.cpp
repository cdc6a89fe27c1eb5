#include "record/packets_journal.h"

#include "base/crc32c.h"
#include "codec/pcap/writer.h"
#include "record/block_files.h"

namespace baleen::record {
namespace {

constexpr size_t kOldHead = 4 + 8 + 4 + 4 + 2 + 2;
constexpr uint16_t kOldSecrets = 0xFFFF;  // in place of a link type

/// Its content lies behind it already.
PacketPlace close_record(std::string& buffer, size_t begin, uint64_t at, uint32_t number) {
  const Bytes content = as_bytes(std::string_view(buffer).substr(begin + kRecordHead));
  const PacketPlace place{at + begin + kRecordHead, static_cast<uint32_t>(content.size()), crc32c(content)};
  const uint32_t head[3] = {static_cast<uint32_t>(buffer.size() - begin), number, place.crc32c};
  static_assert(sizeof head == kRecordHead);
  buffer.replace(begin, kRecordHead, reinterpret_cast<const char*>(head), kRecordHead);
  return place;
}

}  // namespace

PacketPlace append_record(std::string& buffer, uint64_t at, uint32_t number, std::string_view content) {
  const size_t begin = buffer.size();
  buffer.append(kRecordHead, '\0');
  buffer += content;
  return close_record(buffer, begin, at, number);
}

PacketPlace append_packet(std::string& buffer, uint64_t at, uint32_t stream, const codec::pcap::PacketRecord& packet) {
  const size_t begin = buffer.size();
  buffer.append(kRecordHead, '\0');
  codec::pcap::PcapngWriter(buffer, 0, packet.interface + 1).packet(packet);
  return close_record(buffer, begin, at, stream);
}

bool next_record(Bytes journal, uint64_t& at, JournalRecord& out) {
  ByteReader r(journal.subspan(at));
  const uint32_t size = r.le32();
  out.number = r.le32();
  const uint32_t crc = r.le32();
  if (!r.ok() || size < kRecordHead || size > journal.size() - at) return false;
  out.content = r.bytes(size - kRecordHead);
  if (crc32c(out.content) != crc) return false;
  out.place = {at + kRecordHead, size - static_cast<uint32_t>(kRecordHead), crc};
  at += size;
  return true;
}

bool read_packet_block(Bytes block, codec::pcap::PacketRecord& out) {
  ByteReader r(block);
  if (r.le32() != codec::pcap::kEnhancedPacket || r.le32() != block.size()) return false;
  out.interface = r.le32();
  const uint64_t high = r.le32();
  out.time = timestamp_from_ns(static_cast<int64_t>(high << 32 | r.le32()));
  const uint32_t length = r.le32();
  out.wire_length = r.le32();
  out.bytes = r.bytes(length);
  return r.ok();
}

bool next_old_record(Bytes journal, uint64_t& at, OldRecord& out) {
  ByteReader r(journal.subspan(at));
  const uint32_t size = r.le32();
  const Timestamp time = timestamp_from_ns(static_cast<int64_t>(r.le64()));
  const uint32_t wire = r.le32(), interface = r.le32();
  const uint16_t link = r.le16(), name = r.le16();
  if (!r.ok() || size < kOldHead + name || size > journal.size() - at) return false;
  out.stream = r.text(name);
  out.packet = {};
  out.packet.time = time;
  out.packet.bytes = r.bytes(size - kOldHead - name);
  out.packet.wire_length = wire;
  out.packet.interface = interface;
  out.packet.link = link;
  out.secrets = link == kOldSecrets;
  at += size;
  return r.ok();
}

}  // namespace baleen::record
