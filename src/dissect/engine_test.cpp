#include "dissect/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dissect/registry.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kRst;
using net::tcp_flag::kSyn;

/// What an engine told, as text that can be compared.
struct Told final : EngineObserver {
  std::vector<std::string> items;
  std::vector<StreamEnd> ends;
  std::vector<uint64_t> streams, undissected;
  struct Fragment {
    uint64_t stream, size, after;  // how many packets were told before
    bool operator==(const Fragment&) const = default;
  };
  std::vector<Fragment> fragments;
  uint64_t packets = 0, loose = 0;
  int requests = 0, responses = 0;
  net::Endpoint client;

  void on_item(item::ItemRef item) override {
    requests += item->request.present ? 1 : 0;
    responses += item->response.present ? 1 : 0;
    client = item->client.address;
    streams.push_back(item->stream);
    items.push_back(std::string(item->protocol->name) + " " + std::to_string(item->request.size) + " " +
                    std::to_string(item->response.size));
  }
  void on_packet(StreamRef, const net::Packet&, const net::Decoded&) override { ++packets; }
  void on_fragment(StreamRef stream, const net::Packet& packet) override {
    fragments.push_back({stream.number, packet.bytes.size(), packets});
  }
  void on_loose_packet(const net::Packet&) override { ++loose; }
  void on_undissected(StreamRef stream) override { undissected.push_back(stream.number); }
  void on_stream_end(StreamRef, StreamEnd end) override { ends.push_back(end); }
};

constexpr std::string_view kQuestion = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A connection whose packets the test makes one by one, a millisecond apart.
class Wire {
 public:
  explicit Wire(uint32_t client_isn = 1000, uint32_t server_isn = 5000) {
    seq_[0] = client_isn;
    seq_[1] = server_isn;
    ends_[0] = {*net::IpAddress::parse("10.0.0.9"), 45000};
    ends_[1] = {*net::IpAddress::parse("10.0.0.1"), 1234};
  }
  net::Endpoint client() const { return ends_[0]; }

  void open() {
    add(0, seq_[0]++, 0, kSyn, "");
    add(1, seq_[1]++, seq_[0], kSyn | kAck, "");
    add(0, seq_[0], seq_[1], kAck, "");
  }
  void say(int from, std::string_view bytes, size_t piece = 1400) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const std::string_view part = bytes.substr(at, piece);
      add(from, seq_[from], seq_[1 - from], kAck, part);
      seq_[from] += static_cast<uint32_t>(part.size());
    }
  }
  void fin(int from) { add(from, seq_[from]++, seq_[1 - from], kFin | kAck, ""); }
  void reset(int from, uint32_t off = 0) { add(from, seq_[from] + off, 0, kRst, ""); }
  void miss(int from, uint32_t bytes) { seq_[from] += bytes; }
  void add(int from, uint32_t seq, uint32_t ack, uint8_t flags, std::string_view payload) {
    net::TcpShape shape{ends_[from].port, ends_[1 - from].port, seq, ack, flags};
    packets.push_back({timestamp_from_ns(1'700'000'000'000'000'000 + 1'000'000 * ++time_),
                       net::tcp_frame(ends_[from], ends_[1 - from], shape, payload)});
  }
  uint32_t seq(int from) const { return seq_[from]; }

  std::vector<net::OwnedPacket> packets;

 private:
  net::Endpoint ends_[2];
  uint32_t seq_[2];
  int64_t time_ = 0;
};

EngineOptions options() {
  EngineOptions o;
  o.protocols = registry();
  return o;
}

Told run(const std::vector<net::OwnedPacket>& packets, const EngineOptions& o = options(),
         EngineCounters* counters = nullptr) {
  Told told;
  Engine engine(o, told);
  for (const net::OwnedPacket& p : packets) engine.on_packet(p.view());
  engine.finish();
  EXPECT_EQ(engine.flows(), 0u);
  EXPECT_EQ(engine.early_bytes(), 0u);
  EXPECT_EQ(engine.pending_bytes(), 0u);
  if (counters != nullptr) *counters = engine.counters();
  return told;
}

