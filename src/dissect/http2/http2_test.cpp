#include "dissect/http2/http2.h"

#include <chrono>

#include "dissect/grpc/message.h"
#include "dissect/http/http.h"
#include "dissect/http2/test_frames.h"
#include "dissect/test_conversation.h"
#include "dissect/test_table.h"

namespace baleen::dissect::http2 {
namespace {

// ---- tables ----

std::vector<Row> rows() {
  return {
      {"get",
       {c(hello() + get(1, "/a/b?x=1&x=2")), s(settings(kSettings100) + ok(1) + data(1, "hello", true))},
       {R"~(0 req|"method":"GET","url":"/a/b?x=1&x=2"|"path":"/a/b","pathSegments":["a","b"],"httpVersion":"HTTP/2.0"|":authority":"a"|"queryString":{"x":["1","2"]}|"streamId":1|"status":200|"Content-Type":"text/plain"|"bodySize":5|"text":"hello")~"}},
      {"post",
       {c(hello() + post(1) + data(1, "ab") + data(1, "cd", true)), s(settings() + ok(1, true))},
       {R"~("postData":{"mimeType":"text/plain","params":[],"text":"abcd"})~"}},
      {"a call of GraphQL",
       {c(hello() +
          headers(
              1,
              {{":method", "POST"}, {":scheme", "http"}, {":path", "/graphql"}, {"content-type", "application/json"}}) +
          data(1, R"({"query":"query Hero { hero { name } }","operationName":"Hero"})", true)),
        s(settings() + headers(1, {{":status", "200"}, {"content-type", "application/json"}}) +
          data(1, R"({"errors":[{"message":"no hero"}]})", true))},
       {R"~("graphql":{|"operationName":"Hero"|"errorCount":1|no hero)~"}},
      {"interleaved, answered in another order",
       {c(hello() + post(1) + get(3, "/3") + data(1, "x", true)), s(settings() + ok(3, true) + ok(1, true))},
       {R"~("path":"/3")~", R"~("path":"/p"|"text":"x")~"}},
      {"padding and priority",
       {c(hello() +
          frame(kHeaders, kEndHeaders | kPadded | kWithPriority, 1,
                unhex("03 80000000 10") + block({{":method", "PUT"}, {":path", "/"}}) + std::string(3, '\0')) +
          frame(kData, kPadded | kEndStream, 1, unhex("02 'body' 0000"))),
        s(settings() + ok(1, true))},
       {R"~("method":"PUT"|"bodySize":4|"text":"body")~"}},
      {"a block in three frames",
       {c(hello() + frame(kHeaders, kEndStream, 1, block({{":method", "GET"}})) +
          frame(kContinuation, 0, 1, block({{":path", "/long"}})) + frame(kContinuation, kEndHeaders, 1, "")),
        s(settings() + ok(1, true))},
       {R"~("method":"GET"|"path":"/long")~"}},
      {"the block is cut inside a field",
       {c(hello() + frame(kHeaders, kEndStream, 1, block({{":method", "GET"}, {":path", "/long"}}).substr(0, 13)) +
          frame(kContinuation, kEndHeaders, 1, block({{":method", "GET"}, {":path", "/long"}}).substr(13))),
        s(settings() + ok(1, true))},
       {R"~("method":"GET"|"path":"/long")~"}},
      {"static and dynamic tables",
       {c(hello() + frame(kHeaders, kEndHeaders | kEndStream, 1, unhex("82 86 84 41 0f 'www.example.com'")) +
          frame(kHeaders, kEndHeaders | kEndStream, 3, unhex("82 86 84 be 58 08 'no-cache'"))),
        s(settings() + frame(kHeaders, kEndHeaders | kEndStream, 1, "\x88") +
          frame(kHeaders, kEndHeaders | kEndStream, 3, "\x8d"))},
       {R"~(":authority":"www.example.com"|"status":200)~",
        R"~(":authority":"www.example.com","Cache-Control":"no-cache"|"status":404)~"}},
      {"cookies come in crumbs",
       {c(hello() + headers(1, {{":method", "GET"}, {":path", "/"}, {"cookie", "a=1"}, {"cookie", "b=2"}}, true)),
        s(settings() + headers(1, {{":status", "200"}, {"set-cookie", "x=1"}, {"set-cookie", "y=2"}}, true))},
       {R"~("Cookie":"a=1; b=2"|"cookies":{"a":"1","b":"2"}|"cookies":{"x":"1","y":"2"})~"}},
      {"trailers",
       {c(hello() + post(1) + data(1, "x") + headers(1, {{"checksum", "9"}}, true)),
        s(settings() + ok(1) + data(1, "y") + headers(1, {{"expires", "0"}}, true))},
       {R"~("trailers":{"Checksum":"9"}|"trailers":{"Expires":"0"})~"}},
      {"interim answers",
       {c(hello() + post(1)), s(settings() + headers(1, {{":status", "100"}})), c(data(1, "x", true)),
        s(headers(1, {{":status", "103"}, {"link", "</a>"}}) + ok(1, true))},
       {R"~("status":200|"interim":[{"status":100|{"status":103)~"}},
      {"push",
       {c(hello() + get(1)),
        s(settings() +
          frame(kPushPromise, kEndHeaders | kPadded, 1,
                unhex("01 00000002") + block({{":method", "GET"}, {":path", "/style"}}) + std::string(1, '\0')) +
          ok(1, true) + ok(2) + data(2, "css", true))},
       {R"~("path":"/")~", R"~("path":"/style"|"streamId":2|"text":"css")~"}},
      {"reset by the client",
       {c(hello() + get(1)), s(settings() + ok(1) + data(1, "part")), c(rst(1, 8)), s(data(1, "late", true))},
       {R"~("text":"part"|error=stream reset by the client: CANCEL)~"}},
      {"refused by the server",
       {c(hello() + get(1)), s(settings() + rst(1, 7))},
       {R"~(5 req|error=stream reset by the server: REFUSED_STREAM)~"}},
      {"reset with a code that nobody knows",
       {c(hello() + get(1)), s(settings() + rst(1, 77))},
       {R"~(error=stream reset by the server: 77)~"}},
      {"answered early, then reset",
       {c(hello() + post(1) + data(1, "x")), s(settings() + ok(1, true) + rst(1, 0))},
       {R"~(0 req|"text":"x"|"status":200)~"}},
      {"goaway",
       {c(hello() + get(1) + get(3)), s(settings() + goaway(1, 0) + ok(1, true))},
       {R"~(error=refused by GOAWAY: NO_ERROR)~", R"~(0 req|"status":200)~"}},
      {"frames that mean nothing here",
       {c(hello() + frame(kSettings, kAck, 0, "") + frame(kPing, 0, 0, "12345678") +
          frame(kWindowUpdate, 0, 0, be(9, 4)) + frame(kPriority, 0, 5, be(0, 5)) + frame(0xBA, 0xFF, 7, "grease") +
          get(1)),
        s(settings() + ok(1, true))},
       {R"~("method":"GET")~"}},
      {"connect",
       {c(hello() + headers(1, {{":method", "CONNECT"}, {":authority", "h:443"}})), s(settings() + ok(1)),
        c(data(1, "in", true)), s(data(1, "out", true))},
       {R"~("method":"CONNECT","url":"h:443"|"text":"in"|"text":"out")~"}},
      {"no answer", {c(hello() + get(1))}, {R"~(2 req)~"}},
      {"cut off", {c(hello() + get(1)), s(settings() + ok(1) + data(1, "x"))}, {R"~(4 req|error=unexpected EOF)~"}},
      {"an answer to nothing", {c(hello()), s(settings() + ok(1, true))}, {R"~(3 res)~"}},
      {"a block that cannot be decompressed",
       {c(hello() + frame(kHeaders, kEndHeaders | kEndStream, 1, block({{":method", "GET"}}) + "\xff\xff\xff\xff\xff") +
          get(3)),
        s(settings() + ok(1, true) + ok(3, true))},
       {R"~(4 req|"method":"GET"|error=field block cannot be decompressed)~", R"~(0 req|"streamId":3)~"}},
      {"encoded body",
       {c(hello() + get(1)), s(settings() + headers(1, {{":status", "200"}, {"content-encoding", "gzip"}}) +
                               data(1, unhex("1f8b08000000000002034b4c4a4e444200a38c27d30f000000"), true))},
       {R"~("content":{"size":15|"text":"abcabcabcabcabc")~"}},
  };
}

// ---- gRPC ----

const std::string kHelloWorld = unhex("0a 05 'world'");

std::vector<Row> grpc_rows() {
  return {
      {"unary",
       {c(hello() + call(1) + data(1, message(kHelloWorld), true)),
        s(settings() + answer(1) + data(1, message(unhex("08 96 01"))) + status(1, "0"))},
       {R"~(0 req|"grpc":{"service":"pkg.Svc","method":"Do","messageCount":1,"messages":[{"size":7,"compressed":false,"fields":[{"number":1,"type":"string","value":"world"}]}]}|res[|"headers":{":status":"200","Content-Type":"application/grpc","Grpc-Status":"0","Grpc-Message":""}|"grpc":{"status":0,"statusName":"OK","messageCount":1,"messages":[{"size":3,"compressed":false,"fields":[{"number":1,"type":"varint","value":150}]}]}|"trailers":{"Grpc-Status":"0")~"}},
      {"client streaming: messages do not end where frames do",
       {c(hello() + call(1) + data(1, (message(kHelloWorld) + message(kHelloWorld)).substr(0, 15)) +
          data(1, (message(kHelloWorld) + message(kHelloWorld)).substr(15) + message(""), true)),
        s(settings() + answer(1) + data(1, message("")) + status(1, "0"))},
       {R"~("messageCount":3,"messages":[{"size":7|{"size":0,"compressed":false,"fields":[]}]|"messageCount":1)~"}},
      {"server streaming",
       {c(hello() + call(1) + data(1, message(""), true)), s(settings() + answer(1) + data(1, message(kHelloWorld))),
        s(data(1, message(kHelloWorld))), s(data(1, message(kHelloWorld)) + status(1, "0"))},
       {R"~(res[|"messageCount":3)~"}},
      {"both",
       {c(hello() + call(1) + data(1, message("1"))), s(settings() + answer(1) + data(1, message("2"))),
        c(data(1, message("3"))), s(data(1, message("4"))), c(data(1, "", true)), s(status(1, "0"))},
       {R"~("messageCount":2|res[|"messageCount":2)~"}},
      {"trailers only",
       {c(hello() + call(1) + data(1, message(""), true)),
        s(settings() + headers(1,
                               {{":status", "200"},
                                {"content-type", "application/grpc"},
                                {"grpc-status", "12"},
                                {"grpc-message", "unknown%20method%"}},
                               true))},
       {R"~("status":12,"statusName":"UNIMPLEMENTED","statusMessage":"unknown method%","trailersOnly":true)~"}},
      {"details",
       {c(hello() + call(1) + data(1, message(""), true)),
        s(settings() + answer(1) + headers(1, {{"grpc-status", "5"}, {"grpc-status-details-bin", "CAUSAm5v"}}, true))},
       {R"~("statusName":"NOT_FOUND","statusDetails":{"code":5,"message":"no"})~"}},
      {"status that is no number",
       {c(hello() + call(1) + data(1, message(""), true)), s(settings() + answer(1) + status(1, "5x"))},
       {R"~("Grpc-Status":"5x"|"grpc":{"messageCount":0)~"}},
      {"gzip",
       {c(hello() + call(1, {{"grpc-encoding", "gzip"}}) +
          data(1, message(unhex("1f8b0800000000000203e3622dcf2fca490100ddf7849507000000"), 1), true)),
        s(settings() + answer(1) + status(1, "0"))},
       {R"~("encoding":"gzip","messageCount":1,"messages":[{"size":27,"compressed":true,"decodedSize":7,"fields":[{"number":1,"type":"string","value":"world"}]}])~"}},
      {"compressed with what nobody knows",
       {c(hello() + call(1, {{"grpc-encoding", "lzx"}}) + data(1, message("abc", 1), true)),
        s(settings() + answer(1) + status(1, "0"))},
       {R"~("messages":[{"size":3,"compressed":true,"undecoded":true,"text":"abc"}])~"}},
      {"the last message is cut",
       {c(hello() + call(1) + data(1, message("") + message("abcdef").substr(0, 8), true)),
        s(settings() + answer(1) + status(1, "0"))},
       {R"~("messageCount":1|"incomplete":true)~"}},
      {"nested, group, packed, negative",
       {c(hello() + call(1) +
          data(1,
               message(unhex("0a 04 0a 02 'hi' 1b 08 01 1c 22 03 ff0102 2a 05 'a' 0a 'bcd' "
                             "30 ffffffffffffffffff01 3d 01000000 41 0200000000000000")),
               true)),
        s(settings() + answer(1) + status(1, "0"))},
       {R"~({"number":1,"type":"message","value":[{"number":1,"type":"string","value":"hi"}]}|{"number":3,"type":"group","value":[{"number":1,"type":"varint","value":1}]}|{"number":4,"type":"bytes","value":"/wEC"}|{"number":5,"type":"string","value":"a\nbcd"}|"value":-1}|{"number":7,"type":"fixed32","value":1}|{"number":8,"type":"fixed64","value":2})~"}},
      {"json messages",
       {c(hello() + headers(1, {{":method", "POST"}, {":path", "/s/m"}, {"content-type", "application/grpc+json"}}) +
          data(1, message("{}"), true)),
        s(settings() + answer(1) + status(1, "0"))},
       {R"~("messages":[{"size":2,"compressed":false,"text":"{}"}])~"}},
  };
}

TEST(Http2, AMessageOfManyRecordsIsCutShort) {
  std::string many;
  for (int i = 0; i < 100000; ++i) many += unhex("0b 08 01 0c");  // a group around a number
  Arena arena;
  grpc::Budget budget;
  const item::Value v = grpc::wire_message(as_bytes(many), budget, arena);
  EXPECT_TRUE(budget.cut);
  EXPECT_EQ(v.size(), 512u);
  EXPECT_LT(arena.footprint(), 300000u);
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep = unhex("12") + (deep.size() < 128 ? be(deep.size(), 1) : unhex("ff 7f")) + deep;
  grpc::wire_message(as_bytes(deep), budget, arena);
  EXPECT_TRUE(grpc::wire_message(as_bytes(std::string(1000, '\x0b')), budget, arena).is_null());
}

TEST(Http2, Grpc) { check_table<Http2>(grpc_rows()); }

TEST(Http2, Table) { check_table<Http2>(rows()); }

// ---- what was not seen ----

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// 0x82 0x86 0x84 is GET, http, "/".
std::string indexed(uint32_t stream, const std::string& more) {
  return frame(kHeaders, kEndHeaders | kEndStream, stream, unhex("82 86 84 " + more));
}

TEST(Http2, JoinedInTheMiddleTheTableIsKnownAsFarAsItIsNew) {
  const std::vector<Said> script = {
      // 64: unknown. x: y, added at 62. 62. A value whose name is 64's, added at 62.
      c(indexed(5, "c0 40 01 'x' 01 'y' be 7f 01 01 'v'")), s(frame(kHeaders, kEndHeaders | kEndStream, 5, "\x88")),
      c(indexed(7, "be bf 00 01 'p' 01 'q'")), s(frame(kHeaders, kEndHeaders | kEndStream, 7, unhex("88 be")))};
  const auto items = play<Http2>(script);
  EXPECT_THAT(items, ElementsAre(AllOf(HasSubstr("0 req"), HasSubstr(R"~("X":"y,y","?":"v"})~"),
                                       HasSubstr(R"~("streamId":5,"unknownFields":2)~")),
                                 AllOf(HasSubstr(R"~("?":"v","X":"y","P":"q"})~"), HasSubstr(R"~("unknownFields":1)~"),
                                       HasSubstr(R"~("status":200)~"))));
  for (const size_t piece : {1u, 2u, 5u, 9u}) EXPECT_EQ(play<Http2>(script, piece), items);
}

TEST(Http2, JoinedInTheMiddleOfAStream) {
  EXPECT_THAT(play<Http2>({c(get(9)), s(rst(3, 0) + data(1, "x") + status(1, "5") + ok(9, true))}),
              ElementsAre(AllOf(HasSubstr("3 res"), HasSubstr(R"~("statusName":"NOT_FOUND")~")), HasSubstr("0 req")));
}

TEST(Http2, StreamsThatWereOpenShowTheirRest) {
  const std::vector<Said> script = {c(get(9)),
                                    s(data(3, message(kHelloWorld)) + ok(9, true) + data(9, "late", true)),
                                    s(data(3, message("2"))),
                                    s(status(3, "0")),
                                    c(data(5, message("3"))),
                                    s(answer(5) + status(5, "0"))};
  const auto items = play<Http2>(script);
  EXPECT_THAT(items, ElementsAre(HasSubstr("0 req"),
                                 AllOf(HasSubstr("3 res["), HasSubstr(R"~("messageCount":2)~"),
                                       HasSubstr("error=the beginning of the message was not captured")),
                                 AllOf(HasSubstr("4 req["), HasSubstr(R"~("messageCount":1)~"),
                                       HasSubstr(R"~("Grpc-Status":"0")~"))));
  for (const size_t piece : {1u, 4u, 9u}) EXPECT_EQ(play<Http2>(script, piece), items);
}

TEST(Http2, FieldsBeyondATableOfUnknownSizeAreUnknown) {
  EXPECT_THAT(play<Http2>({c(indexed(1, "ff 80 02"))}), ElementsAre(HasSubstr(R"~("unknownFields":1)~")));
  // With the beginning known, the same is an error, and later blocks are read again.
  EXPECT_THAT(play<Http2>({c(hello() + indexed(1, "ff 80 02") + indexed(3, ""))}),
              ElementsAre(HasSubstr("error=field block cannot be decompressed"), HasSubstr(R"~(2 req)~")));
}

TEST(Http2, GoesOnAfterAGapInsideABody) {
  TestConversation t(entry<Http2>("http2"));
  t.to_server(hello() + get(1));
  const std::string d = data(1, "0123456789", true);
  t.to_client(settings() + ok(1) + d.substr(0, 12));
  t.lose(Direction::kToClient, 4);
  t.to_client(d.substr(16) + ok(3, true));
  ASSERT_EQ(t.items.size(), 2u);
  EXPECT_EQ(t.item(0).response.payload["content"]["text"].text(), "012");
  EXPECT_EQ(t.item(0).response.payload["bodySize"].as_int(), 10);
  EXPECT_EQ(t.item(0).error_message, "bytes of the body were lost");
  EXPECT_EQ(t.counted(Counter::kResyncs), 0u);
}

TEST(Http2, FindsTheNextFrameAfterAGapElsewhere) {
  TestConversation t(entry<Http2>("http2"));
  t.to_server(hello() + get(1) + get(3) + get(5));
  t.to_client(settings() + ok(1) + data(1, "part"));
  t.lose(Direction::kToClient, 0);
  t.to_client("rest of a frame \x00\x00 of unknown length" + data(1, "end", true) + ok(5, true) + ok(3, true));
  ASSERT_EQ(t.items.size(), 3u);
  EXPECT_EQ(t.item(0).error_message, "bytes of the message may have been lost");
  EXPECT_EQ(t.item(1).request.payload["streamId"].as_int(), 5);
  EXPECT_EQ(t.item(1).outcome, item::Outcome::kPaired);
  t.close();
  EXPECT_EQ(t.open, 0u);
}

TEST(Http2, AStreamWhoseEndWasLostExpires) {
  TestConversation t(entry<Http2>("http2"));
  t.to_server(hello() + get(1) + get(3));
  t.to_client(settings() + ok(1));
  t.expire_all();
  ASSERT_EQ(t.items.size(), 1u);  // stream 1 is being answered
  EXPECT_EQ(t.item(0).outcome, item::Outcome::kNoResponse);
  t.lose(Direction::kToClient, 0);
  t.expire_all();
  EXPECT_EQ(t.items.size(), 2u);
  EXPECT_EQ(t.open, 0u);
}

// ---- with others ----

TEST(Http2, AnswersTheRequestThatAskedForTheUpgrade) {
  Collected out;
  http::Http first;
  const std::string ask =
      "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
  const std::string agree = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
  first.dissect({Direction::kToServer, as_bytes(ask), timestamp_from_ns(5), false}, out);
  const Step step = first.dissect({Direction::kToClient, as_bytes(agree), timestamp_from_ns(6), false}, out);
  ASSERT_EQ(step.kind, Step::Kind::kSwitch);
  EXPECT_EQ(step.to, "http2");
  ASSERT_NE(step.opening, nullptr);
  first.close(false, out);
  Http2 second;
  second.adopt(step.opening, out);
  Player player(second, out);
  player.arrive(Direction::kToServer, hello() + get(3));
  player.arrive(Direction::kToClient, settings() + ok(1) + data(1, "up", true) + ok(3, true));
  second.close(false, out);
  EXPECT_THAT(out.items, ElementsAre(HasSubstr(R"~("status":101)~"),
                                     AllOf(HasSubstr("0 req["), HasSubstr("@5]"), HasSubstr(R"~("path":"/up")~"),
                                           HasSubstr(R"~("streamId":1)~"), HasSubstr(R"~("text":"up")~")),
                                     HasSubstr(R"~("streamId":3)~")));
}

TEST(Http2, DnsOverHttpsIsAnItemOfDnsAsWell) {
  const std::string query = unhex("0000 0100 0001 0000 0000 0000 07 'example' 03 'com' 00 0001 0001");
  const std::string answer = unhex("0000 8180 0001 0001 0000 0000 07 'example' 03 'com' 00 0001 0001") +
                             unhex("c00c 0001 0001 0000003c 0004 5db8d822");
  const std::vector<Header> type = {{":status", "200"}, {"content-type", "application/dns-message"}};
  const std::string replied = headers(1, type) + data(1, answer, true);
  const auto posted = play<Http2>(
      {c(hello() +
         headers(1, {{":method", "POST"}, {":path", "/dns-query"}, {"content-type", "application/dns-message"}}) +
         data(1, query, true)),
       s(settings() + replied)});
  const auto dns = AllOf(HasSubstr("0 req"), HasSubstr(R"~("questionNames":["example.com"])~"),
                         HasSubstr(R"~("answerData":["93.184.216.34"])~"));
  EXPECT_THAT(posted, ElementsAre(dns, HasSubstr("/dns-query")));
  const auto got = play<Http2>(
      {c(hello() + get(1, "/dns-query?dns=AAABAAABAAAAAAAAB2V4YW1wbGUDY29tAAABAAE")), s(settings() + replied)});
  EXPECT_THAT(got, ElementsAre(dns, HasSubstr("/dns-query")));
  EXPECT_THAT(play<Http2>({c(hello() + get(1, "/x")), s(settings() + headers(1, type) + data(1, "garbage", true))}),
              ElementsAre(HasSubstr("garbage")));
}

// ---- limits ----

TEST(Http2, BlocksBeyondTheCapAreRefused) {
  Settings limits;
  limits.header_cap = 1000;
  const std::string flood = frame(kHeaders, 0, 1, block({{":method", "GET"}}));
  std::string more;
  for (int i = 0; i < 200; ++i) more += frame(kContinuation, 0, 1, "");
  EXPECT_TRUE(play<Http2>({c(hello() + flood + more)}, SIZE_MAX, limits).empty());
  EXPECT_TRUE(play<Http2>({c(hello() + flood + more)}, 7, limits).empty());
  // A small block that unfolds to 62 times 100 bytes.
  const auto items =
      play<Http2>({c(hello() +
                     frame(kHeaders, kEndHeaders | kEndStream, 1,
                           "\x82" + literal({"n", std::string(100, 'v')}, 0x40) + std::string(62, '\xbe')) +
                     indexed(3, "be"))},
                  SIZE_MAX, limits);
  EXPECT_THAT(items, ElementsAre(HasSubstr("error=header list too long"), HasSubstr(R"~("N":"vvvv)~")));
  EXPECT_LT(items[0].size(), 3000u);
}

TEST(Http2, OpenStreamsAreLimited) {
  Settings limits;
  limits.pending_cap = 4;
  std::vector<Said> script = {c(hello())};
  for (uint32_t i = 0; i < 10; ++i) script.push_back(c(get(2 * i + 1)));
  EXPECT_EQ(play<Http2>(script, SIZE_MAX, limits).size(), 10u);
}

TEST(Http2, BodiesBeyondTheCapAreCounted) {
  Settings limits;
  limits.body_cap = 10;
  EXPECT_THAT(play<Http2>({c(hello() + post(1) + data(1, "0123456789abc") + data(1, "def", true))}, SIZE_MAX, limits),
              ElementsAre(AllOf(HasSubstr(R"~("text":"0123456789"})~"), HasSubstr(R"~("bodySize":16)~"))));
}

TEST(Http2, DripIsLinear) {
  std::string script = hello() + frame(kHeaders, kEndStream, 1, block({{":method", "GET"}, {":path", "/"}}));
  for (int i = 0; i < 3000; ++i) script += frame(kContinuation, 0, 1, literal({"a", "b"}));
  script += frame(kContinuation, kEndHeaders, 1, "");
  Collected out;
  Http2 session;
  Player player(session, out);
  const auto start = std::chrono::steady_clock::now();
  player.arrive(Direction::kToServer, script, 1);
  EXPECT_LT(player.calls(), 10'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  session.close(false, out);
  EXPECT_EQ(out.finished, 1u);
}

// ---- claims ----

TEST(Http2, Probe) {
  using enum Direction;
  expect_probe<Http2>(kToServer, hello(), Probe::kYes);
  expect_probe<Http2>(kToServer, "PRI * HTTP/2.0\r\n\r\nSX", Probe::kNo);
  expect_probe<Http2>(kToServer, "PUT / HTTP/1.1\r\n", Probe::kNo);
  expect_probe<Http2>(kToClient, settings(kSettings100), Probe::kYes);
  expect_probe<Http2>(kToClient, settings(unhex("00 02 00 00 00 02")), Probe::kNo);
  expect_probe<Http2>(kToClient, settings(), Probe::kUnsure);
  expect_probe<Http2>(kToClient, settings() + settings(), Probe::kYes);
  expect_probe<Http2>(kToServer, settings(kSettings100), Probe::kNo);
  // From the middle: field blocks tell the direction.
  expect_probe<Http2>(kToServer, indexed(7, ""), Probe::kYes);
  expect_probe<Http2>(kToClient, indexed(7, ""), Probe::kNo);
  expect_probe<Http2>(kToClient, frame(kPing, kAck, 0, "12345678") + frame(kHeaders, 4, 7, "\x88\xc0"), Probe::kYes);
  expect_probe<Http2>(kToServer, frame(kPing, kAck, 0, "12345678") + frame(kHeaders, 4, 7, "\x88\xc0"), Probe::kNo);
  expect_probe<Http2>(kToServer, frame(kWindowUpdate, 0, 3, be(0, 4)), Probe::kNo);
  expect_probe<Http2>(kToServer, frame(kHeaders, 4, 7, "\x82\xff\xff\xff\xff\xff\xff"), Probe::kNo);
  for (const Direction d : {kToServer, kToClient}) {
    expect_no_claim<Http2>(unhex("00 00 12 04 0000 0000 00000001 0003 'abc'"), d);  // Kafka
    expect_no_claim<Http2>(std::string(100, '\0'), d);
    expect_no_claim<Http2>("HTTP/1.1 200 OK\r\n\r\n", d);
    expect_no_claim<Http2>(unhex("16 03 01 00 50 01 00 00 4c 03 03"), d);
  }
}

TEST(Http2, EveryDirectionAlone) {
  for (const auto& table : {rows(), grpc_rows()})
    for (const Row& row : table)
      for (const Direction d : {Direction::kToServer, Direction::kToClient}) {
        std::vector<Said> alone;
        std::copy_if(row.script.begin(), row.script.end(), std::back_inserter(alone),
                     [d](const Said& said) { return said.direction == d; });
        EXPECT_EQ(play<Http2>(alone), play<Http2>(alone, 3)) << row.name;
      }
}

}  // namespace
}  // namespace baleen::dissect::http2
