// The engine under many connections: what an idle one costs in memory, and whether anything is allocated per packet.

#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dissect/engine.h"
#include "dissect/registry.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using net::tcp_flag::kAck;
using net::tcp_flag::kSyn;

struct Counting final : EngineObserver {
  uint64_t items = 0;
  void on_item(item::ItemRef) override { ++items; }
  void on_stream_end(StreamRef, StreamEnd) override {}
};

size_t resident_bytes() {
  size_t pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%zu %zu", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

constexpr std::string_view kQuestion = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A connection's packets, made once; its client's address and port are written into them for each flow.
class Template {
 public:
  Template() {
    const net::Endpoint client{*net::IpAddress::parse("10.0.0.9"), 45000},
        server{*net::IpAddress::parse("10.9.0.1"), 80};
    const auto add = [&](int from, uint32_t seq, uint32_t ack, uint8_t flags, std::string_view payload) {
      const net::TcpShape shape{from == 0 ? client.port : server.port, from == 0 ? server.port : client.port, seq, ack,
                                flags};
      frames_.push_back(
          {from, net::tcp_frame(from == 0 ? client : server, from == 0 ? server : client, shape, payload)});
    };
    add(0, 999, 0, kSyn, "");
    add(1, 4999, 1000, kSyn | kAck, "");
    add(0, 1000, 5000, kAck, "");
    add(0, 1000, 5000, kAck, kQuestion);
    add(1, 5000, 1000 + kQuestion.size(), kAck, kAnswer);
  }
  void play(Engine& engine, uint32_t flow, int64_t& time_ns) {
    const uint32_t address = 0x0B000000u + flow / 40000;
    const auto port = static_cast<uint16_t>(1024 + flow % 40000);
    for (auto& [from, bytes] : frames_) {
      char* ip = bytes.data() + (from == 0 ? 26 : 30);
      char* tcp = bytes.data() + (from == 0 ? 34 : 36);
      for (int i = 0; i < 4; ++i) ip[i] = static_cast<char>(address >> (24 - 8 * i));
      tcp[0] = static_cast<char>(port >> 8);
      tcp[1] = static_cast<char>(port);
      const auto size = static_cast<uint32_t>(bytes.size());
      engine.on_packet({timestamp_from_ns(time_ns += 100), as_bytes(bytes), size, 0, net::LinkType::kEthernet});
    }
  }

 private:
  std::vector<std::pair<int, std::string>> frames_;
};

/// A million connections that have exchanged a request and an answer, and are silent now.
void idle_flows(benchmark::State& state) {
  constexpr uint32_t kFlows = 1'000'000;
  for (auto _ : state) {
    Counting counting;
    EngineOptions options;
    options.protocols = registry();
    options.flow_limit = kFlows + 1;
    Engine engine(options, counting);
    Template connection;
    int64_t time_ns = 1'700'000'000'000'000'000;
    ::malloc_trim(0);
    const size_t before = resident_bytes();
    for (uint32_t flow = 0; flow < kFlows; ++flow) connection.play(engine, flow, time_ns);
    const size_t after = resident_bytes();
    if (engine.flows() != kFlows || counting.items != kFlows) std::abort();
    state.counters["bytes_per_flow"] = static_cast<double>(after - before) / kFlows;
  }
}
BENCHMARK(idle_flows)->Iterations(1)->Unit(benchmark::kMillisecond);

/// Kept-alive connections of one shard that exchange small messages in turn.
class Exchanges {
 public:
  explicit Exchanges(uint8_t shard) {
    for (uint16_t n = 0; n < kConnections; ++n) {
      const net::Endpoint client{*net::IpAddress::parse("10.1." + std::to_string(shard) + ".9"),
                                 static_cast<uint16_t>(40000 + n)},
          server{*net::IpAddress::parse("10.2.0.1"), 80};
      const auto frame = [&](int from, std::string_view payload) {
        const net::TcpShape shape{from == 0 ? client.port : server.port, from == 0 ? server.port : client.port, 0, 0,
                                  kAck};
        return net::tcp_frame(from == 0 ? client : server, from == 0 ? server : client, shape, payload);
      };
      frames_.push_back(frame(0, kQuestion));
      frames_.push_back(frame(1, kAnswer));
    }
  }
  static constexpr uint16_t kConnections = 256;
  /// One exchange on each connection.
  void play(Engine& engine) {
    packets_.clear();
    for (size_t i = 0; i < frames_.size(); ++i) {
      const bool question = i % 2 == 0;
      number(frames_[i], 38, question ? asked_ : answered_);
      number(frames_[i], 42, question ? answered_ : asked_ + static_cast<uint32_t>(kQuestion.size()));
      packets_.push_back({timestamp_from_ns(time_ns_ += 100), as_bytes(frames_[i]),
                          static_cast<uint32_t>(frames_[i].size()), 0, net::LinkType::kEthernet});
    }
    asked_ += static_cast<uint32_t>(kQuestion.size());
    answered_ += static_cast<uint32_t>(kAnswer.size());
    engine.on_batch(packets_);
  }

 private:
  static void number(std::string& frame, size_t at, uint32_t n) {
    for (size_t i = 0; i < 4; ++i) frame[at + i] = static_cast<char>(n >> (24 - 8 * i));
  }
  std::vector<std::string> frames_;
  std::vector<net::Packet> packets_;
  uint32_t asked_ = 1000, answered_ = 5000;
  int64_t time_ns_ = 1'700'000'000'000'000'000;
};

/// As many shards as threads, which share nothing: items of all of them together.
void shards(benchmark::State& state) {
  Counting counting;
  EngineOptions options;
  options.protocols = registry();
  Engine engine(options, counting);
  Exchanges exchanges(static_cast<uint8_t>(state.thread_index()));
  for (auto _ : state) exchanges.play(engine);
  if (counting.items < static_cast<uint64_t>(state.iterations() - 1) * Exchanges::kConnections) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(counting.items));
}
BENCHMARK(shards)->Threads(1)->Threads(2)->UseRealTime()->MinTime(2);

}  // namespace
}  // namespace baleen::dissect
