#include "dissect/l4/connection.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "dissect/engine.h"
#include "dissect/l4/cards.h"
#include "dissect/registry.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect::l4 {
namespace {

using net::OwnedPacket;
using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kRst;
using net::tcp_flag::kSyn;

constexpr std::string_view kQuestion = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

net::Endpoint end_of(const char* ip, uint16_t port) { return {*net::IpAddress::parse(ip), port}; }

/// Packets at times that the test says, in milliseconds.
struct Script {
  std::vector<OwnedPacket> packets;
  net::Endpoint ends[2] = {end_of("10.0.0.9", 45000), end_of("10.0.0.1", 80)};

  void tcp(int64_t ms, int from, uint32_t seq, uint32_t ack, uint8_t flags, std::string_view payload = {}) {
    net::TcpShape shape{0, 0, seq, ack, flags};
    if ((flags & kSyn) != 0) shape.options = std::string("\x03\x03\x07", 3);
    packets.push_back({at(ms), net::tcp_frame(ends[from], ends[1 - from], shape, payload)});
  }
  void udp(int64_t ms, int from, std::string_view payload) {
    packets.push_back({at(ms), net::udp_frame(ends[from], ends[1 - from], payload)});
  }
  /// SYN, SYN-ACK, ACK: 20 ms and 10 ms apart. Client numbers go on from 101, the server's from 501.
  void open(int64_t ms = 0) {
    tcp(ms, 0, 100, 0, kSyn);
    tcp(ms + 20, 1, 500, 101, kSyn | kAck);
    tcp(ms + 30, 0, 101, 501, kAck);
  }
  static Timestamp at(int64_t ms) { return timestamp_from_ns(1'700'000'000'000'000'000 + ms * 1'000'000); }
};

struct Told final : EngineObserver {
  std::vector<item::ItemRef> items;
  void on_item(item::ItemRef item) override { items.push_back(std::move(item)); }
};

struct Replay {
  Told told;
  std::unique_ptr<Engine> engine;

