#include "dissect/ntp/ntp.h"

#include "dissect/test_table.h"

namespace baleen::dissect::ntp {
namespace {

using enum Direction;

std::string packet(int first, int stratum, uint64_t originate, uint64_t transmit) {
  return be(first, 1) + be(stratum, 1) + unhex("06 e8 00000000 00000100") + "GPS" + be(0, 1) + be(0, 8) +
         be(originate, 8) + be(0, 8) + be(transmit, 8);
}
constexpr uint64_t kNow = uint64_t{3900000000} << 32;

std::vector<Row> rows() {
  return {

      {"exchange",
       {c(packet(0x23, 0, 0, kNow)), s(packet(0x24, 1, kNow, kNow + 1))},
       {R"~(0 req|"mode":"client","version":4|"mode":"server"|"stratum":1|"referenceId":"GPS"|"status":"OK")~"}},
      {"not an answer to this", {c(packet(0x23, 0, 0, kNow)), s(packet(0x24, 1, 5, kNow + 1))}, {"3 res", "2 req"}},
      {"broadcast", {c(packet(0x25, 1, 0, kNow))}, {R"~(1 req|"mode":"broadcast")~"}},
  };
}

TEST(Ntp, Table) { check_datagrams<Ntp>(rows()); }

TEST(Ntp, Probe) {
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x23, 0, 0, kNow), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToClient, packet(0x24, 1, kNow, kNow), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x24, 1, kNow, kNow), true), Probe::kNo);
  EXPECT_EQ(probe_of<Ntp>(kToServer, std::string(48, 'a'), true), Probe::kNo);
}

TEST(Ntp, Goldens) { EXPECT_EQ(compare_goldens<Ntp>(BALEEN_SOURCE_DIR "/src/dissect/ntp"), ""); }

}  // namespace
}  // namespace baleen::dissect::ntp
