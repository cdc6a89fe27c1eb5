#include "dissect/dhcp/dhcp.h"

#include <set>

#include "dissect/engine.h"
#include "dissect/registry.h"
#include "dissect/test_table.h"
#include "net/harness.h"

namespace baleen::dissect::dhcp {
namespace {

using enum Direction;

std::string packet(int op, int type, const std::string& client, const std::string& options) {
  return be(op, 1) + unhex("01 06 00 12345678 0000 0000") + client + be(0xC0A80107, 4) + be(0, 4) + be(0, 4) +
         unhex("024200000001") + std::string(202, '\0') + unhex("63825363 35 01") + be(type, 1) + options + "\xFF";
}
const std::string kNobody(4, '\0'), kSomebody = "\x0A\x01\x01\x01";

std::vector<Row> rows() {
  return {

      {"discover",
       {c(packet(1, 1, kNobody, "\x0C\x03pc1")), s(packet(2, 2, kNobody, unhex("33 04 00000e10 03 04 0a010101")))},
       {R"~(0 req|"hardwareAddress":"02:42:00:00:00:01"|"hostName":"pc1"|"type":"DISCOVER"|"summary":"pc1")~"
        R"~(| res|"leaseTime":3600,"routers":["10.1.1.1"],"type":"OFFER"|"status":"OFFER")~"}},
      {"two servers offer, one acknowledges, the other's offer is late",
       {c(packet(1, 1, kNobody, "")), s(packet(2, 2, kNobody, unhex("36 04 0a000001"))), c(packet(1, 3, kNobody, "")),
        s(packet(2, 2, kNobody, unhex("36 04 0a000002"))), s(packet(2, 5, kNobody, unhex("36 04 0a000001")))},
       {R"~(0 req|"DISCOVER"| res|"serverId":"10.0.0.1"|"OFFER")~", R"~(1 res|"serverId":"10.0.0.2"|"OFFER")~",
        R"~(0 req|"REQUEST"| res|"serverId":"10.0.0.1"|"ACK")~"}},
      {"rapid commit, and a client that nobody answers",
       {c(packet(1, 1, kNobody, unhex("50 00"))), s(packet(2, 5, kNobody, unhex("50 00"))),
        c(packet(1, 8, kNobody, ""))},
       {R"~(0 req|"DISCOVER"| res|"ACK")~", R"~(2 req|"INFORM")~"}},
      {"two clients with one number",
       {c(packet(1, 1, kNobody, "")), c(packet(1, 1, kNobody, "").replace(28, 6, unhex("024200000002"))),
        s(packet(2, 2, kNobody, "").replace(28, 6, unhex("024200000002"))), s(packet(2, 2, kNobody, ""))},
       {R"~(0 req|"hardwareAddress":"02:42:00:00:00:02"| res|"hardwareAddress":"02:42:00:00:00:02")~",
        R"~(0 req|"hardwareAddress":"02:42:00:00:00:01"| res|"hardwareAddress":"02:42:00:00:00:01")~"}},
      {"renewal",
       {c(packet(1, 3, kSomebody, "")), s(packet(2, 5, kSomebody, ""))},
       {R"~(0 req|"type":"REQUEST"|"yourAddress":"192.168.1.7"|"type":"ACK")~"}},
      {"relayed, with what relay and client add",
       {c(packet(1, 3, kSomebody,
                 unhex("52 08 01 03 'e0/' 02 01 '7' 51 0a 04 00 00 02 'pc' 03 'lan' 00") +
                     unhex("3d 07 01 024200000001 37 02 01 79 79 08 18 0a0102 0a010101"))),
        s(packet(2, 6, kSomebody, unhex("38 02 'no'")))},
       {R"~("relayAgent":{"circuitId":"e0/","remoteId":"7"}|"fqdn":"pc.lan"|"clientId":"02:42:00:00:00:01")~"
        R"~(|"routes":["10.1.2.0/24 10.1.1.1"]|"value":[1,121]|"message":"no"|"status":"NAK")~"}},
      {"options where names would be",
       {c(packet(1, 3, kSomebody, unhex("34 01 02")).replace(44, 5, unhex("0c 02 'pc' ff")))},
       {R"~("hostName":"pc")~"}},
      {"malformed", {c(packet(1, 3, kSomebody, "\x0C\x50x"))}, {"req|error=malformed options"}},
  };
}

std::string option6(int code, const std::string& value) { return be(code, 2) + be(value.size(), 2) + value; }
std::string message6(int type, const std::string& options) { return be(type, 1) + be(0x123456, 3) + options; }
const std::string kClient = option6(1, unhex("0003 0001 024200000001")),
                  kServer = option6(2, unhex("0003 0001 024200000002"));
const std::string kAddress6 = unhex("20010db8 00000000 00000000 00000007");
std::string relay6(int type, const std::string& message) {
  return be(type, 1) + be(0, 1) + kAddress6 + std::string(16, '\xFE') + option6(18, "eth0") + option6(9, message);
}

std::vector<Row> rows6() {
  return {
      {"solicit and advertise",
       {c(message6(1, kClient + option6(6, be(23, 2)) + option6(3, be(7, 4) + be(0, 8)))),
        s(message6(2, kClient + kServer +
                          option6(3, be(7, 4) + be(0, 8) + option6(5, kAddress6 + be(60, 4) + be(120, 4))) +
                          option6(23, kAddress6)))},
       {R"~(0 req|"type":"SOLICIT","transactionId":"123456","clientId":"00030001024200000001"|"summary":"0003)~"
        R"~(|"type":"ADVERTISE"|"nameServers":["2001:db8::7"]|"addresses":["2001:db8::7"]|"status":"Success")~"}},
      {"relayed, refused",
       {c(relay6(12, relay6(12, message6(3, kClient + option6(39, unhex("01 02 'pc' 03 'lan' 00")))))),
        s(relay6(13, relay6(13, message6(7, kClient + kServer + option6(13, be(2, 2) + "none")))))},
       {R"~(0 req|"type":"REQUEST"|"fqdn":"pc.lan"|"relays":[{"hops":0,"link":"2001:db8::7"|"summary":"pc.lan"|"status":"NoAddrsAvail")~"}},
      {"prefix",
       {c(message6(
           5, kClient + option6(25, be(1, 4) + be(0, 8) + option6(26, be(1, 4) + be(2, 4) + be(56, 1) + kAddress6))))},
       {R"~("addresses":["2001:db8::7/56"])~"}},
  };
}

TEST(Dhcp, Table6) { check_datagrams<Dhcp>(rows6()); }
TEST(Dhcp, Table) { check_datagrams<Dhcp>(rows()); }

// ---- answers that come between other addresses ----

struct Shown final : EngineObserver {
  std::vector<std::string> items;
  std::vector<uint64_t> streams;
  std::set<uint64_t> packets;  // streams that had some
  void on_item(item::ItemRef item) override {
    const item::Value request = item->request.payload, response = item->response.payload;
    const auto who = [](item::Value v) {
      return std::string(v["type"].text()) + " " +
             std::string((v["hardwareAddress"].is_null() ? v["clientId"] : v["hardwareAddress"]).text());
    };
    items.push_back((item->request.present ? who(request) : "") + " > " +
                    (item->response.present ? who(response) : ""));
    streams.push_back(item->stream);
  }
  void on_packet(StreamRef stream, const net::Packet&, const net::Decoded&) override { packets.insert(stream.number); }
};

struct Sent {
  const char *from, *to;
  uint16_t from_port, to_port;
  std::string bytes;
};

Shown run(const std::vector<Sent>& script) {
  Shown shown;
  EngineOptions options;
  options.protocols = registry();
  options.tell_packets = true;
  Engine engine(options, shown);
  int64_t time = 1'700'000'000'000'000'000;
  for (const Sent& s : script) {
    const net::OwnedPacket p{timestamp_from_ns(time += 1'000'000),
                             net::udp_frame({*net::IpAddress::parse(s.from), s.from_port},
                                            {*net::IpAddress::parse(s.to), s.to_port}, s.bytes)};
    engine.on_packet(p.view());
  }
  engine.finish();
  return shown;
}

std::string with_mac(std::string message, const char* last) { return message.replace(33, 1, unhex(last)); }
std::string relayed_by(std::string message, const std::string& agent) { return message.replace(24, 4, agent); }

TEST(Dhcp, AnswersToABroadcastAreOfItsStream) {
  const std::string discover = packet(1, 1, kNobody, ""), offer = packet(2, 2, kNobody, "");
  const Shown shown = run({{"0.0.0.0", "255.255.255.255", 68, 67, discover},
                           {"0.0.0.0", "255.255.255.255", 68, 67, with_mac(discover, "02")},
                           {"10.0.0.1", "255.255.255.255", 67, 68, with_mac(offer, "02")},
                           {"10.0.0.1", "192.168.1.7", 67, 68, offer},
                           {"0.0.0.0", "255.255.255.255", 68, 67, packet(1, 3, kNobody, "")},
                           {"10.0.0.1", "192.168.1.7", 67, 68, packet(2, 5, kNobody, "")},
                           {"192.168.1.7", "10.0.0.255", 68, 67, packet(1, 8, kSomebody, "")},
                           {"10.0.0.1", "192.168.1.7", 67, 68, packet(2, 5, kSomebody, "")}});
  EXPECT_THAT(shown.items, ::testing::ElementsAre("DISCOVER 02:42:00:00:00:02 > OFFER 02:42:00:00:00:02",
                                                  "DISCOVER 02:42:00:00:00:01 > OFFER 02:42:00:00:00:01",
                                                  "REQUEST 02:42:00:00:00:01 > ACK 02:42:00:00:00:01",
                                                  "INFORM 02:42:00:00:00:01 > ACK 02:42:00:00:00:01"));
  EXPECT_THAT(shown.streams, ::testing::ElementsAre(0, 0, 0, 1));
  EXPECT_EQ(shown.packets.size(), 2u);
}

TEST(Dhcp, BothSidesOfARelayAreSeen) {
  const std::string agent = unhex("0a0000fe"), discover = packet(1, 1, kNobody, ""), offer = packet(2, 2, kNobody, "");
  const Shown shown = run({{"0.0.0.0", "255.255.255.255", 68, 67, discover},
                           {"10.0.0.254", "10.9.9.1", 67, 67, relayed_by(discover, agent)},
                           {"10.9.9.1", "10.0.0.254", 67, 67, relayed_by(offer, agent)},
                           {"10.0.0.254", "255.255.255.255", 67, 68, relayed_by(offer, agent)}});
  EXPECT_THAT(shown.items, ::testing::ElementsAre("DISCOVER 02:42:00:00:00:01 > OFFER 02:42:00:00:00:01",
                                                  "DISCOVER 02:42:00:00:00:01 > OFFER 02:42:00:00:00:01"));
  EXPECT_THAT(shown.streams, ::testing::ElementsAre(1, 0));
}

TEST(Dhcp, AnswersWithoutTheirQuestionStandAlone) {
  const std::string offer = packet(2, 2, kNobody, "");
  const Shown shown = run({{"10.0.0.1", "192.168.1.7", 67, 68, offer},
                           {"0.0.0.0", "255.255.255.255", 68, 67, with_mac(packet(1, 1, kNobody, ""), "02")},
                           {"10.0.0.1", "192.168.1.7", 67, 68, offer}});
  EXPECT_THAT(shown.items, ::testing::ElementsAre(" > OFFER 02:42:00:00:00:01", " > OFFER 02:42:00:00:00:01",
                                                  "DISCOVER 02:42:00:00:00:02 > "));
}

TEST(Dhcp, AnswersToAMulticastAreOfItsStream) {
  const std::string other = option6(1, unhex("0003 0001 024200000009"));
  const Shown shown = run({{"fe80::7", "ff02::1:2", 546, 547, message6(1, kClient)},
                           {"fe80::8", "ff02::1:2", 546, 547, message6(1, other)},
                           {"fe80::1", "fe80::8", 547, 546, message6(2, other + kServer)},
                           {"fe80::1", "fe80::7", 547, 546, message6(2, kClient + kServer)},
                           {"fe80::2", "fe80::7", 547, 546, message6(2, kClient + kServer)},
                           {"fd00::7", "ff05::1:3", 547, 547, relay6(12, message6(3, kClient))},
                           {"fd00::1", "fd00::7", 547, 547, relay6(13, message6(7, kClient + kServer))},
                           {"fe80::7", "ff02::1:2", 546, 547, message6(11, option6(6, be(23, 2)))},
                           {"fe80::1", "fe80::7", 547, 546, message6(7, kServer)}});
  EXPECT_THAT(shown.items, ::testing::ElementsAre("SOLICIT 00030001024200000009 > ADVERTISE 00030001024200000009",
                                                  "SOLICIT 00030001024200000001 > ADVERTISE 00030001024200000001",
                                                  " > ADVERTISE 00030001024200000001",
                                                  "REQUEST 00030001024200000001 > REPLY 00030001024200000001",
                                                  "INFORMATION-REQUEST  > REPLY "));
}

TEST(Dhcp, MeetingsAreBounded) {
  Meetings meetings;
  const Timestamp since = timestamp_from_ns(50);
  uint64_t forgotten = 0;
  for (size_t i = 0; i < 2 * Meetings::kMost; ++i)
    forgotten +=
        meetings.note(std::to_string(i), {.flow = {}, .time = timestamp_from_ns(static_cast<int64_t>(i))}, since);
  EXPECT_EQ(forgotten, Meetings::kMost - 50) << "the answers to the first 50 would come too late";
  EXPECT_EQ(meetings.size(), Meetings::kMost);
  EXPECT_EQ(meetings.find("0", Timestamp{}), nullptr);
  EXPECT_NE(meetings.find(std::to_string(2 * Meetings::kMost - 1), Timestamp{}), nullptr);
}

TEST(Dhcp, Probe) {
  EXPECT_EQ(probe_of<Dhcp>(kToServer, packet(1, 1, kNobody, ""), true), Probe::kYes);
  EXPECT_EQ(probe_of<Dhcp>(kToClient, packet(1, 1, kNobody, ""), true), Probe::kNo);
  EXPECT_EQ(probe_of<Dhcp>(kToServer, std::string(300, '\x01'), true), Probe::kNo);
  EXPECT_EQ(probe_of<Dhcp>(kToServer, message6(1, kClient), true), Probe::kYes);
  EXPECT_EQ(probe_of<Dhcp>(kToClient, message6(7, kClient + kServer), true), Probe::kYes);
  EXPECT_EQ(probe_of<Dhcp>(kToServer, message6(1, option6(6, be(23, 2))), true), Probe::kNo);
  EXPECT_EQ(probe_of<Dhcp>(kToServer, message6(1, kClient) + "x", true), Probe::kNo);
  // BOOTP, and what a short snap length leaves of a message.
  const std::string bootp = packet(1, 1, kNobody, "").substr(0, 236) + std::string(64, '\0');
  EXPECT_EQ(probe_of<Dhcp>(kToServer, bootp, true), Probe::kYes);
  const std::string start = packet(1, 1, kNobody, "").substr(0, 54);
  EXPECT_EQ(Dhcp::probe({kToServer, as_bytes(start), {}, true, true, 246}), Probe::kYes);
  EXPECT_EQ(Dhcp::probe({kToServer, as_bytes(start), {}, true, true, 0}), Probe::kNo);
  // An answer of DNS with one name server, of which 64 bytes with its headers were captured: its counts are those of a
  // client's identifier, and "www" is no option.
  const std::string dns =
      std::string("\x07\x12\x81\x80", 4) + be(1, 2) + be(4, 2) + be(1, 2) + be(0, 2) + "\x03www\x07shop";
  for (size_t size = 4; size <= dns.size(); ++size)
    EXPECT_EQ(Dhcp::probe({kToClient, as_bytes(dns).first(size), {}, true, true, 100}), Probe::kNo) << size;
  const std::string cut = message6(7, kClient + kServer);
  EXPECT_EQ(Dhcp::probe({kToClient, as_bytes(cut).first(cut.size() - 3), {}, true, true, 3}), Probe::kYes);
}

TEST(Dhcp, Goldens) { EXPECT_EQ(compare_goldens<Dhcp>(BALEEN_SOURCE_DIR "/src/dissect/dhcp"), ""); }

}  // namespace
}  // namespace baleen::dissect::dhcp
