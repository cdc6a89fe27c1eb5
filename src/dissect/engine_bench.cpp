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

}  // namespace
}  // namespace baleen::dissect
