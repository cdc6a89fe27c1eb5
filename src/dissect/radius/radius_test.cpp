#include "dissect/radius/radius.h"

#include "dissect/test_table.h"

namespace baleen::dissect::radius {
namespace {

std::string packet(int code, int id, const std::string& attributes) {
  return be(code, 1) + be(id, 1) + be(attributes.size() + 20, 2) + std::string(16, '\x11') + attributes;
}
std::string attribute(int type, const std::string& value) { return be(type, 1) + be(value.size() + 2, 1) + value; }

std::vector<Row> rows() {
  return {
      {"access",
       {c(packet(1, 5,
                 attribute(1, "bob") + attribute(2, std::string(16, 'x')) + attribute(4, "\x0A\x01\x02\x03") +
                     attribute(61, be(15, 4)))),
        s(packet(2, 5, attribute(18, "hi") + attribute(8, "\x0A\x01\x02\x04")))},
       {R"~("code":1,"codeName":"Access-Request","id":5,"authenticator":"11111111111111111111111111111111","userName":"bob","nasIpAddress":"10.1.2.3")~"
        R"~(|"name":"NAS-Port-Type","value":"Ethernet"|"secrets":[{"type":2,"name":"User-Password"|"summary":"bob")~"
        R"~(|"codeName":"Access-Accept"|"replyMessage":"hi","framedIpAddress":"10.1.2.4")~"}},
      {"eap",
       {c(packet(1, 6, attribute(79, unhex("02 01 0008 01")) + attribute(79, "bob"))),
        s(packet(11, 6, attribute(79, unhex("01 02 0006 19 20"))))},
       {R"~("eap":{"code":"Response","id":1,"length":8,"type":"Identity","identity":"bob"}|"codeName":"Access-Challenge"|"type":"PEAP")~"}},
      {"vendor",
       {c(packet(
           4, 7,
           attribute(40, be(1, 4)) + attribute(26, be(9, 4) + attribute(1, "k=v")) + attribute(26, be(1, 4) + "raw")))},
       {R"~("acctStatusType":"Start"|{"vendorId":9,"vendor":"Cisco","attributes":[{"type":1,"name":"Cisco-AVPair","value":"k=v"}]}|"data")~"}},
      {"orphan", {s(packet(3, 9, ""))}, {R"~(3 res|"codeName":"Access-Reject")~"}},
      {"answers that come before their questions",
       {s(packet(2, 9, "")), s(packet(5, 1, "")), c(packet(4, 9, "")), c(packet(1, 9, "")),
        c(packet(12, 1, attribute(80, std::string(16, 'm'))))},
       {R"~(0 req|"code":1|"code":2)~", R"~(0 req|"code":12|"code":5)~", R"~(2 req|"code":4)~"}},
      {"sent again, and an identifier that is used again",
       {c(packet(1, 5, "")), c(packet(1, 5, "")), s(packet(2, 5, "")), c(packet(4, 5, "")), c(packet(1, 6, "")),
        c(packet(1, 6, "").replace(4, 1, "\x12")), s(packet(3, 6, "")), s(packet(5, 5, ""))},
       {R"~(0 req|"code":2)~", R"~(2 req|"authenticator":"1111)~", R"~(0 req|"authenticator":"1211|"code":3)~",
        R"~(0 req|"code":4|"code":5)~", R"~(2 req|"retransmission":true)~"}},
      {"status",
       {c(packet(12, 1, attribute(80, std::string(16, 'm')))), s(packet(5, 1, ""))},
       {R"~(0 req|"codeName":"Status-Server"|"codeName":"Accounting-Response")~"}},
      {"keys and passwords stand apart, IPv6 and extended attributes",
       {s(packet(2, 7,
                 attribute(26, be(311, 4) + attribute(17, "hidden") + attribute(10, "dom")) +
                     attribute(97, unhex("0040 20010db800000000")) + attribute(241, "\x01x") + attribute(69, "pw")))},
       {R"~("name":"MS-CHAP-Domain"|"value":"2001:db8::/64"|"extendedType":1|"secrets":[{"type":17,"name":"MS-MPPE-Recv-Key")~"
        R"~(|"name":"Tunnel-Password")~"}},
      {"a Nak, and TLS in EAP",
       {c(packet(1, 8, attribute(79, unhex("02 01 0008 03 19 15")))),
        s(packet(11, 8, attribute(79, unhex("01 02 000a 19 a0 00001000"))))},
       {R"~("type":"Nak","wanted":["PEAP","TTLS"]|"type":"PEAP","start":true,"moreFragments":false,"tlsLength":4096)~"}},
      {"disconnect",
       {c(packet(40, 1, attribute(44, "sess"))), s(packet(42, 1, attribute(101, be(503, 4))))},
       {R"~("codeName":"Disconnect-Request"|"summary":"sess"|"Session-Context-Not-Found")~"}},
  };
}

TEST(Radius, Table) { check_datagrams<Radius>(rows()); }
TEST(Radius, Streams) {
  check_table<Radius>({{"two in a row",
                        {c(packet(1, 5, attribute(1, "bob")) + packet(4, 5, attribute(40, be(2, 4)))),
                         s(packet(5, 5, "") + packet(3, 5, ""))},
                        {R"~(0 req|"code":4|"code":5)~", R"~(0 req|"code":1|"code":3)~"}}});
  expect_probe<Radius>(Direction::kToServer, packet(1, 5, attribute(1, "bob")), Probe::kYes);
  expect_probe<Radius>(Direction::kToServer, packet(1, 5, attribute(1, "bob") + std::string("\x02\x01xx", 4)),
                       Probe::kNo);
  expect_probe<Radius>(Direction::kToServer, packet(2, 5, attribute(1, "bob")), Probe::kNo);
  // TPKT with a data TPDU of X.224, as of S7 and RDP: what stands behind its 20th byte may look like attributes.
  expect_probe<Radius>(Direction::kToClient,
                       unhex("03 00 001a 02 f0 80 32 03 0000 0500 0002 0001 0000 04 01 06 61626364"), Probe::kNo);
  expect_probe<Radius>(Direction::kToClient, packet(3, 0, attribute(18, "no")), Probe::kYes);
  // An address has 4 or 16 bytes, a number 4: who speaks over TCP has no need of padding.
  expect_probe<Radius>(Direction::kToServer, packet(1, 5, attribute(8, std::string(14, 'x'))), Probe::kNo);
  expect_probe<Radius>(Direction::kToServer, packet(1, 5, attribute(5, std::string(2, 'x'))), Probe::kNo);
}

TEST(Radius, Goldens) { EXPECT_EQ(compare_goldens<Radius>(BALEEN_SOURCE_DIR "/src/dissect/radius"), ""); }

TEST(Radius, Probe) {
  using enum Direction;
  const auto probe = [](Direction d, const std::string& bytes, uint32_t missing = 0) {
    return Radius::probe({d, as_bytes(bytes), {}, true, true, missing});
  };
  const std::string whole = packet(1, 5, attribute(1, "bob"));
  EXPECT_EQ(probe(kToServer, whole), Probe::kYes);
  EXPECT_EQ(probe(kToClient, whole), Probe::kNo);
  EXPECT_EQ(probe(kToServer, packet(1, 5, "\x01\x09xx")), Probe::kNo);
  EXPECT_EQ(probe(kToServer, whole + std::string(21, 'x')), Probe::kNo);
  EXPECT_EQ(probe(kToServer, whole + "xxx"), Probe::kYes);  // padding
  EXPECT_EQ(probe(kToServer, whole.substr(0, 23)), Probe::kNo);
  EXPECT_EQ(probe(kToServer, whole.substr(0, 20), 5), Probe::kNo);  // nothing but a head could be anything's
  // As media of other protocols happen to look: type 0 is nobody's.
  EXPECT_EQ(probe(kToServer, packet(1, 5, attribute(0, std::string(30, 'x')))), Probe::kNo);
  EXPECT_EQ(probe(kToServer, whole.substr(0, 23), 2), Probe::kYes);  // the rest was not captured
  EXPECT_EQ(probe(kToServer, whole.substr(0, 22), 1), Probe::kNo);   // there is no room for the name
  EXPECT_EQ(probe(kToServer, packet(4, 2, std::string(90, '\xB1')).substr(0, 50), 60), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::radius
