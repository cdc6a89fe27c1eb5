#include <algorithm>
#include <cstdlib>
#include <vector>

#include "record/packets_order.h"

/// The first byte says how much of the rest is a journal; what follows is an order of its packets, and the records of
/// both kinds of journals are looked for in all of it. Any bytes are an order or an error, and an order is read whole.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  const Bytes all(data, size);
  record::JournalRecord record;
  for (uint64_t at = 0; record::next_record(all, at, record);) {
    codec::pcap::PacketRecord packet;
    if (record::read_packet_block(record.content, packet) && packet.bytes.size() > record.content.size()) std::abort();
  }
  record::OldRecord old;
  for (uint64_t at = 0; record::next_old_record(all, at, old);)
    if (old.packet.bytes.size() > size) std::abort();
  if (size == 0) return 0;
  const size_t part = std::min<size_t>(data[0], size - 1);
  const Bytes journal = all.subspan(1, part), order = all.subspan(1 + part);
  for (const uint64_t file : {uint64_t{0}, uint64_t{64}, uint64_t{order.size()}}) {
    const auto packets = record::OrderedPackets::of(journal, order, file);
    if (!packets || file == 0) continue;
    std::vector<uint8_t> out(file);
    if (!io::read_all(**packets, 0, out)) std::abort();
  }
  return 0;
}
