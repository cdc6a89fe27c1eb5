#include "dissect/dhcp/dhcp.h"

#include "dissect/test_table.h"

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
       {R"~(1 req|"hardwareAddress":"02:42:00:00:00:01"|"hostName":"pc1"|"type":"DISCOVER"|"summary":"pc1")~",
        R"~(1 res|"leaseTime":3600,"routers":["10.1.1.1"],"type":"OFFER"|"status":"OFFER")~"}},
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
}

TEST(Dhcp, Goldens) { EXPECT_EQ(compare_goldens<Dhcp>(BALEEN_SOURCE_DIR "/src/dissect/dhcp"), ""); }

}  // namespace
}  // namespace baleen::dissect::dhcp
