#include "dissect/cassandra/cassandra.h"

#include <lz4.h>

#include "dissect/test_table.h"

namespace baleen::dissect::cassandra {
namespace {

using enum Direction;
using namespace std::string_literals;

std::string frame(int version, int stream, int opcode, const std::string& body) {
  return be(version, 1) + be(0, 1) + be(stream, 2) + be(opcode, 1) + sized(4, body);
}
std::string str(const std::string& s) { return sized(2, s); }
const std::string kSelect = frame(4, 1, 7, sized(4, "SELECT a FROM t") + be(6, 2) + be(0, 1));
const std::string kRows = frame(0x84, 1, 8,
                                be(2, 4) + be(1, 4) + be(2, 4) + str("ks") + str("t") + str("a") + be(9, 2) + str("b") +
                                    be(13, 2) + be(1, 4) + sized(4, be(42, 4)) + be(0xFFFFFFFF, 4));

std::string le(uint64_t n, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(n >> (8 * i));
  return out;
}
uint32_t crc24(const std::string& bytes) {
  uint32_t crc = 0x875060;
  for (const char byte : bytes) {
    crc ^= uint32_t{static_cast<uint8_t>(byte)} << 16;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x800000) != 0 ? 0x1974F0Bu : 0);
    crc &= 0xFFFFFF;
  }
  return crc;
}
/// A frame of version 5; nobody looks at the payload's CRC-32.
std::string framed(const std::string& payload, bool whole = true) {
  const std::string head = le(payload.size() | (whole ? 1u << 17 : 0), 3);
  return head + le(crc24(head), 3) + payload + le(0, 4);
}
std::string packed(const std::string& plain, bool compress = true) {
  std::string payload = plain;
  if (compress) {
    payload.resize(static_cast<size_t>(LZ4_compressBound(static_cast<int>(plain.size()))));
    payload.resize(static_cast<size_t>(LZ4_compress_default(
        plain.data(), payload.data(), static_cast<int>(plain.size()), static_cast<int>(payload.size()))));
  }
  const std::string head = le(payload.size() | (compress ? plain.size() << 17 : 0) | uint64_t{1} << 34, 5);
  return head + le(crc24(head), 3) + payload + le(0, 4);
}
const std::string kSelect5 = frame(5, 1, 7, sized(4, "SELECT a FROM t") + be(6, 2) + be(0, 4));
const std::string kVoid5 = frame(0x85, 1, 8, be(1, 4));
std::string startup5(bool compressed) {
  return frame(5, 0, 1,
               be(compressed ? 2 : 1, 2) + str("CQL_VERSION") + str("3.0.0") +
                   (compressed ? str("COMPRESSION") + str("lz4") : std::string()));
}

/// Versions 1 and 2: a stream number of one byte.
std::string old_frame(int version, int stream, int opcode, const std::string& body, int flags = 0) {
  return be(version, 1) + be(flags, 1) + be(stream & 255, 1) + be(opcode, 1) + sized(4, body);
}
const std::string kOldSelect = old_frame(1, 1, 7, sized(4, "SELECT a FROM t") + be(4, 2));
const std::string kOldStartup = old_frame(2, 0, 1, be(1, 2) + str("CQL_VERSION") + str("3.0.0"));

