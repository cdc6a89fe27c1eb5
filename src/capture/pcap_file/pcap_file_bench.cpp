#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "capture/pcap_file/pcap_file.h"
#include "codec/pcap/writer.h"

namespace baleen::capture {
namespace {

namespace fs = std::filesystem;

/// A capture of 512 MB in the temporary folder, so in the page cache, made once for each length of packets.
std::string capture_of(size_t length, bool ng) {
  const fs::path path = fs::temp_directory_path() / fmt::format("baleen-bench-{}-{}-{}.pcap", ::getpid(), length, ng);
  std::string buffer;
  std::ofstream out(path, std::ios::binary);
  codec::pcap::PcapngWriter modern(buffer);
  std::string classic_buffer;
  codec::pcap::PcapWriter classic(classic_buffer, 1);
  if (ng) {
    modern.section({});
    modern.interface({});
  }
  const std::string bytes(length, 'x');
  int64_t time = 1'764'000'000'000'000'000;
  uint64_t total = 0;
  while (total < 512'000'000) {
    const codec::pcap::PacketRecord record{.time = timestamp_from_ns(time += 1000),
                                           .bytes = as_bytes(bytes),
                                           .wire_length = static_cast<uint32_t>(length)};
    ng ? modern.packet(record) : classic.packet(record);
    std::string& pending = ng ? buffer : classic_buffer;
    if (pending.size() > 1 << 20) {
      out << pending;
      total += pending.size();
      pending.clear();
    }
  }
  out << (ng ? buffer : classic_buffer);
  return path.string();
}

/// Argument 0: bytes of a packet; 1: pcapng; 2: every cache line of the packets is looked at.
void BM_ReadFile(benchmark::State& state) {
  const std::string path = capture_of(static_cast<size_t>(state.range(0)), state.range(1) != 0);
  uint64_t packets = 0, sum = 0;
  for (auto _ : state) {
    auto source = PcapFileSource::open({.path = path});
    for (;;) {
      auto batch = (*source)->next_batch(std::chrono::seconds(1));
      if (!batch || batch->state() != PacketBatch::State::kPackets) break;
      packets += batch->size();
      for (const net::Packet& p : *batch) {
        sum += p.wire_length;
        if (state.range(2) != 0)
          for (size_t i = 0; i < p.bytes.size(); i += 64) sum += p.bytes[i];
      }
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<int64_t>(fs::file_size(path)) * static_cast<int64_t>(state.iterations()));
  state.counters["ns_per_packet"] =
      benchmark::Counter(static_cast<double>(packets) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  fs::remove(path);
}
BENCHMARK(BM_ReadFile)->ArgsProduct({{100, 256, 1400}, {0, 1}, {0, 1}})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baleen::capture
