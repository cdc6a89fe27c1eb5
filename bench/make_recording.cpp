// Makes a large recording in a folder out of real items, for bench/query.py: the block writer itself writes it, so that
// what is read back is what a cluster of nodes would have left. Node n's pods are always the same ones; items of the
// captures repeat with new times, streams and pods.
//
//     make_recording FOLDER BLOCKS ITEMS_PER_BLOCK CAPTURE...

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "dissect/selection.h"
#include "item/json.h"
#include "record/block_writer.h"

namespace {

using namespace baleen;
namespace fs = std::filesystem;

constexpr uint64_t kNodes = 10, kPodsOfNode = 40, kStreamsWithPackets = 100;
constexpr size_t kLargestItem = 4096, kMostSeeds = 20'000;
constexpr auto kBlockTime = std::chrono::seconds(300);
const Timestamp kBegin = timestamp_from_ns(1'767'225'600'000'000'000);  // 2026-01-01

struct SeedPacket {
  uint64_t stream;
  std::string bytes;
  uint32_t wire_length;
  net::LinkType link;
};

class Seeds final : public dissect::EngineObserver {
 public:
  /// Items as services exchange them: pages with whole pictures would only measure how these compress.
  void on_item(item::ItemRef item) override {
    text_.clear();
    item::append_json(*item, text_);
    if (text_.size() > kLargestItem || items.size() >= kMostSeeds) return;
    json_bytes += text_.size();
    items.push_back(std::move(item));
  }
  void on_packet(dissect::StreamRef stream, const net::Packet& p, const net::Decoded&) override {
    if (packets.size() < 100'000)
      packets.push_back({stream.number, std::string(as_text(p.bytes)), p.wire_length, p.link});
  }
  Result<> read(const std::string& path) {
    dissect::EngineOptions options;
    options.protocols = dissectors.protocols;
    options.origin = &origin;
    options.tell_packets = true;
    options.first_stream = next_stream;
    engines.push_back(std::make_unique<dissect::Engine>(options, *this));
    BALEEN_TRY(const auto source, capture::PcapFileSource::open({.path = path, .follow = false}));
    while (true) {
      BALEEN_TRY(auto batch, source->next_batch(std::chrono::seconds(1)));
      if (batch.state() == capture::PacketBatch::State::kEnd) break;
      engines.back()->on_batch(batch.packets());
    }
    engines.back()->finish();
    next_stream += engines.back()->counters().streams + 1;
    return {};
  }
  dissect::Selection dissectors = dissect::select_dissectors({});
  item::Origin origin{"10.0.0.1:48999", "seed", "10.0.0.1"};
  std::vector<std::unique_ptr<dissect::Engine>> engines;  // own the items
  std::vector<item::ItemRef> items;
  std::vector<SeedPacket> packets;
  uint64_t next_stream = 0, json_bytes = 0;

 private:
  std::string text_;
};

/// Makes one block after the other; several threads share the numbers.
class Maker {
 public:
  Maker(std::string folder, uint64_t items, std::atomic<uint64_t>& next, uint64_t blocks)
      : folder_(std::move(folder)), items_(items), next_(next), blocks_(blocks) {
    for (uint64_t node = 0; node < kNodes; ++node)
      for (uint64_t pod = 0; pod < kPodsOfNode; ++pod) pods_.push_back(fmt::format("shop-{}-{}", node, pod));
  }
  Seeds& seeds() { return seeds_; }
  Result<> run() {
    for (uint64_t n = next_++; n < blocks_; n = next_++) BALEEN_TRY_DO(block(n));
    return {};
  }

