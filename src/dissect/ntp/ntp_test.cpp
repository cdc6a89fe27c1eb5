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
      {"interleaved",
       {c(packet(0x23, 0, 0, kNow).replace(32, 8, be(kNow - 9, 8))), s(packet(0x24, 1, kNow - 9, kNow + 1))},
       {R"~(0 req|"mode":"client")~"}},
      {"answers that come before their questions",
       {s(packet(0x24, 1, kNow, kNow + 1)), s(packet(0x24, 2, kNow - 9, kNow + 2)), c(packet(0x23, 0, 0, kNow)),
        c(packet(0x23, 0, 0, kNow + 7).replace(32, 8, be(kNow - 9, 8)))},
       {R"~(0 req|"mode":"client"|"stratum":1)~", R"~(0 req|"mode":"client"|"stratum":2)~"}},
      {"extension fields and a key",
       {c(packet(0x23, 0, 0, kNow) + unhex("0104 0024") + std::string(32, 'u') + be(7, 4) + std::string(16, 'm'))},
       {R"~("extensions":[{"type":260,"name":"Unique Identifier","length":36}],"keyId":7)~"}},
      {"a kiss of death",
       {c(packet(0x23, 0, 0, kNow)), s(packet(0xE4, 0, kNow, kNow).replace(12, 4, "RATE"))},
       {R"~("stratum":0|"status":"RATE")~"}},
      {"control, in two datagrams",
       {c(unhex("16 02 0007 0000 0000 0000 0000")), s(unhex("16 a2 0007 0615 0000 0000 0004 'a=1,'")),
        s(unhex("16 82 0007 0615 0000 0004 0003 'b=2' 00"))},
       {R"~(0 req|"mode":"control","version":2,"operation":"readvar","sequence":7|"text":"a=1,b=2","status":"OK","packets":2)~"}},
      {"control refused",
       {c(unhex("16 02 0008 0000 0009 0000 0000")), s(unhex("16 c2 0008 0400 0009 0000 0000"))},
       {R"~("association":9|"status":"unknown association")~"}},
      {"private",
       {c(unhex("17 00 03 2a 0000 0000")), s(unhex("d7 00 03 2a 0001 0048") + std::string(72, 'x')),
        s(unhex("97 01 03 2a 0001 0048") + std::string(72, 'x'))},
       {R"~(0 req|"mode":"private","version":2,"operation":"mon_getlist_1"|"items":1,"status":"OK","packets":2)~"}},
      {"broadcast", {c(packet(0x25, 1, 0, kNow))}, {R"~(1 req|"mode":"broadcast")~"}},
  };
}

TEST(Ntp, Table) { check_datagrams<Ntp>(rows()); }

TEST(Ntp, Probe) {
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x23, 0, 0, kNow), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToClient, packet(0x24, 1, kNow, kNow), true), Probe::kYes);
  constexpr uint64_t k1998 = uint64_t{0xB9C5'0000} << 32;
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x1B, 2, k1998, k1998), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToClient, packet(0x1C, 2, k1998, k1998), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x24, 1, kNow, kNow), true), Probe::kNo);
  // In 1998, with all that a client may say.
  EXPECT_EQ(probe_of<Ntp>(kToServer, packet(0x1B, 4, uint64_t{3123275318} << 32, uint64_t{3123275382} << 32), true),
            Probe::kYes);
  // The answer to a client that sent zeros.
  EXPECT_EQ(probe_of<Ntp>(kToClient, packet(0x1C, 0, 0, kNow).replace(32, 8, be(kNow, 8)), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToClient, packet(0x1C, 0, 0, kNow), true), Probe::kNo);
  EXPECT_EQ(probe_of<Ntp>(kToServer, std::string(48, 'a'), true), Probe::kNo);
  // Polls more often than once a second, in interleaved mode, with a random number for the time.
  EXPECT_EQ(
      probe_of<Ntp>(kToServer,
                    unhex("23 00 fe 20") + std::string(20, '\0') + be(kNow, 8) + be(kNow, 8) + be(uint64_t{5} << 32, 8),
                    true),
      Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToServer, unhex("16 02 0007 0000 0000 0000 0000"), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToServer, unhex("16 02 0007 0001 0000 0000 0000"), true), Probe::kNo);
  EXPECT_EQ(probe_of<Ntp>(kToServer, unhex("17 00 03 2a 0000 0000") + std::string(184, '\0'), true), Probe::kYes);
  EXPECT_EQ(probe_of<Ntp>(kToServer, unhex("17 00 03 2a 0000 0000") + std::string(184, 'x'), true), Probe::kNo);
}

TEST(Ntp, Goldens) { EXPECT_EQ(compare_goldens<Ntp>(BALEEN_SOURCE_DIR "/src/dissect/ntp"), ""); }

}  // namespace
}  // namespace baleen::dissect::ntp
