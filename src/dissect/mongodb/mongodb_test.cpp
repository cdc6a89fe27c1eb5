#include "dissect/mongodb/mongodb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include "dissect/mongodb/bson.h"
#include "dissect/play.h"

namespace baleen::dissect::mongodb {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

std::string le(uint64_t v, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += static_cast<char>(v >> (8 * i));
  return out;
}
std::string z(const std::string& t) { return t + '\0'; }
std::string str(const std::string& name, const std::string& v) { return "\2" + z(name) + le(v.size() + 1, 4) + z(v); }
std::string i32(const std::string& name, int v) { return "\x10" + z(name) + le(static_cast<uint32_t>(v), 4); }
std::string i64(const std::string& name, int64_t v) { return "\x12" + z(name) + le(static_cast<uint64_t>(v), 8); }
std::string f64(const std::string& name, double v) {
  uint64_t bits;
  std::memcpy(&bits, &v, 8);
  return "\1" + z(name) + le(bits, 8);
}
std::string doc(const std::string& elements) { return le(elements.size() + 5, 4) + elements + '\0'; }
std::string sub(const std::string& name, const std::string& elements) { return "\3" + z(name) + doc(elements); }
std::string arr(const std::string& name, const std::string& elements) { return "\4" + z(name) + doc(elements); }
std::string message(uint32_t id, uint32_t answers, uint32_t opcode, const std::string& body) {
  return le(body.size() + 16, 4) + le(id, 4) + le(answers, 4) + le(opcode, 4) + body;
}
std::string msg(uint32_t id, uint32_t answers, const std::string& elements, uint32_t flags = 0,
                const std::string& more = "") {
  return message(id, answers, 2013, le(flags, 4) + '\0' + doc(elements) + more);
}
std::string compressed(uint32_t id, uint32_t answers, int how, const std::string& elements) {
  const std::string plain = le(0, 4) + '\0' + doc(elements);
  std::string packed;
  if (how == 0) packed = plain;
  if (how == 1) snappy::Compress(plain.data(), plain.size(), &packed);
  if (how == 2) {
    packed.resize(compressBound(plain.size()));
    uLongf n = packed.size();
    compress(reinterpret_cast<Bytef*>(packed.data()), &n, reinterpret_cast<const Bytef*>(plain.data()), plain.size());
    packed.resize(n);
  }
  if (how == 3) {
    packed.resize(ZSTD_compressBound(plain.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 1));
  }
  return message(id, answers, 2012, le(2013, 4) + le(plain.size(), 4) + static_cast<char>(how) + packed);
}

struct Row {
  const char* name;
  std::vector<Said> script;
  std::vector<std::string> expect;
};

const std::string kFind = str("find", "users") + sub("filter", i32("a", 1)) + str("$db", "shop");
const std::string kOk = f64("ok", 1);

std::vector<Row> rows() {
  std::vector<Row> out = {
      {"find",
       {c(msg(7, 0, kFind)),
        s(msg(9, 7,
              sub("cursor", arr("firstBatch", sub("0", i32("x", 5))) + i64("id", 0) + str("ns", "shop.users")) + kOk))},
       {R"~(0 req|"opcode":"OP_MSG","command":"find","database":"shop","collection":"users","requestId":7,"body":{"find":"users","filter":{"a":1},"$db":"shop"}|"success":true,"status":"OK","requestId":9,"cursorId":0,"returned":1,"body":{"cursor":{"firstBatch":[{"x":5}])~"}},
      {"documents beside",
       {c(msg(7, 0, str("insert", "t") + str("$db", "d"), 0,
              "\1"s + le(4 + 10 + 2 * doc(i32("a", 1)).size(), 4) + z("documents") + doc(i32("a", 1)) +
                  doc(i32("a", 2)))),
        s(msg(8, 7, i32("n", 2) + kOk))},
       {R"~("command":"insert"|"documents":[{"a":1},{"a":2}],"documentCount":2|"body":{"n":2,"ok":1)~"}},
      {"checksum", {c(msg(7, 0, kFind, 1, "\1\2\3\4")), s(msg(8, 7, kOk))}, {R"~("command":"find"|"success":true)~"}},
      {"any order",
       {c(msg(1, 0, kFind) + msg(2, 0, i32("ping", 1) + str("$db", "admin"))), s(msg(8, 2, kOk) + msg(9, 1, kOk))},
       {R"~("command":"ping","database":"admin"|"requestId":8)~", R"~("command":"find"|"requestId":9)~"}},
      {"error",
       {c(msg(1, 0, kFind)),
        s(msg(2, 1, f64("ok", 0) + str("errmsg", "no such") + i32("code", 26) + str("codeName", "NamespaceNotFound")))},
       {R"~("success":false,"status":"NamespaceNotFound","error":{"code":26,"codeName":"NamespaceNotFound","message":"no such"})~"}},
      {"write error",
       {c(msg(1, 0, str("insert", "t"))),
        s(msg(2, 1,
              i32("n", 0) +
                  arr("writeErrors", sub("0", i32("index", 0) + i32("code", 11000) + str("errmsg", "E11000"))) + kOk))},
       {R"~("success":false|"error":{"code":11000,"message":"E11000"})~"}},
      {"no reply wanted", {c(msg(1, 0, str("insert", "t"), 2))}, {R"~(0 req|"moreToCome":true)~"}},
      {"exhaust",
       {c(msg(1, 0, i32("hello", 1), 1 << 16)), s(msg(10, 1, kOk, 2) + msg(11, 10, kOk, 2) + msg(12, 11, kOk))},
       {R"~(0 req|"command":"hello"|"moreToCome":true)~", R"~(1 data)~", R"~(1 data)~"}},
      {"OP_QUERY command",
       {c(message(1, 0, 2004, le(0, 4) + z("admin.$cmd") + le(0, 4) + le(1, 4) + doc(i32("isMaster", 1)))),
        s(message(2, 1, 1, le(8, 4) + le(0, 8) + le(0, 4) + le(1, 4) + doc(kOk)))},
       {R"~("opcode":"OP_QUERY","command":"isMaster","database":"admin"|"opcode":"OP_REPLY","success":true|"returned":1)~"}},
      {"OP_QUERY",
       {c(message(1, 0, 2004, le(0, 4) + z("d.c") + le(0, 4) + le(1, 4) + doc(i32("a", 1)))),
        s(message(2, 1, 1, le(2, 4) + le(0, 8) + le(0, 4) + le(1, 4) + doc(str("$err", "bad") + i32("code", 5))))},
       {R"~("command":"find","database":"d","collection":"c"|"body":{"a":1}|"success":false|"message":"bad")~"}},
      {"old writes",
       {c(message(1, 0, 2002, le(0, 4) + z("d.c") + doc(i32("a", 1))) +
          message(2, 0, 2001, le(0, 4) + z("d.c") + le(0, 4) + doc("") + doc("")) +
          message(3, 0, 2006, le(0, 4) + z("d.c") + le(0, 4) + doc("")) +
          message(4, 0, 2007, le(0, 4) + le(1, 4) + le(5, 8)))},
       {R"~(0 req|"command":"insert","database":"d","collection":"c"|"documents":[{"a":1}])~",
        R"~("command":"update")~", R"~("command":"delete")~", R"~("command":"killCursors")~"}},
      {"get more",
       {c(message(1, 0, 2005, le(0, 4) + z("d.c") + le(10, 4) + le(77, 8))),
        s(message(2, 1, 1, le(0, 4) + le(77, 8) + le(10, 4) + le(0, 4)))},
       {R"~("command":"getMore","database":"d","collection":"c"|"cursorId":77|"returned":0)~"}},
      {"sasl",
       {c(msg(1, 0, i32("saslStart", 1) + str("mechanism", "PLAIN") + "\5" + z("payload") + le(3, 4) + "\0abc"s)),
        s(msg(2, 1, kOk))},
       {R"~("body":{"saslStart":1,"mechanism":"PLAIN"},"secret":"YWJj")~"}},
      {"no reply", {c(msg(1, 0, kFind))}, {"2 req"}},
      {"no request", {s(msg(5, 3, kOk))}, {"3 res"}},
      {"malformed document",
       {c(message(1, 0, 2013, le(0, 4) + "\0"s + le(30, 4) + "\2zz"s)), s(msg(2, 1, kOk))},
       {R"~(4 req|error=the message)~"}},
      {"every type",
       {c(msg(1, 0,
              i32("x", 1) + "\7oid\0"s + std::string(12, '\xab') + "\10b\0\1"s + "\11t\0"s + le(1700000000000, 8) +
                  "\12n\0"s + "\13r\0^a\0i\0"s + "\15js\0"s + le(2, 4) + "f\0"s + "\x11ts\0"s + le(5, 8) + "\x13" +
                  "dec\0"s + std::string(16, '\1') + "\x7f" + "hi\0"s + "\xff" + "lo\0"s)),
        s(msg(2, 1, kOk))},
       {R"~("oid":"abababababababababababab","b":true,"t":"2023-11-14T22:13:20Z","n":null,"r":"/^a/i","js":"f","ts":5|"hi":"MaxKey","lo":"MinKey")~"}},
  };
  for (int how = 0; how < 4; ++how)
    out.push_back({"compressed",
                   {c(compressed(1, 0, how, kFind)), s(compressed(2, 1, how, kOk))},
                   {R"~("opcode":"OP_MSG","command":"find"|"compressor":"|"success":true)~"}});
  return out;
}

void expect_items(const std::vector<std::string>& items, const Row& row) {
  ASSERT_EQ(items.size(), row.expect.size()) << row.name << "\n" << ::testing::PrintToString(items);
  for (size_t i = 0; i < items.size(); ++i) {
    std::string_view rest = row.expect[i];
    while (!rest.empty()) {
      const std::string part(rest.substr(0, rest.find('|')));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      EXPECT_THAT(items[i], HasSubstr(part)) << row.name;
    }
  }
}

TEST(Mongodb, Table) {
  for (const Row& row : rows()) expect_items(play<Mongodb>(row.script), row);
}

/// Conversations of real captures; testdata/README.md says whose.
TEST(Mongodb, Goldens) { EXPECT_EQ(compare_goldens<Mongodb>(BALEEN_SOURCE_DIR "/src/dissect/mongodb"), ""); }

TEST(Mongodb, LawOfCuts) {
  for (const Row& row : rows()) {
    const auto whole = play<Mongodb>(row.script);
    for (size_t piece = 1; piece < 50; ++piece)
      EXPECT_EQ(play<Mongodb>(row.script, piece), whole) << row.name << " " << piece;
  }
}

TEST(Mongodb, EveryTruncation) {
  for (const Row& row : rows())
    for (size_t turn = 0; turn < row.script.size(); ++turn)
      for (size_t n = 0; n < row.script[turn].bytes.size(); ++n) {
        std::vector<Said> cut(row.script.begin(), row.script.begin() + turn + 1);
        cut.back().bytes.resize(n);
        EXPECT_EQ(play<Mongodb>(cut), play<Mongodb>(cut, 1)) << row.name;
      }
}

TEST(Mongodb, LargeMessagesAreCut) {
  Settings limits;
  limits.header_cap = 4096;
  limits.body_cap = 2048;
  const std::vector<Said> script = {c(msg(1, 0, str("insert", "t") + str("big", std::string(1 << 20, 'x')))),
                                    s(msg(2, 1, kOk))};
  const auto items = play<Mongodb>(script, SIZE_MAX, limits);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(items[0], HasSubstr(R"~("command":"insert")~"));
  EXPECT_THAT(items[0], HasSubstr(R"~("truncated":true)~"));
  EXPECT_LT(items[0].size(), 4096u);
  EXPECT_EQ(play<Mongodb>(script, 1460, limits), items);
}

TEST(Mongodb, ABombIsNotUnpacked) {
  const std::string body = le(2013, 4) + le(1u << 30, 4) + "\3"s + "bomb";
  const auto items = play<Mongodb>({c(message(1, 0, 2012, body))});
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(items[0], HasSubstr(R"~("truncated":true)~"));
}

TEST(Bson, DepthIsBounded) {
  std::string nested = i32("x", 1);
  for (int i = 0; i < 100; ++i) nested = sub("d", nested);
  const std::string bytes = doc(nested);
  Arena arena;
  BsonReader r(as_bytes(bytes), arena);
  r.document();
  EXPECT_TRUE(r.malformed());
}

TEST(Mongodb, Probe) {
  const auto probe = [](Direction d, const std::string& t) { return Mongodb::probe(Input{d, as_bytes(t), {}, false}); };
  using enum Direction;
  EXPECT_EQ(probe(kToServer, msg(1, 0, kFind)), Probe::kYes);
  EXPECT_EQ(probe(kToServer, msg(1, 0, kFind).substr(0, 12)), Probe::kUnsure);
  EXPECT_EQ(probe(kToClient, msg(1, 5, kOk)), Probe::kYes);
  EXPECT_EQ(probe(kToServer, msg(1, 5, kOk)), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "GET / HTTP/1.1\r\n\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "\x16\x03\x01\x00\xa5\x01\0\0\0\0\0\0\0\0\0\0\0"s), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::mongodb
