#include "offline/block_packets.h"

#include <algorithm>
#include <array>
#include <span>

namespace baleen::offline {

Result<std::unique_ptr<BlockPackets>> BlockPackets::load(index::RecordingReader& reader,
                                                         const index::BlockRecord& block,
                                                         const std::function<void(Bytes)>& secrets) {
  std::unique_ptr<BlockPackets> out(new BlockPackets);
  const index::ObjectRecord& object = block.packets_object;
  const uint64_t size = object.encryption ? object.encryption->text_size : object.size;
  if (size == 0) return out;
  BALEEN_TRY(out->content_, reader.packets_bytes(block, 0, size));
  codec::pcap::Reader pcapng;
  std::array<codec::pcap::PacketRecord, 256> records;
  size_t at = 0, place = 0;
  int64_t last = INT64_MIN;
  for (;;) {
    const auto step = pcapng.read(as_bytes(out->content_).subspan(at), records);
    for (const codec::pcap::PacketRecord& r : std::span(records).first(step.packets)) {
      const size_t before = place;
      while (place < block.streams.size() && r.offset >= block.streams[place].offset + block.streams[place].length)
        ++place;
      if (place == block.streams.size()) break;
      if (place != before) last = INT64_MIN;
      last = std::max(last, to_ns(r.time));
      out->packets_.push_back({last, static_cast<uint32_t>(place), r.interface, r});
    }
    at += step.consumed;
    if (step.kind == codec::pcap::Reader::Kind::kSecrets && step.type == codec::pcap::kTlsKeyLog) secrets(step.body);
    if (step.kind == codec::pcap::Reader::Kind::kFailed) return pcapng.error();
    if (step.kind == codec::pcap::Reader::Kind::kNeed) break;
  }
  std::stable_sort(out->packets_.begin(), out->packets_.end(),
                   [](const Packet& a, const Packet& b) { return a.time_ns < b.time_ns; });
  return out;
}

}  // namespace baleen::offline
