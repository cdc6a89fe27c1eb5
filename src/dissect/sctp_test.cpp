// SCTP, from chunks to items: scripted associations through the engine.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "dissect/association.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using net::be16_text;
using net::be32_text;
using net::OwnedPacket;

struct Told final : EngineObserver {
  std::vector<std::string> items;
  std::vector<uint64_t> streams, indices;
  int ends = 0;
  void on_item(item::ItemRef item) override {
    items.push_back(item::display(item::at_path(*item, "request.path")) + " " +
                    item::display(item::at_path(*item, "response.status")));
    streams.push_back(item->stream);
    indices.push_back(item->index);
  }
  void on_stream_end(StreamRef, StreamEnd) override { ++ends; }
};

std::string chunk(uint8_t type, uint8_t flags, const std::string& body) {
  std::string out{static_cast<char>(type), static_cast<char>(flags)};
  out += be16_text(static_cast<uint16_t>(body.size() + 4)) + body;
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}
std::string init(uint8_t type, uint32_t tsn) {
  return chunk(type, 0, be32_text(7) + be32_text(65536) + be16_text(10) + be16_text(10) + be32_text(tsn));
}
std::string data(uint32_t tsn, uint16_t stream, std::string_view bytes, uint8_t flags = 3, uint32_t protocol = 0) {
  return chunk(0, flags, be32_text(tsn) + be16_text(stream) + be16_text(0) + be32_text(protocol) + std::string(bytes));
}

/// Each entry is a packet: who sends it, and its chunks.
using Packets = std::vector<std::pair<int, std::string>>;

std::vector<OwnedPacket> frames(const Packets& packets) {
  std::vector<OwnedPacket> out;
  int64_t time = 1'700'000'000'000'000'000;
  for (const auto& [from, chunks] : packets) {
    const uint16_t ports[2] = {40000, 8080};
    const char* const ips[2] = {"10.0.0.9", "10.0.0.1"};
    const std::string sctp = be16_text(ports[from]) + be16_text(ports[1 - from]) + be32_text(1) + be32_text(0) + chunks;
    out.push_back({timestamp_from_ns(time += 1'000'000),
                   net::ethernet_frame(0x0800, net::ipv4_packet(ips[from], ips[1 - from], 132, sctp))});
  }
  return out;
}

Told run(const std::vector<OwnedPacket>& packets, EngineCounters* counters = nullptr, size_t flow_limit = 1000) {
  Told told;
  EngineOptions options;
  options.protocols = registry();
  options.flow_limit = flow_limit;
  Engine engine(options, told);
  for (const OwnedPacket& p : packets) engine.on_packet(p.view());
  engine.finish();
  EXPECT_EQ(engine.flows(), 0u);
  EXPECT_EQ(engine.early_bytes(), 0u);
  EXPECT_EQ(engine.pending_bytes(), 0u);
  if (counters != nullptr) *counters = engine.counters();
  return told;
}

const std::string kAsk1 = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", kAsk2 = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                  kNone = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";

