// Writes blocks into a spool as fast as they go, for bench/spool.py: packets of 64 streams to the journal, closed at 64
// MiB, composed and sealed on threads of their own, as Recorder has it. What is finished is removed: nothing here
// uploads.
//
//     write_spool FOLDER GIGABYTES [PACKET_BYTES]
//
// Prints bytes of packets, seconds, CPU seconds (user, system).

#include <fmt/core.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/task_thread.h"
#include "record/block_writer.h"

namespace {

using namespace baleen;
namespace fs = std::filesystem;

constexpr uint64_t kBlock = 64 << 20, kFlush = 4 << 20, kOrder = 8 << 20, kStreams = 64;
constexpr size_t kFinishing = 2;

[[noreturn]] void fail(const Error& error) {
  fmt::print(stderr, "write_spool: {}\n", error.message);
  std::exit(1);
}

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: write_spool FOLDER GIGABYTES [PACKET_BYTES]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const auto wanted = static_cast<uint64_t>(std::atof(argv[2]) * 1e9);
  const std::string content(argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1514, 'x');
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> streams;  // their names, which a recorder has at hand
  for (uint64_t n = 0; n < kStreams; ++n) streams.push_back(fmt::format("{:012}.pcap", n));
  uint64_t written = 0, number = 0;
  {
    TaskThread syncer("sync"), sealer("seal"), finisher("compose");
    while (written < wanted) {
      const std::string place = fmt::format("{}/open/{:06}", folder, ++number);
      auto made = record::BlockWriter::create(place, {"bench", "", "file:///nowhere", "node", "", "00000001", number});
      if (!made) fail(made.error());
      const std::shared_ptr<record::BlockWriter> block = *std::move(made);
      uint64_t flushed = 0, ordered = 0;
      for (uint64_t n = 0; block->packet_bytes() < kBlock; ++n) {
        record::RecordedPacket packet;
        packet.time = timestamp_from_ns(static_cast<int64_t>(1'700'000'000'000'000'000 + n * 1000));
        packet.bytes = as_bytes(content);
        packet.wire_length = static_cast<uint32_t>(content.size());
        if (const auto added = block->add_packet(streams[n % kStreams], packet); !added) fail(added.error());
        if (block->packet_bytes() - flushed < kFlush) continue;
        flushed = block->packet_bytes();
        if (const auto done = block->flush(); !done) fail(done.error());
        if (block->flushed_bytes() - ordered < kOrder) continue;
        ordered = block->flushed_bytes();
        syncer.run([journals = block->syncer()] { journals->order(); });
      }
      written += block->packet_bytes();
      while (finisher.unfinished() + sealer.unfinished() > kFinishing)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      finisher.run([&sealer, block, place] {
        if (const auto done = block->compose({}, {}, record::PacketsAs::kOrder); !done) fail(done.error());
        sealer.run([block, place] {
          if (const auto done = block->seal(); !done) fail(done.error());
          fs::remove_all(place);
        });
      });
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  fmt::print("{} {:.3f} {:.3f} {:.3f}\n", written, took.count(), seconds(used.ru_utime), seconds(used.ru_stime));
  return 0;
}
