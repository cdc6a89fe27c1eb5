#include "dissect/sip/sip.h"

#include "dissect/test_table.h"

namespace baleen::dissect::sip {
namespace {

using enum Direction;

std::string request(const std::string& method, const std::string& number, const std::string& body = "") {
  return method + " sip:bob@b SIP/2.0\r\nVia: x\r\nf: <sip:a@a>\r\nTo: <sip:bob@b>\r\ni: id1\r\nCSeq: " + number + " " +
         method + "\r\nAuthorization: Digest x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string response(const std::string& status, const std::string& cseq) {
  return "SIP/2.0 " + status + "\r\nCall-ID: id1\r\nCSeq: " + cseq + "\r\nl: 0\r\n\r\n";
}

std::vector<Row> rows() {
  return {

      {"invite",
       {c(request("INVITE", "1", "v=0\r\n")),
        s(response("100 Trying", "1 INVITE") + response("180 Ringing", "1 INVITE") + response("200 OK", "1 INVITE")),
        c(request("ACK", "1"))},
       {R"~("method":"INVITE","uri":"sip:bob@b"|"from":"<sip:a@a>"|"callId":"id1"|"credentials":"Digest x","body":"v=0\r\n","bodySize":5|"statusCode":200,"status":"200","reason":"OK","provisional":2)~",
        R"~(0 req|"method":"ACK")~"}},
      {"the other side calls",
       {s(request("BYE", "1")), c(response("200 OK", "1 BYE"))},
       {R"~(0 req|"method":"BYE"|"statusCode":200)~"}},
      {"orphan", {s(response("404 Not Found", "9 INVITE"))}, {R"~(3 res|"reason":"Not Found")~"}},
  };
}

TEST(Sip, Table) { check_table<Sip>(rows()); }

TEST(Sip, Probe) {
  expect_probe<Sip>(kToServer, request("OPTIONS", "1"), Probe::kYes);
  expect_probe<Sip>(kToClient, response("200 OK", "1 BYE"), Probe::kYes);
  expect_probe<Sip>(kToServer, "OPTIONS * HTTP/1.1\r\n\r\n", Probe::kNo);
  expect_probe<Sip>(kToServer, "SUBSCRIBE a\r\n", Probe::kNo);
}

TEST(Sip, Goldens) { EXPECT_EQ(compare_goldens<Sip>(BALEEN_SOURCE_DIR "/src/dissect/sip"), ""); }

}  // namespace
}  // namespace baleen::dissect::sip