std::vector<Row> rows() {
  return {
      {"version 5, as the Python driver frames it",
       {c(unhex("22000209c2350500000107000000190000000f53454c45435420612046524f4d20740006000000006e99ad04")),
        s(unhex("0d0002cf07f7850000010800000004000000011e43b5fd"))},
       {R"~("query":"SELECT a FROM t","consistency":"LOCAL_QUORUM"|"kind":"VOID")~"}},
      {"version 5 from its start",
       {c(startup5(false)), s(frame(0x85, 0, 2, "")), c(framed(kSelect5 + frame(5, 2, 5, ""))),
        s(framed(frame(0x85, 2, 6, be(0, 2)) + kVoid5))},
       {R"~("method":"STARTUP"|READY)~", R"~("method":"OPTIONS"|SUPPORTED)~", R"~("method":"QUERY"|VOID)~"}},
      {"version 5, an envelope in three frames",
       {c(framed(kSelect5.substr(0, 12), false) + framed(kSelect5.substr(12, 5), false) +
          framed(kSelect5.substr(17), false) + framed(frame(5, 2, 5, ""))),
        s(framed(kVoid5.substr(0, 9), false) + framed(kVoid5.substr(9), false))},
       {R"~("query":"SELECT a FROM t"|VOID)~", R"~(2 req|OPTIONS)~"}},
      {"version 5, lz4",
       {c(startup5(true)), s(frame(0x85, 0, 3, str("Password"))), c(packed(frame(5, 1, 15, sized(4, "x")), false)),
        s(packed(frame(0x85, 1, 16, be(0xFFFFFFFF, 4)), false)),
        c(packed(frame(5, 1, 7, sized(4, "SELECT " + std::string(300, 'a')) + be(6, 2) + be(0, 4)))),
        s(packed(kVoid5))},
       {"STARTUP", "AUTH_RESPONSE|AUTH_SUCCESS", R"~("query":"SELECT aaaa|VOID)~"}},
      {"version 5 joined in the middle, lz4",
       {s(packed(kVoid5)), c(packed(kSelect5))},
       {"3 res|VOID", "2 req|SELECT a"}},
      {"version 5, a frame that lies", {c(framed("\5\0\0"s + kSelect5))}, {}},

      {"version 1: log-in",
       {c(old_frame(1, 0, 5, "")), s(old_frame(0x81, 0, 6, be(1, 2) + str("CQL_VERSION") + be(1, 2) + str("3.0.0"))),
        c(old_frame(1, 0, 1, be(1, 2) + str("CQL_VERSION") + str("3.0.0"))), s(old_frame(0x81, 0, 3, str("Password"))),
        c(old_frame(1, 0, 4, be(2, 2) + str("username") + str("u") + str("password") + str("p"))),
        s(old_frame(0x81, 0, 2, ""))},
       {R"~("method":"OPTIONS","version":1,"stream":0|"options":{"CQL_VERSION":["3.0.0"]})~",
        R"~("options":{"CQL_VERSION":"3.0.0"}|"authenticator":"Password")~",
        R"~("method":"CREDENTIALS"|"credentials":{"username":"u","password":"p"}|READY)~"}},
      {"version 1: query, prepare, execute",
       {c(kOldSelect + old_frame(1, 2, 9, sized(4, "INSERT"))),
        s(old_frame(0x81, 2, 8, be(4, 4) + str("\x01\x02") + be(0, 4) + be(0, 4)) +
          old_frame(0x81, 1, 8,
                    be(2, 4) + be(1, 4) + be(1, 4) + str("ks") + str("t") + str("a") + be(9, 2) + be(1, 4) +
                        sized(4, be(42, 4)))),
        c(old_frame(1, 3, 10, str("\x01\x02") + be(2, 2) + sized(4, "v") + be(0xFFFFFFFF, 4) + be(1, 2))),
        s(old_frame(0x81, 3, 8, be(1, 4)))},
       {R"~("query":"INSERT"|"preparedId":"0102")~",
        R"~("query":"SELECT a FROM t","consistency":"QUORUM"|"rows":[{"a":42}],"status":"OK")~",
        R"~("preparedId":"0102","consistency":"ONE","values":["v",null]|"kind":"VOID")~"}},
      {"version 2: start, query with values, batch, schema",
       {c(kOldStartup), s(old_frame(0x82, 0, 2, "")),
        c(old_frame(2, 1, 7,
                    sized(4, "INSERT") + be(6, 2) + be(0x15, 1) + be(1, 2) + sized(4, "v") + be(100, 4) + be(8, 2)) +
          old_frame(2, 127, 13, be(1, 1) + be(1, 2) + be(0, 1) + sized(4, "UPDATE") + be(0, 2) + be(1, 2))),
        s(old_frame(0x82, 127, 8, be(1, 4)) + old_frame(0x82, 1, 8, be(5, 4) + str("CREATED") + str("ks") + str("t")) +
          old_frame(0x82, -1, 12, str("SCHEMA_CHANGE") + str("DROPPED") + str("ks") + str("")))},
       {R"~("method":"STARTUP","version":2|READY)~",
        R"~("stream":127|"batchType":"UNLOGGED","queries":[{"query":"UPDATE","valueCount":0}],"consistency":"ONE"|VOID)~",
        R"~("query":"INSERT","consistency":"LOCAL_QUORUM","values":["v"],"pageSize":100,"serialConsistency":"SERIAL"|"kind":"SCHEMA_CHANGE","change":"CREATED","target":"TABLE","keyspace":"ks","name":"t")~",
        R"~(1 data|"stream":-1|"change":"DROPPED","target":"KEYSPACE","keyspace":"ks")~"}},
      {"version 2: an error, and a tracing id before a result",
       {c(old_frame(2, 1, 9, sized(4, "x")) + old_frame(2, 2, 9, sized(4, "y"), 2)),
        s(old_frame(0x82, 1, 0, be(0x2000, 4) + str("bad")) +
          old_frame(0x82, 2, 8, std::string(16, 'T') + be(4, 4) + str("\x01") + be(4, 4) + be(0, 4), 2))},
       {R"~("status":"SYNTAX_ERROR","error":"bad")~", R"~("query":"y"|"preparedId":"01")~"}},
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
  expect_probe<Cassandra>(kToServer, kOldSelect, Probe::kYes);
  expect_probe<Cassandra>(kToServer, kOldStartup, Probe::kYes);
  expect_probe<Cassandra>(kToServer, old_frame(1, 0, 5, ""), Probe::kYes);
  expect_probe<Cassandra>(kToClient, old_frame(0x82, 1, 8, be(1, 4)), Probe::kYes);
  expect_probe<Cassandra>(kToClient, old_frame(0x81, 1, 0, be(0x2000, 4) + str("bad")), Probe::kYes);
  expect_probe<Cassandra>(kToServer, old_frame(1, 1, 10, str("\1\2") + be(0, 2) + be(1, 2)), Probe::kNo);
  expect_probe<Cassandra>(kToServer, old_frame(1, 1, 13, "abc"), Probe::kNo);  // version 1 has no batches
  // Others that begin with 1 or 2: AMQP's frames and a TDS batch.
  expect_probe<Cassandra>(kToServer, unhex("01 0001 0000 0005 003c 0028 00 ce"), Probe::kNo);
  expect_probe<Cassandra>(kToServer, unhex("01 01 0007 0000 0100 53 00 45 00"), Probe::kNo);
  expect_probe<Cassandra>(kToServer, unhex("02 00 00 00 00 00 00 00 00 00"), Probe::kNo);
  expect_probe<Cassandra>(kToServer, framed(kSelect5), Probe::kYes);
  expect_probe<Cassandra>(kToClient, framed(kSelect5), Probe::kNo);
  expect_probe<Cassandra>(kToClient, packed(kVoid5), Probe::kYes);
  expect_probe<Cassandra>(kToClient, framed(kVoid5, false), Probe::kNo);
}

TEST(Cassandra, Goldens) { EXPECT_EQ(compare_goldens<Cassandra>(BALEEN_SOURCE_DIR "/src/dissect/cassandra"), ""); }

}  // namespace
}  // namespace baleen::dissect::cassandra
