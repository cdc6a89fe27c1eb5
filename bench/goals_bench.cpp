// From a capture file to a sink, as `baleen dissect` does it: reading, decoding, flows, reassembly, dissection and a
// filter of one term. One row for each rate that the project has set itself, with the goal beside the figure:
//
//     goals_bench [--benchmark_filter=redis]
//
// A row's captures are made when it runs (64 kept-alive connections in turn, segments of at most 1448 bytes, in
// $TMPDIR) and read from the page cache; time is CPU time of the thread, that of the kernel included. The counts are
// known and checked.

#include <benchmark/benchmark.h>
#include <nghttp2/nghttp2.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "capture/pcap_file/pcap_file.h"
#include "codec/pcap/writer.h"
#include "dissect/allocations.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "dissect/test_bytes.h"
#include "kfl/kfl.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kPsh;
using net::tcp_flag::kSyn;
using namespace std::string_literals;

constexpr size_t kSegment = 1448;
constexpr uint32_t kConnections = 64;

// ---- captures ----

/// A capture file that is removed with it.
class CaptureOut {
 public:
  CaptureOut()
      : path_(std::filesystem::temp_directory_path() / ("baleen-goals-" + std::to_string(::getpid()) + ".pcap")),
        file_(path_, std::ios::binary),
        writer_(buffer_, 1) {}
  ~CaptureOut() { std::filesystem::remove(path_); }
  void frame(const std::string& bytes) {
    time_ += std::chrono::microseconds(3);
    writer_.packet({.time = time_, .bytes = as_bytes(bytes), .wire_length = static_cast<uint32_t>(bytes.size())});
    if (buffer_.size() > (1 << 20)) flush();
  }
  /// Everything is written; the file's path.
  std::string finish() {
    flush();
    file_.close();
    if (!file_) std::abort();
    return path_.string();
  }

 private:
  void flush() {
    file_ << buffer_;
    buffer_.clear();
  }
  std::filesystem::path path_;
  std::ofstream file_;
  std::string buffer_;
  codec::pcap::PcapWriter writer_;
  Timestamp time_ = timestamp_from_ns(1'700'000'000'000'000'000);
};

/// Two ends that talk; TCP with its opening and end, or datagrams.
class Connection {
 public:
  Connection(CaptureOut& out, uint32_t number, uint16_t port, bool tcp) : out_(out), tcp_(tcp) {
    ends_[0] = {*net::IpAddress::parse("10.1.0." + std::to_string(number % 250 + 1)),
                static_cast<uint16_t>(40000 + number)};
    ends_[1] = {*net::IpAddress::parse("10.2.0.1"), port};
    if (!tcp) return;
    segment(0, kSyn, "");
    segment(1, kSyn | kAck, "");
    segment(0, kAck, "");
  }
  void say(int side, std::string_view bytes) {
    if (!tcp_) return out_.frame(net::udp_frame(ends_[side], ends_[1 - side], bytes));
    for (size_t at = 0; at < bytes.size(); at += kSegment) segment(side, kPsh | kAck, bytes.substr(at, kSegment));
  }
  void close() {
    if (!tcp_) return;
    segment(0, kFin | kAck, "");
    segment(1, kFin | kAck, "");
    segment(0, kAck, "");
  }

 private:
  void segment(int side, uint8_t flags, std::string_view bytes) {
    const uint32_t ack = (flags & kAck) != 0 ? next_[1 - side] : 0;
    out_.frame(net::tcp_frame(ends_[side], ends_[1 - side],
                              {ends_[side].port, ends_[1 - side].port, next_[side], ack, flags}, bytes));
    next_[side] += static_cast<uint32_t>(bytes.size()) + ((flags & (kSyn | kFin)) != 0 ? 1 : 0);
  }
  CaptureOut& out_;
  bool tcp_;
  net::Endpoint ends_[2];
  uint32_t next_[2] = {1000, 5'000'000};
};

// ---- what is said ----

/// What a client asks and a server answers; `first` says that the connection is new, before which both greet.
class Speaker {
 public:
  virtual ~Speaker() = default;
  virtual std::pair<std::string, std::string> greeting() { return {}; }
  virtual std::pair<std::string, std::string> exchange(uint32_t number) = 0;
};
using MakeSpeaker = std::function<std::unique_ptr<Speaker>()>;

/// A protocol whose connections remember nothing.
class Fixed final : public Speaker {
 public:
  using Exchange = std::function<std::pair<std::string, std::string>(uint32_t)>;
  explicit Fixed(Exchange exchange, std::pair<std::string, std::string> greeting = {})
      : exchange_(std::move(exchange)), greeting_(std::move(greeting)) {}
  std::pair<std::string, std::string> greeting() override { return greeting_; }
  std::pair<std::string, std::string> exchange(uint32_t number) override { return exchange_(number); }