struct Talk {
  const char* name;
  std::vector<std::pair<int, std::string>> turns;
};
std::vector<Talk> talks() {
  const std::string q(kQuestion), a(kAnswer);
  return {{"http", {{0, q}, {1, a}, {0, q + q}, {1, a + a}, {0, q}, {1, a}}},
          {"redis",
           {{0, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"},
            {1, "$5\r\nhello\r\n"},
            {0, "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"},
            {1, "+PONG\r\n$-1\r\n"}}},
          {"postgresql",
           {{0, std::string("\0\0\0\x11\0\3\0\0user\0me\0\0", 17)},
            {1, std::string("R\0\0\0\x08\0\0\0\0Z\0\0\0\5I", 15)},
            {0, std::string("Q\0\0\0\x0dselect 1\0", 14)},
            {1, std::string("C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I", 20)}}}};
}

/// Packets from `first` on change places: none by more than `reach`. Their times stay in order.
void shuffle(std::vector<net::OwnedPacket>& packets, size_t first, size_t reach, std::mt19937& random) {
  std::vector<std::pair<size_t, size_t>> order;
  for (size_t i = first; i < packets.size(); ++i) order.emplace_back(i + random() % (reach + 1), i);
  std::sort(order.begin(), order.end());
  std::vector<std::string> bytes;
  for (const auto& [key, i] : order) bytes.push_back(packets[i].bytes);
  for (size_t i = 0; i < bytes.size(); ++i) packets[first + i].bytes = std::move(bytes[i]);
}

/// Law of cuts and orders: cut anywhere, sent twice, overlapping, and out of order.
TEST(Engine, sees_the_same_however_the_bytes_are_cut_repeated_and_reordered) {
  std::mt19937 random(7);
  for (const Talk& talk : talks()) {
    Wire whole(0xFFFFFFF0u);  // the numbers wrap
    whole.open();
    for (const auto& [from, bytes] : talk.turns) whole.say(from, bytes);
    whole.fin(0);
    whole.fin(1);
    const Told want = run(whole.packets);
    ASSERT_FALSE(want.items.empty()) << talk.name;
    for (int round = 0; round < 300; ++round) {
      Wire wire(0xFFFFFFF0u);
      wire.open();
      for (const auto& [from, bytes] : talk.turns) {
        const uint32_t first = wire.seq(from);
        wire.say(from, bytes, 1 + random() % (bytes.size() + 3));
        for (int again = 0; again < static_cast<int>(random() % 3); ++again) {  // overlapping repeats
          const size_t at = random() % bytes.size(), n = 1 + random() % (bytes.size() - at);
          wire.add(from, first + static_cast<uint32_t>(at), wire.seq(1 - from), kAck, bytes.substr(at, n));
        }
      }
      wire.fin(0);
      wire.fin(1);
      shuffle(wire.packets, 3, 1 + round % 12, random);
      const auto& p = wire.packets;
      const Told got = run(p);
      ASSERT_EQ(got.items, want.items) << talk.name << " round " << round;
      ASSERT_EQ(got.requests, want.requests) << talk.name;
    }
  }
}

TEST(Engine, shows_what_an_upgrade_held_back_when_it_is_refused) {
  Wire wire;
  wire.open();
  wire.say(0, "GET /up HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + std::string(kQuestion));
  wire.say(1, kAnswer);
  wire.say(1, kAnswer);
  const Told told = run(wire.packets);
  EXPECT_EQ(told.items.size(), 2u);
  EXPECT_EQ(told.requests, 2);
  EXPECT_EQ(told.responses, 2);
}

TEST(Engine, knows_the_client_by_the_handshake_whatever_the_capture_saw_first) {
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  wire.say(1, kAnswer);
  const Told in_order = run(wire.packets);
  EXPECT_EQ(in_order.client, wire.client());
  EXPECT_EQ(in_order.items.size(), 1u);
  std::swap(wire.packets[0], wire.packets[1]);
  EXPECT_EQ(run(wire.packets).items, in_order.items);
  EXPECT_EQ(run(wire.packets).client, wire.client());
}

/// Two interfaces whose clocks differ: everything that the server said comes before what the client said.
TEST(Engine, pairs_answers_that_the_capture_has_before_their_questions) {
  for (const Talk& talk : talks()) {
    Wire wire;
    wire.open();
    for (const auto& [from, bytes] : talk.turns) wire.say(from, bytes);
    wire.fin(0);
    wire.fin(1);
    const Told want = run(wire.packets);
    const auto is_servers = [](const net::OwnedPacket& p) { return p.bytes[29] == 1; };  // the source's last byte
    std::vector<net::OwnedPacket> late = wire.packets;
    std::stable_partition(late.begin(), late.end(), is_servers);
    for (size_t i = 0; i < late.size(); ++i) late[i].time = wire.packets[i].time;
    const Told got = run(late);
    EXPECT_EQ(got.items, want.items) << talk.name;
    EXPECT_EQ(got.client, wire.client()) << talk.name;
  }
}

/// TCP Fast Open: a question within the SYN, answered before the handshake is over (RFC 7413 4.2.2).
Wire fast_open(size_t accepted) {
  Wire wire;
  const uint32_t syn = wire.seq(0);
  wire.add(0, syn, 0, kSyn, kQuestion);
  wire.miss(0, 1 + static_cast<uint32_t>(accepted));
  wire.add(1, wire.seq(1), wire.seq(0), kSyn | kAck, "");
  wire.miss(1, 1);
  if (accepted != kQuestion.size()) wire.say(0, kQuestion.substr(accepted));  // the others are sent again
  wire.say(1, kAnswer);
  wire.say(0, kQuestion);
  wire.say(1, kAnswer);
  wire.fin(0);
  wire.fin(1);
  return wire;
}

TEST(Engine, reads_what_a_SYN_carries_whichever_side_the_capture_has_first) {
  const std::vector<std::string> want(2, "http 32 43");
  for (const size_t accepted : {kQuestion.size(), size_t{0}, size_t{7}}) {
    const Wire wire = fast_open(accepted);
    EXPECT_EQ(run(wire.packets).items, want) << accepted;
    std::vector<net::OwnedPacket> late = wire.packets;
    std::swap(late[0].bytes, late[1].bytes);
    EXPECT_EQ(run(late).items, want) << accepted << ", the answer to the SYN first";
    late = wire.packets;
    std::stable_partition(late.begin(), late.end(), [](const net::OwnedPacket& p) { return p.bytes[29] == 1; });
    for (size_t i = 0; i < late.size(); ++i) late[i].time = wire.packets[i].time;
    const Told told = run(late);
    EXPECT_EQ(told.items, want) << accepted << ", all of the server first";
    EXPECT_EQ(told.client, wire.client());
  }
}

TEST(Engine, does_not_wait_for_ever_for_a_SYN_that_was_answered) {
  Wire wire;
  wire.open();
  for (int i = 0; i < 40; ++i) wire.say(1, kAnswer);
  std::vector<net::OwnedPacket> servers = wire.packets;
  std::erase_if(servers, [](const net::OwnedPacket& p) { return p.bytes[29] != 1; });
  EngineCounters counters;
  EXPECT_EQ(run(servers, options(), &counters).items, std::vector<std::string>(40, "http 0 43"));
  EXPECT_EQ(counters.gaps, 0u) << "nothing that was acknowledged is missing but the SYN";
  servers.resize(8);
  Told told;
  Engine engine(options(), told);
  for (const net::OwnedPacket& p : servers) engine.on_packet(p.view());
  EXPECT_TRUE(told.items.empty());
  engine.advance(servers.back().time + std::chrono::seconds(2));
  EXPECT_EQ(told.items.size(), 7u);
}

std::string dns_message(bool answers, int records) {
  std::string out = std::string("\x12\x34", 2) + (answers ? "\x81\x80" : std::string("\1\0", 2)) +
                    std::string("\0\1\0", 3) + static_cast<char>(records) + std::string(4, '\0') +
                    std::string("\1a\1x\0\0\1\0\1", 9);
  for (int i = 0; i < records; ++i) out += std::string("\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\1\2\3\4", 16);
  return out;
}

/// Only the first fragment of an answer is there: a filter by ports leaves the others out.
TEST(Engine, reads_a_first_fragment_whose_others_never_come) {
  const std::string query = dns_message(false, 0), answer = dns_message(true, 60);
  const std::string datagram = net::udp_datagram(53, 4242, answer);
  const net::OwnedPacket asks{
      timestamp_from_ns(1'700'000'000'000'000'000),
      net::ethernet_frame(0x0800, net::ipv4_packet("10.0.0.9", "10.0.0.1", 17, net::udp_datagram(4242, 53, query)))};
  const auto fragment = [&](size_t at, size_t size) {
    const bool more = at + size < datagram.size();
    return net::OwnedPacket{
        asks.time + std::chrono::milliseconds(1),
        net::ethernet_frame(0x0800, net::ipv4_packet("10.0.0.1", "10.0.0.9", 17, datagram.substr(at, size),
                                                     static_cast<uint16_t>(at / 8 | (more ? 0x2000 : 0))))};
  };
  const auto first = fragment(0, 480), last = fragment(480, 10000);
  const std::string whole = "dns " + std::to_string(query.size()) + " " + std::to_string(answer.size());
  EngineCounters counters;
  EXPECT_EQ(run({asks, first, last}, options(), &counters).items, std::vector<std::string>{whole});
  EXPECT_EQ(counters.lone_fragments, 0u);
  EXPECT_EQ(counters.fragments.whole, 1u);
  EXPECT_EQ(run({asks, first}, options(), &counters).items.size(), 1u);
  EXPECT_EQ(run({asks, first}, options()).responses, 1);
  EXPECT_EQ(counters.lone_fragments, 1u);
  EXPECT_EQ(counters.fragments.heads, 1u);
  EXPECT_EQ(counters.udp_packets, 1u) << "it was counted when it came";
  EXPECT_TRUE(run({last}, options(), &counters).items.empty());

  // Who keeps packets gets all of the datagram's, or that they belong to nobody.
  EngineOptions telling = options();
  telling.tell_packets = true;
  const Told all = run({asks, first, last}, telling);
  EXPECT_EQ(all.fragments, (std::vector<Told::Fragment>{{all.streams.at(0), first.bytes.size(), 1}}));
  EXPECT_EQ(std::pair(all.packets, all.loose), std::pair(uint64_t{2}, uint64_t{0}));
  const Told alone = run({asks, first}, telling);
  EXPECT_EQ(alone.fragments, (std::vector<Told::Fragment>{{alone.streams.at(0), first.bytes.size(), 1}}));
  EXPECT_EQ(run({last}, telling).loose, 1u);
  std::vector<net::OwnedPacket> many;  // more than is held: the oldest belong to nobody
  for (size_t i = 0; i < 2 * HeldFragments::kMostBytes / first.bytes.size(); ++i) {
    many.push_back(first);
    many.back().bytes[14 + 4] = static_cast<char>(i >> 8);  // the identification
    many.back().bytes[14 + 5] = static_cast<char>(i);
  }
  const Told held = run(many, telling, &counters);
  EXPECT_EQ(held.loose + held.fragments.size(), many.size());
  EXPECT_EQ(counters.unclaimed_fragments, held.loose);
  EXPECT_GT(held.loose, many.size() / 2);

  // Live: while its question still waits.
  Told told;
  Engine engine(options(), told);
  engine.on_packet(asks.view());
  engine.on_packet(first.view());
  for (int s = 1; s <= 7; ++s) engine.advance(asks.time + std::chrono::seconds(s));
  ASSERT_EQ(told.items.size(), 1u);
  EXPECT_EQ(told.requests, 1);
  EXPECT_EQ(told.responses, 1);
}

/// The lone fragment's time is over just when another datagram has become whole: each keeps its bytes.
TEST(Engine, reads_a_lone_fragment_beside_a_whole_datagram) {
  const auto fragment = [](uint16_t id, int64_t ms, const std::string& datagram, size_t at, size_t size) {
    const bool more = at + size < datagram.size();
    return net::OwnedPacket{
        timestamp_from_ns(1'700'000'000'000'000'000 + ms * 1'000'000),
        net::ethernet_frame(0x0800, net::ipv4_packet("10.0.0.1", "10.0.0.9", 17, datagram.substr(at, size),
                                                     static_cast<uint16_t>(at / 8 | (more ? 0x2000 : 0)), id))};
  };
  const std::string lone = net::udp_datagram(53, 4242, dns_message(true, 60)),
                    whole = net::udp_datagram(53, 4243, dns_message(true, 40));
  const std::vector<net::OwnedPacket> packets = {fragment(1, 0, lone, 0, 480), fragment(2, 7990, whole, 0, 320),
                                                 fragment(2, 8000, whole, 320, 9000)};
  std::vector<net::Packet> batch;
  for (const net::OwnedPacket& p : packets) batch.push_back(p.view());
  Told told;
  Engine engine(options(), told);
  engine.on_batch(batch);
  engine.finish();
  std::vector<std::string> items = told.items;
  std::ranges::sort(items);
  EXPECT_EQ(items, (std::vector<std::string>{"dns 0 472", "dns 0 661"}));
  EXPECT_EQ(engine.counters().of(Counter::kMalformed), 0u);
}

/// IEEE 802.11: an access point sends several frames at once.
TEST(Engine, reads_all_frames_of_a_transmission) {
  const auto frame = [](std::string_view src, std::string_view dst, uint16_t from, uint16_t to,
                        const std::string& dns) {
    const std::string body =
        std::string("\xAA\xAA\3\0\0\0\x08\0", 8) + net::ipv4_packet(src, dst, 17, net::udp_datagram(from, to, dns));
    std::string out = std::string(12, '\4') + net::be16_text(static_cast<uint16_t>(body.size())) + body;
    return out + std::string((4 - out.size() % 4) % 4, '\0');
  };
  const std::string head = "\x88\2" + std::string(2, '\0') + std::string(18, '\2') + std::string("\0\0\x80\0", 4);
  const net::OwnedPacket packet{timestamp_from_ns(1'700'000'000'000'000'000),
                                head + frame("10.0.0.9", "10.0.0.1", 4242, 53, dns_message(false, 0)) +
                                    frame("10.0.0.8", "10.0.0.1", 4242, 53, dns_message(false, 0)) +
                                    frame("10.0.0.1", "10.0.0.9", 53, 4242, dns_message(true, 1)),
                                0, static_cast<net::LinkType>(105)};
  EngineCounters counters;
  const Told told = run({packet}, options(), &counters);
  EXPECT_EQ(told.items, (std::vector<std::string>{"dns 21 37", "dns 21 0"}));
  EXPECT_EQ(counters.packets, 1u);
  EXPECT_EQ(counters.bytes, packet.bytes.size());
  EXPECT_EQ(counters.udp_packets, 3u);

  // What is told of it, and kept, has every frame once.
  struct Keeper final : EngineObserver {
    std::vector<net::OwnedPacket> packets;
    void on_item(item::ItemRef) override {}
    void on_packet(StreamRef, const net::Packet& p, const net::Decoded&) override {
      packets.push_back({p.time, std::string(as_text(p.bytes)), p.wire_length, p.link});
    }
  } keeper;
  EngineOptions keeping = options();
  keeping.tell_packets = true;
  Engine engine(keeping, keeper);
  engine.on_packet(packet.view());
  EXPECT_EQ(keeper.packets.size(), 3u);
  EXPECT_EQ(run(keeper.packets).items, told.items);
}

TEST(Engine, goes_by_acknowledgements_where_times_contradict_them) {
  // The probes hold back both sides of the first turn, and the answer's time is the earlier one.
  Wire wire;
  wire.add(0, wire.seq(0) - 1, wire.seq(1), kAck, std::string_view("\0", 1));  // keep-alive
  wire.say(0, kQuestion.substr(0, 3));
  wire.say(0, kQuestion.substr(3));
  wire.say(1, kAnswer);
  const Told want = run(wire.packets);
  ASSERT_EQ(want.items.size(), 1u);
  for (size_t i = 0; i < wire.packets.size(); ++i)
    wire.packets[i].time = timestamp_from_ns(1'700'000'000'000'000'000 - 1'000'000 * static_cast<int64_t>(i));
  EXPECT_EQ(run(wire.packets).items, want.items);
}

TEST(Engine, joins_a_connection_in_its_middle) {
  Wire wire;
  wire.add(0, wire.seq(0) - 1, wire.seq(1), kAck, std::string_view("\0", 1));  // keep-alive
  wire.say(0, "the tail of something");
  wire.say(1, "...and of its answer");
  wire.say(0, kQuestion);
  wire.say(1, kAnswer);
  const Told told = run(wire.packets);
  EXPECT_EQ(told.requests, 1);
  EXPECT_EQ(told.responses, 1);
  EXPECT_EQ(told.client, wire.client());
}

TEST(Engine, does_not_pair_in_a_middle_what_does_not_belong_together) {
  {  // The question was answered before it is there: it comes again.
    Wire wire;
    const uint32_t asked = wire.seq(0);
    wire.miss(0, kQuestion.size());
    wire.say(1, kAnswer);
    wire.add(0, asked, wire.seq(1) - static_cast<uint32_t>(kAnswer.size()), kAck, kQuestion);
    wire.say(0, kQuestion);
    wire.say(1, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(run(wire.packets).items, (std::vector<std::string>{"http 0 43", "http 32 45"}));
  }
  {  // Replies that nobody knew for such: how many of them the first command stands behind is not known.
    Wire wire;
    wire.say(1, "250-mail.example.org\r\n250 PIPELINING\r\n");
    wire.say(0, "AUTH LOGIN\r\n");
    wire.say(1, "334 VXNlcm5hbWU6\r\n");
    wire.say(0, "bWU=\r\n");
    wire.say(1, "235 Authenticated\r\n");
    wire.say(0, "MAIL FROM:<a@example.org>\r\n");
    wire.say(1, "250 OK\r\n");
    wire.say(0, "RCPT TO:<b@example.org>\r\n");
    wire.say(1, "250 Accepted\r\n");
    wire.say(0, "RSET\r\n");
    wire.say(1, "250 Reset\r\n");
    const std::vector<std::string> items = run(wire.packets).items;
    EXPECT_EQ(std::ranges::count(items, "smtp 27 14"), 0) << "RCPT's answer is not MAIL's";
    EXPECT_EQ(std::ranges::count(items, "smtp 6 11"), 1) << "it has turned around";
  }
}

TEST(Engine, gives_up_on_a_middle_that_never_begins) {
  Wire wire;
  for (int i = 0; i < 40; ++i) wire.say(0, "\x01\x02 nothing that anybody knows");
  wire.say(0, kQuestion);
  EngineCounters counters;
  EXPECT_TRUE(run(wire.packets, options(), &counters).items.empty());
  EXPECT_EQ(counters.of(Counter::kUnknownProtocol), 1u);
}

TEST(Engine, finds_TLS_behind_what_nobody_knows) {
  const auto record = [](const std::string& hello) {
    return std::string("\x16\x03\x01\0", 4) + char(hello.size()) + hello;
  };
  const std::string client =
      record(std::string("\x01\0\0\x29\x03\x03", 6) + std::string(32, 'r') + std::string("\0\0\x02\xC0\x2F\x01\0", 7));
  const std::string server =
      record(std::string("\x02\0\0\x26\x03\x03", 6) + std::string(32, 's') + std::string("\0\xC0\x2F\0", 4));
  const std::string done("\x14\x03\x03\0\x01\x01", 6);
  for (const int before : {1, 10, 40}) {
    Wire wire;
    wire.open();
    wire.say(1, "* OK ready\r\n");
    for (int i = 0; i < before; ++i) {
      wire.say(0, "a CAPABILITY\r\n");
      wire.say(1, "* CAPABILITY IMAP4rev1 STARTTLS\r\na OK\r\n");
    }
    wire.say(0, client);
    wire.say(1, server + done);
    EngineCounters counters;
    const Told told = run(wire.packets, options(), &counters);
    if (before < 40) {
      EXPECT_EQ(told.items,
                std::vector<std::string>{"tls " + std::to_string(client.size()) + " " + std::to_string(server.size())});
      EXPECT_TRUE(told.undissected.empty());
    } else {  // not looked for without end
      EXPECT_TRUE(told.items.empty());
      EXPECT_EQ(told.undissected.size(), 1u);
      EXPECT_EQ(counters.of(Counter::kUnknownProtocol), 1u);
    }
  }
}

TEST(Engine, tells_which_streams_nobody_understands) {
  const struct {
    const char* what;
    std::function<void(Wire&)> say;
    size_t told;
  } rows[] = {
      {"known", [](Wire& w) { w.say(0, kQuestion), w.say(1, kAnswer); }, 0},
      {"a question without an answer", [](Wire& w) { w.say(0, kQuestion); }, 0},
      {"nothing at all", [](Wire&) {}, 0},
      {"unknown", [](Wire& w) { w.say(0, "\x01\x02 nobody"), w.say(1, "\x03\x04 knows this"); }, 1},
      {"unknown, one side", [](Wire& w) { w.say(0, "\x01\x02 nobody"); }, 1},
      {"unknown, and long", [](Wire& w) { w.say(0, std::string(100'000, '\x01')); }, 1},
      {"known at the end", [](Wire& w) { w.say(0, "\x01\x02\x03\r\n\r\n"), w.say(1, kAnswer); }, 0},
  };
  for (const auto& row : rows) {
    for (const bool ends : {true, false}) {
      SCOPED_TRACE(row.what);
      Wire wire;
      wire.open();
      row.say(wire);
      if (ends) wire.fin(0), wire.fin(1);
      const Told told = run(wire.packets);
      EXPECT_EQ(told.undissected.size(), row.told);
    }
  }
}

TEST(Engine, tells_every_packet_once) {
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  Wire stray(7, 8);
  stray.reset(0);
  wire.packets.insert(wire.packets.begin(), stray.packets[0]);
  for (const std::string& bytes :
       {std::string("not a packet"), std::string(12, '\2') + "\x08\x06" + std::string(28, '\0'),
        wire.packets[1].bytes.substr(0, 30), std::string()})
    wire.packets.push_back({wire.packets.back().time, bytes});
  EngineOptions told_options = options();
  told_options.tell_packets = true;
  for (const int percent : {100, 0}) {
    told_options.sample_percent = percent;
    const Told told = run(wire.packets, told_options);
    EXPECT_EQ(told.packets, 4u);
    EXPECT_EQ(told.loose, 5u);
    EXPECT_EQ(told.items.size(), percent == 0 ? 0u : 1u);
    EXPECT_TRUE(told.undissected.empty());
  }
}

TEST(Engine, shows_the_answer_to_a_malformed_question) {
  Wire wire;
  wire.open();
  wire.say(0, "\x01\x02\x03 what is this\r\n\r\n");
  wire.say(1, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  wire.fin(1);
  wire.fin(0);
  const Told told = run(wire.packets);
  EXPECT_EQ(told.responses, 1);
  EXPECT_EQ(told.requests, 0);
}

TEST(Engine, shows_half_a_connection) {
  for (const int side : {0, 1}) {
    Wire wire;
    wire.say(side, side == 0 ? kQuestion : kAnswer);
    const Told told = run(wire.packets);
    EXPECT_EQ(told.requests, side == 0 ? 1 : 0);
    EXPECT_EQ(told.responses, side == 0 ? 0 : 1);
    EXPECT_EQ(told.client, wire.client());
  }
}

TEST(Engine, ends_at_a_reset_in_the_window_and_at_no_other) {
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  wire.reset(1, 0x40000000u);
  wire.say(1, kAnswer);
  EngineCounters counters;
  EXPECT_EQ(run(wire.packets, options(), &counters).responses, 1);
  EXPECT_EQ(counters.refused_resets, 1u);
  wire.reset(1);
  const Told told = run(wire.packets);
  EXPECT_EQ(told.ends, std::vector{StreamEnd::kReset});
}

TEST(Engine, tells_connections_on_the_same_ports_apart) {
  Wire first, second(900'000'000, 80'000);
  for (Wire* wire : {&first, &second}) {
    wire->open();
    wire->say(0, kQuestion);
    wire->say(1, kAnswer);
  }
  auto all = first.packets;
  all.insert(all.end(), second.packets.begin(), second.packets.end());
  EngineCounters counters;
  EngineOptions o = options();
  o.first_stream = 1;
  o.stream_step = 4;
  const Told told = run(all, o, &counters);
  EXPECT_EQ(told.items.size(), 2u);
  EXPECT_EQ(counters.reused_ports, 1u);
  EXPECT_EQ(told.streams, (std::vector<uint64_t>{1, 5}));
  EXPECT_EQ(told.ends, (std::vector{StreamEnd::kReused, StreamEnd::kFinished}));
}

TEST(Engine, goes_on_behind_a_hole) {
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  wire.say(1, kAnswer);
  wire.miss(0, 500);  // acknowledged by what follows, never captured
  wire.say(1, kAnswer);
  wire.say(0, kQuestion);
  wire.say(1, kAnswer);
  EngineCounters counters;
  const Told told = run(wire.packets, options(), &counters);
  EXPECT_EQ(told.requests, 2);
  EXPECT_EQ(told.responses, 3);
  EXPECT_EQ(counters.gaps, 1u);
  EXPECT_EQ(counters.of(Counter::kGapBytes), 500u);
}

/// What a capture with a snap length keeps.
std::vector<net::OwnedPacket> snapped(std::vector<net::OwnedPacket> packets, size_t length) {
  for (net::OwnedPacket& p : packets) {
    if (p.bytes.size() <= length) continue;
    p.wire_length = static_cast<uint32_t>(p.bytes.size());
    p.bytes.resize(length);
  }
  return packets;
}

TEST(Engine, reads_heads_that_the_snap_length_cuts) {
  Wire wire;
  wire.open();
  const std::string body(3000, 'x');
  for (int i = 0; i < 3; ++i) {
    wire.say(0, "GET /some/path HTTP/1.1\r\nHost: example.test\r\nUser-Agent: a/1.0\r\nAccept: text/html\r\n\r\n");
    wire.say(1, "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Type: text/html\r\nContent-Length: 3000\r\n\r\n" + body);
  }
  // A request line that is longer than what was captured.
  wire.say(0, "GET /" + std::string(200, 'p') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  wire.say(1, kAnswer);
  for (const size_t length : {96u, 80u, 120u, 68u}) {
    const Told told = run(snapped(wire.packets, length));
    EXPECT_EQ(told.requests, 4) << length;
    EXPECT_EQ(told.responses, 4) << length;
    EXPECT_EQ(told.items.size(), 4u) << length;
  }
  EXPECT_EQ(run(wire.packets).items.size(), 4u);
  // The first of all is cut within its line.
  Wire first;
  first.open();
  first.say(0, "POST /" + std::string(200, 'p') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  first.say(1, kAnswer);
  first.say(0, kQuestion);
  first.say(1, kAnswer);
  const Told told = run(snapped(first.packets, 96));
  EXPECT_EQ(told.requests, 2);
  EXPECT_EQ(told.responses, 2);
  EXPECT_EQ(told.items.size(), 2u);
}

TEST(Engine, evicts_the_oldest_when_the_table_is_full) {
  EngineOptions o = options();
  o.flow_limit = 1;
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  auto packets = wire.packets;
  Wire other;
  net::Endpoint a{*net::IpAddress::parse("10.0.0.7"), 1}, b{*net::IpAddress::parse("10.0.0.8"), 2};
  packets.push_back({packets.back().time, net::tcp_frame(a, b, {1, 2, 7, 0, kSyn}, "")});
  EngineCounters counters;
  const Told told = run(packets, o, &counters);
  EXPECT_EQ(counters.evicted_flows, 1u);
  EXPECT_EQ(told.requests, 1);
  EXPECT_EQ(told.ends.front(), StreamEnd::kEvicted);
}

TEST(Engine, only_counts_streams_outside_the_sample) {
  Wire wire;
  wire.open();
  wire.say(0, kQuestion);
  EngineOptions o = options();
  o.sample_percent = 0;
  EngineCounters counters;
  EXPECT_TRUE(run(wire.packets, o, &counters).items.empty());
  EXPECT_EQ(counters.sampled_out, 1u);
}

// What a sanitizer sees: bytes lie at the end of an allocation of exactly their size.
TEST(Probes, read_nothing_beyond_what_they_are_given) {
  std::mt19937 random(7);
  for (int round = 0; round < 4000; ++round) {
    const size_t size = random() % (round % 4 == 0 ? 4 : 80);
    const auto bytes = std::make_unique<uint8_t[]>(size);
    // Small numbers and zeros are what lengths and opcodes are made of.
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 4);
    for (const ProtocolEntry& entry : registry())
      for (const Direction d : {Direction::kToServer, Direction::kToClient})
        for (const bool end : {false, true}) entry.probe({d, Bytes(bytes.get(), size), {}, end});
  }
}

/// What its protocol is may be known only when the client has spoken: what the server said before stands before it,
/// also where a capture has no times.
TEST(Engine, who_spoke_first_is_read_first_whatever_the_times_say) {
  for (const int64_t step : {1, 0, -1}) {
    Wire wire;
    wire.open();
    wire.say(1, "220 ready\r\n");
    wire.say(0, "AUTH TLS\r\n");
    wire.say(1, "234 go ahead\r\n");
    wire.fin(0);
    wire.fin(1);
    int64_t time = 1'700'000'000'000'000'000;
    for (net::OwnedPacket& p : wire.packets) p.time = timestamp_from_ns(time += 1'000'000 * step);
    EXPECT_EQ(run(wire.packets).items, (std::vector<std::string>{"ftp 0 0", "ftp 10 14"})) << step;
  }
}

/// Ports say nothing here, or the wrong thing: who asks is told by the messages themselves.
TEST(Engine, who_asks_in_a_datagram_is_the_client_whoever_was_seen_first) {
  const std::string name("\1a\1x\0\0\1\0\1", 9);
  const std::string asked = std::string("\0\7\1\0\0\1\0\0\0\0\0\0", 12) + name;
  const std::string told = std::string("\0\7\x81\x80\0\1\0\1\0\0\0\0", 12) + name +
                           std::string("\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\1\2\3\4", 16);
  for (const uint16_t ours : {53, 40000}) {
    const net::Endpoint client{*net::IpAddress::parse("10.0.0.9"), ours},
        server{*net::IpAddress::parse("10.0.0.1"), 1053};
    const net::OwnedPacket question{timestamp_from_ns(1'700'000'000'001'000'000),
                                    net::udp_frame(client, server, asked)};
    const net::OwnedPacket answer{timestamp_from_ns(1'700'000'000'002'000'000), net::udp_frame(server, client, told)};
    for (const bool answer_first : {false, true}) {
      const Told got = answer_first ? run({answer, question}) : run({question, answer});
      ASSERT_EQ(got.items.size(), 1u) << ours << answer_first;
      EXPECT_EQ(got.requests, 1);
      EXPECT_EQ(got.responses, 1);
      EXPECT_EQ(got.client, client) << ours << answer_first;
    }
  }
}

}  // namespace
}  // namespace baleen::dissect
