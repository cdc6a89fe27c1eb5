#include "dissect/http/http.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "dissect/http/head.h"
#include "dissect/test_conversation.h"

namespace baleen::dissect::http {
namespace {

using item::Item;
using item::Outcome;
using item::Value;

const ProtocolEntry kEntry = entry<Http>("http");

constexpr std::string_view kGet =
    "GET /a/b%20c?x=1&y=two+words&x=3 HTTP/1.1\r\nHost: h\r\nCookie: a=1; b=\"2\"\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello";

std::string gzip(std::string_view text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, 0);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string with_length(std::string_view head, std::string_view body) {
  return std::string(head) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

Value request_of(const Item& i) { return i.request.payload; }
Value response_of(const Item& i) { return i.response.payload; }

TEST(Http, makes_the_whole_item) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 1u);
  const Item& i = c.item(0);
  EXPECT_EQ(i.outcome, Outcome::kPaired);
  EXPECT_EQ(i.protocol->version, "1.1");
  const Value q = request_of(i), r = response_of(i);
  EXPECT_EQ(q["method"].text(), "GET");
  EXPECT_EQ(q["url"].text(), "/a/b%20c?x=1&y=two+words&x=3");
  EXPECT_EQ(q["targetUri"].text(), q["url"].text());
  EXPECT_EQ(q["path"].text(), "/a/b c");
  ASSERT_EQ(q["pathSegments"].size(), 2u);
  EXPECT_EQ(q["pathSegments"].elements()[1].text(), "b c");
  EXPECT_EQ(q["queryString"]["y"].text(), "two words");
  ASSERT_EQ(q["queryString"]["x"].size(), 2u);
  EXPECT_EQ(q["queryString"]["x"].elements()[1].text(), "3");
  EXPECT_EQ(q["cookies"]["b"].text(), "2");
  EXPECT_EQ(q["headers"]["host"].text(), "h");
  EXPECT_EQ(q["headersSize"].as_int(), static_cast<int64_t>(kGet.size()));
  EXPECT_TRUE(q["postData"].is_null());
  EXPECT_EQ(r["status"].as_int(), 200);
  EXPECT_EQ(r["statusText"].text(), "OK");
  EXPECT_EQ(r["content"]["text"].text(), "hello");
  EXPECT_EQ(r["content"]["size"].as_int(), 5);
  EXPECT_EQ(r["content"]["encoding"].text(), "");
  EXPECT_EQ(r["bodySize"].as_int(), 5);
  EXPECT_EQ(i.request.size, kGet.size());
  EXPECT_EQ(i.response.size, kOk.size());
}

struct Framing {
  const char* name;
  std::string request, response;
  int64_t body_size;  // -1: no item is complete before the connection ends
  std::string text;
};

class Framings : public testing::TestWithParam<Framing> {};

TEST_P(Framings, gives_the_same_item_for_any_cut) {
  const Framing& f = GetParam();
  for (size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{16}, size_t{61}, size_t{100000}}) {
    TestConversation c(kEntry);
    for (size_t at = 0; at < f.request.size(); at += step) c.to_server(std::string_view(f.request).substr(at, step));
    for (size_t at = 0; at < f.response.size(); at += step) c.to_client(std::string_view(f.response).substr(at, step));
    if (f.body_size < 0) {
      EXPECT_EQ(c.items.size(), 0u);
      c.close();
    }
    ASSERT_EQ(c.items.size(), 1u) << step;
    const Item& i = c.item(0);
    EXPECT_EQ(i.outcome, Outcome::kPaired) << i.error_message;
    if (f.body_size >= 0) {
      EXPECT_EQ(response_of(i)["bodySize"].as_int(), f.body_size);
    }
    EXPECT_EQ(response_of(i)["content"]["text"].text(), f.text);
    EXPECT_EQ(i.response.size, f.response.size());
    EXPECT_EQ(i.request.size, f.request.size());
    EXPECT_EQ(c.open, 0u);
  }
}

