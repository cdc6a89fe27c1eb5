#include "dissect/mysql/mysql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "dissect/play.h"

namespace baleen::dissect::mysql {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

std::string le(uint64_t v, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += static_cast<char>(v >> (8 * i));
  return out;
}
std::string z(std::string t) { return t + '\0'; }
std::string packet(int sequence, const std::string& body) {
  return le(body.size(), 3) + static_cast<char>(sequence) + body;
}
std::string text(const std::string& t) { return static_cast<char>(t.size()) + t; }
std::string column(const std::string& name, int type = 0xFD, int flags = 0) {
  return text("def") + text("db") + text("t") + text("t") + text(name) + text(name) + '\x0c' + le(33, 2) + le(255, 4) +
         le(type, 1) + le(flags, 2) + le(0, 1) + le(0, 2);
}
std::string ok(int affected = 0, int status = 2, const std::string& more = "") {
  return "\0"s + le(affected, 1) + "\0"s + le(status, 2) + le(0, 2) + more;
}
std::string eof(int status = 2) { return "\xfe" + le(0, 2) + le(status, 2); }
std::string end_ok(int status = 2) { return "\xfe" + le(0, 2) + le(status, 2) + le(0, 2); }
std::string changed(int type, const std::string& what) { return le(type, 1) + text(what); }
std::string error(int code, const std::string& state, const std::string& message) {
  return "\xff" + le(code, 2) + "#" + state + message;
}
std::string com(int code, const std::string& rest = "") { return packet(0, static_cast<char>(code) + rest); }
std::string greeting(uint32_t caps) {
  return packet(0, "\x0a" + z("8.0.36") + le(42, 4) + "saltsalt"s + "\0"s + le(caps & 0xFFFF, 2) + "\x21"s + le(2, 2) +
                       le(caps >> 16, 2) + "\x15"s + std::string(10, '\0') + z("saltsaltsalt") +
                       z("caching_sha2_password"));
}
constexpr uint32_t kCaps = 0x200 | 0x8000 | 0x80000 | 0x8;
std::string hello(uint32_t caps, const std::string& more = "") {
  return packet(1, le(caps, 4) + le(1 << 24, 4) + "\x21"s + std::string(23, '\0') + z("bob") + text("digest") +
                       z("shop") + z("caching_sha2_password") + more);
}
std::string set(int sequence, const std::vector<std::string>& packets) {
  std::string out;
  for (const auto& p : packets) out += packet(sequence++, p);
  return out;
}
std::string zlib_frame(const std::string& plain, bool zstd = false) {
  std::string packed(zstd ? ZSTD_compressBound(plain.size()) : compressBound(plain.size()), '\0');
  if (zstd) {
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  } else {
    uLongf n = packed.size();
    compress(reinterpret_cast<Bytef*>(packed.data()), &n, reinterpret_cast<const Bytef*>(plain.data()), plain.size());
    packed.resize(n);
  }
  return le(packed.size(), 3) + "\0"s + le(plain.size(), 3) + packed;
}

struct Row {
  const char* name;
  std::vector<Said> script;
  std::vector<std::string> expect;
};

std::vector<Row> rows() {
  const std::vector<Said> login = {s(greeting(kCaps)), c(hello(kCaps)), s(packet(2, ok()))};
  const auto logged_in = [&](std::vector<Said> more) {
    std::vector<Said> all = login;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const std::string kLogin =
      R"~(0 req|"command":"LOGIN","user":"bob","database":"shop","authentication":"caching_sha2_password","password":"digest"|"success":true|"serverVersion":"8.0.36","connectionId":42,"authentication":"caching_sha2_password")~";
  return {
      {"log-in", login, {kLogin}},
      {"query",
       logged_in({c(com(3, "select 1, null")),
                  s(set(1, {"\2", column("a"), column("b"), eof(), text("7") + "\xfb", eof()}))}),
       {kLogin,
        R"~("command":"COM_QUERY","query":"select 1, null","user":"bob","database":"shop"|"success":true,"status":"OK","results":1,"columns":["a","b"],"rowCount":1,"rows":[["7",null]])~"}},
      {"query without EOF",
       {c(com(3, "select 1")), s(set(1, {"\1", column("a"), text("7"), text("8"), end_ok()}))},
       {R"~("columns":["a"],"rowCount":2,"rows":[["7"],["8"]])~"}},
      {"no rows without EOF",
       {c(com(3, "select 1")), s(set(1, {"\1", column("a"), end_ok()}))},
       {R"~("columns":["a"],"rowCount":0)~"}},
      {"change", {c(com(3, "update t set a=1")), s(packet(1, ok(3)))}, {R"~("affectedRows":3,"lastInsertId":0)~"}},
      {"error",
       {c(com(3, "selec")), s(packet(1, error(1064, "42000", "You have an error")))},
       {R"~("success":false,"status":"1064","results":1|"error":{"code":1064,"sqlState":"42000","message":"You have an error"})~"}},
      {"login refused",
       {s(greeting(kCaps)), c(hello(kCaps)), s(packet(2, error(1045, "28000", "denied")))},
       {R"~("command":"LOGIN"|"status":"1045")~"}},
      {"auth switch",
       {s(greeting(kCaps)), c(hello(kCaps)), s(packet(2, "\xfe" + z("mysql_native_password") + "salt")),
        c(packet(3, "proof")), s(packet(4, ok()))},
       {R"~("authentication":"mysql_native_password","password":"proof")~"}},
      {"tls",
       {s(greeting(kCaps | 0x800)),
        c(packet(1, le(kCaps | 0x800, 4) + le(1 << 24, 4) + "\x21"s + std::string(23, '\0'))), c("\x16\x03\x01")},
       {R"~("command":"SSLRequest")~"}},
      {"prepare and execute",
       logged_in(
           {c(com(22, "select ? from t")),
            s(set(1, {"\0"s + le(5, 4) + le(1, 2) + le(1, 2) + "\0\0\0"s, column("?"), eof(), column("a", 3), eof()})),
            c(com(23, le(5, 4) + "\0"s + le(1, 4) + "\0\1"s + le(3, 2) + le(77, 4))),
            s(set(1, {"\1", column("a", 3), eof(), "\0\0"s + le(88, 4), eof()})),
            c(com(23, le(5, 4) + "\0"s + le(1, 4) + "\0\0"s + le(78, 4))), s(packet(1, ok())), c(com(25, le(5, 4)))}),
       {kLogin,
        R"~("command":"COM_STMT_PREPARE","query":"select ? from t"|"parameterCount":1,"columnCount":1,"columns":["a"])~",
        R"~("command":"COM_STMT_EXECUTE","query":"select ? from t","statementId":5|"parameters":[77]|"rows":[[88]])~",
        R"~("command":"COM_STMT_EXECUTE"|"parameters":[78]|"status":"OK")~",
        R"~(0 req|"command":"COM_STMT_CLOSE","query":"select ? from t","statementId":5)~"}},
      {"several results",
       {c(com(3, "call p()")), s(set(1, {"\1", column("a"), eof(10), text("1"), eof(10), "\1", column("b"), eof(10),
                                         text("2"), eof(10), ok(0, 2)}))},
       {R"~("results":3|"columns":["a"],"rowCount":2,"rows":[["1"]])~"}},
      {"local infile",
       {c(com(3, "load data local infile 'f' into table t")),
        s(packet(1,
                 "\xfb"
                 "f")),
        c(packet(2, "1\n2\n") + packet(3, "")), s(packet(4, ok(2)))},
       {R"~("fileBytes":4|"affectedRows":2|"file":"f")~"}},
      {"init db",
       logged_in({c(com(2, "other")), s(packet(1, ok())), c(com(14)), s(packet(1, ok()))}),
       {kLogin, R"~("command":"COM_INIT_DB")~", R"~("command":"COM_PING"|"database":"other")~"}},
      {"statistics and quit",
       {c(com(9)), s(packet(1, "Uptime: 5")), c(com(1))},
       {R"~("text":"Uptime: 5")~", R"~(0 req|"command":"COM_QUIT")~"}},
      {"no answer", {c(com(3, "select 1"))}, {"2 req"}},
      {"answer before our time",
       {s(set(3, {text("1"), eof()})), c(com(3, "select 2")), s(packet(1, ok()))},
       {R"~("query":"select 2")~"}},
      {"dates",
       {c(com(22, "q")), s(packet(1, "\0"s + le(9, 4) + le(0, 2) + le(0, 2) + "\0\0\0"s)),
        c(com(23, le(9, 4) + "\0"s + le(1, 4))),
        s(set(1, {"\3", column("d", 12), column("t", 11), column("f", 5),
                  "\0\0"s + "\7"s + le(2024, 2) + "\2\3\4\5\6"s + "\10\1"s + le(1, 4) + "\1\2\3"s +
                      "\0\0\0\0\0\0\xf8\x3f"s,
                  end_ok()}))},
       {R"~(COM_STMT_PREPARE)~", R"~("rows":[["2024-02-03 04:05:06","-25:02:03",1.5]])~"}},
      {"query attributes",
       {s(greeting(kCaps | 0x8000000)), c(hello(kCaps | 0x8000000)), s(packet(2, ok())),
        c(com(3, "\1\1\0\1"s + le(0xFD, 2) + text("k") + text("v") + "select 1")), s(packet(1, ok()))},
       {"LOGIN", R"~("query":"select 1"|"parameters":["v"])~"}},
      {"compressed",
       {s(greeting(kCaps | 0x20)), c(hello(kCaps | 0x20)), s(packet(2, ok())), c(zlib_frame(com(3, "select 1"))),
        s(zlib_frame(set(1, {"\1", column("a")})) + zlib_frame(set(3, {eof(), text("7"), eof()})))},
       {"LOGIN", R"~("query":"select 1"|"rows":[["7"]])~"}},
      {"zstd",
       {s(greeting(kCaps | 0x4000000)), c(hello(kCaps | 0x4000000)), s(packet(2, ok())),
        c(zlib_frame(com(3, "select 1"), true)), s(zlib_frame(packet(1, ok(1)), true))},
       {"LOGIN", R"~("query":"select 1"|"affectedRows":1)~"}},
      {"MariaDB progress",
       {c(com(3, "alter table t")), s(packet(1, "\xff\xff\xff\1\1\2"s) + packet(2, ok()))},
       {R"~("success":true)~"}},
      {"session state in an OK",
       {c(com(3, "use shop2; set x")),
        s(packet(1, ok(0, 0x4002,
                       text("") +
                           text(changed(1, text("shop2")) + changed(0, text("autocommit") + text("ON")) +
                                changed(3, "\0"s + text("3E11:1-5")) + changed(5, text("T_______")) +
                                changed(4, text("START TRANSACTION;")) + changed(2, text("1")) + changed(99, "new"))))),
        c(com(14)), s(packet(1, ok()))},
       {R"~("status":"OK"|"session":{"schema":"shop2","gtids":"3E11:1-5","transactionState":"T_______","transactionCharacteristics":"START TRANSACTION;","stateChanged":true,"variables":{"autocommit":"ON"}})~",
        R"~("command":"COM_PING","database":"shop2")~"}},
      {"session state behind a remark, of several variables (MariaDB)",
       {c(com(3, "set a=1, b=2")),
        s(packet(1, ok(0, 0x4002, text("Rows: 1") + text(changed(0, text("a") + text("1") + text("b") + text(""))))))},
       {R"~("text":"Rows: 1","session":{"variables":{"a":"1","b":""}})~"}},
      {"session state behind rows",
       {c(com(3, "select 1")),
        s(set(1, {"\1", column("a"), text("7"),
                  "\xfe" + le(0, 2) + le(0x4002, 2) + le(0, 2) + text("") + text(changed(3, "\0"s + text("g:7")))}))},
       {R"~("session":{"gtids":"g:7"}|"rows":[["7"]])~"}},
      {"session state that is none",
       {c(com(3, "set a=1")), s(packet(1, ok(0, 0x4002, text("") + "\x20" + changed(1, text("x")))))},
       {R"~("results":1,"affectedRows":0,"lastInsertId":0})~"}},
      {"bulk execution",
       {c(com(22, "insert into t values (?,?)")),
        s(set(1, {"\0"s + le(5, 4) + le(0, 2) + le(2, 2) + "\0\0\0"s, column("?"), column("?"), eof()})),
        c(com(0xFA, le(5, 4) + le(128, 2) + le(0x8003, 2) + le(0xFD, 2) + "\0"s + le(0xFFFFFFFF, 4) + "\0"s +
                        text("a") + "\1\0"s + text("b") + "\2\3"s)),
        s(packet(1, ok(3))), c(com(0xFA, le(5, 4) + le(0, 2) + "\0"s + le(9, 4) + "\1"s)), s(packet(1, ok(1)))},
       {"COM_STMT_PREPARE",
        R"~("command":"COM_STMT_BULK_EXECUTE","query":"insert into t values (?,?)","statementId":5,"parameters":[[4294967295,"a"],[null,"b"],[{"indicator":"default"},{"indicator":"ignore"}]],"parameterRows":3|"affectedRows":3)~",
        R"~("parameters":[[9,null]],"parameterRows":1)~"}},
      {"bulk execution of a statement that nobody knows, and a broken one",
       {c(com(0xFA, le(5, 4) + le(128, 2) + le(3, 2) + "\0"s + le(1, 4))), s(packet(1, ok(1))), c(com(22, "q")),
        s(set(1, {"\0"s + le(5, 4) + le(0, 2) + le(1, 2) + "\0\0\0"s, column("?"), eof()})),
        c(com(0xFA, le(5, 4) + le(128, 2) + le(3, 2) + "\0"s + le(1, 4) + "\7"s)), s(packet(1, ok(1)))},
       {R"~("statementId":5}|"affectedRows":1)~", "COM_STMT_PREPARE", R"~("parameters":[[1]],"parameterRows":1)~"}},
      {"malformed", {c(com(3, "select 1")), s(packet(1, "\1\2\3\4"))}, {"4 req|error=neither"}},
      {"binlog",
       {c(com(18, "x")), s(packet(1, "\0event"s)), s(packet(2, "\0event"s))},
       {R"~("command":"COM_BINLOG_DUMP")~"}},
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

TEST(Mysql, Table) {
  for (const Row& row : rows()) expect_items(play<Mysql>(row.script), row);
}

/// Conversations of real captures; testdata/README.md says whose.
TEST(Mysql, Goldens) { EXPECT_EQ(compare_goldens<Mysql>(BALEEN_SOURCE_DIR "/src/dissect/mysql"), ""); }

TEST(Mysql, LawOfCuts) {
  for (const Row& row : rows()) {
    const auto whole = play<Mysql>(row.script);
    for (size_t piece = 1; piece < 50; ++piece)
      EXPECT_EQ(play<Mysql>(row.script, piece), whole) << row.name << " " << piece;
  }
}

TEST(Mysql, EveryTruncation) {
  for (const Row& row : rows())
    for (size_t turn = 0; turn < row.script.size(); ++turn)
      for (size_t n = 0; n < row.script[turn].bytes.size(); ++n) {
        std::vector<Said> cut(row.script.begin(), row.script.begin() + turn + 1);
        cut.back().bytes.resize(n);
        EXPECT_EQ(play<Mysql>(cut), play<Mysql>(cut, 1)) << row.name;
      }
}

TEST(Mysql, PacketsBeyondSixteenMegabytes) {
  const std::string big(0xFFFFFF - 1, 'x');
  const std::string query = le(0xFFFFFF, 3) + "\0\3"s + big + packet(1, "tail");
  const std::vector<Said> script = {c(query), s(packet(2, ok())), c(com(3, "select 2")),
                                    s(set(1, {"\1", column("a")}) + le(0xFFFFFF, 3) + "\3\xfd"s + le(0xFFFFFF - 4, 3) +
                                      big.substr(3) + packet(4, "") + packet(5, eof()))};
  const auto items = play<Mysql>(script, 1 << 20);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_THAT(items[0], HasSubstr("req[16777227@1]"));
  EXPECT_THAT(items[0], HasSubstr(R"~("truncated":true)~"));
  EXPECT_THAT(items[1], HasSubstr(R"~("rowCount":1)~"));
}

TEST(Mysql, BulkRowsAreCountedAndTheFirstShown) {
  std::string rows;
  for (int i = 0; i < 1000; ++i) rows += "\0"s + "\7"s + le(2024, 2) + "\2\3\4\5\6"s + "\0"s + text("v");
  const auto items =
      play<Mysql>({c(com(22, "q")),
                   s(set(1, {"\0"s + le(5, 4) + le(0, 2) + le(2, 2) + "\0\0\0"s, column("?"), column("?"), eof()})),
                   c(com(0xFA, le(5, 4) + le(128, 2) + le(12, 2) + le(0xFD, 2) + rows)), s(packet(1, ok(9)))});
  ASSERT_EQ(items.size(), 2u);
  EXPECT_THAT(items[1], HasSubstr(R"~("parameterRows":1000)~"));
  size_t shown = 0;
  for (size_t at = 0; (at = items[1].find("2024-02-03 04:05:06", at)) != std::string::npos; ++at) ++shown;
  EXPECT_EQ(shown, 20u);
}

TEST(Mysql, SwitchesToTls) {
  Collected out;
  Mysql session;
  Player player(session, out);
  player.arrive(Direction::kToClient, greeting(kCaps | 0x800));
  player.arrive(Direction::kToServer,
                packet(1, le(kCaps | 0x800, 4) + le(1 << 24, 4) + "\x21"s + std::string(23, '\0')));
  EXPECT_EQ(player.switched_to(), "tls");
}

TEST(Mysql, Probe) {
  const auto probe = [](Direction d, const std::string& t) { return Mysql::probe(Input{d, as_bytes(t), {}, false}); };
  using enum Direction;
  EXPECT_EQ(probe(kToClient, greeting(kCaps)), Probe::kYes);
  EXPECT_EQ(probe(kToServer, hello(kCaps)), Probe::kYes);
  EXPECT_EQ(probe(kToServer, com(3, "select 1")), Probe::kYes);
  EXPECT_EQ(probe(kToClient, packet(1, ok())), Probe::kYes);
  EXPECT_EQ(probe(kToClient, set(1, {"\1", column("a")})), Probe::kYes);
  EXPECT_EQ(probe(kToServer, com(3, "\n  (SELECT 1)")), Probe::kYes);
  EXPECT_EQ(probe(kToServer, com(23, le(5, 4) + "\0"s + le(1, 4))), Probe::kYes);
  EXPECT_EQ(probe(kToServer, com(23, le(5, 4) + "\0"s + le(2, 4))), Probe::kNo);
  EXPECT_EQ(probe(kToServer, com(14)), Probe::kUnsure);  // its answer, or what follows, tells
  EXPECT_EQ(probe(kToServer, com(14) + com(25, le(5, 4)) + com(3, "select 1")), Probe::kYes);
  EXPECT_EQ(probe(kToServer, com(14) + "GET / HTTP/1.1"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "GET / HTTP/1.1\r\n\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToClient, "HTTP/1.1 200 OK\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "\x16\x03\x01\x00\xa5\x01"s), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "\0\0\0\x24\0\x03\0\0\0\0\0\1"s), Probe::kNo);  // Kafka
}

}  // namespace
}  // namespace baleen::dissect::mysql
