#include "dissect/zookeeper/zookeeper.h"

#include "dissect/test_table.h"

namespace baleen::dissect::zookeeper {
namespace {

using enum Direction;

std::string frame(const std::string& body) { return sized(4, body); }
std::string str(const std::string& s) { return sized(4, s); }
const std::string kOpen = frame(be(0, 4) + be(0, 8) + be(30000, 4) + be(0, 8) + str(std::string(16, '\0')) + be(0, 1));
const std::string kOpened = frame(be(0, 4) + be(30000, 4) + be(0x1234, 8) + str(std::string(16, 'p')) + be(0, 1));

std::vector<Row> rows() {
  return {

      {"session",
       {c(kOpen), s(kOpened), c(frame(be(1, 4) + be(4, 4) + str("/a") + be(1, 1))),
        s(frame(be(1, 4) + be(9, 8) + be(0, 4) + str("data") + std::string(68, '\0')))},
       {R"~("method":"connect"|"timeout":30000|"sessionId":"0000000000001234"|"status":"OK")~",
        R"~("method":"getData","xid":1,"path":"/a","watch":true|"zxid":9,"error":0,"status":"OK","data":"data")~"}},
      {"no node",
       {c(frame(be(2, 4) + be(3, 4) + str("/x") + be(0, 1))), s(frame(be(2, 4) + be(9, 8) + be(0xFFFFFF9B, 4)))},
       {R"~("method":"exists"|"error":-101,"status":"NoNode")~"}},
      {"children",
       {c(frame(be(3, 4) + be(8, 4) + str("/") + be(0, 1))),
        s(frame(be(3, 4) + be(9, 8) + be(0, 4) + be(2, 4) + str("a") + str("b")))},
       {R"~("children":["a","b"])~"}},
      {"event",
       {s(frame(be(0xFFFFFFFF, 4) + be(UINT64_MAX, 8) + be(0, 4) + be(3, 4) + be(3, 4) + str("/w")))},
       {R"~(1 data|"event":"changed"|"path":"/w")~"}},
      {"multi",
       {c(frame(be(5, 4) + be(14, 4) + be(1, 4) + be(0, 1) + be(UINT64_MAX, 4) + str("/a") + str("new") + be(1, 4) +
                be(31, 4) + str("world") + str("anyone") + be(0, 4) + be(13, 4) + be(0, 1) + be(UINT64_MAX, 4) +
                str("/b") + be(7, 4) + be(UINT64_MAX, 4) + be(1, 1) + be(UINT64_MAX, 4))),
        s(frame(be(5, 4) + be(9, 8) + be(0, 4) + be(1, 4) + be(0, 1) + be(0, 4) + str("/a") + be(UINT64_MAX, 4) +
                be(0, 1) + be(0, 4) + be(0xFFFFFF99, 4) + be(UINT64_MAX, 4) + be(1, 1) + be(UINT64_MAX, 4)))},
       {R"~("operations":[{"method":"create","path":"/a","data":"new","acl":[{"permissions":31,"scheme":"world","id":"anyone"}],"flags":0},{"method":"check","path":"/b","version":7}],"summary":"/a")~"
        R"~(|"results":[{"method":"create","status":"OK","path":"/a"},{"status":"BadVersion"}])~"}},
      {"watches and who it is",
       {c(frame(be(0xFFFFFFF8, 4) + be(101, 4) + be(9, 8) + be(1, 4) + str("/w") + be(0, 4) + be(0, 4))),
        s(frame(be(0xFFFFFFF8, 4) + be(9, 8) + be(0, 4))), c(frame(be(6, 4) + be(6, 4) + str("/w"))),
        s(frame(be(6, 4) + be(9, 8) + be(0, 4) + be(1, 4) + be(1, 4) + str("ip") + str("10.0.0.1") +
                std::string(68, '\0')))},
       {R"~("method":"setWatches"|"watches":["/w"]|"status":"OK")~",
        R"~("method":"getACL"|"acl":[{"permissions":1,"scheme":"ip")~"}},
      {"write",
       {c(frame(be(4, 4) + be(5, 4) + str("/a") + str("new") + be(0xFFFFFFFF, 4)))},
       {R"~(2 req|"data":"new","version":-1)~"}},
  };
}

TEST(Zookeeper, Table) { check_table<Zookeeper>(rows()); }

// What is cut differently is no word of four letters: the client sends it in one segment, and nothing more.
TEST(Zookeeper, WordsOfFourLetters) {
  expect_items(play<Zookeeper>({c("mntr\n"), s("zk_version\t3.8\n"), s("zk_uptime\t1\n")}),
               {"", {}, {R"~(0 req|"method":"mntr"|"text":"zk_version\t3.8\nzk_uptime\t1\n")~"}});
  expect_items(play<Zookeeper>({c("ruok\n")}), {"", {}, {"2 req"}});
  expect_items(play<Zookeeper>({s("imok")}), {"", {}, {"3 res"}});
  expect_probe<Zookeeper>(kToServer, "stats\r\n", Probe::kNo);
  expect_probe<Zookeeper>(kToServer, "stat", Probe::kUnsure);
  EXPECT_EQ(probe_of<Zookeeper>(kToServer, "stat", true), Probe::kYes);
  expect_probe<Zookeeper>(kToClient, "Zookeeper version: 3.8\n", Probe::kYes);
}

TEST(Zookeeper, Probe) {
  expect_probe<Zookeeper>(kToServer, kOpen, Probe::kYes);
  expect_probe<Zookeeper>(kToClient, kOpened, Probe::kYes);
  expect_probe<Zookeeper>(kToServer, frame(be(1, 4) + be(4, 4) + str("/a") + be(1, 1)), Probe::kYes);
  expect_probe<Zookeeper>(kToServer, frame(be(1, 4) + be(4, 4) + str("xa") + be(1, 1)), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::zookeeper
