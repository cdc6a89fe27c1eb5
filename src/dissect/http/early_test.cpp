#include <gtest/gtest.h>

#include "dissect/http/http.h"
#include "dissect/test_conversation.h"

namespace baleen::dissect::http {
namespace {

using item::Item;
using item::Outcome;

const ProtocolEntry kEntry = entry<Http>("http");

constexpr std::string_view kBegin = "GET /long?x=1 HTTP/1.1\r\nHost: h\r\nX-Long: aaaaaaaa";
constexpr std::string_view kRest = "aaaa\r\nX-Last: 1\r\n\r\n";
constexpr std::string_view kRefusal = "HTTP/1.1 414 URI Too Long\r\nContent-Length: 4\r\n\r\nlong";
constexpr std::string_view kGet = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

void expect_pair(const Item& item, bool whole) {
  EXPECT_EQ(item.request.payload["method"].text(), "GET");
  EXPECT_EQ(item.request.payload["path"].text(), "/long");
  EXPECT_EQ(item.request.payload["headers"]["Host"].text(), "h");
  EXPECT_EQ(item.response.payload["status"].as_int(), 414);
  EXPECT_EQ(item.response.payload["content"]["size"].as_int(), 4);
  EXPECT_EQ(item.request.payload["headers"]["X-Last"].text(), whole ? "1" : "");
  EXPECT_EQ(item.outcome, whole ? Outcome::kPaired : Outcome::kDissection);
}

TEST(HttpEarlyAnswer, IsPairedWhenTheRestOfTheHeadComes) {
  TestConversation c(kEntry);
  c.to_server(kBegin);
  c.to_client(kRefusal);
  EXPECT_TRUE(c.items.empty()) << "its request is still coming";
  c.to_server(kRest);
  ASSERT_EQ(c.items.size(), 1u);
  expect_pair(c.item(0), true);
  c.to_server(kGet);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(1).request.payload["path"].text(), "/next");
  EXPECT_EQ(c.item(1).response.payload["status"].as_int(), 200);
  c.close();
  EXPECT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.open, 0);
}

TEST(HttpEarlyAnswer, IsPairedWhicheverOfBothIsWholeFirst) {
  for (size_t cut = 1; cut < kRefusal.size(); ++cut) {
    TestConversation c(kEntry);
    c.to_server(kBegin);
    c.to_client(kRefusal.substr(0, cut));
    c.to_server(kRest);
    c.to_client(kRefusal.substr(cut));
    ASSERT_EQ(c.items.size(), 1u) << cut;
    expect_pair(c.item(0), true);
    c.close();
    EXPECT_EQ(c.items.size(), 1u);
  }
}

TEST(HttpEarlyAnswer, HasWhatHadComeOfTheHeadWhenNoMoreDoes) {
  for (const bool reset : {false, true}) {
    TestConversation c(kEntry);
    c.to_server(kBegin);
    c.to_client(kRefusal);
    c.close(reset);
    ASSERT_EQ(c.items.size(), 1u);
    expect_pair(c.item(0), false);
    EXPECT_TRUE(c.item(0).request.payload["truncated"].as_bool());
    EXPECT_EQ(c.item(0).error_message, reset ? "connection reset" : "unexpected EOF");
    EXPECT_EQ(c.open, 0);
  }
}

TEST(HttpEarlyAnswer, HasWhatALossLeftOfTheHead) {
  TestConversation c(kEntry);
  c.to_server(kBegin);
  c.to_client(kRefusal);
  c.lose(Direction::kToServer, 0);
  ASSERT_EQ(c.items.size(), 1u);
  expect_pair(c.item(0), false);
  c.to_server(kGet);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(1).outcome, Outcome::kPaired);
}

TEST(HttpEarlyAnswer, WaitsForItsRequestNoLongerThanOthersDo) {
  TestConversation c(kEntry);
  c.to_server(kBegin);
  c.to_client(kRefusal);
  c.expire_all();
  ASSERT_EQ(c.items.size(), 1u);
  expect_pair(c.item(0), false);
}

TEST(HttpEarlyAnswer, IsAHalfWhereItMayBeAnotherRequests) {
  {
    TestConversation c(kEntry);
    c.joined_in_the_middle = true;
    c.to_server(kBegin);
    c.to_client(kRefusal);
    ASSERT_EQ(c.items.size(), 1u);
    EXPECT_EQ(c.item(0).outcome, Outcome::kNoRequest);
  }
  {
    TestConversation c(kEntry);
    c.to_server(kGet);
    c.to_client(kOk);
    c.lose(Direction::kToServer, 0);
    c.to_server(kBegin);
    c.to_client(kRefusal);
    ASSERT_EQ(c.items.size(), 2u);
    EXPECT_EQ(c.item(1).outcome, Outcome::kNoRequest);
  }
}

TEST(HttpEarlyAnswer, IsAHalfWhenNothingWasAskedOrItIsNoError) {
  TestConversation c(kEntry);
  c.to_server(kGet);
  c.to_client(kOk);
  c.to_client("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(1).outcome, Outcome::kNoRequest);
  c.to_server(kBegin);
  c.to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(c.items.size(), 3u);
  EXPECT_EQ(c.item(2).outcome, Outcome::kNoRequest);
}

TEST(HttpEarlyAnswer, ToHeadHasNoBody) {
  TestConversation c(kEntry);
  c.to_server("HEAD /long HTTP/1.1\r\nHost: h\r\nX-Long: aaaaaaaa");
  c.to_client("HTTP/1.1 414 URI Too Long\r\nContent-Length: 400\r\n\r\n");
  c.to_server(kRest);
  c.to_server(kGet);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(0).request.payload["method"].text(), "HEAD");
  EXPECT_EQ(c.item(0).response.payload["status"].as_int(), 414);
  EXPECT_EQ(c.item(1).request.payload["path"].text(), "/next");
  EXPECT_EQ(c.item(1).response.payload["status"].as_int(), 200);
}

TEST(HttpEarlyAnswer, HoldsNothingBackBehindAnUpgradeThatItRefuses) {
  TestConversation c(kEntry);
  c.to_server("GET /chat HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Long: aaaa");
  c.to_client("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n");
  c.to_server(kRest);
  c.to_server(kGet);
  c.to_client(kOk);
  ASSERT_EQ(c.items.size(), 2u);
  EXPECT_EQ(c.item(0).request.payload["path"].text(), "/chat");
  EXPECT_EQ(c.item(1).request.payload["path"].text(), "/next");
}

TEST(HttpEarlyAnswer, ToWhatTurnsOutToBeNoHeadKeepsItsBegin) {
  TestConversation c(kEntry);
  c.settings_value.header_cap = 4096;
  c.to_server(kBegin);
  c.to_client(kRefusal);
  c.to_server(std::string(8192, 'a'));
  ASSERT_EQ(c.items.size(), 1u);
  expect_pair(c.item(0), false);
}

}  // namespace
}  // namespace baleen::dissect::http
