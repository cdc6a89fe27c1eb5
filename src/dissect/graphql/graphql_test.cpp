#include "dissect/graphql/graphql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "dissect/engine.h"
#include "dissect/graphql/document.h"
#include "dissect/graphql/scan.h"
#include "dissect/http/http.h"
#include "dissect/registry.h"
#include "dissect/test_conversation.h"
#include "item/json.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect::graphql {
namespace {

using item::Value;

TEST(GraphqlDocument, IsRecognised) {
  const std::pair<const char*, const char*> rows[] = {
      {"{ a }", "query  a"},
      {"{a b:c(x:1,y:[2 3],z:{k:\"v\"}) @include(if:$d) { deep } ...F ... { e } ... on T @d { f } }", "query  a c e f"},
      {"query Q { a }", "query Q a"},
      {"mutation M($a: [Int!]! = [1], $b: In = {x: null}) @d { do(a: $a) { id } }", "mutation M do"},
      {"subscription { tick }", "subscription  tick"},
      {"fragment F on T { x } query Q { ...F a }", "query Q a"},
      {"query query { query mutation fragment on }", "query query query mutation fragment on"},
      {"\xEF\xBB\xBF# comment } \" \n,, { a # more\n }", "query  a"},
      {R"({ a(s: "with \" and }", b: """block " "" \""" } """, f: -1.5e+3, n: 0, e: ENUM) })", "query  a"},
  };
  for (const auto& [text, expected] : rows) {
    const Document d = parse_document(text);
    ASSERT_TRUE(d.ok) << text << " at " << d.error_at;
    std::string got = std::string(d.type) + " " + std::string(d.name);
    for (size_t i = 0; i < d.field_count; ++i) got += " " + std::string(d.fields[i]);
    EXPECT_EQ(got, expected) << text;
  }
}

TEST(GraphqlDocument, IsRefused) {
  const std::pair<const char*, size_t> rows[] = {{"", 0},
                                                 {"foo", 3},
                                                 {"{ }", 2},
                                                 {"{ a", 3},
                                                 {"{ a } }", 6},
                                                 {"{ a(b) }", 5},
                                                 {"{ a() }", 4},
                                                 {"{ a: }", 5},
                                                 {"query Q", 7},
                                                 {"query ($a) { b }", 9},
                                                 {"{ a(b: 01) }", 7},
                                                 {"{ a(b: 1x) }", 7},
                                                 {"{ a(b: 1.) }", 7},
                                                 {"{ a(b: \"x) }", 7},
                                                 {"{ a(b: \"\"\"x\") }", 7},
                                                 {"{ .. F }", 2},
                                                 {"fragment on on T { a }", 9},
                                                 {"fragment F on T { a }", 21},
                                                 {"{job=\"x\"}", 4},
                                                 {"SELECT * FROM t", 7},
                                                 {"{ a \xff }", 4}};
  for (const auto& [text, at] : rows) {
    const Document d = parse_document(text);
    EXPECT_FALSE(d.ok) << text;
    EXPECT_EQ(d.error_at, at) << text;
  }
  EXPECT_FALSE(parse_document(std::string(200, '{') + std::string(200, '}')).ok);
  std::string deep;
  for (int i = 0; i < 127; ++i) deep += "{a";
  EXPECT_TRUE(parse_document(deep + std::string(127, '}')).ok);
  for (int i = 0; i < 10; ++i) deep += "{a";
  EXPECT_FALSE(parse_document(deep + std::string(137, '}')).ok);
  EXPECT_FALSE(parse_document("{a(x:" + std::string(100000, '[') + std::string(100000, ']') + ")}").ok);
}

TEST(GraphqlDocument, NamesTheOperationThatIsExecuted) {
  const char* const text = "query One { a } mutation Two { b } { c }";
  EXPECT_EQ(parse_document(text, "Two").type, "mutation");
  EXPECT_TRUE(parse_document(text, "Two").found);
  EXPECT_EQ(parse_document(text).name, "One");
  EXPECT_EQ(parse_document(text).operations, 3u);
  EXPECT_EQ(parse_document(text, "Three").name, "One");
  EXPECT_FALSE(parse_document(text, "Three").found);
}