const std::string kHello = "hello, hello, hello, hello";
const Framing kFramings[] = {
    {"length", std::string(kGet), std::string(kOk), 5, "hello"},
    {"equal_lengths", std::string(kGet), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 2,
     "ab"},
    {"length_list", std::string(kGet), "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", 2, "ab"},
    {"zero", std::string(kGet), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, ""},
    {"chunked", std::string(kGet),
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"1\"\r\nhello\r\nA \r\n, world 12\r\n0\r\n\r\n", 15,
     "hello, world 12"},
    {"chunked_over_length", std::string(kGet),
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 2, "ab"},
    {"chunked_bare_lf", std::string(kGet), "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n", 2, "ab"},
    {"trailers", std::string(kGet),
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nab\r\n000\r\nX: y\r\nZ: w\r\n\r\n", 2,
     "ab"},
    {"until_close", std::string(kGet), "HTTP/1.0 200 OK\r\n\r\nwhat comes until the end", -1,
     "what comes until the end"},
    {"until_close_te", std::string(kGet), "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc", -1, "abc"},
    {"head", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 0, ""},
    {"no_content", std::string(kGet), "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 0, ""},
    {"not_modified", std::string(kGet), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 0, ""},
    {"continue", "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: "
     "2\r\n\r\nok",
     2, "ok"},
    {"no_reason", std::string(kGet), "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 1, "x"},
    {"lf_only", "GET / HTTP/1.1\nHost: h\n\n", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", 1, "x"},
    {"gzip", std::string(kGet), with_length("HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\n", gzip(kHello)),
     static_cast<int64_t>(gzip(kHello).size()), kHello},
    {"gzip_twice", std::string(kGet),
     with_length("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\n", gzip(gzip(kHello))),
     static_cast<int64_t>(gzip(gzip(kHello)).size()), kHello},
    {"not_gzip", std::string(kGet), with_length("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n", "plain"), 5, "plain"},
    {"unknown_coding", std::string(kGet), with_length("HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\n", "plain"), 5,
     "plain"},
};
INSTANTIATE_TEST_SUITE_P(Http, Framings, testing::ValuesIn(kFramings),
                         [](const auto& i) { return std::string(i.param.name); });

TEST(Http, every_truncation_leaves_no_item_behind_and_invents_none) {
  for (const Framing& f : kFramings) {
    for (size_t n = 0; n < f.request.size(); ++n) {
      TestConversation c(kEntry);
      c.to_server(f.request.substr(0, n));
      c.end(Direction::kToServer);
      c.close();
      EXPECT_EQ(c.open, 0u);
      EXPECT_LE(c.items.size(), 1u);
      for (const auto& i : c.items) EXPECT_EQ(i->outcome, Outcome::kNoResponse);
    }
    for (size_t n = 0; n < f.response.size(); ++n) {
      TestConversation c(kEntry);
      c.to_server(f.request);
      c.to_client(f.response.substr(0, n));
      c.end(Direction::kToClient);
      c.close();
      EXPECT_EQ(c.open, 0u) << f.name << n;
      ASSERT_EQ(c.items.size(), 1u) << f.name << " " << n;
      if (f.body_size >= 0) {
        EXPECT_NE(c.item(0).outcome, Outcome::kPaired) << f.name << " " << n;
      }
    }
  }
}

TEST(Http, pairs_pipelined_requests_in_order) {
  TestConversation c(kEntry);
  c.to_server("GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
  c.to_client(
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 Not "
      "Found\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 3u);
  EXPECT_EQ(request_of(c.item(1))["path"].text(), "/2");
  EXPECT_EQ(response_of(c.item(1))["headers"]["Content-Length"].text(), "9");
  EXPECT_EQ(response_of(c.item(2))["status"].as_int(), 404);
}

TEST(Http, pairs_an_answer_that_comes_before_the_request_is_complete) {
  TestConversation c(kEntry);
  c.to_server("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n01234");
  c.to_client("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(c.items.size(), 0u);
  c.to_server("56789");
  ASSERT_EQ(c.items.size(), 1u);
  EXPECT_EQ(c.item(0).outcome, Outcome::kPaired);
  EXPECT_EQ(request_of(c.item(0))["postData"]["text"].text(), "0123456789");
  EXPECT_EQ(response_of(c.item(0))["status"].as_int(), 413);
}

TEST(Http, shows_halves) {
  TestConversation c(kEntry);
  c.to_client(kOk);
  c.to_server(kGet);
  c.close();
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(0).outcome, Outcome::kNoRequest);
  EXPECT_FALSE(c.item(0).request.present);
  EXPECT_EQ(c.item(1).outcome, Outcome::kNoResponse);
  EXPECT_EQ(c.counted(Counter::kHalfRequests), 1u);
  EXPECT_EQ(c.counted(Counter::kHalfResponses), 1u);
}

TEST(Http, expires_what_waits_too_long) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.expire_all();
  ASSERT_EQ(c.items.size(), 1u);
  EXPECT_EQ(c.item(0).outcome, Outcome::kNoResponse);
}

TEST(Http, keeps_interim_answers) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_client("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 1u);
  const Value interim = response_of(c.item(0))["interim"];
  ASSERT_EQ(interim.size(), 2u);
  EXPECT_EQ(interim.elements()[0]["status"].as_int(), 100);
  EXPECT_EQ(interim.elements()[1]["headers"]["link"].text(), "x");
}

TEST(Http, joins_repeated_names_and_keeps_the_head_as_sent) {
  TestConversation c(kEntry);
  c.to_server("GET / HTTP/1.1\r\nAccept: a\r\nX: 1\r\naccept: b\r\nFolded: one\r\n\t two\r\n\r\n");
  c.to_client("HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/, x\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 1u);
  const Value q = request_of(c.item(0)), r = response_of(c.item(0));
  EXPECT_EQ(q["headers"].size(), 3u);
  EXPECT_EQ(q["headers"]["Accept"].text(), "a,b");
  EXPECT_EQ(q["headers"]["Folded"].text(), "one two");
  EXPECT_TRUE(q["rawHead"].text().starts_with("GET / HTTP/1.1\r\nAccept: a\r\nX: 1\r\naccept"));
  EXPECT_EQ(r["headers"]["Set-Cookie"].text(), "a=1; Path=/, x\nb=2");
  EXPECT_EQ(r["cookies"]["a"].text(), "1");
  EXPECT_EQ(r["cookies"]["b"].text(), "2");
}

TEST(Http, reads_forms) {
  TestConversation c(kEntry);
  c.to_server(with_length("POST /f HTTP/1.1\r\nContent-Type: Application/X-WWW-form-urlencoded; charset=utf-8\r\n",
                          "a=1&b=%41+c&bad=%4"));
  c.to_client(kOk);
  const std::string parts =
      "--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nvalue\r\n--B\r\nContent-Disposition: form-data; "
      "name=\"f\"; "
      "filename=\"x.bin\"\r\nContent-Type: image/png\r\n\r\n\xFF\xFE\r\n\r\n--B--\r\n";
  c.to_server(with_length("POST /f HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=\"B\"\r\n", parts));
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  const Value a = request_of(c.item(0))["postData"];
  EXPECT_EQ(a["mimeType"].text(), "application/x-www-form-urlencoded");
  ASSERT_EQ(a["params"].size(), 2u);
  EXPECT_EQ(a["params"].elements()[1]["value"].text(), "A c");
  const Value b = request_of(c.item(1))["postData"];
  ASSERT_EQ(b["params"].size(), 2u);
  EXPECT_EQ(b["params"].elements()[0]["name"].text(), "t");
  EXPECT_EQ(b["params"].elements()[0]["value"].text(), "value");
  EXPECT_EQ(b["params"].elements()[1]["fileName"].text(), "x.bin");
  EXPECT_EQ(b["params"].elements()[1]["contentType"].text(), "image/png");
  EXPECT_EQ(b["params"].elements()[1]["value"].type(), Value::Type::kBytes);
  EXPECT_EQ(b["params"].elements()[1]["value"].text(), "\xFF\xFE\r\n");
  EXPECT_EQ(b["encoding"].text(), "base64");
}

TEST(Http, reads_every_form_of_target) {
  struct Row {
    const char *target, *path;
    size_t segments;
  };
  for (const Row& row : {Row{"/", "/", 1},
                         {"*", "*", 0},
                         {"http://h:1/x/y?q#f", "/x/y", 2},
                         {"http://h", "", 0},
                         {"/a#f?x", "/a", 1},
                         {"/%zz", "/%zz", 1},
                         {"/a//b", "/a//b", 3},
                         {"?x=1", "?x=1", 0}}) {
    TestConversation c(kEntry);
    c.to_server("PROPFIND " + std::string(row.target) + " HTTP/1.1\r\n\r\n");
    c.close();
    ASSERT_EQ(c.items.size(), 1u) << row.target;
    EXPECT_EQ(request_of(c.item(0))["path"].text(), row.path);
    EXPECT_EQ(request_of(c.item(0))["pathSegments"].size(), row.segments) << row.target;
  }
}

TEST(Http, hands_over_after_101_and_connect) {
  struct Row {
    const char *request, *response, *to;
  };
  for (const Row& row :
       {Row{"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n", "websocket"},
        {"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "http2"},
        {"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
         "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n", ""},
        {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n", ""}}) {
    TestConversation c(kEntry);
    c.to_server(row.request);
    c.to_server("\x16\x03\x01 early bytes of the other protocol");
    c.to_client(row.response);
    ASSERT_EQ(c.switched.size(), 1u) << row.request;
    EXPECT_EQ(c.switched[0], row.to);
    ASSERT_EQ(c.items.size(), 1u);
    EXPECT_EQ(c.item(0).outcome, Outcome::kPaired);
    EXPECT_EQ(c.open, 0u);
  }
}

TEST(Http, goes_on_after_a_refused_upgrade) {
  TestConversation c(kEntry);
  c.to_server("GET /1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  c.to_client(kOk);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(request_of(c.item(1))["path"].text(), "/2");
}

TEST(Http, calls_broken_framing_by_its_name_and_goes_on) {
  struct Row {
    const char* response;
    const char* error;
  };
  for (const Row& row : {Row{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                             "invalid or conflicting Content-Length"},
                         {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "invalid or conflicting Content-Length"},
                         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed chunk size"},
                         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "no line end after a chunk"},
                         {"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", "malformed header field"}}) {
    for (size_t step : {size_t{1}, size_t{1000}}) {
      TestConversation c(kEntry);
      c.to_server(kGet);
      c.to_server(kGet);
      const std::string all = std::string(row.response) + std::string(kOk);
      for (size_t at = 0; at < all.size(); at += step) c.to_client(std::string_view(all).substr(at, step));
      ASSERT_EQ(c.items.size(), 2u) << row.response << step;
      EXPECT_EQ(c.item(0).outcome, Outcome::kDissection);
      EXPECT_EQ(c.item(0).error_message, row.error);
      EXPECT_EQ(c.item(1).outcome, Outcome::kPaired);
      EXPECT_EQ(response_of(c.item(1))["content"]["text"].text(), "hello");
    }
  }
}

TEST(Http, keeps_of_a_body_what_the_cap_allows) {
  for (size_t step : {size_t{1}, size_t{9}, size_t{100000}}) {
    TestConversation c(kEntry);
    c.settings_value.body_cap = 10;
    const std::string response = with_length("HTTP/1.1 200 OK\r\n", std::string(100, 'x')) +
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + std::string(20, 'y') +
                                 "\r\n0\r\n\r\n";
    c.to_server(kGet);
    c.to_server(kGet);
    for (size_t at = 0; at < response.size(); at += step) c.to_client(std::string_view(response).substr(at, step));
    ASSERT_EQ(c.items.size(), 2u);
    EXPECT_EQ(response_of(c.item(0))["content"]["text"].text(), std::string(10, 'x'));
    EXPECT_EQ(response_of(c.item(0))["bodySize"].as_int(), 100);
    EXPECT_EQ(response_of(c.item(1))["content"]["text"].text(), std::string(10, 'y'));
    EXPECT_EQ(response_of(c.item(1))["content"]["size"].as_int(), 20);
    EXPECT_EQ(c.counted(Counter::kBodyCapped), 2u);
    EXPECT_EQ(c.item(0).response.size + c.item(1).response.size, response.size());
  }
}

TEST(Http, goes_on_after_a_gap_inside_a_body) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_server(kGet);
  c.to_client("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01");
  c.lose(Direction::kToClient, 5);
  c.to_client("789HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(response_of(c.item(0))["content"]["text"].text(), "01");
  EXPECT_EQ(response_of(c.item(0))["bodySize"].as_int(), 10);
  EXPECT_EQ(c.item(0).error_message, "bytes of the body were lost");
  EXPECT_EQ(response_of(c.item(1))["status"].as_int(), 404);
}

TEST(Http, finds_the_next_message_after_a_gap_elsewhere) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_client("HTTP/1.1 200 OK\r\nContent-Le");
  c.lose(Direction::kToClient, 500);
  ASSERT_EQ(c.items.size(), 1u);
  EXPECT_EQ(c.item(0).outcome, Outcome::kDissection);  // the answer's head was cut off
  c.to_server("GET /next HTTP/1.1\r\n\r\n");
  c.to_client("rest of a body}HTTP/1.");
  c.to_client("1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(1).outcome, Outcome::kPaired);
  EXPECT_EQ(response_of(c.item(1))["redirectURL"].text(), "/x");
  c.lose(Direction::kToServer, 0);
  c.to_server("some garbage {\"a\": 1}POST /r HT");
  c.to_server("TP/1.1\r\nContent-Length: 0\r\n\r\n");
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 3u);
  EXPECT_EQ(request_of(c.item(2))["method"].text(), "POST");
}

TEST(Http, gives_up_the_oldest_when_too_many_wait) {
  TestConversation c(kEntry);
  c.settings_value.pending_cap = 2;
  for (int i = 0; i < 3; ++i) c.to_server(kGet);
  EXPECT_EQ(c.items.size(), 1u);
  EXPECT_EQ(c.counted(Counter::kTooManyPending), 1u);
}

TEST(Http, knows_its_own_and_nothing_else) {
  struct Row {
    std::string_view text;
    Direction direction;
    Probe answer;
  };
  using enum Direction;
  for (const Row& row : {Row{"GET / HTTP/1.1\r\n", kToServer, Probe::kYes},
                         {"\r\nM-SEARCH * HTTP/1.0\r\n", kToServer, Probe::kYes},
                         {"GET / HTTP/1.1", kToServer, Probe::kUnsure},
                         {"GET /\r\n", kToServer, Probe::kNo},  // HTTP/0.9
                         {"PRI * HTTP/2.0\r\n", kToServer, Probe::kNo},
                         {"OPTIONS rtsp://x RTSP/1.0\r\n", kToServer, Probe::kNo},
                         {"INVITE sip:a@b SIP/2.0\r\n", kToServer, Probe::kNo},
                         {"*1\r\n$4\r\nPING\r\n", kToServer, Probe::kNo},
                         {"\x16\x03\x01", kToServer, Probe::kNo},
                         {"HTTP/1.1 200 OK\r\n", kToClient, Probe::kYes},
                         {"HTTP/1.1 2", kToClient, Probe::kUnsure},
                         {"HTTP/1.1 200", kToClient, Probe::kUnsure},
                         {"HTTP/2.0 200 OK\r\n", kToClient, Probe::kNo},
                         {"HTTP/1.1 xyz", kToClient, Probe::kNo},
                         {"GET / HTTP/1.1\r\n", kToClient, Probe::kNo},
                         {"", kToServer, Probe::kUnsure}}) {
    EXPECT_EQ(Http::probe({row.direction, as_bytes(row.text), {}, false}), row.answer) << row.text;
    // Law of cuts: once certain, always the same.
    for (size_t n = 0; n < row.text.size(); ++n) {
      const Probe p = Http::probe({row.direction, as_bytes(row.text.substr(0, n)), {}, false});
      if (p != Probe::kUnsure) {
        EXPECT_EQ(p, row.answer) << row.text << n;
      }
    }
  }
}

TEST(Http, a_head_without_end_is_refused) {
  TestConversation c(kEntry);
  c.settings_value.header_cap = 1000;
  c.to_server("GET / HTTP/1.1\r\nX: " + std::string(2000, 'a'));
  EXPECT_EQ(c.counted(Counter::kMessageTooLong), 1u);
  c.to_server("GET /2 HTTP/1.1\r\n\r\n");
  c.close();
  EXPECT_EQ(c.items.size(), 1u);
}

TEST(Http, fields_exist_in_items_or_are_optional_and_documented) {
  for (const item::Field& f : Http::kProtocol.fields) {
    EXPECT_FALSE(f.doc.empty()) << f.path;
    EXPECT_TRUE(f.path.starts_with("request.") || f.path.starts_with("response.")) << f.path;
  }
}

TEST(Http, dns_in_bodies_is_an_item_of_dns_as_well) {
  std::string answer("\0\0\x81\x80\0\1\0\1\0\0\0\0\7example\3com\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4", 45);
  TestConversation t(entry<Http>("http"));
  t.to_server("GET /dns-query?dns=AAABAAABAAAAAAAAB2V4YW1wbGUDY29tAAABAAE HTTP/1.1\r\n\r\n");
  t.to_client("HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: 45\r\n\r\n" + answer);
  ASSERT_EQ(t.items.size(), 2u);
  EXPECT_EQ(t.item(0).protocol->name, "dns");
  EXPECT_EQ(t.item(0).outcome, Outcome::kPaired);
  EXPECT_EQ(t.item(0).request.payload["questionNames"].elements()[0].text(), "example.com");
  EXPECT_EQ(t.item(0).response.payload["answerData"].elements()[0].text(), "1.2.3.4");
  EXPECT_EQ(t.item(1).request.payload["path"].text(), "/dns-query");
}

// ---- heads that were cut off ----

TEST(Http, a_request_that_is_cut_off_shows_what_is_there_and_is_answered) {
  const std::string request(kGet);
  const size_t line = request.find('\n') + 1, host = request.find("Cookie");
  for (size_t n = 1; n < request.size(); ++n) {
    TestConversation c(kEntry);
    c.to_server(request.substr(0, n));
    c.lose(Direction::kToServer, request.size() - n);
    c.to_client(kOk);
    c.to_server(kGet);  // the next message
    c.to_client(kOk);
    c.close();
    const bool known = n > 4;  // the method and a target's beginning
    ASSERT_EQ(c.items.size(), 2u) << n;
    EXPECT_EQ(c.item(0).outcome, known ? Outcome::kDissection : Outcome::kNoRequest) << n;
    EXPECT_EQ(c.item(1).outcome, Outcome::kPaired) << n;
    if (!known) continue;
    EXPECT_EQ(c.item(0).error_message, "bytes of the head were lost");
    const Value seen = request_of(c.item(0));
    EXPECT_TRUE(seen["truncated"].as_bool());
    EXPECT_EQ(seen["method"].text(), "GET");
    EXPECT_EQ(seen["headers"]["host"].text(), n >= host ? "h" : "") << n;
    EXPECT_EQ(seen["headers"]["cookie"].is_null(), n < request.size() - 2) << n;
    if (n >= line) {
      EXPECT_EQ(seen["path"].text(), "/a/b c");
    } else if (n < line - 11) {
      EXPECT_EQ(seen["url"].text(), request.substr(4, n - 4)) << n;
    }
    EXPECT_EQ(response_of(c.item(0))["status"].as_int(), 200);
    EXPECT_TRUE(response_of(c.item(0))["truncated"].is_null());
    EXPECT_EQ(c.item(0).request.size, n);
  }
}

TEST(Http, an_answer_that_is_cut_off_is_the_answer) {
  const std::string answer(kOk);
  for (size_t n = 1; n < answer.find("\r\n\r\n") + 3; ++n) {
    TestConversation c(kEntry);
    c.to_server(kGet);
    c.to_client(answer.substr(0, n));
    c.lose(Direction::kToClient, answer.size() - n);
    c.to_server(kGet);
    c.to_client(kOk);
    c.close();
    ASSERT_EQ(c.items.size(), 2u) << n;
    const bool known = n >= 13;
    EXPECT_EQ(c.item(0).outcome, known ? Outcome::kDissection : Outcome::kNoResponse) << n;
    EXPECT_EQ(c.item(1).outcome, Outcome::kPaired) << n;
    if (!known) continue;
    EXPECT_EQ(response_of(c.item(0))["status"].as_int(), 200);
    EXPECT_TRUE(response_of(c.item(0))["truncated"].as_bool());
    EXPECT_EQ(response_of(c.item(0))["headers"].size(), n < 36 ? 0u : n < 62 ? 1u : 2u) << n;
  }
}

TEST(Http, a_cut_request_line_of_connect_names_a_host) {
  for (const char* yes : {"CONNECT host.example:443 HT", "CONNECT [2001:db8::1]:4", "CONNECT h", "GET /"})
    EXPECT_TRUE(is_cut_request_line(yes)) << yes;
  for (const char* no : {"CONNECT {\"verbose\":false,\"ped", "CONNECT ", "CONNECT", "CONNECT a,b", "GET x"})
    EXPECT_FALSE(is_cut_request_line(no)) << no;
}

TEST(Http, what_is_no_head_stays_none_when_it_is_cut_off) {
  for (const std::string_view bytes : {"hello", "GET", "GET ", "BREW /x", "GET /x\r\nA: b\r\n", "\r\n"}) {
    TestConversation c(kEntry);
    c.to_server(kGet);
    c.to_client(kOk);
    c.to_server(bytes);
    c.lose(Direction::kToServer, 9);
    c.to_client("HTTP/1.1 100 Cont");
    c.lose(Direction::kToClient, 9);
    c.close();
    EXPECT_EQ(c.items.size(), 1u) << bytes;
    EXPECT_EQ(c.open, 0u);
  }
}

TEST(Http, a_final_answer_that_is_cut_off_keeps_the_interim_ones) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_client("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nA: b\r\nC");
  c.lose(Direction::kToClient, 0);
  c.close();
  ASSERT_EQ(c.items.size(), 1u);
  EXPECT_EQ(response_of(c.item(0))["status"].as_int(), 404);
  EXPECT_EQ(response_of(c.item(0))["headers"]["a"].text(), "b");
  EXPECT_EQ(response_of(c.item(0))["interim"].size(), 1u);
}

}  // namespace
}  // namespace baleen::dissect::http
