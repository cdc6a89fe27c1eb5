// In the steady state a packet and an item call malloc nowhere, from the engine to the C libraries: conversations that
// go on are played until pools and buffers have their sizes, and then not one call is allowed.

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "dissect/allocations.h"
#include "dissect/engine.h"
#include "dissect/http2/test_frames.h"
#include "dissect/registry.h"
#include "dissect/websocket/test_frames.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

struct Exchange {
  const char* name;
  std::string opening, granted;  // once, at the beginning
  std::string request, response;
  uint64_t items;
  size_t piece = 1400;
};

struct Counting final : EngineObserver {
  uint64_t items = 0;
  void on_item(item::ItemRef) override { ++items; }
};

std::string with_length(std::string_view head, std::string_view body) {
  return std::string(head) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, 0);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::vector<Exchange> exchanges() {
  const std::string get = "GET /a/b?x=1 HTTP/1.1\r\nHost: h\r\nCookie: a=1; b=2\r\nAccept: */*\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  const std::string json = "POST /g HTTP/1.1\r\nContent-Type: application/json\r\n";
  const std::string upgrade = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  const std::string switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
  const std::string deflated = websocket::deflate_message(std::string(3000, 'a') + "b");
  using websocket::kText;
  return {
      {"http", "", "", get, with_length(ok, "hello"), 1},
      {"http in small pieces", "", "", get, with_length(ok, std::string(300, 'x')), 1, 50},
      {"http, large bodies", "", "", with_length("POST / HTTP/1.1\r\n", std::string(20'000, 'y')),
       with_length(ok, std::string(300'000, 'x')), 1},
      {"http, chunks", "", "", get, ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n", 1, 11},
      {"http, gzip", "", "", get, with_length(ok + "Content-Encoding: gzip\r\n", gzip(std::string(10'000, 'z'))), 1},
      {"http, pipelined", "", "", get + get + get, with_length(ok, "1") + with_length(ok, "2") + with_length(ok, "3"),
       3},
      {"graphql", "", "", with_length(json, R"({"query":"query Q { a }","variables":{"a":[1,"\u00e9"]}})"),
       with_length("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", R"({"errors":[{"message":"x"}]})"), 1},
      {"websocket", upgrade, switching + "\r\n", websocket::masked(kText, std::string(9000, 'a')),
       websocket::frame(kText, "b", false) + websocket::frame(websocket::kContinuation, "c"), 2},
      {"websocket, deflated", upgrade, switching + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
       websocket::masked(kText, deflated, true, 4), websocket::frame(kText, deflated, true, 4), 2},
      {"http2", http2::hello(), http2::settings(http2::kSettings100), http2::get(1),
       http2::ok(1) + http2::data(1, "hello", true), 1},
      {"http2, entries that push others out", http2::hello(), http2::settings(http2::kSettings100),
       http2::headers(1, {{":method", "GET"}, {":path", "/" + std::string(900, 'p')}, {"x-id", "1"}, {"x-more", "2"}},
                      true, 0x40),
       http2::headers(1, {{":status", "200"}, {"x-id", std::string(500, 'i')}}, true, 0x40), 1},
      {"http2, in small pieces", http2::hello(), http2::settings(http2::kSettings100),
       http2::post(1) + http2::data(1, std::string(3000, 'y'), true),
       http2::ok(1) + http2::data(1, std::string(3000, 'x'), true), 1, 50},
      {"grpc", http2::hello(), http2::settings(http2::kSettings100),
       http2::call(1) + http2::data(1, http2::message("\x0a\x05world"), true),
       http2::answer(1) + http2::data(1, http2::message("\x0a\x05hello")) + http2::status(1, "0"), 1},
  };
}

/// A connection that goes on for ever; its packets are given to an engine as they are made.
class Connection {
 public:
  Connection(Engine& engine, uint16_t port) : engine_(engine) {
    ends_[0] = {*net::IpAddress::parse("10.0.0.9"), port};
    ends_[1] = {*net::IpAddress::parse("10.0.0.1"), 80};
    send(0, net::tcp_flag::kSyn, "");
    send(1, net::tcp_flag::kSyn | net::tcp_flag::kAck, "");
  }
  /// Packets made beforehand, so that only the engine is looked at.
  std::vector<net::OwnedPacket> packets_of(int from, std::string_view bytes, size_t piece) {
    std::vector<net::OwnedPacket> out;
    for (size_t at = 0; at < bytes.size(); at += piece)
      out.push_back(make(from, net::tcp_flag::kAck, bytes.substr(at, piece)));
    return out;
  }
  void send(int from, uint8_t flags, std::string_view bytes) { engine_.on_packet(make(from, flags, bytes).view()); }

 private:
  net::OwnedPacket make(int from, uint8_t flags, std::string_view bytes) {
    const net::TcpShape shape{ends_[from].port, ends_[1 - from].port, seq_[from], seq_[1 - from], flags};
    seq_[from] += static_cast<uint32_t>(bytes.size()) + ((flags & net::tcp_flag::kSyn) != 0 ? 1 : 0);
    time_ += 100'000;
    return {timestamp_from_ns(1'700'000'000'000'000'000 + time_),
            net::tcp_frame(ends_[from], ends_[1 - from], shape, bytes)};
  }

  Engine& engine_;
  net::Endpoint ends_[2];
  uint32_t seq_[2] = {1000, 5000};
  int64_t time_ = 0;
};

class SteadyState : public testing::TestWithParam<Exchange> {};

TEST_P(SteadyState, CallsNoMalloc) {
  if (BALEEN_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "sanitizers have allocators of their own";
  constexpr int kWarmUp = 40, kCounted = 40;
  const Exchange& exchange = GetParam();
  Counting seen;
  EngineOptions options;
  options.protocols = registry();
  options.flow_limit = 1000;
  Engine engine(options, seen);
  Connection connection(engine, 40000);
  std::vector<net::OwnedPacket> packets;
  const auto say = [&](int from, std::string_view bytes, size_t piece) {
    for (net::OwnedPacket& packet : connection.packets_of(from, bytes, piece)) packets.push_back(std::move(packet));
  };
  say(0, exchange.opening, 1400);
  say(1, exchange.granted, 1400);
  size_t warm = 0;
  for (int i = 0; i < kWarmUp + kCounted; ++i) {
    if (i == kWarmUp) warm = packets.size();
    say(0, exchange.request, exchange.piece);
    say(1, exchange.response, exchange.piece);
  }
  for (size_t i = 0; i < warm; ++i) engine.on_packet(packets[i].view());
  const uint64_t items = seen.items, before = allocations;
  for (size_t i = warm; i < packets.size(); ++i) engine.on_packet(packets[i].view());
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(seen.items - items, kCounted * exchange.items);
}

INSTANTIATE_TEST_SUITE_P(Exchanges, SteadyState, testing::ValuesIn(exchanges()),
                         [](const testing::TestParamInfo<Exchange>& row) {
                           std::string name = row.param.name;
                           for (char& c : name)
                             if (c == ' ' || c == ',') c = '_';
                           return name;
                         });

TEST(Allocations, AreCounted) {
  if (BALEEN_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "sanitizers have allocators of their own";
  const uint64_t before = allocations;
  std::string(1000, 'x').swap(*std::make_unique<std::string>());
  EXPECT_GE(allocations - before, 1u);
}

}  // namespace
}  // namespace baleen::dissect
