#include "dissect/cassandra/cassandra.h"

#include "dissect/test_table.h"

namespace baleen::dissect::cassandra {
namespace {

using enum Direction;

std::string frame(int version, int stream, int opcode, const std::string& body) {
  return be(version, 1) + be(0, 1) + be(stream, 2) + be(opcode, 1) + sized(4, body);
}
std::string str(const std::string& s) { return sized(2, s); }
const std::string kSelect = frame(4, 1, 7, sized(4, "SELECT a FROM t") + be(6, 2) + be(0, 1));
const std::string kRows = frame(0x84, 1, 8,
                                be(2, 4) + be(1, 4) + be(2, 4) + str("ks") + str("t") + str("a") + be(9, 2) + str("b") +
                                    be(13, 2) + be(1, 4) + sized(4, be(42, 4)) + be(0xFFFFFFFF, 4));

std::vector<Row> rows() {
  return {

      {"query",
       {c(kSelect), s(kRows)},
       {R"~("method":"QUERY"|"query":"SELECT a FROM t","consistency":"LOCAL_QUORUM"|"kind":"ROWS","keyspace":"ks","table":"t","columns":["a","b"],"rowCount":1,"rows":[{"a":42,"b":null}],"status":"OK")~"}},
      {"error",
       {c(kSelect), s(frame(0x84, 1, 0, be(0x2000, 4) + str("bad")))},
       {R"~("status":"SYNTAX_ERROR","error":"bad")~"}},
      {"out of order",
       {c(frame(4, 1, 5, "") + frame(4, 2, 5, "")), s(frame(0x84, 2, 2, "") + frame(0x84, 1, 2, ""))},
       {R"~("stream":2|READY)~", R"~("stream":1|READY)~"}},
      {"startup",
       {c(frame(4, 0, 1, be(1, 2) + str("CQL_VERSION") + str("3.0.0"))), s(frame(0x84, 0, 3, str("Password")))},
       {R"~("options":{"CQL_VERSION":"3.0.0"}|"authenticator":"Password")~"}},
      {"prepare and execute",
       {c(frame(4, 1, 9, sized(4, "INSERT")) +
          frame(4, 2, 10, str("\x01\x02") + be(1, 2) + be(1, 1) + be(1, 2) + sized(4, "v"))),
        s(frame(0x84, 1, 8, be(4, 4) + str("\x01\x02") + be(4, 4) + be(0, 4) + be(0, 4)) +
          frame(0x84, 2, 8, be(1, 4)))},
       {R"~("query":"INSERT"|"preparedId":"0102")~", R"~("preparedId":"0102"|"values":["v"]|"kind":"VOID")~"}},
      {"batch",
       {c(frame(4, 1, 13, be(0, 1) + be(1, 2) + be(0, 1) + sized(4, "UPDATE") + be(0, 2) + be(1, 2) + be(0, 1)))},
       {R"~(2 req|"batchType":"LOGGED","queries":[{"query":"UPDATE","valueCount":0}],"consistency":"ONE")~"}},
      {"event",
       {s(frame(0x84, 0xFFFF, 12, str("STATUS_CHANGE") + str("UP") + sized(1, "\x0A\x01\x01\x01") + be(9042, 4)))},
       {R"~(1 data|"event":"STATUS_CHANGE","change":"UP","node":"10.1.1.1","port":9042)~"}},
      {"short", {c(frame(4, 1, 7, "ab"))}, {"req|error=malformed body"}},
  };
}

TEST(Cassandra, Table) { check_table<Cassandra>(rows()); }

TEST(Cassandra, Probe) {
  expect_probe<Cassandra>(kToServer, kSelect, Probe::kYes);
  expect_probe<Cassandra>(kToClient, kRows, Probe::kYes);
  expect_probe<Cassandra>(kToServer, kRows, Probe::kNo);
  expect_probe<Cassandra>(kToServer, std::string(20, '\x04'), Probe::kNo);
}

TEST(Cassandra, Goldens) { EXPECT_EQ(compare_goldens<Cassandra>(BALEEN_SOURCE_DIR "/src/dissect/cassandra"), ""); }

}  // namespace
}  // namespace baleen::dissect::cassandra
