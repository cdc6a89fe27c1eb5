#include "dissect/memcached/memcached.h"

#include "dissect/test_table.h"

namespace baleen::dissect::memcached {
namespace {

using enum Direction;

std::vector<Row> rows() {
  return {

      {"set and get",
       {c("set k 5 60 3\r\nabc\r\nget k x\r\n"), s("STORED\r\nVALUE k 5 3\r\nabc\r\nEND\r\n")},
       {R"~("command":"set","key":"k"|"flags":5,"expiry":60,"value":"abc","valueSize":3|"status":"STORED")~",
        R"~("keys":["k","x"]|"status":"HIT","count":1,"values":[{"key":"k","flags":5,"size":3,"value":"abc"}])~"}},
      {"miss", {c("get k\r\n"), s("END\r\n")}, {R"~("status":"MISS","count":0)~"}},
      {"noreply",
       {c("delete k noreply\r\nincr n 2\r\n"), s("7\r\n")},
       {R"~(0 req|"noReply":true)~", R"~("delta":2|"value":"7")~"}},
      {"cas", {c("cas k 0 0 1 77\r\nx\r\n"), s("EXISTS\r\n")}, {R"~("cas":77|"status":"EXISTS")~"}},
      {"stats", {c("stats\r\n"), s("STAT pid 1\r\nSTAT up 2\r\nEND\r\n")}, {R"~("stats":{"pid":"1","up":"2"})~"}},
      {"error", {c("bogus\r\n"), s("ERROR\r\n")}, {R"~("command":"bogus"|"status":"ERROR")~"}},
      {"meta",
       {c("mg k v\r\nms k 1\r\nz\r\n"), s("VA 2 f1\r\nab\r\nHD\r\n")},
       {R"~("command":"mg"|"value":"ab")~", R"~("status":"HD")~"}},
      {"quiet meta commands that miss",
       {c("mg a v q k\r\nmg b v q k\r\nmg c v q\r\nms d 1 q\r\nx\r\nmd e q\r\nmg f v\r\nmn\r\n"),
        s("VA 1 kb\r\n1\r\nEN\r\nMN\r\n")},
       {R"~(0 req|"key":"a")~", R"~("key":"b"|"status":"HIT","value":"1")~", R"~(0 req|"key":"c")~",
        R"~(0 req|"command":"ms")~", R"~(0 req|"command":"md")~", R"~("key":"f"|"status":"EN")~",
        R"~("command":"mn"|"status":"MN")~"}},
      {"quiet meta commands of an older server",
       {c("ms d 1 q\r\nx\r\nmd e q\r\nmd d q\r\nmn\r\n"), s("NF\r\nMN\r\n")},
       {R"~(0 req|"command":"ms")~", R"~("key":"e"|"status":"NF")~", R"~(0 req|"key":"d")~", R"~("status":"MN")~"}},
      {"quiet meta command by its opaque",
       {c("mg a v q O1\r\nmg a v q O2\r\nmn\r\n"), s("VA 1 O2\r\n1\r\nMN\r\n")},
       {R"~(0 req|"args":"a v q O1")~", R"~("args":"a v q O2"|"value":"1")~", R"~("status":"MN")~"}},
      {"binary statistics",
       {c(unhex("80 10 0000 00 00 0000 00000000 00000009 0000000000000000")),
        s(unhex("81 10 0003 00 00 0000 00000004 00000009 0000000000000000 'pid' '7'"
                "81 10 0002 00 00 0000 00000003 00000009 0000000000000000 'up' '1'"
                "81 10 0000 00 00 0000 00000000 00000009 0000000000000000"))},
       {R"~("command":"stats"|"status":"OK","stats":{"pid":"7","up":"1"})~"}},
      {"binary",
       {c(unhex("80 00 0001 00 00 0000 00000001 00000009 0000000000000000 'k'")),
        s(unhex("81 00 0000 04 00 0000 00000006 00000009 0000000000000001 00000005 'ab'"))},
       {R"~("protocol":"binary","command":"get","key":"k"|"status":"OK","flags":5,"cas":1,"value":"ab")~"}},
      {"quiet",
       {c(unhex("80 09 0001 00 00 0000 00000001 00000001 0000000000000000 'a' 80 0a 0000 00 00 0000 00000000 00000002 "
                "0000000000000000")),
        s(unhex("81 0a 0000 00 00 0000 00000000 00000002 0000000000000000"))},
       {R"~(0 req|"command":"getq")~", R"~("command":"noop"|"status":"OK")~"}},
  };
}

TEST(Memcached, LinesOfBytesAreNoCommands) {
  Collected out;
  auto session = std::make_unique<Memcached>();
  const std::string said = "get a\r\n\xF4\x76\x62\r\nfrobnicate\r\n";
  const auto step = [&](size_t from) {
    return session->dissect({kToServer, as_bytes(std::string_view(said).substr(from)), timestamp_from_ns(1), false},
                            out);
  };
  EXPECT_EQ(step(0).bytes, 7u);
  EXPECT_EQ(step(7).kind, Step::Kind::kLost);
  EXPECT_EQ(step(12).kind, Step::Kind::kTook);  // the server will say ERROR
  session->close(false, out);
}

TEST(Memcached, Table) { check_table<Memcached>(rows()); }

TEST(Memcached, AfterAGapNothingIsPairedWrongly) {
  Collected out;
  Memcached session;
  Player player(session, out);
  player.arrive(kToServer, "get a\r\n");
  session.gap(kToServer, 9, out);
  player.arrive(kToClient, "END\r\nEND\r\n");
  player.arrive(kToServer, "get b\r\n");
  player.arrive(kToClient, "END\r\n");
  session.close(false, out);
  EXPECT_THAT(out.items, ::testing::ElementsAre(::testing::HasSubstr("2 req"), ::testing::HasSubstr("3 res"),
                                                ::testing::HasSubstr("3 res"), ::testing::HasSubstr("0 req")));
}

std::string head(int request, int part, int parts) { return be(request, 2) + be(part, 2) + be(parts, 2) + be(0, 2); }

TEST(Memcached, DatagramsAreAnsweredByTheirNumbers) {
  using ::testing::AllOf, ::testing::HasSubstr, ::testing::Not;
  const std::vector<Said> script = {
      c(head(1, 0, 1) + "get a\r\n"),
      c(head(2, 0, 1) + "get b\r\n"),
      s(head(2, 0, 1) + "VALUE b 0 1\r\nx\r\nEND\r\n"),
      s(head(1, 0, 2) + "VALUE a 0 20\r\nhalf of i"),
      s(head(1, 1, 2) + "t is here..\r\nEND\r\n"),
      c(head(3, 0, 1) + "get c\r\n"),
  };
  EXPECT_THAT(play_datagrams<Memcached>(script),
              ::testing::ElementsAre(AllOf(HasSubstr(R"("key":"b")"), HasSubstr(R"("value":"x")")),
                                     AllOf(HasSubstr(R"("key":"a")"), HasSubstr(R"("value":"half of it is here..")"),
                                           HasSubstr(R"("status":"HIT")"), Not(HasSubstr("truncated"))),
                                     AllOf(HasSubstr("2 req"), HasSubstr(R"("key":"c")"))));
}

TEST(Memcached, AnswersInSeveralDatagramsAreJoined) {
  using ::testing::AllOf, ::testing::HasSubstr, ::testing::Not;
  const std::vector<std::string> parts = {"VALUE a 0 5\r\nAB", "CDE\r\nVALUE b 0 1\r\n", "x\r\nEN", "D\r\n"};
  const auto whole = AllOf(HasSubstr(R"("key":"a","flags":0,"size":5,"value":"ABCDE")"),
                           HasSubstr(R"("key":"b","flags":0,"size":1,"value":"x")"), HasSubstr(R"("count":2)"),
                           Not(HasSubstr("truncated")));
  std::vector<int> order = {0, 1, 2, 3};
  do {  // in any order, one of them twice
    std::vector<Said> script = {c(head(7, 0, 1) + "get a b\r\n")};
    for (const int part : order) script.push_back(s(head(7, part, 4) + parts[static_cast<size_t>(part)]));
    script.insert(script.begin() + 2, script[1]);
    EXPECT_THAT(play_datagrams<Memcached>(script), ::testing::ElementsAre(whole));
  } while (std::next_permutation(order.begin(), order.end()));
  // Two answers at once.
  EXPECT_THAT(play_datagrams<Memcached>({c(head(1, 0, 1) + "get a\r\n"), c(head(2, 0, 1) + "get b\r\n"),
                                         s(head(1, 1, 2) + "11\r\nEND\r\n"), s(head(2, 0, 2) + "VALUE b 0 4\r\n22"),
                                         s(head(1, 0, 2) + "VALUE a 0 4\r\n11"), s(head(2, 1, 2) + "22\r\nEND\r\n")}),
              ::testing::ElementsAre(HasSubstr(R"("value":"1111")"), HasSubstr(R"("value":"2222")")));
  // The third is lost: what stands before it is shown. Without the first nothing can be said.
  EXPECT_THAT(play_datagrams<Memcached>({c(head(7, 0, 1) + "get a b\r\n"), s(head(7, 0, 4) + parts[0]),
                                         s(head(7, 1, 4) + parts[1]), s(head(7, 3, 4) + parts[3])}),
              ::testing::ElementsAre(AllOf(HasSubstr(R"("value":"ABCDE")"), HasSubstr(R"("truncated":true)"))));
  EXPECT_THAT(play_datagrams<Memcached>({c(head(7, 0, 1) + "get a b\r\n"), s(head(7, 1, 4) + parts[1])}),
              ::testing::ElementsAre(HasSubstr("2 req")));
}

/// Datagrams that claim to be parts hold no more than the limits say, and each byte is read or counted.
TEST(Memcached, JoinsAreBounded) {
  Collected out;
  out.limits.header_cap = 10'000;
  Memcached session;
  const auto feed = [&](const std::string& bytes, Timestamp time) {
    session.dissect({kToClient, as_bytes(bytes), time, true, true}, out);
  };
  for (int i = 0; i < 1000; ++i) feed(head(i, 0, 65535) + "VALUE a 0 400\r\n" + std::string(300, 'x'), Timestamp{});
  EXPECT_EQ(out.finished, 1000u - Joins::kMost);
  EXPECT_EQ(out.counted(Counter::kTooManyPending), 1000u - Joins::kMost);
  for (int i = 0; i < 1000; ++i) feed(head(999, i + 1, 65535) + std::string(300, 'y'), Timestamp{});
  EXPECT_EQ(out.finished, 1000u);
  EXPECT_GT(out.counted(Counter::kBodyCapped), 0u);
  EXPECT_GT(out.counted(Counter::kSkippedBytes), 900u * 300);
  // What never becomes whole is given up in time.
  feed(head(5, 0, 2) + "VALUE a 0 400\r\nxx", timestamp_from_ns(5));
  session.expire(timestamp_from_ns(6), out);
  EXPECT_EQ(out.finished, 1001u);
  session.close(false, out);
  EXPECT_EQ(out.held(), 0);
}

TEST(Memcached, Probe) {
  expect_probe<Memcached>(kToServer, "get a\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "set k 0 0 1\r\nx\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "set k v\r\n", Probe::kNo);
  expect_probe<Memcached>(kToServer, "quit\r\n", Probe::kNo);
  expect_probe<Memcached>(kToClient, "STORED\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "GET / HTTP/1.1\r\n", Probe::kNo);
  expect_probe<Memcached>(kToServer, unhex("80 00 0001 00 00 0000 00000001 00000009 0000000000000000 'k'"),
                          Probe::kYes);
  expect_probe<Memcached>(kToServer, unhex("80 08 0000 00 00 0000 00000000 00000009 0000000000000000"), Probe::kYes);
  expect_probe<Memcached>(kToServer, unhex("80 10 0000 00 00 0000 00000000 00000009 0000000000000000"), Probe::kYes);
  // Bytes of ciphers in the middle of a stream: a get with a value, an add without its extras, an incr without a key.
  expect_probe<Memcached>(kToServer, unhex("80 00 0001 00 00 0000 00000009 00000009 0000000000000000 'k'"), Probe::kNo);
  expect_probe<Memcached>(kToServer, unhex("80 02 0002 00 00 0013 0000000d 96a9725c 7fffffffffffffff"), Probe::kNo);
  expect_probe<Memcached>(kToServer, unhex("80 05 0000 14 00 0000 00000014 00000009 0000000000000000"), Probe::kNo);
  expect_probe<Memcached>(kToClient, unhex("81 00 0000 04 00 0000 00000006 00000009 0000000000000001"), Probe::kYes);
  expect_probe<Memcached>(kToClient, unhex("81 00 0000 04 00 7777 00000006 00000009 0000000000000001"), Probe::kNo);
}

TEST(Memcached, Goldens) { EXPECT_EQ(compare_goldens<Memcached>(BALEEN_SOURCE_DIR "/src/dissect/memcached"), ""); }

}  // namespace
}  // namespace baleen::dissect::memcached
