#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "codec/pcap/reader.h"
#include "codec/pcap/writer.h"

// Reads the input whole and through windows whose sizes come from the input itself: both must give the same packets,
// and what was read must come back equal from what the pcapng writer makes of it.

namespace {

using namespace baleen;
using namespace baleen::codec::pcap;

struct Digest {
  std::string text;  // everything that was met, one line each
  std::vector<std::pair<PacketRecord, std::string>> packets;
  ReaderCounters counters;
  std::string error;
};

void add(Digest& digest, Reader& reader, const Reader::Step& step, std::span<const PacketRecord> records) {
  for (const PacketRecord& r : records.first(step.packets)) {
    digest.text += std::to_string(to_ns(r.time)) + ' ' + std::to_string(r.wire_length) + ' ' +
                   std::to_string(r.interface) + ' ' + std::to_string(r.link) + ' ' + std::to_string(r.offset) + ' ';
    digest.text.append(as_text(r.bytes)).append(r.comment) += '\n';
    digest.packets.emplace_back(r, std::string(as_text(r.bytes)));
  }
  if (step.kind == Reader::Kind::kSecrets) digest.text.append(as_text(step.body)) += '\n';
  if (step.kind == Reader::Kind::kNames)
    reader.read_names(step.body,
                      [&](const Name& name) { digest.text.append(as_text(name.address)).append(name.name) += '\n'; });
}

Digest read(Bytes input, size_t step_size, size_t batch) {
  Digest digest;
  Reader reader({.packet_bytes = 1 << 16, .block_bytes = 1 << 17, .interfaces = 100});
  std::vector<PacketRecord> records(batch);
  size_t begin = 0, end = std::min(step_size, input.size());
  for (;;) {
    const size_t size = end - begin;
    auto* window = static_cast<uint8_t*>(std::malloc(size + (size == 0)));
    std::copy_n(input.data() + begin, size, window);
    const Reader::Step step = reader.read({window, size}, records);
    BALEEN_CHECK(step.consumed <= size && step.packets <= batch);
    add(digest, reader, step, records);
    begin += step.consumed;
    std::free(window);
    if (step.kind == Reader::Kind::kFailed) break;
    if (step.kind != Reader::Kind::kNeed) continue;
    BALEEN_CHECK(step.need > end - begin);
    if (end == input.size()) {
      (void)reader.finish(input.subspan(begin));
      break;
    }
    end += std::min(step_size, input.size() - end);
  }
  digest.counters = reader.counters();
  if (reader.failed()) digest.error = reader.error().message;
  return digest;
}

void write_and_read_back(const Digest& digest) {
  std::string file;
  PcapngWriter writer(file);
  writer.section({});
  writer.interface({});
  for (const auto& [record, bytes] : digest.packets)
    writer.packet({.time = record.time, .bytes = as_bytes(bytes), .wire_length = record.wire_length});
  const Digest again = read(as_bytes(file), file.size(), 16);
  BALEEN_CHECK(again.error.empty() && again.packets.size() == digest.packets.size());
  for (size_t i = 0; i < again.packets.size(); ++i) {
    BALEEN_CHECK(again.packets[i].second == digest.packets[i].second);
    BALEEN_CHECK(to_ns(again.packets[i].first.time) == std::max<int64_t>(to_ns(digest.packets[i].first.time), 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input{data, size};
  const Digest whole = read(input, size, 64);
  const size_t step = size == 0 ? 1 : 1 + data[size - 1];
  const Digest cut = read(input, step, 1 + step % 5);
  BALEEN_CHECK(whole.text == cut.text);
  BALEEN_CHECK(whole.counters == cut.counters);
  BALEEN_CHECK(whole.error == cut.error);
  write_and_read_back(whole);
  return 0;
}