TEST(GraphqlScan, FindsMembersWithoutReadingTheRest) {
  std::string got;
  each_member(R"( {"a" : "x\"}" , "b":[1,{"c":"]"}],"d":-1.5e3 ,"e":null} tail)", [&](auto name, auto value) {
    got += std::string(name) + "=" + std::string(value) + ";";
    return true;
  });
  EXPECT_EQ(got, R"(a="x\"}";b=[1,{"c":"]"}];d=-1.5e3;e=null;)");
  for (const char* broken :
       {"", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":[", "{a:1}", "[1]", "{\"a\":\"\\"})
    each_member(broken, [&](auto, auto) { return ADD_FAILURE() << broken, false; });
}

const ProtocolEntry kEntry = entry<http::Http>("http");

/// One call and its answer; the item as JSON text of request.graphql and response.graphql.
struct Called {
  std::string card, request, response;
};
Called call(std::string_view head, std::string_view body, std::string_view answer = "{\"data\":{}}") {
  TestConversation t(kEntry);
  t.to_server(std::string(head) + "Host: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
              std::string(body));
  t.to_client("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " +
              std::to_string(answer.size()) + "\r\n\r\n" + std::string(answer));
  EXPECT_EQ(t.items.size(), 1u);
  const item::Item& i = t.item(0);
  const auto json = [](const Value& payload) {
    std::string out;
    item::append_json(payload["graphql"], out);
    return out;
  };
  return {std::string(i.protocol->abbreviation), json(i.request.payload), json(i.response.payload)};
}
Called post(std::string_view body, std::string_view answer = "{\"data\":{}}", std::string_view path = "/api") {
  return call("POST " + std::string(path) + " HTTP/1.1\r\nContent-Type: application/json\r\n", body, answer);
}

TEST(Graphql, ReadsWhatIsPosted) {
  const Called c =
      post(R"({"operationName":"G","variables":{"id":"2"},"query":"query G($id: ID!) {\n user(id: $id) { id } }"})");
  EXPECT_EQ(c.card, "GQL");
  EXPECT_EQ(c.request, R"({"operationName":"G","operationType":"query","summary":"query G","fields":["user"],)"
                       R"("query":"query G($id: ID!) {\n user(id: $id) { id } }","variables":{"id":"2"}})");
  EXPECT_EQ(c.response, R"({"errorCount":0})");
}

TEST(Graphql, ReadsOtherWaysToAsk) {
  EXPECT_EQ(
      call("GET /g?query=query%20G%20%7B%20users%20%7D&operationName=G&variables=%7B%22a%22%3A1%7D HTTP/1.1\r\n", "")
          .request,
      R"({"operationName":"G","operationType":"query","summary":"query G","fields":["users"],)"
      R"("query":"query G { users }","variables":{"a":1}})");
  EXPECT_THAT(call("POST /g HTTP/1.1\r\nContent-Type: application/graphql\r\n", "mutation { a b }").request,
              ::testing::HasSubstr(R"("operationType":"mutation","summary":"mutation a, b","fields":["a","b"])"));
  EXPECT_THAT(call("POST /g HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n", "query=%7Ba%7D").request,
              ::testing::HasSubstr(R"("summary":"query a")"));
  EXPECT_THAT(call("POST /g HTTP/1.1\r\nContent-Type: application/vnd.x+json\r\n", R"({"query":"{a}"})").request,
              ::testing::HasSubstr(R"("summary":"query a")"));
  EXPECT_THAT(call("POST /g HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\n",
                   "--B\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{a}\"}\r\n"
                   "--B\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--B--\r\n")
                  .request,
              ::testing::HasSubstr(R"("summary":"query a")"));
  EXPECT_EQ(post(R"({"operationName":"P","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab12"}}})").request,
            R"({"operationName":"P","operationType":"","summary":"P","persistedQuery":"ab12"})");
}

TEST(Graphql, ReadsBatches) {
  const Called c = post(R"([{"query":"{ a }"}, {"query":"mutation M { b }"}])",
                        R"([{"data":{}},{"errors":[{"message":"no"}],"data":null}])");
  EXPECT_EQ(c.request,
            R"({"summary":"batch of 2","batch":[{"operationName":"","operationType":"query","summary":"query a",)"
            R"("fields":["a"],"query":"{ a }"},{"operationName":"M","operationType":"mutation","summary":"mutation M",)"
            R"("fields":["b"],"query":"mutation M { b }"}]})");
  EXPECT_EQ(c.response, R"({"errorCount":1,"errors":[{"message":"no"}]})");
  std::string many = "[";
  for (int i = 0; i < 100; ++i) many += std::string(i > 0 ? "," : "") + R"({"query":"{ a }"})";
  EXPECT_THAT(post(many + "]").request, ::testing::StartsWith(R"({"summary":"batch of 100")"));
}