 private:
  Exchange exchange_;
  std::pair<std::string, std::string> greeting_;
};

Fixed::Exchange http(size_t body_bytes) {
  std::string body = "{\"items\":[";
  while (body.size() + 2 < body_bytes) body += "{\"id\":17,\"name\":\"x\"},";
  body.resize(body_bytes, ' ');
  return [body](uint32_t n) {
    const std::string id = std::to_string(n);
    return std::pair{"GET /api/v1/items/" + id +
                         "?page=2 HTTP/1.1\r\nHost: shop.default.svc\r\nUser-Agent: wrk/4.1\r\nAccept: "
                         "application/json\r\nX-Request-Id: 7f3b2a10-" +
                         id + "\r\n\r\n",
                     std::string(n % 50 == 49 ? "HTTP/1.1 500 Internal Server Error" : "HTTP/1.1 200 OK") +
                         "\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: "
                         "application/json\r\nContent-Length: " +
                         std::to_string(body.size()) + "\r\nConnection: keep-alive\r\n\r\n" + body};
  };
}

/// GETs with eight header fields, as clients and servers with tables of their own compress them.
class Http2Speaker final : public Speaker {
 public:
  Http2Speaker() {
    nghttp2_hd_deflate_new(&client_, 4096);
    nghttp2_hd_deflate_new(&server_, 4096);
  }
  ~Http2Speaker() override {
    nghttp2_hd_deflate_del(client_);
    nghttp2_hd_deflate_del(server_);
  }
  std::pair<std::string, std::string> greeting() override {
    const std::string settings = frame(4, 0, 0, unhex("0003 00000064"));
    return {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings, settings};
  }
  std::pair<std::string, std::string> exchange(uint32_t n) override {
    const std::string id = std::to_string(n), body = "{\"id\":" + id + ",\"name\":\"sock\"}";
    stream_ += 2;
    return {frame(1, 5, stream_,
                  block(client_, {{":method", "GET"},
                                  {":scheme", "http"},
                                  {":path", "/api/v1/items/" + std::to_string(n % 1000)},
                                  {":authority", "shop.default.svc"},
                                  {"user-agent", "grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"},
                                  {"accept", "application/json"},
                                  {"accept-encoding", "gzip"},
                                  {"x-request-id", "7f3b2a10-" + id}})),
            frame(1, 4, stream_,
                  block(server_, {{":status", "200"},
                                  {"server", "nginx/1.22.1"},
                                  {"content-type", "application/json"},
                                  {"content-length", std::to_string(body.size())}})) +
                frame(0, 1, stream_, body)};
  }

 private:
  using Header = std::pair<std::string, std::string>;
  static std::string frame(int type, int flags, uint32_t stream, const std::string& payload) {
    return be(payload.size(), 3) + be(static_cast<uint64_t>(type), 1) + be(static_cast<uint64_t>(flags), 1) +
           be(stream, 4) + payload;
  }
  static std::string block(nghttp2_hd_deflater* deflater, std::vector<Header> headers) {
    std::vector<nghttp2_nv> fields;
    for (Header& h : headers)
      fields.push_back({reinterpret_cast<uint8_t*>(h.first.data()), reinterpret_cast<uint8_t*>(h.second.data()),
                        h.first.size(), h.second.size(), 0});
    std::string out(4096, '\0');
    const auto size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(out.data()), out.size(), fields.data(),
                                            fields.size());
    if (size < 0) std::abort();
    out.resize(static_cast<size_t>(size));
    return out;
  }
  nghttp2_hd_deflater *client_ = nullptr, *server_ = nullptr;
  uint32_t stream_ = UINT32_MAX;  // the first is 1
};

/// `depth` commands in one segment, and their replies in one.
Fixed::Exchange redis(size_t depth) {
  return [depth](uint32_t n) {
    std::string commands, replies;
    for (size_t i = 0; i < depth; ++i) {
      const std::string key = "key:" + be(0, 0) + std::to_string(1000 + (n + i) % 9000);
      if ((n + i) % 2 == 0) {
        commands += "*3\r\n$3\r\nSET\r\n$8\r\n" + key + "\r\n$8\r\nvalue-01\r\n";
        replies += "+OK\r\n";
      } else {
        commands += "*2\r\n$3\r\nGET\r\n$8\r\n" + key + "\r\n";
        replies += "$8\r\nvalue-01\r\n";
      }
    }
    return std::pair{commands, replies};
  };
}

