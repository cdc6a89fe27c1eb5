#include "dissect/redis/redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dissect/play.h"
#include "dissect/redis/command.h"

namespace baleen::dissect::redis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string cmd(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const auto& w : words) out += "$" + std::to_string(w.size()) + "\r\n" + w + "\r\n";
  return out;
}

struct Row {
  const char* name;
  std::vector<Said> script;
  std::vector<std::string> expect;  // one substring or several, '|' between, per item
};

std::vector<Row> rows() {
  return {
      {"get",
       {c(cmd({"get", "k"})), s("$5\r\nhello\r\n")},
       {R"~(0 req|"command":"GET","key":"k"|"commandLine":"get k"|"type":"Bulk String","value":"hello","status":"OK")~"}},
      {"null bulk", {c(cmd({"GET", "k"})), s("$-1\r\n")}, {R"~("type":"Bulk String","value":null)~"}},
      {"set",
       {c(cmd({"SET", "k", "v", "EX", "9"})), s("+OK\r\n")},
       {R"~("value":"v"|"args":["k","v","EX","9"],"argCount":4|"type":"Simple String","value":"OK","status":"OK","keyword":"OK")~"}},
      {"error",
       {c(cmd({"LPUSH", "k", "v"})), s("-WRONGTYPE bad kind\r\n")},
       {R"~("type":"Error","value":"WRONGTYPE bad kind","status":"WRONGTYPE","error":"WRONGTYPE bad kind")~"}},
      {"moved",
       {c(cmd({"GET", "k"})), s("-MOVED 3999 10.0.0.1:6381\r\n")},
       {R"~("status":"MOVED"|"redirect":{"kind":"MOVED","slot":3999,"address":"10.0.0.1:6381"})~"}},
      {"ask", {c(cmd({"GET", "k"})), s("-ASK 1 h:1\r\n")}, {R"~("redirect":{"kind":"ASK","slot":1,"address":"h:1"})~"}},
      {"pipelined",
       {c(cmd({"INCR", "a"}) + cmd({"INCR", "b"})), s(":1\r\n:22\r\n")},
       {R"~("key":"a"|"value":1)~", R"~("key":"b"|"value":22)~"}},
      {"nested",
       {c(cmd({"EXEC"})), s("*3\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n*-1\r\n")},
       {R"~("value":[[1,"x"],[],null]|"count":3)~"}},
      {"multi",
       {c(cmd({"MULTI"}) + cmd({"SET", "a", "1"}) + cmd({"EXEC"})), s("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")},
       {R"~("command":"MULTI")~", R"~("transaction":true|"keyword":"QUEUED")~",
        R"~("command":"EXEC"|"value":["OK"])~"}},
      {"inline", {c("PING\r\n"), s("+PONG\r\n")}, {R"~("type":"Inline","command":"PING"|"value":"PONG")~"}},
      {"streamed text",
       {c("*1\r\n$4\r\nPING\r\n"), s("$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n")},
       {R"~("type":"Bulk String","value":"Hello word")~"}},
      {"streamed list in a streamed map",
       {c("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"),
        s("%?\r\n+a\r\n*?\r\n:1\r\n$?\r\n;0\r\n~?\r\n.\r\n.\r\n+b\r\n:2\r\n.\r\n+PONG\r\n")},
       {R"~("type":"Map","value":{"a":[1,"",[]],"b":2},"status":"OK","count":2)~", R"~("value":"PONG")~"}},
      {"streamed, broken",
       {c("*1\r\n$4\r\nPING\r\n"), s("$?\r\n+OK\r\n")},
       {R"~("truncated":true|unexpected end of the message)~"}},
      {"inline log-in",
       {c("AUTH geheim\r\n"), s("+OK\r\n"), c("HELLO 3\r\n"), s("*0\r\n")},
       {R"~("command":"AUTH"|"password":"geheim")~", R"~("command":"HELLO")~"}},
      {"inline quoted", {c("set k \"a b\"\n"), s("+OK\r\n")}, {R"~("value":"a b"|"args":["k","a b"])~"}},
      {"auth",
       {c(cmd({"AUTH", "hunter2"})), s("+OK\r\n")},
       {R"~("commandLine":"AUTH (secret)","args":[],"password":"hunter2")~"}},
      {"auth user",
       {c(cmd({"AUTH", "bob", "pw"})), s("+OK\r\n")},
       {R"~("commandLine":"AUTH bob (secret)","args":["bob"],"user":"bob","password":"pw")~"}},
      {"hello",
       {c(cmd({"HELLO", "3", "AUTH", "bob", "pw"})), s("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n+proto\r\n:3\r\n")},
       {R"~("password":"pw"|"type":"Map","value":{"server":"redis","proto":3})~"}},
      {"config set",
       {c(cmd({"CONFIG", "SET", "requirepass", "pw"})), s("+OK\r\n")},
       {R"~("keyword":"SET","commandLine":"CONFIG SET requirepass (secret)")~"}},
      {"resp3 scalars",
       {c(cmd({"X"})), s("*6\r\n#t\r\n,1.5\r\n_\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n~1\r\n:1\r\n")},
       {R"~("value":[true,1.5,null,"12345678901234567890","abc",[1]])~"}},
      {"attribute",
       {c(cmd({"GET", "k"})), s("|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n")},
       {R"~("type":"Bulk String","value":"v")~"}},
      {"bulk error", {c(cmd({"X"})), s("!9\r\nERR wrong\r\n")}, {R"~("type":"Bulk Error"|"status":"ERR")~"}},
      {"subscribe",
       {c(cmd({"SUBSCRIBE", "a", "b"})),
        s("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
          "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n")},
       {R"~("command":"SUBSCRIBE"|"value":["subscribe","a",1])~", R"~(1 data|"keyword":"subscribe","key":"b")~",
        R"~(1 data|"type":"Array","keyword":"message","key":"a","value":"hi")~"}},
      {"message between command and reply in RESP2",
       {c(cmd({"SUBSCRIBE", "a"})), s("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"), c(cmd({"PING"})),
        s("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")},
       {R"~("command":"SUBSCRIBE")~", R"~(1 data)~", R"~(0 req|"command":"PING"|"value":["pong",""])~"}},
      {"resp3 push while a command waits",
       {c(cmd({"GET", "k"})), s(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$1\r\nv\r\n")},
       {R"~(1 data|"type":"Push","keyword":"invalidate")~", R"~(0 req|"value":"v")~"}},
      {"no reply", {c(cmd({"GET", "k"}))}, {R"~(2 req)~"}},
      {"no command", {s("$1\r\nv\r\n")}, {R"~(3 res|"value":"v")~"}},
      {"reply off",
       {c(cmd({"CLIENT", "REPLY", "OFF"}) + cmd({"SET", "a", "b"}) + cmd({"CLIENT", "REPLY", "ON"})), s("+OK\r\n")},
       {R"~("keyword":"REPLY")~", R"~(0 req|"command":"SET")~", R"~("keyword":"REPLY"|res|"value":"OK")~"}},
      {"monitor",
       {c(cmd({"MONITOR"})), s("+OK\r\n+1.2 [0 1.1.1.1:1] \"keys\"\r\n")},
       {R"~("command":"MONITOR")~", R"~(1 data|"value":"1.2 )~"}},
      {"replica",
       {c(cmd({"PSYNC", "?", "-1"})), s("+FULLRESYNC abc 0\r\n\n$5\r\nREDIS"), s(cmd({"SET", "a", "b"})),
        c(cmd({"REPLCONF", "ACK", "1"}))},
       {R"~("command":"PSYNC"|FULLRESYNC)~", R"~(1 data|"command":"SET","key":"a")~",
        R"~(0 req|"command":"REPLCONF")~"}},
      {"cut off within",
       {c("*2\r\n$3\r\nGET\r\n$9\r\nab")},
       {R"~(4 req|"args":[]|"truncated":true|error=unexpected end)~"}},
      {"binary", {c(cmd({"SET", "k", std::string("\xff\x00", 2)})), s("+OK\r\n")}, {R"~("value":"/wA=")~"}},
      {"malformed, then again",
       {c("*1\r\n:5\r\n" + cmd({"GET", "k"})), s("$1\r\nv\r\n")},
       {R"~(4 req)~", R"~(2 req|"key":"k")~", "3 res"}},
      {"evalsha", {c(cmd({"EVALSHA", "f00", "1", "kk", "x"})), s(":1\r\n")}, {R"~("key":"kk")~"}},
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

TEST(Redis, Table) {
  for (const Row& row : rows()) expect_items(play<Redis>(row.script), row);
}

/// Conversations of real captures; testdata/README.md says whose.
TEST(Redis, Goldens) { EXPECT_EQ(compare_goldens<Redis>(BALEEN_SOURCE_DIR "/src/dissect/redis"), ""); }

TEST(Redis, LawOfCuts) {
  for (const Row& row : rows()) {
    const auto whole = play<Redis>(row.script);
    for (size_t piece = 1; piece < 40; ++piece)
      EXPECT_EQ(play<Redis>(row.script, piece), whole) << row.name << " " << piece;
  }
}

TEST(Redis, EveryTruncation) {
  for (const Row& row : rows())
    for (size_t turn = 0; turn < row.script.size(); ++turn)
      for (size_t n = 0; n < row.script[turn].bytes.size(); ++n) {
        std::vector<Said> cut(row.script.begin(), row.script.begin() + turn + 1);
        cut.back().bytes.resize(n);
        EXPECT_EQ(play<Redis>(cut), play<Redis>(cut, 1)) << row.name;
      }
}

TEST(Redis, LargeValuesAreSkippedPastTheCap) {
  Settings limits;
  limits.body_cap = 100'000;
  const std::string big(3'000'000, 'x');
  const std::vector<Said> script = {c(cmd({"SET", "k", big}) + cmd({"GET", "k"})),
                                    s("+OK\r\n$3000000\r\n" + big + "\r\n")};
  const auto items = play<Redis>(script, SIZE_MAX, limits);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_LT(items[0].size(), 210'000u);
  EXPECT_THAT(items[0], HasSubstr(R"~("truncated":true)~"));
  EXPECT_THAT(items[1], HasSubstr("res[3000012@2]"));
  for (const size_t piece : {1460u, 65536u, 99999u}) EXPECT_EQ(play<Redis>(script, piece, limits), items);
}

TEST(Redis, HostileShapesAreBounded) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "*1\r\n";
  EXPECT_THAT(play<Redis>({c(cmd({"X"})), s(deep)}).at(0), HasSubstr("4 req"));
  // A claim of many elements takes no memory; of those that come only some are kept.
  std::string wide = "*10000\r\n";
  for (int i = 0; i < 10000; ++i) wide += ":1\r\n";
  const auto items = play<Redis>({c(cmd({"X"})), s("*1000000000\r\n")});
  EXPECT_THAT(items, ElementsAre(HasSubstr("4 req")));
  EXPECT_THAT(play<Redis>({c(cmd({"X"})), s(wide)}), ElementsAre(HasSubstr(R"~("count":10000,"truncated":true)~")));
}

TEST(Redis, DripIsLinear) {
  std::string line = "+" + std::string(60'000, 'a') + "\r\n";
  Collected out;
  Redis redis;
  Player player(redis, out);
  player.arrive(Direction::kToServer, cmd({"ECHO", "x"}));
  player.arrive(Direction::kToClient, line, 1);
  EXPECT_EQ(out.finished, 1u);
  EXPECT_LT(player.calls(), 70'000u);
}

TEST(Redis, AfterAGapNothingIsPairedWrongly) {
  Collected out;
  Redis redis;
  Player player(redis, out);
  player.arrive(Direction::kToServer, cmd({"GET", "a"}));
  redis.gap(Direction::kToServer, 20, out);
  player.arrive(Direction::kToClient,
                "$1\r\n1\r\n$4\r\nlost\r\n");  // to a and to what was lost: cannot be told apart
  player.arrive(Direction::kToServer, cmd({"GET", "b"}));
  player.arrive(Direction::kToClient, "$1\r\n2\r\n");
  redis.close(false, out);
  EXPECT_THAT(out.items, ElementsAre(HasSubstr("2 req"), HasSubstr("3 res"), HasSubstr("3 res"),
                                     ::testing::AllOf(HasSubstr("0 req"), HasSubstr(R"~("key":"b")~"),
                                                      HasSubstr(R"~("value":"2")~"))));
}

TEST(Redis, Probe) {
  const auto probe = [](Direction d, std::string_view t) { return Redis::probe(Input{d, as_bytes(t), {}, false}); };
  using enum Direction;
  EXPECT_EQ(probe(kToServer, "*1\r\n$4\r\nPING\r\n"), Probe::kYes);
  EXPECT_EQ(probe(kToServer, "*1\r\n$4\r\n"), Probe::kUnsure);
  EXPECT_EQ(probe(kToServer, "*12"), Probe::kUnsure);
  EXPECT_EQ(probe(kToServer, "HGETALL x\r\n"), Probe::kYes);
  EXPECT_EQ(probe(kToServer, "GET / HTTP/1.1\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "get a\r\n"), Probe::kNo);  // memcached
  EXPECT_EQ(probe(kToServer, "EHLO x\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToServer, "SET k v\r\n"), Probe::kYes);
  EXPECT_EQ(probe(kToServer, "set k 0 0 1\r\n"), Probe::kNo);  // memcached
  EXPECT_EQ(probe(kToServer, "PUBLISH Foo \"Hi\"\r\n"), Probe::kYes);
  EXPECT_EQ(probe(kToServer, "SUBSCRIBE sip:a@b SIP/2.0\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToClient, "+OK POP3 ready\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToClient, "+OK\r\n"), Probe::kUnsure);
  EXPECT_EQ(probe(kToClient, "$5\r\nhello\r\n"), Probe::kYes);
  EXPECT_EQ(probe(kToClient, ":irc.example 001 hi\r\n"), Probe::kNo);
  EXPECT_EQ(probe(kToClient, "-ERR unknown command\r\n"), Probe::kYes);
}

TEST(Redis, IdleSessionsAreSmall) { EXPECT_LE(sizeof(Redis), 384u); }

/// What a command line means, as "key|value|keyword|user|secrets".
std::string meaning(std::string_view line) {
  std::vector<item::Value> args;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find(' ', at), line.size());
    args.emplace_back(line.substr(at, end - at));
    at = end + 1;
  }
  const Command c = understand(verb_id(args[0].text()), args);
  std::string out;
  for (const std::string_view part : {c.key, c.value.text(), c.keyword, c.user}) out.append(part) += '|';
  for (size_t i = 0; i < c.secret_count; ++i) out.append(i == 0 ? "" : " ").append(args[c.secret_first + i].text());
  return out;
}

TEST(Redis, CommandsMeanWhatTheirPlacesSay) {
  const std::pair<const char*, const char*> lines[] = {
      {"GET k", "k||||"},
      {"get k", "k||||"},
      {"NOBODY.KNOWS k v", "k||||"},
      {"PING hello", "|hello|||"},
      {"PING", "||||"},
      {"SET k v EX 5", "k|v|||"},
      {"SET k", "k||||"},
      {"HSET k f v", "k|v|||"},
      {"FLUSHALL ASYNC", "||||"},
      {"REPLICAOF 10.0.0.1 6379", "||||"},
      {"SLAVEOF 10.0.0.1 6379", "||||"},
      {"CLIENT LIST", "||LIST||"},
      {"OBJECT ENCODING k", "k||ENCODING||"},
      {"EVAL script 1 k v", "k||||"},
      {"EVAL script 0 v", "||||"},
      {"EVALSHA_RO sum 1 k", "k||||"},
      {"XREAD COUNT 2 STREAMS s 0", "s||||"},
      {"XREADGROUP GROUP g c STREAMS s >", "s||||"},
      {"XREAD COUNT 2", "||||"},
      {"AUTH secret", "||||secret"},
      {"AUTH user secret", "|||user|secret"},
      {"HELLO 3 AUTH user secret", "|||user|secret"},
      {"HELLO 3 AUTH user", "||||"},
      {"CONFIG SET maxmemory 1 requirepass secret", "||SET||secret"},
      {"CONFIG GET requirepass", "||GET||"},
      {"ACL SETUSER user on >secret", "||SETUSER|user|on >secret"},
      {"ACL WHOAMI", "||WHOAMI||"},
      {"MIGRATE host 6379 k 0 5000 AUTH secret", "k||||secret"},
      {"MIGRATE host 6379 k 0 5000 AUTH2 user secret", "k|||user|secret"},
  };
  for (const auto& [line, expected] : lines) EXPECT_EQ(meaning(line), expected) << line;
}

}  // namespace
}  // namespace baleen::dissect::redis