 private:
  Result<> block(uint64_t n) {
    const uint64_t node = n % kNodes, slot = n / kNodes;
    const std::string name = fmt::format("node-{}", node), scratch = fmt::format("{}/.make/{}", folder_, n);
    const Timestamp begin = kBegin + slot * kBlockTime + node * std::chrono::seconds(30);
    seeds_.origin.node_name = name;
    BALEEN_TRY(auto writer, record::BlockWriter::create(
                                scratch, {"bench", "true", folder_, name, "", fmt::format("run{}", node), slot + 1}));
    const Duration step = Duration(kBlockTime) / static_cast<int64_t>(items_);
    const uint64_t rounds = items_ / seeds_.items.size() + 1, all = seeds_.next_stream;
    for (uint64_t i = 0; i < items_; ++i) {
      const item::ItemRef& seed = seeds_.items[i % seeds_.items.size()];
      item::Item& item = *seed.sole();
      const uint64_t stream = item.stream;
      const Duration move = begin + step * static_cast<int64_t>(i) - item.time();
      for (item::Message* m : {&item.request, &item.response, &item.data}) m->time += move;
      item.stream = (slot * rounds + i / seeds_.items.size()) * all + stream;
      const uint64_t pod = (item.stream * 7919) % kPodsOfNode;
      item.client.name = item.client.pod = pods_[node * kPodsOfNode + pod];
      item.client.name_space = "shop";
      item.server.name = item.server.service = "front";
      item.server.name_space = "web";
      const auto added = writer->add_item(item);
      item.stream = stream;
      BALEEN_TRY_DO(added);
    }
    for (const SeedPacket& p : seeds_.packets) {
      const uint64_t stream = slot * rounds * all + p.stream;
      if (p.stream >= kStreamsWithPackets) break;
      record::RecordedPacket packet;
      packet.time = begin;
      packet.bytes = as_bytes(p.bytes);
      packet.wire_length = p.wire_length;
      packet.link = p.link;
      char buffer[32];
      const size_t size = item::write_stream_name(stream, item::StreamKind::kTcp, buffer);
      BALEEN_TRY_DO(writer->add_packet(std::string(buffer, size), packet));
    }
    index::LossLedger ledger;
    ledger.items_seen = ledger.items_stored = (slot + 1) * items_;
    ledger.packets_matched = ledger.packets_stored = (slot + 1) * writer->packets();
    BALEEN_TRY(const index::BlockRecord record, writer->finish({{"eth0"}}, ledger));
    const auto move = [&](const char* from, const std::string& key) {
      const fs::path to = fs::path(folder_) / key;
      fs::create_directories(to.parent_path());
      fs::rename(fs::path(scratch) / from, to);
    };
    const index::BlockKeys keys = index::block_keys("bench", record.first, record.block);
    move("packets.pcapng", record.packets_object.key);
    move("items.parquet", record.items_object.key);
    move("block.json", keys.record);
    fs::remove_all(scratch);
    return {};
  }
  std::string folder_;
  uint64_t items_;
  std::atomic<uint64_t>& next_;
  uint64_t blocks_;
  std::vector<std::string> pods_;
  Seeds seeds_;
};

Result<> make(const std::string& folder, uint64_t blocks, uint64_t items, const std::vector<std::string>& captures) {
  std::atomic<uint64_t> next{0};
  std::vector<Result<>> outcomes(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::jthread> threads;
  for (size_t n = 0; n < outcomes.size(); ++n)
    threads.emplace_back([&, n] {
      Result<>& outcome = outcomes[n];
      Maker maker(folder, items, next, blocks);
      for (const std::string& path : captures)
        if (outcome) outcome = maker.seeds().read(path);
      if (outcome && maker.seeds().items.empty()) outcome = Error{Code::kInvalid, "the captures hold no items"};
      if (outcome && n == 0)
        fmt::print("{} items of the captures, {} bytes of JSON each\n", maker.seeds().items.size(),
                   maker.seeds().json_bytes / maker.seeds().items.size());
      if (outcome) outcome = maker.run();
    });
  threads.clear();
  for (Result<>& outcome : outcomes) BALEEN_TRY_DO(outcome);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    fmt::print(stderr, "usage: make_recording FOLDER BLOCKS ITEMS_PER_BLOCK CAPTURE...\n");
    return 2;
  }
  const uint64_t blocks = std::strtoull(argv[2], nullptr, 10), items = std::strtoull(argv[3], nullptr, 10);
  const auto begin = std::chrono::steady_clock::now();
  if (const auto made = make(fs::absolute(argv[1]).string(), blocks, items, {argv + 4, argv + argc}); !made) {
    fmt::print(stderr, "make_recording: {}\n", made.error().message);
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} blocks, {} items in {:.1f} s: {:.0f} items/s\n", blocks, blocks * items, seconds,
             static_cast<double>(blocks * items) / seconds);
}
