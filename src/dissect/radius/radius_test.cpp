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
       {R"~("acctStatusType":"Start"|{"vendorId":9,"vendor":"Cisco","attributes":[{"type":1,"value":"k=v"}]}|"data")~"}},
      {"orphan", {s(packet(3, 9, ""))}, {R"~(3 res|"codeName":"Access-Reject")~"}},
      {"disconnect",
       {c(packet(40, 1, attribute(44, "sess"))), s(packet(42, 1, attribute(101, be(503, 4))))},
       {R"~("codeName":"Disconnect-Request"|"summary":"sess"|"Session-Context-Not-Found")~"}},
  };
}

TEST(Radius, Table) { check_datagrams<Radius>(rows()); }
TEST(Radius, Goldens) { EXPECT_EQ(compare_goldens<Radius>(BALEEN_SOURCE_DIR "/src/dissect/radius"), ""); }

TEST(Radius, Probe) {
  using enum Direction;
  EXPECT_EQ(probe_of<Radius>(kToServer, packet(1, 5, attribute(1, "bob")), true), Probe::kYes);
  EXPECT_EQ(probe_of<Radius>(kToClient, packet(1, 5, attribute(1, "bob")), true), Probe::kNo);
  EXPECT_EQ(probe_of<Radius>(kToServer, packet(1, 5, "\x01\x09xx"), true), Probe::kNo);
  EXPECT_EQ(probe_of<Radius>(kToServer, packet(1, 5, "") + "x", true), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::radius
