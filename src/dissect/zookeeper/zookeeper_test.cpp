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
      {"write",
       {c(frame(be(4, 4) + be(5, 4) + str("/a") + str("new") + be(0xFFFFFFFF, 4)))},
       {R"~(2 req|"data":"new","version":-1)~"}},
  };
}

TEST(Zookeeper, Table) { check_table<Zookeeper>(rows()); }

TEST(Zookeeper, Probe) {
  expect_probe<Zookeeper>(kToServer, kOpen, Probe::kYes);
  expect_probe<Zookeeper>(kToClient, kOpened, Probe::kYes);
  expect_probe<Zookeeper>(kToServer, frame(be(1, 4) + be(4, 4) + str("/a") + be(1, 1)), Probe::kYes);
  expect_probe<Zookeeper>(kToServer, frame(be(1, 4) + be(4, 4) + str("xa") + be(1, 1)), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::zookeeper
