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
      {"malformed", {c(packet(1, 3, kSomebody, "\x0C\x50x"))}, {"req|error=malformed options"}},
  };
}

TEST(Dhcp, Table) { check_datagrams<Dhcp>(rows()); }

TEST(Dhcp, Probe) {
  EXPECT_EQ(probe_of<Dhcp>(kToServer, packet(1, 1, kNobody, ""), true), Probe::kYes);
  EXPECT_EQ(probe_of<Dhcp>(kToClient, packet(1, 1, kNobody, ""), true), Probe::kNo);
  EXPECT_EQ(probe_of<Dhcp>(kToServer, std::string(300, '\x01'), true), Probe::kNo);
}

TEST(Dhcp, Goldens) { EXPECT_EQ(compare_goldens<Dhcp>(BALEEN_SOURCE_DIR "/src/dissect/dhcp"), ""); }

}  // namespace
}  // namespace baleen::dissect::dhcp
