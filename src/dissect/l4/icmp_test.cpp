#include "dissect/l4/icmp.h"

#include <gtest/gtest.h>

#include "dissect/engine.h"
#include "dissect/l4/cards.h"
#include "dissect/registry.h"
#include "item/json.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect::l4 {
namespace {

using net::OwnedPacket;

const net::Endpoint kClient{*net::IpAddress::parse("10.0.0.9"), 45000}, kServer{*net::IpAddress::parse("10.0.0.1"), 53};

/// Items as "type | summary | stream | conversation joined".
struct Told final : EngineObserver {
  std::vector<std::string> lines, sources;
  std::vector<uint64_t> packets;  // the streams that they were told for
  void on_item(item::ItemRef item) override {
    if (item->protocol != &kIcmp) return;
    lines.push_back(item::display(item::at_path(*item, "data.type")) + " | " +
                    item::display(item::at_path(*item, "data.summary")) + " | " + std::to_string(item->stream) + " | " +
                    item::display(item::at_path(*item, "data.flow.server")));
    sources.push_back(net::to_string(item->client.address.ip));
  }
  void on_packet(StreamRef stream, const net::Packet&, const net::Decoded&) override {
    packets.push_back(stream.number);
  }
};

Told run(const std::vector<std::string>& frames, const EngineOptions& given = {}) {
  Told told;
  EngineOptions options = given;
  options.protocols = registry();
  options.tell_packets = true;
  Engine engine(options, told);
  int64_t time = 1'700'000'000'000'000'000;
  for (const std::string& frame : frames)
    engine.on_packet(OwnedPacket{timestamp_from_ns(time += 1'000'000), frame}.view());
  engine.finish();
  EXPECT_EQ(engine.flows(), 0u);
  return told;
}

EngineOptions wanted() {
  EngineOptions options;
  options.l4.icmp = true;
  return options;
}

std::string icmp4(std::string_view src, std::string_view dst, std::string_view message) {
  return net::ethernet_frame(0x0800, net::ipv4_packet(src, dst, 1, message));
}
std::string icmp6(std::string_view src, std::string_view dst, std::string_view message) {
  return net::ethernet_frame(0x86DD, net::ipv6_packet(src, dst, 58, message));
}
std::string head(uint8_t type, uint8_t code, uint32_t rest) {
  return std::string{static_cast<char>(type), static_cast<char>(code), 0, 0} + net::be32_text(rest);
}
std::string quote() { return net::ipv4_packet("10.0.0.9", "10.0.0.1", 17, net::udp_datagram(45000, 53, "question")); }

struct Case {
  const char* name;
  std::string frame;
  const char* line;
};

TEST(Icmp, says_what_it_is) {
  const std::string target("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  const std::string quote6 = net::ipv6_packet("2001:db8::2", "2001:db8::1", 6, net::tcp_segment({80, 4000}, ""));
  const Case cases[] = {
      {"ping", icmp4("10.0.0.9", "10.0.0.1", head(8, 0, 0x00070002) + "abc"),
       "EchoRequest | EchoRequest id 7 sequence 2 | 0 | "},
      {"a ping that is cut", icmp4("10.0.0.9", "10.0.0.1", std::string("\x08\0\0\0\0", 5)),
       "EchoRequest | EchoRequest | 0 | "},
      {"unreachable", icmp4("10.0.0.1", "10.0.0.9", head(3, 3, 0) + quote()),
       "DestinationUnreachable(Port) | DestinationUnreachable(Port) udp 10.0.0.9:45000 -> 10.0.0.1:53 | 0 | "},
      {"unreachable, quoting too little", icmp4("10.0.0.1", "10.0.0.9", head(3, 13, 0) + quote().substr(0, 22)),
       "DestinationUnreachable(CommAdminProhibited) | DestinationUnreachable(CommAdminProhibited) | 0 | "},
      {"a code that nobody knows", icmp4("10.0.0.1", "10.0.0.9", head(3, 77, 0)),
       "DestinationUnreachable(77) | DestinationUnreachable(77) | 0 | "},
      {"a type that nobody knows", icmp4("10.0.0.1", "10.0.0.9", head(99, 5, 0)), "Type99(5) | Type99(5) | 0 | "},
      {"redirect", icmp4("10.0.0.1", "10.0.0.9", head(5, 1, 0x0a000002) + quote()),
       "Redirect(Host) | Redirect(Host) udp 10.0.0.9:45000 -> 10.0.0.1:53 | 0 | "},
      {"neighbour", icmp6("fe80::1", "fe80::2", head(135, 0, 0) + target),
       "NeighborSolicitation | NeighborSolicitation 2001:db8::1 | 0 | "},
      {"too big", icmp6("2001:db8::1", "2001:db8::2", head(2, 0, 1280) + quote6),
       "PacketTooBig | PacketTooBig tcp [2001:db8::2]:80 -> [2001:db8::1]:4000 | 0 | "},
  };
  for (const Case& c : cases) EXPECT_EQ(run({c.frame}, wanted()).lines, std::vector<std::string>{c.line}) << c.name;
}

TEST(Icmp, numbers_are_there) {
  const std::string target("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  const struct {
    const char* path;
    std::string frame;
    const char* value;
  } cases[] = {
      {"data.mtu", icmp4("10.0.0.1", "10.0.0.9", head(3, 4, 1400) + quote()), "1400"},
      {"data.mtu", icmp6("fe80::1", "fe80::2", head(2, 0, 1280)), "1280"},
      {"data.gateway", icmp4("10.0.0.1", "10.0.0.9", head(5, 1, 0x0a000002)), "10.0.0.2"},
      {"data.target", icmp6("fe80::1", "fe80::2", head(136, 0, 0) + target), "2001:db8::1"},
      {"data.version", icmp6("fe80::1", "fe80::2", head(128, 0, 0)), "6"},
      {"data.length", icmp4("10.0.0.1", "10.0.0.9", head(8, 0, 0) + std::string(56, 'x')), "64"},
      {"data.quoted.dst.port", icmp4("10.0.0.1", "10.0.0.9", head(3, 3, 0) + quote()), "53"},
      {"data.pointer", icmp4("10.0.0.1", "10.0.0.9", head(12, 0, 0x14000000) + quote()), "20"},
      {"data.pointer", icmp6("fe80::1", "fe80::2", head(4, 0, 40)), "40"},
      {"data.linkAddress",
       icmp6("fe80::1", "fe80::2", head(135, 0, 0) + target + std::string("\1\1\2\x42\xac\x11\0\2", 8)),
       "0242ac110002"},
      {"data.routerLifetime", icmp6("fe80::1", "ff02::1", head(134, 0, 0x40000708) + std::string(8, '\0')), "1800"},
      {"data.mtu",
       icmp6("fe80::1", "ff02::1",
             head(134, 0, 0x40000708) + std::string(8, '\0') + std::string("\5\1\0\0\0\0\5\xdc", 8)),
       "1500"},
      {"data.prefixes[0]",
       icmp6("fe80::1", "ff02::1",
             head(134, 0, 0x40000708) + std::string(8, '\0') + std::string("\3\4\x40\xc0", 4) + std::string(12, '\0') +
                 target),
       "2001:db8::1/64"},
      {"data.group", icmp6("fe80::1", "ff02::1", head(131, 0, 0) + target), "2001:db8::1"},
      {"data.groups[1].type",
       icmp6("fe80::1", "ff02::16",
             head(143, 0, 2) + std::string("\4\0\0\0", 4) + target + std::string("\3\0\0\0", 4) + target),
       "ToInclude"},
  };
  struct One final : EngineObserver {
    item::ItemRef item;
    void on_item(item::ItemRef i) override { item = std::move(i); }
  };
  for (const auto& c : cases) {
    One one;
    EngineOptions options = wanted();
    Engine engine(options, one);
    engine.on_packet(OwnedPacket{timestamp_from_ns(1), c.frame}.view());
    ASSERT_TRUE(one.item) << c.path;
    EXPECT_EQ(item::display(item::at_path(*one.item, c.path)), c.value) << c.path;
    one.item.reset();
  }
}

TEST(Icmp, an_error_belongs_to_the_flow_that_it_quotes) {
  const std::string other = net::udp_frame({*net::IpAddress::parse("10.0.0.7"), 1}, kServer, "x");
  const Told told = run(
      {other, net::udp_frame(kClient, kServer, "question"), icmp4("10.0.0.254", "10.0.0.9", head(3, 1, 0) + quote()),
       icmp4("10.0.0.9", "10.0.0.1", head(8, 0, 1)), icmp4("10.0.0.1", "10.0.0.9", head(0, 0, 1))},
      wanted());
  EXPECT_EQ(told.lines,
            (std::vector<std::string>{
                "DestinationUnreachable(Host) | DestinationUnreachable(Host) udp 10.0.0.9:45000 -> "
                "10.0.0.1:53 | 1 | 10.0.0.1:53",
                "EchoRequest | EchoRequest id 0 sequence 1 | 2 | ", "EchoReply | EchoReply id 0 sequence 1 | 2 | "}));
  EXPECT_EQ(told.packets, (std::vector<uint64_t>{0, 1, 1, 2, 2}));
  EXPECT_EQ(told.sources, (std::vector<std::string>{"10.0.0.254", "10.0.0.9", "10.0.0.1"}));
}

TEST(Icmp, a_reply_tells_its_round_trip) {
  struct Times final : EngineObserver {
    std::vector<std::string> rtt;
    void on_item(item::ItemRef i) override { rtt.push_back(item::display(item::at_path(*i, "data.rtt_us"))); }
  } times;
  Engine engine(wanted(), times);
  int64_t ns = 1'700'000'000'000'000'000;
  const auto ping = [&](int64_t after_us, bool request, uint32_t id) {
    ns += after_us * 1000;
    const char* const ends[] = {"10.0.0.9", "10.0.0.1"};
    engine.on_packet(OwnedPacket{timestamp_from_ns(ns),
                                 icmp4(ends[request ? 0 : 1], ends[request ? 1 : 0], head(request ? 8 : 0, 0, id))}
                         .view());
  };
  ping(0, true, 0x10001);
  ping(100, true, 0x10002);
  ping(200, false, 0x10002);
  ping(300, false, 0x10001);
  ping(400, false, 0x10001);  // a duplicate
  ping(500, false, 0x10009);  // its request was not seen
  EXPECT_EQ(times.rtt, (std::vector<std::string>{"", "", "200", "600", "", ""}));
}

TEST(Icmp, costs_nothing_when_nobody_wants_it) {
  const Told told = run({icmp4("10.0.0.9", "10.0.0.1", head(8, 0, 1))});
  EXPECT_TRUE(told.lines.empty());
  EXPECT_TRUE(told.packets.empty());
}

TEST(Icmp, every_truncation_is_taken) {
  for (const std::string& whole : {icmp4("10.0.0.1", "10.0.0.9", head(3, 4, 1400) + quote()),
                                   icmp6("fe80::1", "fe80::2", head(137, 0, 0) + std::string(32, '\1'))})
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::unique_ptr<char[]> exact(new char[size]);
      std::copy_n(whole.data(), size, exact.get());
      Told told;
      Engine engine(wanted(), told);
      engine.on_packet({timestamp_from_ns(1), as_bytes({exact.get(), size}), static_cast<uint32_t>(whole.size()), 0,
                        net::LinkType::kEthernet});
      EXPECT_LE(told.lines.size(), 1u);
    }
}

TEST(Icmp, captures) {
  const std::string folder = net::captures_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  const struct {
    const char *file, *first;
    size_t items;
  } cases[] = {
      {"zeek/icmp/5-pings.pcap", "EchoRequest", 10},
      {"zeek/icmp/icmp-destunreach-udp.pcap", "DestinationUnreachable(Port)", 1},
      {"zeek/icmp/icmp6-ping.pcap", "EchoRequest", 8},
  };
  for (const auto& c : cases) {
    Told told;
    EngineOptions options = wanted();
    options.protocols = registry();
    Engine engine(options, told);
    for (const OwnedPacket& p : net::load_capture(folder + "/" + c.file)) engine.on_packet(p.view());
    engine.finish();
    ASSERT_EQ(told.lines.size(), c.items) << c.file;
    EXPECT_TRUE(told.lines.front().starts_with(c.first)) << told.lines.front();
  }
}

}  // namespace
}  // namespace baleen::dissect::l4