TEST(Graphql, ShowsErrorsOfATwoHundred) {
  const Called c =
      post(R"({"query":"{ boom }"})",
           R"({"errors":[{"message":"boom","path":["boom"],"extensions":{"code":"X"}},{"message":"2"}],"data":null})");
  EXPECT_EQ(
      c.response,
      R"({"errorCount":2,"errors":[{"message":"boom","path":["boom"],"extensions":{"code":"X"}},{"message":"2"}]})");
  std::string many = R"({"errors":[)";
  for (int i = 0; i < 100; ++i) many += std::string(i > 0 ? "," : "") + "{}";
  EXPECT_THAT(post(R"({"query":"{ boom }"})", many + "]}").response, ::testing::StartsWith(R"({"errorCount":100,)"));
}

TEST(Graphql, ShowsMistakesWhereCallsAreExpected) {
  const char* const half = R"({"query": "{ users { id "})";
  EXPECT_EQ(post(half, "{}", "/api").card, "HTTP");
  const Called c = post(half, "{}", "/api/GraphQL/");
  EXPECT_EQ(c.card, "GQL");
  EXPECT_EQ(c.request, R"({"operationName":"","operationType":"","summary":"","error":"no document: byte 13",)"
                       R"("query":"{ users { id "})");
}

TEST(Graphql, LeavesAloneWhatIsNoCall) {
  for (const char* body :
       {R"({"query":{"match":{"query":"{ a }"}}})", R"({"query":"MATCH (n) RETURN n"})", R"({"a":{"query":"{ a }"}})",
        R"({"query":12})", R"([1,2])", R"([{"query":"{ a }"},{"a":"query"}])", "query", "{", R"({"query")",
        R"({"persistedQuery":1})"}) {
    const Called c = post(body);
    EXPECT_EQ(c.card, "HTTP") << body;
    EXPECT_EQ(c.request, "null") << body;
    EXPECT_EQ(c.response, "null") << body;
  }
  EXPECT_EQ(call("GET /search?query=up%7Bjob%3D%22x%22%7D HTTP/1.1\r\n", "").card, "HTTP");
  EXPECT_EQ(call("POST /x HTTP/1.1\r\nContent-Type: text/plain\r\n", R"({"query":"{ a }"})").card, "HTTP");
}

/// What a call's answer shows, the answer coming in chunks as servers send it; `kept`: the body's cap.
std::string streamed(std::string_view type, std::initializer_list<std::string_view> pieces, size_t kept = 1 << 20) {
  TestConversation t(kEntry);
  t.settings_value.body_cap = kept;
  t.to_server("GET /graphql?query=%7Ba%7D HTTP/1.1\r\nHost: h\r\nAccept: " + std::string(type) + "\r\n\r\n");
  t.to_client("HTTP/1.1 200 OK\r\nContent-Type: " + std::string(type) + "\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const std::string_view piece : pieces) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    t.to_client(size + std::string(piece) + "\r\n");
  }
  t.to_client("0\r\n\r\n");
  EXPECT_EQ(t.items.size(), 1u);
  std::string out;
  item::append_json(t.item(0).response.payload["graphql"], out);
  return out;
}

TEST(Graphql, ReadsDeferredResults) {
  EXPECT_EQ(streamed("multipart/mixed; boundary=\"-\"",
                     {"\r\n---\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 31\r\n\r\n"
                      R"({"data":{"a":1},"hasNext":true})",
                      "\r\n---\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"
                      R"({"incremental":[{"path":["a"],"label":"L","data":null,"errors":[{"message":"no"}]}],)"
                      R"("hasNext":true})",
                      "\r\n---\r\nContent-Type: application/json\r\n\r\n{\"hasNext\":false}\r\n-----\r\n"}),
            R"({"errorCount":1,"errors":[{"message":"no"}],"delivery":"multipart","resultCount":2,"results":[)"
            R"({"data":{"a":1},"hasNext":true},)"
            R"({"incremental":[{"path":["a"],"label":"L","data":null,"errors":[{"message":"no"}]}],"hasNext":true}],)"
            R"("complete":true})");
  // The boundary that holds where none is named; the form of 2023, in which pieces have numbers and fail by them.
  EXPECT_EQ(
      streamed("multipart/mixed",
               {"---\r\n\r\n{\"data\":{},\"pending\":[{\"id\":\"0\",\"path\":[]}],\"hasNext\":true}\r\n---\r\n\r\n"
                "{\"completed\":[{\"id\":\"0\",\"errors\":[{},{}]}],\"hasNext\":false}\r\n-----\r\n"}),
      R"({"errorCount":2,"errors":[{},{}],"delivery":"multipart","resultCount":2,"results":[)"
      R"({"data":{},"pending":[{"id":"0","path":[]}],"hasNext":true},)"
      R"({"completed":[{"id":"0","errors":[{},{}]}],"hasNext":false}],"complete":true})");
  // Subscriptions over multipart: results within `payload`, and heartbeats.
  EXPECT_EQ(
      streamed(
          "multipart/mixed;boundary=graphql;subscriptionSpec=1.0",
          {"--graphql\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql\r\n\r\n"
           "{\"payload\":{\"data\":{\"t\":1}}}\r\n--graphql\r\n\r\n{\"payload\":null,\"errors\":[{}]}\r\n--graphql"}),
      R"({"errorCount":1,"errors":[{}],"delivery":"multipart","resultCount":2,"results":[{"data":{"t":1}},)"
      R"({"payload":null,"errors":[{}]}],"complete":false})");
}

TEST(Graphql, ReadsServerSentEvents) {
  EXPECT_EQ(streamed("text/event-stream; charset=utf-8",
                     {":\n\n", "event: next\ndata: {\"data\":{\"t\":1}}\n\n",
                      "id: 7\r\nevent:next\r\ndata:{\"data\":\r\ndata: {\"t\":2},\"errors\":[{}]}\r\n\r\n",
                      "event: other\ndata: {\"data\":0}\n\n", "event: complete\rdata:\r\r"}),
            R"({"errorCount":1,"errors":[{}],"delivery":"sse","resultCount":2,"results":[{"data":{"t":1}},)"
            R"({"data":{"t":2},"errors":[{}]}],"complete":true})");
  // An event without its empty line did not come whole; a completion may have no data.
  EXPECT_EQ(streamed("text/event-stream", {"\xEF\xBB\xBF"
                                           "data: {\"data\":1}\n\ndata: {\"data\":2}\n"}),
            R"({"errorCount":0,"delivery":"sse","resultCount":1,"results":[{"data":1}],"complete":false})");
  EXPECT_EQ(streamed("text/event-stream", {"event: complete\n\n"}),
            R"({"errorCount":0,"delivery":"sse","resultCount":0,"results":[],"complete":true})");
}

TEST(Graphql, BoundsWhatItShowsOfResults) {
  const std::string one = "data: {\"errors\":[{}]}\n\n";
  std::string many;
  for (int i = 0; i < 1000; ++i) many += one;
  const std::string shown = streamed("text/event-stream", {many});
  EXPECT_THAT(shown, ::testing::StartsWith(R"({"errorCount":1000,)"));
  EXPECT_THAT(shown, ::testing::HasSubstr(R"("resultCount":1000,)"));
  EXPECT_LT(shown.size(), 64u * 20 + 64 * 4 + 200);
  const std::string large = "data: {\"data\":\"" + std::string(40'000, 'x') + "\"}\n\n";
  EXPECT_LT(streamed("text/event-stream", {large, large, large}).size(), 41'000u);
  // A capped body ends amid an event, here amid a character as well: what came whole before it is shown.
  EXPECT_EQ(streamed("text/event-stream", {"data: {\"data\":\"\u00e9\"}\n\ndata: {\"data\":\"\u00e9\"}\n\n"}, 39),
            R"({"errorCount":0,"delivery":"sse","resultCount":1,"results":[{"data":")"
            "\u00e9"
            R"("}],"complete":false})");
  // Many short lines in one event are put together once.
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "data:\n";
  EXPECT_THAT(streamed("text/event-stream", {lines + "data:{\"data\":1}\n\n"}),
              ::testing::HasSubstr(R"("resultCount":1,"results":[{"data":1}])"));
}

/// https://www.apollographql.com/docs/apollo-server/performance/apq: the hash alone, the refusal, both, the result.
TEST(Graphql, ReadsPersistedQueries) {
  const std::string hash = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
  const Called asked = call(
      "GET /graphql?extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22" + hash +
          "%22%7D%7D HTTP/1.1\r\n",
      "", R"({"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]})");
  EXPECT_EQ(asked.card, "GQL");
  EXPECT_EQ(asked.request,
            R"({"operationName":"","operationType":"","summary":"","persistedQuery":")" + hash + R"("})");
  EXPECT_EQ(asked.response, R"({"errorCount":1,"errors":[{"message":"PersistedQueryNotFound",)"
                            R"("extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]})");
  EXPECT_EQ(
      post(R"({"query":"{ __typename }","extensions":{"persistedQuery":{"version":1,"sha256Hash":")" + hash + R"("}}})")
          .request,
      R"({"operationName":"","operationType":"query","summary":"query __typename","fields":["__typename"],)"
      R"("query":"{ __typename }","persistedQuery":")" +
          hash + R"("})");
  EXPECT_THAT(post(R"([{"extensions":{"persistedQuery":{"sha256Hash":"a"}}},{"query":"{ b }"}])").request,
              ::testing::StartsWith(R"({"summary":"batch of 2","batch":[{"operationName":"","operationType":"",)"
                                    R"("summary":"","persistedQuery":"a"},)"));
}