  explicit Replay(const Script& script, bool flows = false, int64_t advance_ms = 0, uint64_t groups = 100) {
    EngineOptions options;
    options.protocols = registry();
    options.l4.tcp_conn = options.l4.udp_conn = !flows;
    options.l4.tcp_flow = options.l4.udp_flow = flows;
    options.l4_groups = groups;
    engine = std::make_unique<Engine>(options, told);
    for (const OwnedPacket& p : script.packets) engine->on_packet(p.view());
    if (advance_ms != 0) engine->advance(Script::at(advance_ms));
  }
  ~Replay() {
    engine->finish();
    told.items.clear();  // the pool goes with the engine
  }
  std::vector<const item::Item*> of(const item::Protocol& card) const {
    std::vector<const item::Item*> out;
    for (const item::ItemRef& item : told.items)
      if (item->protocol == &card) out.push_back(item.get());
    return out;
  }
};

int64_t number(const item::Item& item, std::string_view path) { return item::at_path(item, path).as_int(); }
int64_t metric(const item::Item& item, std::string_view name) {
  return number(item, "data.tcp_metrics." + std::string(name));
}
std::string text(const item::Item& item, std::string_view path) { return item::display(item::at_path(item, path)); }

TEST(Connection, is_told_once_when_both_ends_know_that_it_is_over) {
  Script s;
  s.open();
  s.tcp(40, 0, 101, 501, kAck, kQuestion);
  const auto after = static_cast<uint32_t>(101 + kQuestion.size());
  const auto answered = static_cast<uint32_t>(501 + kAnswer.size());
  s.tcp(90, 1, 501, after, kAck, kAnswer);
  s.tcp(100, 0, after, answered, kFin | kAck);
  s.tcp(120, 1, answered, after + 1, kFin | kAck);
  s.tcp(130, 0, after + 1, answered + 1, kAck);
  Replay run(s);
  const auto items = run.of(kTcpConn);
  ASSERT_EQ(items.size(), 1u);
  const item::Item& item = *items[0];
  EXPECT_EQ(item.outcome, item::Outcome::kSingle);
  EXPECT_EQ(text(item, "data.state"), "closed");
  EXPECT_EQ(text(item, "data.closed_by"), "fin");
  EXPECT_EQ(number(item, "data.local_pkts"), 5);
  EXPECT_EQ(number(item, "data.remote_pkts"), 3);
  EXPECT_EQ(number(item, "data.local_bytes"), int64_t(5 * 40 + 4 + kQuestion.size()));
  EXPECT_EQ(number(item, "data.remote_bytes"), int64_t(3 * 40 + 4 + kAnswer.size()));
  EXPECT_EQ(number(item, "data.duration_us"), 130'000);
  EXPECT_EQ(text(item, "data.l7_detected[0]"), "HTTP");
  EXPECT_EQ(metric(item, "connection_completeness"), 31);
  EXPECT_EQ(metric(item, "initial_rtt_us"), 30'000);
  EXPECT_EQ(metric(item, "time_to_first_byte_us"), 90'000);
  EXPECT_EQ(metric(item, "rtt_samples"), 6);
  EXPECT_EQ(metric(item, "rtt_min_us"), 10'000);
  EXPECT_EQ(metric(item, "rtt_max_us"), 50'000);
  EXPECT_EQ(metric(item, "window_scale"), 7);
  EXPECT_EQ(metric(item, "goodput_bytes"), int64_t(kQuestion.size() + kAnswer.size()));
  EXPECT_EQ(metric(item, "retransmissions"), 0);
  run.engine->finish();
  EXPECT_EQ(run.of(kTcpConn).size(), 1u);
}

struct Failure {
  const char* name;
  void (*script)(Script&);
  int64_t advance_ms;
  const char *state, *by, *error;
};

TEST(Connection, says_why_it_failed) {
  const Failure cases[] = {
      {"refused",
       [](Script& s) {
         s.tcp(0, 0, 100, 0, kSyn);
         s.tcp(1, 1, 0, 101, kRst | kAck);
       },
       0, "closed", "reset", "Reset: the connection was refused"},
      {"reset", [](Script& s) { s.open(), s.tcp(50, 1, 501, 101, kRst | kAck); }, 0, "closed", "reset",
       "Reset: the connection was reset"},
      {"nobody answers", [](Script& s) { s.tcp(0, 0, 100, 0, kSyn), s.tcp(1000, 0, 100, 0, kSyn); }, 70'000, "closed",
       "idle", "SynSent: nobody answered"},
      {"nobody has answered yet", [](Script& s) { s.tcp(0, 0, 100, 0, kSyn); }, 0, "open", "", ""},
      {"one end stays", [](Script& s) { s.open(), s.tcp(40, 0, 101, 501, kFin | kAck), s.tcp(41, 1, 501, 102, kAck); },
       1'300'000, "closed", "idle", "CloseWait: only one end closed the connection"},
      {"goes on", [](Script& s) { s.open(); }, 0, "in_progress", "", ""},
      {"idle", [](Script& s) { s.open(); }, 1'300'000, "closed", "idle", ""},
      {"unreachable",
       [](Script& s) {
         s.tcp(0, 0, 100, 0, kSyn);
         const std::string quoted = net::ipv4_packet("10.0.0.9", "10.0.0.1", 6, net::tcp_segment({45000, 80}, ""));
         s.packets.push_back(
             {Script::at(5),
              net::ethernet_frame(
                  0x0800, net::ipv4_packet("10.0.0.254", "10.0.0.9", 1, std::string("\3\1\0\0\0\0\0\0", 8) + quoted))});
       },
       70'000, "closed", "idle", "ICMP: DestinationUnreachable(Host)"},
  };
  for (const Failure& c : cases) {
    Script s;
    c.script(s);
    Replay run(s, false, c.advance_ms);
    run.engine->finish();
    const auto items = run.of(kTcpConn);
    ASSERT_FALSE(items.empty()) << c.name;
    const item::Item& item = *items.back();
    EXPECT_EQ(text(item, "data.state"), c.state) << c.name;
    EXPECT_EQ(text(item, "data.closed_by"), c.by) << c.name;
    EXPECT_EQ(item.error_message, c.error) << c.name;
    EXPECT_EQ(item.outcome == item::Outcome::kConnection, *c.error != 0) << c.name;
  }
}

struct Judgement {
  const char* name;
  void (*script)(Script&);
  std::map<std::string, int64_t> numbers;
};

TEST(Connection, judges_segments) {
  const Judgement cases[] = {
      {"retransmission",
       [](Script& s) { s.tcp(40, 0, 101, 501, kAck, "abc"), s.tcp(400, 0, 101, 501, kAck, "abc"); },
       {{"retransmissions", 1}, {"out_of_order", 0}, {"goodput_bytes", 3}, {"local_retransmissions", 1}}},
      {"retransmission of what was acknowledged",
       [](Script& s) {
         s.tcp(40, 0, 101, 501, kAck, "abc"), s.tcp(41, 1, 501, 104, kAck), s.tcp(42, 0, 101, 501, kAck, "ab");
       },
       {{"retransmissions", 1}, {"out_of_order", 0}}},
      {"fast retransmission",
       [](Script& s) {
         s.tcp(40, 0, 104, 501, kAck, "def");  // abc is missing
         for (int i = 0; i < 3; ++i) s.tcp(41 + i, 1, 501, 101, kAck);
         s.tcp(50, 0, 101, 501, kAck, "abc");
       },
       {{"retransmissions", 1}, {"fast_retransmissions", 1}, {"dup_acks", 3}, {"missing_segments", 1}}},
      {"out of order",
       [](Script& s) { s.tcp(40, 0, 104, 501, kAck, "def"), s.tcp(41, 0, 101, 501, kAck, "abc"); },
       {{"retransmissions", 0}, {"out_of_order", 1}, {"missing_segments", 1}, {"goodput_bytes", 6}}},
      {"keep-alive",
       [](Script& s) { s.tcp(9000, 0, 100, 501, kAck, "x"), s.tcp(9001, 1, 501, 101, kAck); },
       {{"keepalive_count", 1}, {"retransmissions", 0}, {"dup_acks", 0}}},
  };
  for (const Judgement& c : cases) {
    Script s;
    s.open();
    c.script(s);
    Replay run(s);
    run.engine->finish();
    const auto items = run.of(kTcpConn);
    ASSERT_EQ(items.size(), 1u) << c.name;
    for (const auto& [name, value] : c.numbers) EXPECT_EQ(metric(*items[0], name), value) << c.name << " " << name;
  }
}

TEST(Connection, that_goes_on_says_so_from_time_to_time) {
  Script s;
  s.open();
  for (int i = 1; i <= 200; ++i) s.tcp(i * 1000, 0, 100 + static_cast<uint32_t>(i), 501, kAck, "x");
  Replay run(s);
  auto items = run.of(kTcpConn);
  ASSERT_EQ(items.size(), 3u);
  for (const item::Item* item : items) EXPECT_EQ(text(*item, "data.state"), "in_progress");
  EXPECT_EQ(number(*items[1], "data.local_pps"), 1);
  EXPECT_GT(number(*items[1], "data.local_pkts"), number(*items[0], "data.local_pkts"));
  EXPECT_GT(items[1]->index, items[0]->index);
}

TEST(Connection, of_udp_is_closed_by_quiet) {
  Script s;
  s.udp(0, 0, "question");
  s.udp(10, 1, "answer");
  Replay run(s, false, 61'000);
  const auto items = run.of(kUdpConn);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(text(*items[0], "data.state"), "closed");
  EXPECT_EQ(text(*items[0], "data.closed_by"), "idle");
  EXPECT_EQ(number(*items[0], "data.local_bytes"), 36);
  EXPECT_EQ(number(*items[0], "data.remote_bytes"), 34);
  EXPECT_EQ(run.engine->flows(), 1u) << "the flow stays";
}

TEST(Connection, flows_are_all_connections_of_a_client_to_a_port) {
  Script s;
  for (uint16_t i = 0; i < 5; ++i) {
    s.ends[0].port = static_cast<uint16_t>(45000 + i);
    s.open(i * 100);
    s.tcp(i * 100 + 50, 1, 501, 101, kRst | kAck);
  }
  s.ends[1].port = 81;
  s.open(600);
  s.tcp(650, 1, 501, 101, kRst | kAck);
  Replay run(s, true, 5'000);
  EXPECT_TRUE(run.of(kTcpFlow).empty()) << "another connection may come";
  run.engine->advance(Script::at(20'000));
  const auto items = run.of(kTcpFlow);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(number(*items[0], "data.connections"), 5);
  EXPECT_EQ(number(*items[0], "data.local_pkts"), 10);
  EXPECT_EQ(number(*items[0], "data.remote_pps"), 10);
  EXPECT_EQ(text(*items[0], "data.state"), "closed");
  EXPECT_EQ(items[0]->client.address.port, 0);
  EXPECT_EQ(items[0]->server.address.port, 80);
  EXPECT_EQ(number(*items[1], "data.connections"), 1);
  EXPECT_NE(number(*items[0], "data.group_id"), number(*items[1], "data.group_id"));
  EXPECT_TRUE(run.of(kTcpConn).empty());
}

TEST(Connection, flows_that_find_no_room_drive_out_quiet_ones) {
  Script s;
  for (uint16_t i = 0; i < 10; ++i) {
    s.ends[1].port = static_cast<uint16_t>(80 + i);
    s.open(i * 100);
    if (i < 5) s.tcp(i * 100 + 50, 1, 501, 101, kRst | kAck);
  }
  Replay run(s, true, 0, 3);
  run.engine->finish();
  EXPECT_EQ(run.of(kTcpFlow).size(), 10u);
  EXPECT_EQ(run.engine->counters().ungrouped, 0u);
}

/// Counts of tshark 4.0.17 (tcp.analysis.*, tcp.flags.*), summed over a capture.
struct Oracle {
  const char* file;
  std::map<std::string, int64_t> numbers;
  int64_t packets;
};

TEST(Connection, numbers_are_those_of_wireshark) {
  const std::string folder = net::captures_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  const Oracle cases[] = {
      {"wireshark/http-ooo.pcap", {{"out_of_order", 5}, {"missing_segments", 3}, {"fin_count", 1}}, 16},
      {"zeek/tcp/retransmit-fast009.pcap",
       {{"retransmissions", 3}, {"fast_retransmissions", 1}, {"dup_acks", 5}, {"rst_count", 1}},
       39},
      {"zeek/smtp.pcap",
       {{"retransmissions", 6}, {"out_of_order", 1}, {"dup_acks", 2}, {"window_full_events", 1}, {"fin_count", 2}},
       118},
      {"zeek/redis/pubsub.pcap", {{"keepalive_count", 2}, {"fin_count", 6}}, 60},
      {"pcap2har/tests/http.pcap", {{"retransmissions", 1}, {"dup_acks", 1}, {"fin_count", 2}}, 41},
      {"scapy/http_chunk.pcap", {{"retransmissions", 1}}, 66},
  };
  const char* const kAll[] = {
      "retransmissions",    "fast_retransmissions", "out_of_order",    "dup_acks",  "missing_segments",
      "zero_window_events", "window_full_events",   "keepalive_count", "rst_count", "fin_count"};
  for (const Oracle& c : cases) {
    Script s;
    s.packets = net::load_capture(folder + "/" + c.file);
    Replay run(s);
    run.engine->finish();
    std::map<uint64_t, const item::Item*> last;
    for (const item::Item* item : run.of(kTcpConn)) last[item->stream] = item;
    std::map<std::string, int64_t> sums;
    int64_t packets = 0;
    for (const auto& [stream, item] : last) {
      for (const char* name : kAll) sums[name] += metric(*item, name);
      packets += number(*item, "data.local_pkts") + number(*item, "data.remote_pkts");
    }
    EXPECT_EQ(packets, c.packets) << c.file;
    for (const char* name : kAll) {
      const auto wanted = c.numbers.find(name);
      EXPECT_EQ(sums[name], wanted != c.numbers.end() ? wanted->second : 0) << c.file << " " << name;
    }
  }
}

}  // namespace
}  // namespace baleen::dissect::l4
