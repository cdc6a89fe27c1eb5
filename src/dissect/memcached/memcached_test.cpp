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

TEST(Memcached, DatagramsAreAnsweredByTheirNumbers) {
  const auto head = [](int request, int part, int parts) {
    return be(request, 2) + be(part, 2) + be(parts, 2) + be(0, 2);
  };
  const std::vector<Said> script = {
      c(head(1, 0, 1) + "get a\r\n"),
      c(head(2, 0, 1) + "get b\r\n"),
      s(head(2, 0, 1) + "VALUE b 0 1\r\nx\r\nEND\r\n"),
      s(head(1, 0, 2) + "VALUE a 0 20\r\nhalf of i"),
      s(head(1, 1, 2) + "t is here..\r\nEND\r\n"),
      c(head(3, 0, 1) + "get c\r\n"),
  };
  EXPECT_THAT(play_datagrams<Memcached>(script),
              ::testing::ElementsAre(
                  ::testing::AllOf(::testing::HasSubstr(R"("key":"b")"), ::testing::HasSubstr(R"("value":"x")")),
                  ::testing::AllOf(::testing::HasSubstr(R"("key":"a")"), ::testing::HasSubstr("half of i"),
                                   ::testing::HasSubstr(R"("truncated":true)")),
                  ::testing::AllOf(::testing::HasSubstr("2 req"), ::testing::HasSubstr(R"("key":"c")"))));
}

TEST(Memcached, Probe) {
  expect_probe<Memcached>(kToServer, "get a\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "set k 0 0 1\r\nx\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "set k v\r\n", Probe::kNo);
  expect_probe<Memcached>(kToServer, "quit\r\n", Probe::kNo);
  expect_probe<Memcached>(kToClient, "STORED\r\n", Probe::kYes);
  expect_probe<Memcached>(kToServer, "GET / HTTP/1.1\r\n", Probe::kNo);
}

TEST(Memcached, Goldens) { EXPECT_EQ(compare_goldens<Memcached>(BALEEN_SOURCE_DIR "/src/dissect/memcached"), ""); }

}  // namespace
}  // namespace baleen::dissect::memcached