std::string form(std::initializer_list<std::pair<const char*, std::string_view>> parts) {
  std::string body;
  for (const auto& [head, value] : parts)
    body += "--B\r\nContent-Disposition: form-data; " + std::string(head) + "\r\n\r\n" + std::string(value) + "\r\n";
  return body + "--B--\r\n";
}

TEST(Graphql, ReadsUploads) {
  const char* const head = "POST /g HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\n";
  const char* const mutation = "mutation($f:[Upload!]!){up(files:$f)}";
  EXPECT_EQ(call(head, form({{"name=\"operations\"",
                              R"({"query":")" + std::string(mutation) + R"(","variables":{"f":[null,null]}})"},
                             {"name=\"map\"", R"({"0":["variables.f.0"],"1":["variables.f.1"],"2":["variables.g"]})"},
                             {"name=\"0\"; filename=\"a.txt\"\r\nContent-Type: text/plain", "Alpha"},
                             {"name=\"1\"; filename=\"b.bin\"", std::string_view("\x00\xff\x01", 3)}}))
                .request,
            R"({"operationName":"","operationType":"mutation","summary":"mutation up","fields":["up"],"query":")" +
                std::string(mutation) +
                R"(","variables":{"f":[null,null]},"uploads":[)"
                R"({"variables":["variables.f.0"],"fileName":"a.txt","contentType":"text/plain","size":5},)"
                R"({"variables":["variables.f.1"],"fileName":"b.bin","contentType":"","size":3},)"
                R"({"variables":["variables.g"]}]})");
  EXPECT_THAT(call(head, form({{"name=operations", R"([{"query":"{a}"},{"query":"{b}"}])"},
                               {"name=map", R"({"x":["0.variables.f","1.variables.f"]})"},
                               {"name=x; filename=n", "12"}}))
                  .request,
              ::testing::EndsWith(R"("uploads":[{"variables":["0.variables.f","1.variables.f"],"fileName":"n",)"
                                  R"("contentType":"","size":2}]})"));
  std::string map = "{";
  for (int i = 0; i < 200; ++i) map += std::string(i > 0 ? "," : "") + "\"" + std::to_string(i) + "\":[\"v\"]";
  const std::string many =
      call(head, form({{"name=operations", R"({"query":"{a}"})"}, {"name=map", map + "}"}})).request;
  EXPECT_EQ(std::count(many.begin(), many.end(), '['), 1 + 1 + 64) << many;
  // What is no call stays a form.
  EXPECT_EQ(call(head, form({{"name=operations", "[]"}, {"name=map", "{}"}})).card, "HTTP");
}

