#include "dissect/postgresql/postgresql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dissect/play.h"

namespace baleen::dissect::postgresql {
namespace {

using ::testing::HasSubstr;

std::string be32(uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }
std::string be16(uint32_t v) { return {char(v >> 8), char(v)}; }
std::string z(std::string t) { return t + '\0'; }
std::string m(char type, const std::string& body) { return type + be32(static_cast<uint32_t>(body.size() + 4)) + body; }
std::string untyped(uint32_t code, const std::string& body) {
  return be32(static_cast<uint32_t>(body.size() + 8)) + be32(code) + body;
}
std::string query(const std::string& sql) { return m('Q', z(sql)); }
std::string ready(char state = 'I') { return m('Z', std::string(1, state)); }
std::string tag(const std::string& t) { return m('C', z(t)); }
std::string column(const std::string& name) { return z(name) + std::string(18, '\0'); }
std::string row(const std::vector<std::string>& values) {
  std::string out = be16(static_cast<uint32_t>(values.size()));
  for (const auto& v : values) out += be32(static_cast<uint32_t>(v.size())) + v;
  return m('D', out);
}
std::string error(const std::string& code, const std::string& message) {
  return m('E', "S" + z("ERROR") + "V" + z("ERROR") + "C" + z(code) + "M" + z(message) + '\0');
}
std::string bind(const std::string& portal, const std::string& statement, const std::string& value) {
  return m('B',
           z(portal) + z(statement) + be16(0) + be16(1) + be32(static_cast<uint32_t>(value.size())) + value + be16(0));
}
std::string parse(const std::string& name, const std::string& sql) { return m('P', z(name) + z(sql) + be16(0)); }
std::string describe(char what, const std::string& name) { return m('D', what + z(name)); }
std::string execute(const std::string& portal = "") { return m('E', z(portal) + be32(0)); }
const std::string kSync = m('S', "");
const std::string kBound = m('1', "") + m('2', "");

struct Row {
  const char* name;
  std::vector<Said> script;
  std::vector<std::string> expect;
};

std::vector<Row> rows() {
  const std::string start = untyped(196608, z("user") + z("bob") + z("database") + z("shop") + '\0');
  const std::string authenticated =
      m('R', be32(0)) + m('S', z("TimeZone") + z("UTC")) + m('K', be32(77) + be32(99)) + ready();
  return {
      {"query",
       {c(query("select 1")), s(m('T', be16(1) + column("n")) + row({"1"}) + tag("SELECT 1") + ready())},
       {R"~(0 req|"type":"Query","command":"SELECT","query":"select 1"|"success":true,"status":"OK","tag":"SELECT 1","completions":1,"columns":["n"],"rowCount":1,"rows":[["1"]],"transaction":"idle")~"}},
      {"several statements",
       {c(query("begin; insert into t values (1)")), s(tag("BEGIN") + tag("INSERT 0 1") + ready('T'))},
       {R"~("command":"BEGIN"|"tags":["BEGIN","INSERT 0 1"],"completions":2|"transaction":"active")~"}},
      {"empty query", {c(query("")), s(m('I', "") + ready())}, {R"~("command":"Query","query":""|"completions":1)~"}},
      {"error",
       {c(query("selec")), s(error("42601", "syntax error") + ready('E'))},
       {R"~("command":"SELEC"|"success":false,"status":"42601"|"error":{"code":"42601","message":"syntax error","severity":"ERROR"},"transaction":"failed")~"}},
      {"start-up",
       {c(start), s(m('R', be32(5) + "salt")), c(m('p', z("md5abc"))), s(authenticated)},
       {R"~("type":"StartupMessage","command":"StartupMessage","user":"bob","database":"shop","protocolVersion":"3.0","parameters":{"user":"bob","database":"shop"},"password":"md5abc"|"authentication":"md5","parameters":{"TimeZone":"UTC"},"processId":77,"secretKey":99)~"}},
      {"names stay",
       {c(start), s(authenticated), c(query("x")), s(tag("X") + ready())},
       {"StartupMessage", R"~("user":"bob","database":"shop")~"}},
      {"sasl",
       {c(start), s(m('R', be32(10) + z("SCRAM-SHA-256") + '\0')), c(m('p', z("SCRAM-SHA-256") + be32(5) + "n,,n=")),
        s(m('R', be32(11) + "r=1")), c(m('p', "c=biws")), s(m('R', be32(12) + "v=1") + authenticated)},
       {R"~("password":"n,,n="|"authentication":"SCRAM-SHA-256")~"}},
      {"refused",
       {c(start), s(error("28P01", "no"))},
       {R"~("type":"StartupMessage"|"success":false,"status":"28P01")~"}},
      {"ssl refused",
       {c(untyped(80877103, "")), s("N"), c(start), s(authenticated)},
       {R"~("type":"SSLRequest"|"accepted":false)~", "StartupMessage"}},
      {"ssl", {c(untyped(80877103, "")), s("S"), c("\x16\x03\x01")}, {R"~("type":"SSLRequest"|"accepted":true)~"}},
      {"cancel",
       {c(untyped(80877102, be32(5) + be32(6)))},
       {R"~(0 req|"type":"CancelRequest","command":"CancelRequest","processId":5,"secretKey":6)~"}},
      {"cancel with a long key (protocol 3.2)",
       {c(untyped(80877102, be32(5) + std::string(32, 'k')))},
       {R"~(0 req[44@|"command":"CancelRequest","processId":5,"secretKeyBytes":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")~"}},
      {"protocol 3.2",
       {c(untyped(196610, z("user") + z("bob") + '\0')),
        s(m('R', be32(0)) + m('K', be32(77) + std::string("\0\1\2\xff", 4) + std::string(28, 'k')) + ready())},
       {R"~("protocolVersion":"3.2"|"processId":77,"secretKeyBytes":"AAEC/2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")~"}},
      {"a server that speaks less, and knows not every option",
       {c(untyped(196610, z("user") + z("bob") + z("_pq_.x") + z("1") + z("_pq_.y") + z("2") + '\0')),
        s(m('v', be32(196608) + be32(2) + z("_pq_.x") + z("_pq_.y")) + authenticated)},
       {R"~("protocolVersion":"3.2"|"_pq_.x":"1"|"protocolVersion":"3.0","unsupportedOptions":["_pq_.x","_pq_.y"],"processId":77,"secretKey":99)~"}},
      {"a server that names its minor version alone",
       {c(untyped(196610, z("user") + z("bob") + '\0')), s(m('v', be32(1) + be32(0)) + authenticated)},
       {R"~("protocolVersion":"3.1","unsupportedOptions":[])~"}},
      {"extended",
       {c(parse("", "select $1") + bind("", "", "7") + describe('P', "") + execute() + kSync),
        s(kBound + m('T', be16(1) + column("n")) + row({"7"}) + tag("SELECT 1") + ready())},
       {R"~("type":"Execute","command":"SELECT","query":"select $1","parameters":["7"],"messages":["Parse","Bind","Describe","Execute"]|"rows":[["7"]])~"}},
      {"prepared once, run twice",
       {c(parse("s1", "update t set a=$1") + describe('S', "s1") + kSync),
        s(m('1', "") + m('t', be16(0)) + m('n', "") + ready()),
        c(bind("", "s1", "1") + execute() + bind("", "s1", "2") + execute() + kSync),
        s(m('2', "") + tag("UPDATE 1") + m('2', "") + tag("UPDATE 2") + ready())},
       {R"~("type":"Parse","command":"UPDATE","query":"update t set a=$1","statement":"s1")~",
        R"~("type":"Execute","command":"UPDATE","query":"update t set a=$1","statement":"s1","parameters":["1"]|"UPDATE 1")~",
        R"~("parameters":["2"]|"UPDATE 2")~"}},
      {"pipeline with an error",
       {c(parse("", "a") + bind("", "", "") + execute() + parse("", "b") + bind("", "", "") + execute() + kSync +
          parse("", "c") + bind("", "", "") + execute() + kSync),
        s(error("1", "no") + ready() + kBound + tag("C") + ready())},
       {R"~("query":"a"|"success":false)~", R"~(2 req|"query":"b"|error=not executed)~",
        R"~(0 req|"query":"c"|"success":true)~"}},
      {"sync before a query",
       {c(parse("", "a") + bind("", "", "") + execute() + kSync + query("b")),
        s(kBound + tag("A") + ready() + tag("B") + ready())},
       {R"~("query":"a"|"tag":"A")~", R"~("query":"b"|"tag":"B")~"}},
      {"suspended",
       {c(bind("p", "", "") + m('E', z("p") + be32(10)) + kSync), s(m('2', "") + row({"x"}) + m('s', "") + ready())},
       {R"~("portal":"p"|"maxRows":10|"rowCount":1|"suspended":true)~"}},
      {"copy in",
       {c(query("copy t from stdin")), s(m('G', std::string("\0\0\0", 3))),
        c(m('d', "1\n2\n") + m('d', "3\n") + m('c', "")), s(tag("COPY 3") + ready())},
       {R"~("command":"COPY"|"copyBytes":6|"tag":"COPY 3")~"}},
      {"copy out",
       {c(query("copy t to stdout")),
        s(m('H', std::string("\0\0\0", 3)) + m('d', "1\n") + m('c', "") + tag("COPY 1") + ready())},
       {R"~("command":"COPY"|"copyBytes":2)~"}},
      {"replication",
       {c(query("START_REPLICATION SLOT s LOGICAL 0/0")), s(m('W', std::string("\0\0\0", 3)) + m('d', "w....")),
        c(m('d', "r....")), s(m('d', "k"))},
       {R"~("command":"START"|"completions":1)~"}},
      {"notice within",
       {c(query("drop table if exists t")),
        s(m('N', "S" + z("NOTICE") + "M" + z("skipping") + '\0') + tag("DROP TABLE") + ready())},
       {R"~("command":"DROP TABLE"|"notices":[{"message":"skipping","severity":"NOTICE"}])~"}},
      {"notification",
       {s(m('A', be32(4) + z("news") + z("hi")))},
       {R"~(1 data|"type":"NotificationResponse","processId":4,"channel":"news","payload":"hi")~"}},
      {"terminated", {s(error("57P01", "terminating"))}, {R"~(1 data|"type":"ErrorResponse"|57P01)~"}},
      {"answer alone", {s(row({"1"}) + tag("SELECT 1") + ready())}, {R"~(3 res|"rowCount":1)~"}},
      {"no answer", {c(query("x"))}, {R"~(2 req)~"}},
      {"function call",
       {c(m('F', be32(1) + be16(0) + be16(0) + be16(0))), s(m('V', be32(0xFFFFFFFF)) + ready())},
       {R"~("command":"FunctionCall"|"completions":1)~"}},
      {"malformed, then again",
       {c("Q\xff\xff\xff\xff" + query("select 2")), s(tag("SELECT 1") + ready())},
       {R"~("query":"select 2"|"tag":"SELECT 1")~"}},
      {"flush",
       {c(parse("a", "select 1") + m('H', "")), s(m('1', "")), c(bind("", "a", "") + execute() + kSync),
        s(m('2', "") + tag("SELECT 1") + ready())},
       {R"~("type":"Parse")~", R"~("type":"Execute"|"query":"select 1")~"}},
  };
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

TEST(Postgresql, Table) {
  for (const Row& row : rows()) expect_items(play<Postgresql>(row.script), row);
}

/// Conversations of real captures; testdata/README.md says whose.
TEST(Postgresql, Goldens) { EXPECT_EQ(compare_goldens<Postgresql>(BALEEN_SOURCE_DIR "/src/dissect/postgresql"), ""); }

TEST(Postgresql, LawOfCuts) {
  for (const Row& row : rows()) {
    const auto whole = play<Postgresql>(row.script);
    for (size_t piece = 1; piece < 50; ++piece)
      EXPECT_EQ(play<Postgresql>(row.script, piece), whole) << row.name << " " << piece;
  }
}

TEST(Postgresql, EveryTruncation) {
  for (const Row& row : rows())
    for (size_t turn = 0; turn < row.script.size(); ++turn)
      for (size_t n = 0; n < row.script[turn].bytes.size(); ++n) {
        std::vector<Said> cut(row.script.begin(), row.script.begin() + turn + 1);
        cut.back().bytes.resize(n);
        EXPECT_EQ(play<Postgresql>(cut), play<Postgresql>(cut, 1)) << row.name;
      }
}

TEST(Postgresql, LargeMessagesAreCut) {
  Settings limits;
  limits.body_cap = 1000;
  limits.header_cap = 4096;
  std::string many;
  for (int i = 0; i < 100; ++i) many += row({std::string(5000, 'x')});
  const std::vector<Said> script = {c(query("select '" + std::string(100'000, 'y') + "'")),
                                    s(many + tag("SELECT 100") + ready())};
  const auto items = play<Postgresql>(script, SIZE_MAX, limits);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_LT(items[0].size(), 4000u);
  EXPECT_THAT(items[0], HasSubstr(R"~("rowCount":100)~"));
  EXPECT_THAT(items[0], HasSubstr(R"~("truncated":true)~"));
  for (const size_t piece : {1u, 1460u, 4097u}) EXPECT_EQ(play<Postgresql>(script, piece, limits), items);
}

TEST(Postgresql, SwitchesToTls) {
  Collected out;
  Postgresql session;
  Player player(session, out);
  player.arrive(Direction::kToServer, untyped(80877103, ""));
  player.arrive(Direction::kToClient, "S");
  EXPECT_EQ(player.switched_to(), "tls");
}

TEST(Postgresql, PreparedStatementsAreBounded) {
  Statements statements;
  for (int i = 0; i < 100'000; ++i) statements.put("s" + std::to_string(i), std::string(1000, 'x'));
  EXPECT_EQ(statements.find("s99999").size(), 1000u);
  EXPECT_EQ(statements.find("s0"), "");
}

TEST(Postgresql, Probe) {
  const auto probe = [](Direction d, const std::string& t) {
    return Postgresql::probe(Input{d, as_bytes(t), {}, false});
  };
  using enum Direction;
  EXPECT_EQ(probe(kToServer, untyped(80877103, "")), Probe::kYes);
  EXPECT_EQ(probe(kToServer, untyped(196608, z("user") + z("x") + '\0')), Probe::kYes);
  EXPECT_EQ(probe(kToServer, query("select 1")), Probe::kYes);
  EXPECT_EQ(probe(kToServer, parse("", "select 1")), Probe::kYes);
  EXPECT_EQ(probe(kToServer, bind("", "", "1") + execute() + kSync), Probe::kUnsure);
  EXPECT_EQ(probe(kToClient, m('T', be16(1) + column("n")) + row({"1"}) + tag("SELECT 1")), Probe::kYes);
  EXPECT_EQ(probe(kToClient, ready()), Probe::kYes);
  EXPECT_EQ(probe(kToClient, m('K', be32(7) + std::string(32, 'k')) + ready()), Probe::kYes);
  EXPECT_EQ(probe(kToClient, m('K', be32(7) + std::string(257, 'k')) + ready()), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "GET / HTTP/1.1\r\n\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "PUT / HTTP/1.1\r\n\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "\x16\x03\x01\x02\x00"), Probe::kNo);
  EXPECT_EQ(probe(kToClient, "SSH-2.0-OpenSSH\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "*1\r\n$4\r\nPING\r\n"), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::postgresql