std::pair<std::string, std::string> dns(uint32_t n) {
  const std::string question = unhex("03 'www' 07 'example' 03 'com' 00 0001 0001"), id = be(n & 0xFFFF, 2);
  return {id + unhex("0100 0001 0000 0000 0000") + question,
          id + unhex("8180 0001 0001 0000 0000") + question + unhex("c00c 0001 0001 0000003c 0004 0a000001")};
}

/// Produce of one small record to one partition.
std::pair<std::string, std::string> kafka(uint32_t n) {
  const std::string record = unhex("26 00 00 00 08 'key1' 14 'value-0001' 00");
  const std::string batch =
      be(0, 8) + sized(4, be(0, 4) + be(2, 1) + be(0, 4) + be(0, 2) + be(0, 4) + be(1000, 8) + be(1000, 8) +
                              be(UINT64_MAX, 8) + be(0xFFFF, 2) + be(UINT32_MAX, 4) + be(1, 4) + record);
  const std::string head = be(0, 2) + be(3, 2) + be(n, 4) + sized(2, "client-1");
  return {sized(4, head + be(0xFFFF, 2) + be(1, 2) + be(1000, 4) + be(1, 4) + sized(2, "topic") + be(1, 4) + be(0, 4) +
                       sized(4, batch)),
          sized(4, be(n, 4) + be(1, 4) + sized(2, "topic") + be(1, 4) + be(0, 4) + be(0, 2) + be(n, 8) +
                       be(UINT64_MAX, 8) + be(0, 4))};
}

std::string pg(char type, const std::string& body) { return type + be(body.size() + 4, 4) + body; }

/// A simple query for one row of one column.
std::pair<std::string, std::string> postgresql(uint32_t n) {
  const std::string value = std::to_string(n);
  return {pg('Q', "select id from t where a = " + value + "\0"s), pg('T', "\0\1id\0"s + std::string(18, '\0')) +
                                                                      pg('D', "\0\1"s + sized(4, value)) +
                                                                      pg('C', "SELECT 1\0"s) + pg('Z', "I")};
}
const std::pair<std::string, std::string> kPgGreeting = {
    sized(0, "") + be(4 + 4 + 16, 4) + be(196608, 4) + "user\0app\0\0\0\0\0\0\0\0"s.substr(0, 16),
    pg('R', be(0, 4)) + pg('Z', "I")};

// ---- the goals ----

struct Goal {
  const char* name;
  uint16_t port;
  bool tcp;
  const char* filter;  // everything but greetings matches
  size_t exchanges;
  size_t items;       // of an exchange
  double units;       // of an exchange, as the goal counts them; 0: bits of the file
  double per_second;  // the goal
  const char* unit;
  MakeSpeaker speaker;
};

MakeSpeaker fixed(Fixed::Exchange exchange, std::pair<std::string, std::string> greeting = {}) {
  return [=] { return std::make_unique<Fixed>(exchange, greeting); };
}

