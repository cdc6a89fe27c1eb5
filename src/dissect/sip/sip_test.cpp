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

std::string branched(const std::string& method, const std::string& branch) {
  return method + " sip:b@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK" + branch +
         "\r\nCall-ID: 5\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
}
std::string answered(const std::string& status, const std::string& branch) {
  return "SIP/2.0 " + status + "\r\nv: SIP/2.0/TCP h;branch=z9hG4bK" + branch +
         ";received=1.2.3.4\r\nCall-ID: 5\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n";
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
      {"forks and what is sent again",
       {c(branched("INVITE", "a") + branched("INVITE", "b") + branched("INVITE", "a")),
        s(answered("200 OK", "b") + answered("486 Busy", "a"))},
       {R"~(0 req|branch=z9hG4bKb|"statusCode":200)~", R"~(0 req|branch=z9hG4bKa|"statusCode":486)~",
        R"~(2 req|branch=z9hG4bKa|"retransmission":true)~"}},
      {"session description",
       {c("INVITE sip:b@b SIP/2.0\r\nCall-ID: 7\r\nCSeq: 1 INVITE\r\nSubject: one\r\n two\r\nc: application/sdp\r\nl: "
          "97\r\n\r\n"
          "v=0\r\ns=call\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0 8\r\nm=video 4002 RTP/AVP 96\r\nc=IN IP6 "
          "::1\r\n")},
       {R"~("Subject":"one two"|"sdp":{"name":"call","address":"10.0.0.1","media":[{"type":"audio","port":4000,"protocol":"RTP/AVP","formats":"0 8"})~"
        R"~(|"type":"video","port":4002|"address":"::1")~"}},
      {"orphan", {s(response("404 Not Found", "9 INVITE"))}, {R"~(3 res|"reason":"Not Found")~"}},
  };
}

TEST(Sip, Table) { check_table<Sip>(rows()); }

// A datagram is one message, whatever its Content-Length says and however much of it was captured.
TEST(Sip, Datagrams) {
  Collected out;
  Sip sip;
  const auto datagram = [&](Direction d, const std::string& bytes, uint32_t missing) {
    sip.dissect({d, as_bytes(bytes), {}, true, true, missing}, out);
  };
  datagram(kToServer, "BYE sip:b@b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 2 BYE\r\nConta", 80);
  datagram(kToServer, "MESSAGE sip:b@b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 3 MESSAGE\r\nContent-Length: 99\r\n\r\nhi", 0);
  datagram(kToClient, "SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 3 MESSAGE\r\n\r\n", 0);
  datagram(kToServer, "\r\n\r\n", 0);
  sip.close(false, out);
  ASSERT_EQ(out.items.size(), 2u);
  EXPECT_THAT(out.items[0], ::testing::HasSubstr(R"~("body":"hi","bodySize":2)~"));
  EXPECT_THAT(out.items[1], ::testing::HasSubstr(R"~("method":"BYE")~"));
  EXPECT_THAT(out.items[1], ::testing::HasSubstr(R"~("truncated":true)~"));
}

TEST(Sip, Probe) {
  expect_probe<Sip>(kToServer, request("OPTIONS", "1"), Probe::kYes);
  expect_probe<Sip>(kToClient, response("200 OK", "1 BYE"), Probe::kYes);
  expect_probe<Sip>(kToServer, "OPTIONS * HTTP/1.1\r\n\r\n", Probe::kNo);
  expect_probe<Sip>(kToServer, "SUBSCRIBE a\r\n", Probe::kNo);
}

TEST(Sip, Goldens) { EXPECT_EQ(compare_goldens<Sip>(BALEEN_SOURCE_DIR "/src/dissect/sip"), ""); }

}  // namespace
}  // namespace baleen::dissect::sip