Packets opened(Packets more) {
  Packets out = {{0, init(1, 100)}, {1, init(2, 900)}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

struct Case {
  const char* name;
  Packets packets;
  std::vector<std::string> items;  // in any order
};

TEST(Sctp, conversations_come_out_of_chunks) {
  const Case cases[] = {
      {"a message each", opened({{0, data(100, 0, kAsk1)}, {1, data(900, 0, kAnswer)}}), {"/1 200"}},
      {"in pieces",
       opened({{0, data(100, 0, kAsk1.substr(0, 9), 2) + data(101, 0, kAsk1.substr(9), 1)},
               {1, data(900, 0, kAnswer.substr(0, 30), 2)},
               {1, data(901, 0, kAnswer.substr(30), 1)}}),
       {"/1 200"}},
      {"two streams, interleaved",
       opened({{0, data(100, 0, kAsk1) + data(101, 5, kAsk2)},
               {1, data(900, 5, kNone.substr(0, 20)) + data(901, 0, kAnswer.substr(0, 20))},
               {1, data(902, 0, kAnswer.substr(20)) + data(903, 5, kNone.substr(20))}}),
       {"/1 200", "/2 404"}},
      {"out of order and twice",
       opened({{0, data(101, 0, kAsk1.substr(9), 1)},
               {0, data(100, 0, kAsk1.substr(0, 9), 2)},
               {0, data(100, 0, kAsk1.substr(0, 9), 2)},
               {1, data(900, 0, kAnswer)}}),
       {"/1 200"}},
      {"joined in the middle", {{0, data(100, 0, kAsk1)}, {1, data(900, 0, kAnswer)}}, {"/1 200"}},
      {"a named protocol may answer on another stream",
       opened({{0, data(100, 1, kAsk1, 3, 46)}, {1, data(900, 2, kAnswer, 3, 46)}}),
       {"/1 200"}},
      {"aborted", opened({{0, data(100, 0, kAsk1)}, {1, chunk(6, 0, "")}}), {"/1 "}},
      {"another association on the same ports",
       opened({{0, data(100, 0, kAsk1)},
               {1, data(900, 0, kAnswer)},
               {1, chunk(14, 0, "")},
               {0, init(1, 7000)},
               {1, init(2, 1)},
               {0, data(7000, 0, kAsk2)},
               {1, data(1, 0, kNone)}}),
       {"/1 200", "/2 404"}},
  };
  for (const Case& c : cases) {
    Told told = run(frames(c.packets));
    std::sort(told.items.begin(), told.items.end());
    EXPECT_EQ(told.items, c.items) << c.name;
    EXPECT_TRUE(std::all_of(told.streams.begin(), told.streams.end(), [](uint64_t s) { return s == 0; })) << c.name;
    std::sort(told.indices.begin(), told.indices.end());
    EXPECT_EQ(std::adjacent_find(told.indices.begin(), told.indices.end()), told.indices.end()) << c.name;
    EXPECT_EQ(told.ends, 1) << c.name;
  }
}

TEST(Sctp, what_is_lost_does_not_stop_what_follows) {
  Packets packets = opened({{0, data(100, 0, kAsk1)}, {1, data(900, 0, kAnswer.substr(0, 20), 2)}});
  uint32_t ask = 101, answer = 902;  // 901 is missing
  for (int i = 0; i < 60; ++i) {
    packets.push_back({0, data(ask++, 0, kAsk2)});
    packets.push_back({1, data(answer++, 0, kNone)});
  }
  EngineCounters counters;
  const Told told = run(frames(packets), &counters);
  EXPECT_EQ(counters.sctp.lost, 1u);
  EXPECT_GE(std::count(told.items.begin(), told.items.end(), "/2 404"), 20);
}

TEST(Sctp, every_truncation_and_every_byte_is_taken) {
  const std::vector<OwnedPacket> whole =
      frames(opened({{0, data(100, 0, kAsk1) + data(101, 5, kAsk2)}, {1, data(900, 0, kAnswer)}}));
  for (size_t packet = 0; packet < whole.size(); ++packet) {
    for (size_t at = 46; at < whole[packet].bytes.size(); ++at) {
      std::vector<OwnedPacket> cut = whole, wrong = whole;
      cut[packet].wire_length = static_cast<uint32_t>(cut[packet].bytes.size());
      cut[packet].bytes.resize(at);
      wrong[packet].bytes[at] = static_cast<char>(wrong[packet].bytes[at] ^ 0xFF);
      EXPECT_LE(run(cut).items.size(), 3u);
      EXPECT_LE(run(wrong).items.size(), 4u);
    }
  }
}

TEST(Sctp, a_full_table_may_drive_the_association_out) {
  Packets packets = opened({});
  for (uint32_t i = 0; i < 40; ++i) packets.push_back({0, data(100 + i, static_cast<uint16_t>(i), kAsk1)});
  for (const size_t limit : {1u, 2u, 3u, 5u}) run(frames(packets), nullptr, limit);
}

std::string i_data(uint32_t tsn, uint16_t stream, uint32_t id, uint32_t protocol_or_piece, std::string_view bytes,
                   uint8_t flags) {
  return chunk(64, flags,
               be32_text(tsn) + be16_text(stream) + be16_text(0) + be32_text(id) + be32_text(protocol_or_piece) +
                   std::string(bytes));
}

TEST(Sctp, interleaved_messages_are_put_together) {  // RFC 8260 2.2
  const Case cases[] = {
      {"pieces of two messages, mixed",
       opened({{0, i_data(100, 0, 0, 0, kAsk1.substr(0, 9), 2)},
               {0, i_data(101, 5, 0, 0, kAsk2.substr(0, 9), 2)},
               {0, i_data(102, 0, 0, 1, kAsk1.substr(9), 1)},
               {0, i_data(103, 5, 0, 1, kAsk2.substr(9), 1)},
               {1, i_data(900, 0, 0, 0, kAnswer, 3)},
               {1, i_data(901, 5, 0, 0, kNone, 3)}}),
       {"/1 200", "/2 404"}},
      {"of one protocol and one stream",
       opened({{0, i_data(100, 0, 0, 46, kAsk1.substr(0, 9), 2)},
               {0, i_data(101, 0, 1, 46, kAsk2, 3)},
               {0, i_data(102, 0, 0, 1, kAsk1.substr(9), 1)},
               {1, i_data(900, 0, 0, 46, kNone, 3)},
               {1, i_data(901, 0, 1, 46, kAnswer, 3)}}),
       {"/1 200", "/2 404"}},
      {"its beginning was lost",
       opened({{0, i_data(100, 0, 0, 1, kAsk1.substr(9), 1)},
               {0, i_data(101, 0, 1, 0, kAsk2, 3)},
               {1, i_data(900, 0, 0, 0, kNone, 3)}}),
       {"/2 404"}},
  };
  for (const Case& c : cases) {
    Told told = run(frames(c.packets));
    std::sort(told.items.begin(), told.items.end());
    EXPECT_EQ(told.items, c.items) << c.name;
  }
  Packets endless = opened({});
  for (uint32_t i = 0; i < 200; ++i) endless.push_back({0, i_data(100 + i, static_cast<uint16_t>(i), 0, 0, "x", 2)});
  EngineCounters counters;
  run(frames(endless), &counters);
  EXPECT_EQ(counters.sctp.refused, 200 - Association::kMostMessages);
}

TEST(Sctp, what_the_sender_gives_up_is_not_waited_for) {  // RFC 3758 3.2
  for (const uint8_t type : {uint8_t{192}, uint8_t{194}}) {
    EngineCounters counters;
    const Told told = run(frames(opened({{0, data(101, 0, kAsk1)},  // 100 was not seen
                                         {0, chunk(type, 0, be32_text(100))},
                                         {1, data(900, 0, kAnswer)}})),
                          &counters);
    EXPECT_EQ(told.items, std::vector<std::string>{"/1 200"});
    EXPECT_EQ(counters.sctp.lost, 1u);
  }
}

TEST(Sctp, an_association_has_several_addresses) {  // RFC 9260 6.4
  int64_t time = 1'700'000'000'000'000'000;
  const auto packet = [&](const char* src, const char* dst, int from, uint32_t tag, const std::string& chunks) {
    const uint16_t ports[2] = {40000, 8080};
    return OwnedPacket{
        timestamp_from_ns(time += 1'000'000),
        net::ethernet_frame(0x0800, net::ipv4_packet(src, dst, 132,
                                                     be16_text(ports[from]) + be16_text(ports[1 - from]) +
                                                         be32_text(tag) + be32_text(0) + chunks))};
  };
  const auto init_of = [](uint8_t type, uint32_t tag, uint32_t tsn) {
    return chunk(type, 0, be32_text(tag) + be32_text(65536) + be16_text(10) + be16_text(10) + be32_text(tsn));
  };
  std::vector<OwnedPacket> packets = {
      packet("10.0.0.9", "10.0.0.1", 0, 0, init_of(1, 0xAAAA, 100)),
      packet("10.0.0.1", "10.0.0.9", 1, 0xAAAA, init_of(2, 0xBBBB, 900)),
      packet("10.0.0.9", "10.0.0.1", 0, 0xBBBB, data(100, 0, kAsk1.substr(0, 9), 2)),
      packet("10.1.0.9", "10.1.0.1", 0, 0xBBBB, data(101, 0, kAsk1.substr(9), 1)),
      packet("10.1.0.1", "10.1.0.9", 1, 0xAAAA, data(900, 0, kAnswer)),
  };
  const Told told = run(packets);
  EXPECT_EQ(told.items, std::vector<std::string>{"/1 200"});
  EXPECT_EQ(told.ends, 1);
  packets[3] =
      packet("10.1.0.9", "10.1.0.1", 0, 0xCCCC, data(101, 0, kAsk1.substr(9), 1));  // another association's tag
  EXPECT_EQ(run(packets).ends, 2);
}

/// The items of associations; "path" of each.
std::vector<std::string> associations(const Packets& packets, std::string_view path, int64_t advance_s = 0) {
  struct All final : EngineObserver {
    std::string_view path;
    std::vector<std::string> out;
    void on_item(item::ItemRef item) override {
      if (item->protocol->name != "sctp_conn") return;
      out.push_back(path == "error" ? std::string(item->error_message) : item::display(item::at_path(*item, path)));
    }
  } all;
  all.path = path;
  EngineOptions options;
  options.protocols = registry();
  options.l4.sctp_conn = true;
  Engine engine(options, all);
  const std::vector<OwnedPacket> sent = frames(packets);
  for (const OwnedPacket& p : sent) engine.on_packet(p.view());
  if (advance_s != 0) {
    engine.advance(sent.back().time + std::chrono::seconds(advance_s / 2));
    engine.advance(sent.back().time + std::chrono::seconds(advance_s));
  }
  engine.finish();
  return all.out;
}

TEST(Sctp, associations_are_told) {
  const std::string sack = chunk(3, 0, be32_text(100) + be32_text(4096) + be16_text(0) + be16_text(0));
  const Packets whole = {{0, init(1, 100)},
                         {1, init(2, 900)},
                         {0, chunk(10, 0, "cookie")},
                         {1, chunk(11, 0, "")},
                         {0, data(100, 0, kAsk1, 3, 46)},
                         {0, data(100, 0, kAsk1, 3, 46)},
                         {1, sack + data(900, 0, kAnswer, 3, 46)},
                         {0, chunk(4, 0, "beat")},
                         {0, chunk(7, 0, be32_text(900))},
                         {1, chunk(8, 0, "")},
                         {0, chunk(14, 0, "")}};
  const auto said = [&](std::string_view path) { return associations(whole, path); };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(said("data.state"), Lines{"closed"});
  EXPECT_EQ(said("data.closed_by"), Lines{"fin"});
  EXPECT_EQ(said("data.local_pkts"), Lines{"7"});
  EXPECT_EQ(said("data.remote_pkts"), Lines{"4"});
  EXPECT_EQ(said("data.l7_detected[0]"), Lines{"HTTP"});
  EXPECT_EQ(said("data.protocols[0]"), Lines{"Diameter"});
  EXPECT_EQ(said("data.sctp_metrics.retransmissions"), Lines{"1"});
  EXPECT_EQ(said("data.sctp_metrics.local_retransmissions"), Lines{"1"});
  EXPECT_EQ(said("data.sctp_metrics.handshake_time_us"), Lines{"3000"});
  EXPECT_EQ(said("data.sctp_metrics.heartbeat_count"), Lines{"1"});
  EXPECT_EQ(said("data.sctp_metrics.connection_completeness"), Lines{"31"});
  EXPECT_EQ(said("data.sctp_metrics.goodput_bytes"), Lines{std::to_string(kAsk1.size() + kAnswer.size())});
  EXPECT_EQ(said("error"), Lines{""});
}

TEST(Sctp, associations_that_fail_say_why) {
  const std::string cause = be16_text(12) + be16_text(4);
  const struct {
    const char* name;
    Packets packets;
    int64_t advance_s;
    std::vector<std::string> errors;
  } cases[] = {
      {"refused", {{0, init(1, 100)}, {1, chunk(6, 0, "")}}, 0, {"Abort: the association was refused"}},
      {"aborted",
       opened({{0, chunk(10, 0, "cookie")}, {1, chunk(11, 0, "")}, {1, chunk(6, 0, cause)}}),
       0,
       {"Abort: the association was aborted"}},
      {"refused twice",
       {{0, init(1, 100)}, {1, chunk(6, 0, "")}, {0, init(1, 100)}, {1, chunk(6, 0, "")}},
       0,
       {"Abort: the association was refused", "Abort: the association was refused"}},
      {"never answered", {{0, init(1, 100)}, {0, init(1, 100)}}, 3000, {"CookieWait: nobody answered"}},
      {"it goes on", opened({{0, chunk(10, 0, "cookie")}, {1, chunk(11, 0, "")}}), 0, {""}},
  };
  for (const auto& c : cases) {
    auto errors = associations(c.packets, "error", c.advance_s);
    if (c.advance_s != 0) errors.erase(errors.begin(), errors.end() - 1);  // reports while it goes on
    EXPECT_EQ(errors, c.errors) << c.name;
  }
  EXPECT_EQ(associations(cases[1].packets, "data.abort_cause"), std::vector<std::string>{"UserInitiatedAbort"});
}

TEST(Sctp, captures) {
  const std::string folder = net::captures_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  const Told told = run(net::load_capture(folder + "/arkime/sctp-www.pcap"));
  ASSERT_EQ(told.items.size(), 3u);
  for (const std::string& item : told.items) EXPECT_TRUE(item.ends_with(" 200")) << item;
}

}  // namespace
}  // namespace baleen::dissect
