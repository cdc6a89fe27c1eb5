#include "dissect/l4/raw.h"

#include <gtest/gtest.h>

#include <memory>

#include "dissect/engine.h"
#include "dissect/l4/cards.h"
#include "dissect/registry.h"
#include "item/flow_id.h"
#include "item/json.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect::l4 {
namespace {

using net::OwnedPacket;
using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kPsh;
using net::tcp_flag::kRst;
using net::tcp_flag::kSyn;

net::Endpoint end_of(const char* ip, uint16_t port) { return {*net::IpAddress::parse(ip), port}; }
const net::Endpoint kEnds[] = {end_of("10.0.0.9", 45000), end_of("10.0.0.1", 80)};

std::string tcp(int from, uint32_t seq, uint32_t ack, uint8_t flags, std::string_view payload = {}) {
  return net::tcp_frame(kEnds[from], kEnds[1 - from], net::TcpShape{0, 0, seq, ack, flags}, payload);
}

/// What stands at a path of the item's payload, or of a member of the whole item ("error.msg").
std::string said(const item::Item& item, std::string_view path) {
  if (path.starts_with("data.")) return item::display(item::at_path(item, path));
  Arena arena;
  const size_t dot = path.find('.');
  return item::display(item::member(item, path.substr(0, dot), arena)[path.substr(dot + 1)]);
}

struct Told final : EngineObserver {
  std::vector<std::string> raw;  // what `path` says of items of packets
  std::vector<std::string> flow_ids, conn_ids;
  std::string path;
  void on_item(item::ItemRef item) override {
    Arena arena;
    flow_ids.push_back(item::display(item::member(*item, "flow_id", arena)));
    conn_ids.push_back(item::display(item::member(*item, "conn_id", arena)));
    if (item->protocol == &kTcp || item->protocol == &kUdp || item->protocol == &kSctp)
      raw.push_back(said(*item, path));
  }
};

EngineOptions wanted() {
  EngineOptions options;
  options.protocols = registry();
  options.l4.tcp = options.l4.udp = options.l4.sctp = true;
  return options;
}

Told run(const std::vector<std::string>& frames, std::string path, int64_t step_ms = 1,
         const EngineOptions& options = wanted()) {
  Told told;
  told.path = std::move(path);
  Engine engine(options, told);
  int64_t time = 1'700'000'000'000'000'000;
  for (const std::string& frame : frames)
    engine.on_packet(OwnedPacket{timestamp_from_ns(time += step_ms * 1'000'000), frame}.view());
  engine.finish();
  EXPECT_EQ(engine.open_items(), 0u);
  return told;
}

const std::vector<std::string> kExchange = {tcp(0, 100, 0, kSyn),
                                            tcp(1, 500, 101, kSyn | kAck),
                                            tcp(0, 101, 501, kAck),
                                            tcp(0, 101, 501, kAck | kPsh, "GET / HTTP/1.1\r\n\r\n"),
                                            tcp(1, 501, 119, kAck, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                                            tcp(1, 539, 119, kFin | kAck),
                                            tcp(0, 119, 540, kFin | kAck),
                                            tcp(1, 540, 120, kAck)};

TEST(Raw, a_segment_says_what_it_does) {
  const std::vector<std::string> methods = {"SYN", "SYN-ACK", "DATA", "DATA", "FIN", "FIN"};
  EXPECT_EQ(run(kExchange, "data.method").raw, methods);
  EXPECT_EQ(run(kExchange, "data.flags").raw,
            (std::vector<std::string>{"SYN", "SYN,ACK", "PSH,ACK", "ACK", "FIN,ACK", "FIN,ACK"}));
  EXPECT_EQ(run(kExchange, "data.payload").raw[2], "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(run(kExchange, "src.port").raw, (std::vector<std::string>{"45000", "80", "45000", "80", "80", "45000"}));
}

TEST(Raw, all_items_of_a_connection_have_its_numbers) {
  EngineOptions options = wanted();
  options.l4.tcp_conn = options.l4.tcp_flow = true;
  std::vector<std::string> frames = kExchange;
  frames.insert(frames.begin(), net::udp_frame(kEnds[0], kEnds[1], "other"));
  Told told = run(frames, "data.group_id", 1, options);
  const std::string expected = std::to_string(item::flow_id(kEnds[0].ip, kEnds[1], false));
  ASSERT_EQ(told.flow_ids.size(), 10u);  // a datagram; six segments, HTTP, the connection, the flow
  EXPECT_NE(told.flow_ids[0], expected) << "UDP is not TCP";
  for (size_t i = 1; i < told.flow_ids.size(); ++i) {
    EXPECT_EQ(told.flow_ids[i], expected) << i;
    EXPECT_EQ(told.conn_ids[i], "1") << i;
  }
  EXPECT_LT(std::stoull(expected), 1ull << 53);
}

TEST(Raw, what_is_odd_about_a_segment_is_said) {
  std::vector<std::string> frames = kExchange;
  frames.insert(frames.begin() + 4, {kExchange[3], tcp(0, 200, 501, kAck, "later")});
  const Told told = run(frames, "data.analysis[0]", 50);
  EXPECT_EQ(told.raw,
            (std::vector<std::string>{"", "", "", "retransmission", "lost_segment", "", "", "retransmission"}));
}

TEST(Raw, resets_and_bad_ends_are_errors) {
  const auto refused = run({tcp(0, 100, 0, kSyn), tcp(1, 0, 101, kRst | kAck)}, "error.msg");
  EXPECT_EQ(refused.raw, (std::vector<std::string>{"", "Reset: the connection was refused"}));
  const auto reset = run({kExchange[0], kExchange[1], kExchange[2], tcp(1, 501, 101, kRst | kAck)}, "error.msg");
  EXPECT_EQ(reset.raw.back(), "Reset: the connection was reset");
  const auto silent = [](std::vector<std::string> frames) {
    frames.push_back(net::udp_frame(end_of("10.0.0.7", 1), end_of("10.0.0.8", 2), "x"));
    return run(frames, "data.method", 2'000'000).raw;
  };
  EXPECT_EQ(silent({tcp(0, 100, 0, kSyn)}), (std::vector<std::string>{"SYN", "SynSent", ""}));
}

TEST(Raw, a_datagram_says_its_length_and_checksum) {
  std::string frame = net::udp_frame(kEnds[0], kEnds[1], "hello");
  EXPECT_EQ(run({frame}, "data.length").raw[0], "13");
  EXPECT_EQ(run({frame}, "data.payload").raw[0], "hello");
  const size_t checksum = 14 + 20 + 6;
  frame[checksum] = '\x12';
  frame[checksum + 1] = '\x34';
  EXPECT_EQ(run({frame}, "data.checksum").raw[0], std::to_string(0x1234));
  EXPECT_EQ(run({net::udp_frame(kEnds[0], kEnds[1], "")}, "data.length").raw[0], "8");
}

TEST(Raw, payload_is_kept_up_to_the_cap) {
  EngineOptions options = wanted();
  options.settings.body_cap = 4;
  EXPECT_EQ(run({net::udp_frame(kEnds[0], kEnds[1], "hello")}, "data.payload", 1, options).raw[0], "hell");
}

std::string sctp(const std::string& chunks) {
  return net::ethernet_frame(0x0800, net::ipv4_packet("10.0.0.9", "10.0.0.1", 132,
                                                      net::be16_text(40000) + net::be16_text(3868) +
                                                          net::be32_text(77) + net::be32_text(0xABCDEF01) + chunks));
}
std::string chunk(uint8_t type, uint8_t flags, const std::string& body) {
  std::string out{static_cast<char>(type), static_cast<char>(flags)};
  out += net::be16_text(static_cast<uint16_t>(body.size() + 4)) + body;
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}
const std::string kSack = chunk(3, 0, net::be32_text(1) + net::be32_text(9) + net::be32_text(0));
std::string data_chunk(uint32_t protocol) {
  return chunk(0, 3, net::be32_text(5) + net::be16_text(2) + net::be16_text(0) + net::be32_text(protocol) + "abc");
}

TEST(Raw, a_packet_of_sctp_names_the_chunk_that_tells_most) {
  const struct {
    std::string chunks, type;
  } cases[] = {
      {kSack, "Sack"},
      {kSack + data_chunk(46), "Data"},
      {data_chunk(46) + kSack, "Data"},
      {chunk(9, 0, "") + chunk(6, 0, ""), "Abort"},
      {chunk(99, 0, ""), "Type99"},
      {chunk(64, 3, std::string(16, '\0')), "IData"},
      {"", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(run({sctp(c.chunks)}, "data.chunkType").raw[0], c.type);
  const std::string both = sctp(kSack + data_chunk(46));
  EXPECT_EQ(run({both}, "data.checksum").raw[0], std::to_string(0xABCDEF01u));
  EXPECT_EQ(run({both}, "data.length").raw[0], std::to_string(12 + 16 + 20));
  EXPECT_EQ(run({both}, "data.chunks[1].protocol").raw[0], "Diameter");
  EXPECT_EQ(run({both}, "data.chunks[1].payload").raw[0], "abc");
  EXPECT_EQ(run({sctp(data_chunk(60))}, "data.chunks[0].protocol").raw[0], "NGAP");
  EXPECT_EQ(run({sctp(data_chunk(4000))}, "data.chunks[0].protocol").raw[0], "4000");
}

TEST(Raw, every_truncation_is_taken) {
  for (const std::string& whole :
       {kExchange[3], net::udp_frame(kEnds[0], kEnds[1], "hello"), sctp(kSack + data_chunk(46))})
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::unique_ptr<char[]> exact(new char[size]);
      std::copy_n(whole.data(), size, exact.get());
      Told told;
      told.path = "data.length";
      Engine engine(wanted(), told);
      engine.on_packet({timestamp_from_ns(1), as_bytes({exact.get(), size}), static_cast<uint32_t>(whole.size()), 0,
                        net::LinkType::kEthernet});
      EXPECT_LE(told.raw.size(), 1u);
    }
}

TEST(Raw, nothing_is_made_for_those_who_do_not_ask) {
  EngineOptions options;
  options.protocols = registry();
  EXPECT_TRUE(run(kExchange, "data.length", 1, options).raw.empty());
}

}  // namespace
}  // namespace baleen::dissect::l4