TEST(Graphql, EveryFieldExists) {
  TestConversation t(kEntry);
  const std::string body = R"({"query":"{ a }","variables":{},"extensions":{"persistedQuery":{"sha256Hash":"x"}}})";
  t.to_server("POST /g HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  t.to_client("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"errors\":[{}]}");
  ASSERT_EQ(t.items.size(), 1u);
  size_t own = 0;
  for (const item::Field& field : kProtocol.fields) {
    if (field.path.find(".graphql.") == std::string_view::npos) continue;
    ++own;
    if (field.path.ends_with(".batch") || field.path.ends_with(".error") || field.path.ends_with(".uploads")) continue;
    if (field.path.ends_with(".delivery") || field.path.ends_with(".resultCount") || field.path.ends_with(".results") ||
        field.path.ends_with(".complete"))
      continue;  // of answers in pieces
    EXPECT_FALSE(item::at_path(t.item(0), field.path).is_null()) << field.path;
  }
  EXPECT_EQ(own, 16u);
  EXPECT_EQ(item::row_of(t.item(0)).summary.text(), "query a");
}

TEST(Graphql, ReadsMessagesOfSockets) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"type":"connection_init","payload":{"token":"x"}})", R"({"messageType":"connection_init"})"},
      {R"({"id":"1","type":"subscribe","payload":{"query":"subscription Tick { tick }","operationName":"Tick"}})",
       R"({"messageType":"subscribe","id":"1","operationName":"Tick","operationType":"subscription","summary":"subscription Tick",)"
       R"("fields":["tick"],"query":"subscription Tick { tick }"})"},
      {R"({"id":"1","type":"start","payload":{"query":"{ a"}})",
       R"({"messageType":"start","id":"1","operationName":"","operationType":"","summary":"","error":"no document: byte 3","query":"{ a"})"},
      {R"({"id":"1","type":"next","payload":{"data":{"tick":1}}})",
       R"({"messageType":"next","id":"1","errorCount":0})"},
      {R"({"id":"1","type":"data","payload":{"data":null,"errors":[{"message":"x"}]}})",
       R"({"messageType":"data","id":"1","errorCount":1,"errors":[{"message":"x"}]})"},
      {R"({"id":"1","type":"error","payload":[{"message":"a"},{"message":"b"}]})",
       R"({"messageType":"error","id":"1","errorCount":2,"errors":[{"message":"a"},{"message":"b"}]})"},
      {R"({"id":"1","type":"error","payload":{"message":"a"}})",
       R"({"messageType":"error","id":"1","errorCount":1,"errors":[{"message":"a"}]})"},
      {R"({"id":"1","type":"complete"})", R"({"messageType":"complete","id":"1"})"},
      {"[]", "null"},
      {"{", "null"},
      {"ping", "null"}};
  for (const auto& [text, expected] : rows) {
    Arena arena;
    std::string got;
    item::append_json(socket_message(text, arena), got);
    EXPECT_EQ(got, expected) << text;
  }
}

