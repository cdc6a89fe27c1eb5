#include "dissect/dtls/dtls.h"

#include "dissect/test_table.h"

namespace baleen::dissect::dtls {
namespace {

using enum Direction;

std::string record(int type, const std::string& content, int epoch = 0, int version = 0xFEFD) {
  return be(type, 1) + be(version, 2) + be(epoch, 2) + be(1, 6) + sized(2, content);
}
/// The piece of a message from `at` on; all of it by default.
std::string piece(int type, int number, const std::string& body, size_t at = 0, size_t size = std::string::npos) {
  const std::string part = body.substr(at, size);
  return be(type, 1) + be(body.size(), 3) + be(number, 2) + be(at, 3) + be(part.size(), 3) + part;
}
std::string message(int type, int number, const std::string& body) { return record(22, piece(type, number, body)); }
std::string extension(int type, const std::string& body) { return be(type, 2) + sized(2, body); }

const std::string kSni = extension(0, sized(2, be(0, 1) + sized(2, "example.org")));
const std::string kVersion13 = extension(43, be(0xFEFC, 2));

std::string client(const std::string& cookie, const std::string& extensions = kSni) {
  return be(0xFEFD, 2) + std::string(32, 'r') + sized(1, "") + sized(1, cookie) + sized(2, be(0xC02F, 2)) +
         sized(1, be(0, 1)) + sized(2, extensions);
}
std::string server(const std::string& extensions = "", int version = 0xFEFD) {
  return be(version, 2) + std::string(32, 's') + sized(1, "") + be(0xC02F, 2) + be(0, 1) + sized(2, extensions);
}
const std::string kVerify = message(3, 0, be(0xFEFF, 2) + sized(1, "cookie"));
const std::string kCcs = record(20, be(1, 1));

std::vector<Row> rows() {
  const std::string hello = client("cookie");
  return {
      {"1.2 with a cookie",
       {c(message(1, 0, client(""))), s(kVerify), c(message(1, 1, hello)), s(message(2, 1, server()) + kCcs)},
       {R"~(0 req|"summary":"example.org","sni":"example.org"|"version":65277,"versionName":"DTLS 1.2"|"ja4":"dd2d0101|"helloVerified":true,"status":"DTLS 1.2")~"}},
      {"1.3",
       {c(message(1, 0, client("", kSni + extension(43, sized(1, be(0xFEFC, 2) + be(0xFEFD, 2)))))),
        s(message(2, 0, server(kVersion13)))},
       {R"~(0 req|"versionName":"DTLS 1.3","versions":["DTLS 1.3","DTLS 1.2"]|"status":"DTLS 1.3")~"}},
      {"in pieces, and sent again",
       {c(record(22, piece(1, 0, hello, 0, 20)) + record(22, piece(1, 0, hello, 20))),
        c(record(22, piece(1, 0, hello, 0, 20)) + record(22, piece(1, 0, hello, 20))),
        s(message(2, 0, server()) + kCcs)},
       {R"~(0 req|"sni":"example.org"|"status":"DTLS 1.2")~"}},
      {"pieces that overlap",
       {c(record(22, piece(1, 0, hello, 0, 30) + piece(1, 0, hello, 10, 40) + piece(1, 0, hello, 45))),
        s(message(2, 0, server()) + kCcs)},
       {R"~(0 req|"sni":"example.org")~"}},
      {"what is sealed ends it",
       {c(message(1, 0, hello)), s(message(2, 0, server())), s(record(22, "x", 1))},
       {"0 req"}},
      {"a client certificate is asked for",
       {c(message(1, 0, hello)), s(message(2, 0, server()) + message(13, 1, "x") + kCcs)},
       {R"~(0 req|"clientCertificateRequested":true)~"}},
      {"refused",
       {c(message(1, 0, hello)), s(record(21, be(2, 1) + be(40, 1)))},
       {R"~(5 req|"status":"handshake_failure"|error=fatal alert of the server: handshake_failure)~"}},
      {"weak",
       {c(message(1, 0, hello)), s(message(2, 0, server("", 0xFEFF)) + kCcs)},
       {R"~("security":["obsolete version DTLS 1.0"])~"}},
      {"again on the same ports",
       {c(message(1, 0, hello)), s(message(2, 0, server()) + kCcs), c(record(23, "sealed", 1)), c(message(1, 0, hello)),
        s(message(2, 0, server()) + kCcs)},
       {"0 req", "0 req"}},
      {"as OpenSSL wrote it before 0.9.8f",
       {c(record(22, piece(1, 0, client("").replace(0, 2, be(0x0100, 2))), 0, 0x0100)),
        s(record(22, piece(2, 0, server("", 0x0100)), 0, 0x0100) + record(20, be(1, 1) + be(2, 2), 0, 0x0100))},
       {R"~(0 req|"version":256|"status":"DTLS 1.0 (OpenSSL before 0.9.8f)")~"}},
      {"a retry, and nothing after it",
       {c(message(1, 0, hello)), s(message(2, 0,
                                           server(kVersion13)
                                               .replace(2, 32,
                                                        unhex("cf21ad74e59a6111be1d8c021e65b891"
                                                              "c2a211167abb8c5e079e09e2c8a8339c"))))},
       {R"~(0 req|"info":"HelloRetryRequest"|"helloRetry":true|"status":"DTLS 1.3")~"}},
      {"half", {c(message(1, 0, hello))}, {"2 req"}},
      {"malformed",
       {c(message(1, 0, hello.substr(0, 30))), s(message(2, 0, server()) + kCcs)},
       {"4 res|error=malformed handshake"}},
  };
}

TEST(Dtls, Table) { check_datagrams<Dtls>(rows()); }

TEST(Dtls, Goldens) { EXPECT_EQ(compare_goldens<Dtls>(BALEEN_SOURCE_DIR "/src/dissect/dtls"), ""); }

TEST(Dtls, Probe) {
  const auto asks = [](Direction d, const std::string& bytes) { return probe_of<Dtls>(d, bytes, true); };
  EXPECT_EQ(asks(kToServer, message(1, 0, client(""))), Probe::kYes);
  EXPECT_EQ(asks(kToClient, kVerify), Probe::kYes);
  EXPECT_EQ(asks(kToClient, message(2, 0, server())), Probe::kYes);
  EXPECT_EQ(asks(kToServer, message(2, 0, server())), Probe::kNo);
  EXPECT_EQ(asks(kToServer, record(22, "sealed sealed sealed", 1)), Probe::kNo);
  EXPECT_EQ(asks(kToServer, "\x16\xfe\xfd"), Probe::kNo);
}

TEST(Dtls, PiecesOfNothingCostNothing) {
  Dtls dtls;
  Collected out;
  const std::string huge = record(22, be(1, 1) + be(0xFFFFFF, 3) + be(0, 2) + be(0, 3) + be(4, 3) + "abcd");
  for (int i = 0; i < 1000; ++i) dtls.dissect({kToServer, as_bytes(huge), {}, true, true}, out);
  dtls.close(false, out);
  EXPECT_EQ(out.finished, 0u);
  EXPECT_EQ(out.held(), 0);
}

}  // namespace
}  // namespace baleen::dissect::dtls