const std::vector<Goal>& goals() {
  static const std::vector<Goal> all = {
      {"http_1500", 80, true, "response.status < 600", 100'000, 1, 1, 1e6, "transactions", fixed(http(1500))},
      {"http_200", 80, true, "response.status < 600", 200'000, 1, 1, 1e6, "transactions", fixed(http(200))},
      {"http_bulk", 80, true, "response.status < 600", 100, 1, 0, 10e9, "bits", fixed(http(4 << 20))},
      {"http2", 80, true, "response.status < 600", 200'000, 1, 1, 5e5, "streams",
       [] { return std::make_unique<Http2Speaker>(); }},
      {"redis_one_by_one", 6379, true, "request.command != \"\"", 200'000, 1, 1, 3e6, "commands", fixed(redis(1))},
      {"redis_pipelined_16", 6379, true, "request.command != \"\"", 50'000, 16, 16, 3e6, "commands", fixed(redis(16))},
      {"dns", 53, false, "request.opCode == \"Query\"", 300'000, 1, 2, 2e6, "messages", fixed(dns)},
      {"kafka", 9092, true, "request.apiKey == 0", 200'000, 1, 2, 1e6, "messages", fixed(kafka)},
      {"postgresql", 5432, true, "request.command == \"SELECT\"", 200'000, 1, 5, 1e6, "messages",
       fixed(postgresql, kPgGreeting)},
  };
  return all;
}

std::string make_capture(const Goal& goal, CaptureOut& out) {
  std::vector<Connection> connections;
  std::vector<std::unique_ptr<Speaker>> speakers;
  for (uint32_t i = 0; i < kConnections; ++i) {
    connections.emplace_back(out, i, goal.port, goal.tcp);
    speakers.push_back(goal.speaker());
    const auto [hello, welcome] = speakers.back()->greeting();
    connections[i].say(0, hello);
    connections[i].say(1, welcome);
  }
  for (uint32_t n = 0; n < goal.exchanges; ++n) {
    const auto [question, answer] = speakers[n % kConnections]->exchange(n);
    connections[n % kConnections].say(0, question);
    connections[n % kConnections].say(1, answer);
  }
  for (Connection& connection : connections) connection.close();
  return out.finish();
}

/// Where items go that the filter lets through.
/// Two of them, for two threads, lie side by side: they shall share no cache line.
struct alignas(128) Sink final : EngineObserver {
  explicit Sink(const kfl::Filter& with) : filter(with) {}
  void on_item(item::ItemRef item) override { matched += filter.matches(*item) ? 1 : 0; }
  void on_stream_end(StreamRef, StreamEnd) override {}
  const kfl::Filter& filter;
  uint64_t matched = 0;
};

void read_file(const std::string& path, Sink& sink) {
  EngineOptions options;
  options.protocols = registry();
  Engine engine(options, sink);
  auto source = capture::PcapFileSource::open({.path = path, .follow = false, .events = {}});
  if (!source) std::abort();
  for (;;) {
    auto batch = (*source)->next_batch(std::chrono::seconds(1));
    if (!batch) std::abort();
    if (batch->state() == capture::PacketBatch::State::kEnd) break;
    engine.on_batch(batch->packets(), batch->read_ahead());
  }
  engine.finish();
}

kfl::Filter filter_of(const Goal& goal) {
  kfl::Options options;
  options.protocols = cards();
  const kfl::Compiled compiled = kfl::compile(goal.filter, options);
  if (!compiled.filter) std::abort();
  return *compiled.filter;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void to_sink(benchmark::State& state, const Goal& goal) {
  CaptureOut out;
  const std::string path = make_capture(goal, out);
  const kfl::Filter filter = filter_of(goal);
  Sink sink(filter);
  read_file(path, sink);  // brings it into the page cache
  sink.matched = 0;
  const double before = cpu_seconds();
  const uint64_t allocated = allocations;
  for (auto _ : state) read_file(path, sink);
  const double spent = cpu_seconds() - before;
  const auto rounds = static_cast<double>(state.iterations());
  if (sink.matched != static_cast<uint64_t>(state.iterations()) * goal.exchanges * goal.items) std::abort();
  const auto bytes = static_cast<double>(std::filesystem::file_size(path));
  const double units = rounds * (goal.units == 0 ? bytes * 8 : goal.units * static_cast<double>(goal.exchanges));
  state.SetItemsProcessed(static_cast<int64_t>(sink.matched));
  state.SetBytesProcessed(static_cast<int64_t>(rounds * bytes));
  state.counters["allocations_per_item"] =
      static_cast<double>(allocations - allocated) / static_cast<double>(sink.matched);
  char label[128];
  std::snprintf(label, sizeof label, "%.2f M %s/s, the goal is %.1f: %.2f times", units / spent / 1e6, goal.unit,
                goal.per_second / 1e6, units / spent / goal.per_second);
  state.SetLabel(label);
}

/// Two shards, each with an engine and packets of its own, beside one: by the clock, so both processors must be free.
void two_shards(benchmark::State& state, const Goal& goal) {
  CaptureOut out;
  const std::string path = make_capture(goal, out);
  const kfl::Filter filter = filter_of(goal);
  Sink first(filter), second(filter);
  read_file(path, first);
  double one = 0, two = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    read_file(path, first);
    const auto middle = std::chrono::steady_clock::now();
    std::thread other([&] { read_file(path, second); });
    read_file(path, first);
    other.join();
    one += std::chrono::duration<double>(middle - begin).count();
    two += std::chrono::duration<double>(std::chrono::steady_clock::now() - middle).count();
  }
  if (second.matched != static_cast<uint64_t>(state.iterations()) * goal.exchanges * goal.items) std::abort();
  char label[128];
  std::snprintf(label, sizeof label, "two shards do %.2f times what one does, the goal is 1.8", 2 * one / two);
  state.SetLabel(label);
}

const int kRegistered = [] {
  for (const Goal& goal : goals()) {
    benchmark::RegisterBenchmark(goal.name, [&goal](benchmark::State& state) {
      to_sink(state, goal);
    })->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark((goal.name + "/two_shards"s).c_str(),
                                 [&goal](benchmark::State& state) { two_shards(state, goal); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  return 0;
}();

}  // namespace
}  // namespace baleen::dissect