struct Operations final : EngineObserver {
  void on_item(item::ItemRef item) override {
    ++cards[std::string(item->protocol->abbreviation)];
    for (const item::Message* m : {&item->request, &item->response})
      if (const Value type = m->payload["graphql"]["messageType"]; type.is_string())
        ++sockets[std::string(type.text())];
    if (const Value answer = item->response.payload["graphql"]; answer["delivery"].text() == "sse") {
      results += answer["resultCount"].as_int();
      complete += answer["complete"].as_bool() ? 1 : 0;
    }
    const Value graphql = item->request.payload["graphql"];
    if (graphql.is_null() || (graphql["messageType"].is_string() && graphql["query"].is_null())) return;
    ++operations[std::string(graphql["summary"].text())];
    errors += item->response.payload["graphql"]["errorCount"].as_int();
  }
  std::map<std::string, int> cards, operations, sockets;
  int64_t errors = 0, results = 0, complete = 0;  // the latter two of what came as server-sent events
};

/// What the capture's clients asked, by the README beside it: 15 calls, of which one is no JSON.
TEST(Graphql, FindsEveryCallOfACapture) {
  if (net::captures_folder().empty()) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  Operations got;
  EngineOptions options;
  options.protocols = registry();
  Engine engine(options, got);
  for (const net::OwnedPacket& p : net::load_capture(net::captures_folder() + "/graphql/graphql-yoga-http-sse-ws.pcap"))
    engine.on_packet(p.view());
  engine.finish();
  EXPECT_EQ(got.cards["GQL"], 14);
  EXPECT_EQ(got.cards["HTTP"], 3);  // "not json", and two upgrades to WebSocket
  const std::map<std::string, int> operations = {
      {"query users", 2},      {"query GetUser", 1},     {"query Two", 1},  {"mutation AddUser", 1},
      {"query Err", 1},        {"query nosuchfield", 1}, {"", 1},           {"query Frag", 1},
      {"query Big", 1},        {"query Intro", 1},       {"batch of 2", 1}, {"query G", 1},
      {"subscription Sse", 1}, {"subscription Tick", 1}, {"query Q", 1}};
  const std::map<std::string, int> sockets = {
      {"connection_init", 2}, {"connection_ack", 2}, {"subscribe", 2}, {"next", 11}, {"complete", 2}};
  EXPECT_EQ(got.sockets, sockets) << ::testing::PrintToString(got.sockets);
  EXPECT_EQ(got.operations, operations) << ::testing::PrintToString(got.operations);
  EXPECT_EQ(got.errors, 3);
  EXPECT_EQ(got.results, 5);
  EXPECT_EQ(got.complete, 1);
}

}  // namespace
}  // namespace baleen::dissect::graphql
