// Requests that follow no rule, and answers whose requests were not seen.

#include "dissect/http/http.h"
#include "dissect/test_table.h"

namespace baleen::dissect::http {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Lines of a server's log that answers with 400: each is an item with its answer.
TEST(Http, a_malformed_request_line_is_an_item) {
  for (const char* line : {"OPTIONS HTTP/1.1", "OPTIONSHTTP/1.1", "OPTIONS", "GET / HTTP/1.", "GET /HTTP/1.1",
                           "GET/ HTTP/1.1", "GET/HTTP/1.1", "CCM_POST/HTTP/1.1", "GET / HTTP/2.0", "GET  "}) {
    const std::vector<Said> script = {
        {Direction::kToServer, std::string(line) + "\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\n\r\n"},
        {Direction::kToClient,
         "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    const auto items = play<Http>(script);
    ASSERT_EQ(items.size(), 2u) << line;
    EXPECT_THAT(items[0], AllOf(HasSubstr("\"Host\":\"h\""), HasSubstr("\"status\":400"),
                                HasSubstr("error=malformed request line")))
        << line;
    EXPECT_THAT(items[1], AllOf(HasSubstr("\"path\":\"/next\""), HasSubstr("\"status\":200"))) << line;
    for (const size_t piece : {1u, 2u, 7u, 30u}) EXPECT_EQ(play<Http>(script, piece), items) << line;
  }
  // What only looks a little like it is stepped over, as before.
  for (const char* no :
       {"HELLO world\r\n\r\n", "GET / HTTP/1\r\nno field\r\n\r\n", "ab / HTTP/9\r\n\r\n", "GET\x01/ HTTP/9\r\n\r\n"}) {
    const std::vector<Said> script = {{Direction::kToServer, std::string(no) + "GET /next HTTP/1.1\r\n\r\n"},
                                      {Direction::kToClient, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    EXPECT_THAT(play<Http>(script), ElementsAre(HasSubstr("\"path\":\"/next\""))) << no;
    EXPECT_EQ(play<Http>(script, 1), play<Http>(script)) << no;
  }
}

TEST(Http, an_answer_to_a_head_that_was_not_seen_has_no_body) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n";
  const std::vector<Said> script = {
      {Direction::kToClient, head + "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"}};
  const auto items = play<Http>(script);
  EXPECT_THAT(items, ElementsAre(HasSubstr("\"bodySize\":0"),
                                 AllOf(HasSubstr("\"status\":404"), HasSubstr("\"text\":\"no\""))));
  for (const size_t piece : {1u, 5u, 13u, 41u}) EXPECT_EQ(play<Http>(script, piece), items);
  // A body that only begins like one.
  const std::vector<Said> other = {{Direction::kToClient, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHTTP/1.1 x"}};
  EXPECT_THAT(play<Http>(other), ElementsAre(HasSubstr("\"text\":\"HTTP/1.1 x\"")));
  EXPECT_EQ(play<Http>(other, 1), play<Http>(other));
}

}  // namespace
}  // namespace baleen::dissect::http
