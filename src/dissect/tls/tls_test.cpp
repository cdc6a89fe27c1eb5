#include "dissect/tls/tls.h"

#include <openssl/evp.h>
#include <zlib.h>
#include <zstd.h>

#include <array>

#include "dissect/test_conversation.h"
#include "dissect/test_table.h"
#include "dissect/tls/decrypt/key_log.h"
#include "dissect/tls/decrypt/key_schedule.h"
#include "dissect/tls/describe.h"

namespace baleen::dissect::tls {
namespace {

using namespace std::string_literals;

std::string record(int type, const std::string& body) { return be(type, 1) + be(0x0303, 2) + sized(2, body); }
std::string handshake(int type, const std::string& body) { return be(type, 1) + sized(3, body); }
std::string extension(int type, const std::string& body) { return be(type, 2) + sized(2, body); }

std::string client_body(const std::string& extensions, const std::string& session = "") {
  return be(0x0303, 2) + std::string(32, 'r') + sized(1, session) + sized(2, be(0x1301, 2) + be(0xC02F, 2)) +
         sized(1, be(0, 1)) + sized(2, extensions);
}
std::string client_hello(const std::string& extensions, const std::string& session = "") {
  return handshake(1, client_body(extensions, session));
}
std::string server_hello(int cipher, const std::string& extensions, const std::string& session = "",
                         std::string random = std::string(32, 's'), int version = 0x0303) {
  return handshake(2, be(version, 2) + random + sized(1, session) + be(cipher, 2) + be(0, 1) + sized(2, extensions));
}
const std::string kSni = extension(0, sized(2, be(0, 1) + sized(2, "example.org")));
const std::string kAlpn = extension(16, sized(2, sized(1, "h2") + sized(1, "http/1.1")));
const std::string kVersions = extension(43, sized(1, be(0x0304, 2) + be(0x0303, 2)));
const std::string kCcs = record(20, be(1, 1));

std::string der(int tag, const std::string& body) {
  return be(tag, 1) + (body.size() < 128 ? be(body.size(), 1) : be(0x82, 1) + be(body.size(), 2)) + body;
}
std::string name(const std::string& cn) {
  return der(0x30, der(0x31, der(0x30, der(6, "\x55\x04\x03") + der(0x0C, cn))) +
                       der(0x31, der(0x30, der(6, "\x55\x04\x0A") + der(0x13, "Org"))));
}
std::string certificate() {
  const std::string sha256 = "\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0B", rsa = "\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01";
  const std::string tbs =
      der(0xA0, der(2, "\x02")) + der(2, "\x01\x23") + der(0x30, der(6, sha256)) + name("CA") +
      der(0x30, der(0x17, "240102030405Z") + der(0x18, "20540102030405Z")) + name("example.org") +
      der(0x30, der(0x30, der(6, rsa)) + der(3, "key")) +
      der(0xA3, der(0x30, der(0x30, der(6, "\x55\x1D\x11") +
                                        der(4, der(0x30, der(0x82, "example.org") + der(0x87, "\x0A\x01\x01\x01"))))));
  return der(0x30, der(0x30, tbs) + der(0x30, "") + der(3, ""));
}
const std::string kCertificate = handshake(11, sized(3, sized(3, certificate())));

/// With a cipher of SSL 2.0 and one of TLS.
std::string v2_hello() {
  const std::string body = be(1, 1) + be(0x0301, 2) + be(6, 2) + be(0, 2) + be(16, 2) + be(0x010080, 3) +
                           be(0x000035, 3) + std::string(16, 'c');
  return be(0x8000 | body.size(), 2) + body;
}

/// The content of a Certificate message of TLS 1.3 with one certificate, packed by zlib or zstd (RFC 8879 7.3).
std::string packed_certificate(int algorithm) {
  const std::string plain = be(0, 1) + sized(3, sized(3, certificate()) + be(0, 2));
  std::string packed(std::max<size_t>(compressBound(plain.size()), ZSTD_compressBound(plain.size())), '\0');
  if (algorithm == 3) {
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  } else {
    uLongf n = packed.size();
    compress(reinterpret_cast<Bytef*>(packed.data()), &n, reinterpret_cast<const Bytef*>(plain.data()), plain.size());
    packed.resize(n);
  }
  return be(algorithm, 2) + be(plain.size(), 3) + sized(3, packed);
}
std::vector<Row> rows() {
  const std::string done = handshake(14, "");
  const std::string retry_random = unhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C");
  return {
      {"1.3, draft 20: neither session nor compression",
       {c(record(22, client_hello(kSni + extension(43, sized(1, be(0x7F14, 2) + be(0x0303, 2)))))),
        s(record(22, handshake(2, be(0x7F14, 2) + std::string(32, 's') + be(0x1301, 2) +
                                      sized(2, extension(51, be(29, 2) + sized(2, "k"))))))},
       {R"~(0 req|"versions":["TLS 1.3 draft 20","TLS 1.2"]|"cipherSuiteName":"TLS_AES_128_GCM_SHA256"|"status":"TLS 1.3 draft 20")~"}},
      {"1.3, draft 28",
       {c(record(22, client_hello(kSni + extension(43, sized(1, be(0x7F1C, 2)))))),
        s(record(22, server_hello(0x1301, extension(43, be(0x7F1C, 2)))))},
       {R"~(0 req|"status":"TLS 1.3 draft 28")~"}},
      {"1.3",
       {c(record(22, client_hello(kSni + kAlpn + kVersions, "id"))),
        s(record(22,
                 server_hello(0x1301, extension(43, be(0x0304, 2)) + extension(51, be(29, 2) + sized(2, "k")), "id")) +
          kCcs + record(23, std::string(90, 'x')))},
       {R"~(0 req|"summary":"example.org","sni":"example.org","alpn":"h2,http/1.1","version":772|"cipherSuites":["TLS_AES_128_GCM_SHA256","TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]|"ja4":"t13d0203h2_)~"
        R"~(|"version":772|"cipherSuite":4865,"cipherSuiteName":"TLS_AES_128_GCM_SHA256"|"group":"x25519"|"resumed":false|"status":"TLS 1.3")~"}},
      {"1.2 with certificate",
       {c(record(22, client_hello(kSni))), s(record(22, server_hello(0xC02F, "")) + record(22, kCertificate + done)),
        c(record(22, handshake(16, "k")) + kCcs), s(kCcs + record(22, "encrypted"))},
       {R"~(0 req|"version":771|"certificates":[{"subject":"CN=example.org, O=Org","issuer":"CN=CA, O=Org","serialNumber":"0123","notBefore":"2024-01-02T03:04:05Z","notAfter":"2054-01-02T03:04:05Z","signatureAlgorithm":"RSA-SHA256","keyAlgorithm":"RSA","names":["example.org","10.1.1.1"]}])~"}},
      {"messages across records",
       {c(record(22, client_hello(kSni).substr(0, 20)) + record(22, client_hello(kSni).substr(20))),
        s(record(22, server_hello(0xC02F, "") + kCertificate.substr(0, 50)) +
          record(22, kCertificate.substr(50) + done) + kCcs)},
       {R"~("sni":"example.org"|"subject":"CN=example.org, O=Org")~"}},
      {"resumed by session id",
       {c(record(22, client_hello("", "sess"))), s(record(22, server_hello(0xC02F, "", "sess")) + kCcs)},
       {R"~("sessionId":"73657373","resumption":"session id"|"resumed":true)~"}},
      {"refused",
       {c(record(22, client_hello(kSni))), s(record(21, be(2, 1) + be(40, 1)))},
       {R"~(5 req|"info":"Alert","alert":{"level":"fatal","description":"handshake_failure"},"status":"handshake_failure"|error=fatal alert of the server: handshake_failure)~"}},
      {"client does not trust",
       {c(record(22, client_hello(kSni))), s(record(22, server_hello(0xC02F, "") + kCertificate + done)),
        c(record(21, be(2, 1) + be(48, 1)))},
       {R"~("alert":{"level":"fatal","description":"unknown_ca"}|"status":"unknown_ca"|error=fatal alert of the client: unknown_ca)~"}},
      {"a warning is no failure",
       {c(record(22, client_hello(kSni))),
        s(record(21, be(1, 1) + be(112, 1)) + record(22, server_hello(0xC02F, "")) + kCcs)},
       {R"~(0 req|"alert":{"level":"warning","description":"unrecognized_name"},"status":"unrecognized_name")~"}},
      {"all that 1.2 says before it is encrypted",
       {c(record(22, client_hello(kSni))),
        s(record(22, server_hello(0xC02F, "") + kCertificate + handshake(22, "staple") +
                         handshake(12, be(3, 1) + be(29, 2) + sized(1, "key")) + handshake(13, "wanted") + done)),
        c(record(22, kCertificate + handshake(16, "k")) + kCcs), s(record(22, handshake(4, "ticket")) + kCcs)},
       {R"~(0 req|"certificates":[{"subject"|"group":"x25519"|"clientCertificateRequested":true,"certificateStatus":true,"sessionTicket":true|"certificates":[{"subject")~"}},
      {"the first record ends within the hello's head",
       {c(record(22, client_hello(kSni).substr(0, 3)) + record(22, client_hello(kSni).substr(3))),
        s(record(22, server_hello(0xC02F, "").substr(0, 1)) + record(22, server_hello(0xC02F, "").substr(1)) + kCcs)},
       {R"~(0 req|"sni":"example.org")~"}},
      {"a hello in the form of SSL 2.0",
       {c(v2_hello()), s(record(22, server_hello(0x0035, "", "", std::string(32, 's'), 0x0301)) + kCcs)},
       {R"~(0 req|"summary":"TLS 1.0","sni":""|"cipherSuites":["TLS_RSA_WITH_AES_256_CBC_SHA"]|"sslv2Hello":true|"status":"TLS 1.0")~"}},
      {"retry",
       {c(record(22, client_hello(kVersions))),
        s(record(22, server_hello(0x1301, extension(43, be(0x0304, 2)), "", retry_random)) + kCcs),
        c(kCcs + record(22, client_hello(kVersions + kSni))),
        s(record(22, server_hello(0x1301, extension(43, be(0x0304, 2)))))},
       {R"~("helloRetry":true)~"}},
      {"draft 20 of 1.3: neither a session identifier nor a compression",
       {c(record(22, client_hello(kVersions))),
        s(record(22, handshake(2, be(0x7F14, 2) + std::string(32, 's') + be(0x1303, 2) + sized(2, ""))) +
          record(23, std::string(40, 'x')))},
       {R"~(0 req|"version":32532,"versionName":"TLS 1.3 draft 20","cipherSuite":4867|"status":"TLS 1.3 draft 20")~"}},
      {"retry, and nothing after it",
       {c(record(22, client_hello(kVersions))),
        s(record(22, server_hello(0x1301, extension(43, be(0x0304, 2)), "", retry_random)) + kCcs)},
       {R"~(0 req|"info":"HelloRetryRequest","version":772|"helloRetry":true,"status":"TLS 1.3")~"}},
      {"weak",
       {c(record(22, client_hello(""))),
        s(record(22, server_hello(0x0004, "", "", std::string(32, 'x'), 0x0301)) + kCcs)},
       {R"~("security":["obsolete version TLS 1.0","weak cipher suite: RC4","weak cipher suite: MD5"])~"}},
      {"half", {c(record(22, client_hello(kSni)))}, {"2 req"}},
      {"orphan", {s(record(22, server_hello(0x1301, extension(43, be(0x0304, 2)))))}, {"3 res"}},
      {"grease is left out",
       {c(record(22, client_hello(extension(0x0A0A, "") + kSni + extension(0xFAFA, "x"))))},
       {R"~("extensions":["server_name"]|"ja3Text":"771,4865-49199,0,,"|"ja4":"t12d020100_|"grease":true)~"}},
      {"malformed",
       {c(record(22, handshake(1, client_body("").substr(0, 30)))), s(record(21, be(2, 1) + be(50, 1)))},
       {R"~(4 res|error=malformed handshake)~"}},
  };
}

/// A record of TLS 1.3 with AES-128-GCM (RFC 8446 5.2), by libcrypto alone.
std::string sealed(const std::string& secret, uint8_t number, int type, const std::string& content) {
  std::array<uint8_t, 16> key{};
  std::array<uint8_t, 12> iv{};
  expand_label(EVP_sha256(), as_bytes(secret), "key", key);
  expand_label(EVP_sha256(), as_bytes(secret), "iv", iv);
  iv.back() = static_cast<uint8_t>(iv.back() ^ number);
  const std::string inner = content + be(type, 1), head = be(0x170303, 3) + be(inner.size() + 16, 2);
  std::string out(inner.size() + 16, '\0');
  auto* const to = reinterpret_cast<uint8_t*>(out.data());
  int n = 0;
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nullptr, key.data(), iv.data());
  EVP_EncryptUpdate(context, nullptr, &n, as_bytes(head).data(), static_cast<int>(head.size()));
  EVP_EncryptUpdate(context, to, &n, as_bytes(inner).data(), static_cast<int>(inner.size()));
  EVP_EncryptFinal_ex(context, to + n, &n);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, to + inner.size());
  EVP_CIPHER_CTX_free(context);
  return head + out;
}

/// The item of a handshake of TLS 1.3 in which both ends send such a CompressedCertificate, and what was not decoded.
std::pair<std::string, uint64_t> handshake_with(const std::string& content) {
  const auto hex_of = [](const std::string& bytes) {
    std::string out;
    for (const char byte : bytes) out += "0123456789abcdef"[byte >> 4 & 15], out += "0123456789abcdef"[byte & 15];
    return out;
  };
  const std::string server(32, 'S'), client(32, 'C'), random = hex_of(std::string(32, 'r'));
  KeyLog log;
  log.add("SERVER_HANDSHAKE_TRAFFIC_SECRET " + random + " " + hex_of(server) + "\nCLIENT_HANDSHAKE_TRAFFIC_SECRET " +
          random + " " + hex_of(client) + "\nSERVER_TRAFFIC_SECRET_0 " + random + " " + hex_of(server) +
          "\nCLIENT_TRAFFIC_SECRET_0 " + random + " " + hex_of(client) + "\n");
  Collected out;
  out.limits.key_log = &log;
  Tls tls;
  Player player(tls, out);
  const std::string message = handshake(25, content), finished = handshake(20, std::string(32, 'f'));
  player.arrive(Direction::kToServer, record(22, client_hello(kSni + kVersions)));
  player.arrive(Direction::kToClient, record(22, server_hello(0x1301, extension(43, be(0x0304, 2)))) +
                                          sealed(server, 0, 22, handshake(8, sized(2, "")) + message.substr(0, 9)) +
                                          sealed(server, 1, 22, message.substr(9) + finished));
  player.arrive(Direction::kToServer, sealed(client, 0, 22, message + finished));
  tls.close(false, out);
  EXPECT_EQ(out.items.size(), 1u);
  return {out.items.empty() ? "" : out.items[0], out.counted(Counter::kDecodeFailed)};
}

TEST(Tls, ShowsCompressedCertificates) {
  for (const auto& [algorithm, name] : {std::pair(1, "zlib"), std::pair(3, "zstd")}) {
    const auto [item, failed] = handshake_with(packed_certificate(algorithm));
    const std::string shown = R"~("certificates":[{"subject":"CN=example.org, O=Org")~",
                      compression = R"~("certificateCompression":")~"s + name + "\"";
    for (const std::string& wanted : {shown, compression}) {
      const size_t first = item.find(wanted);
      ASSERT_NE(first, std::string::npos) << item;
      EXPECT_NE(item.find(wanted, first + 1), std::string::npos) << "of both ends: " << item;
    }
    EXPECT_EQ(failed, 0u);
  }
  const auto [item, failed] = handshake_with(be(9, 2) + packed_certificate(1).substr(2));
  EXPECT_THAT(item, ::testing::HasSubstr(R"~("certificateCompression":"9")~"));
  EXPECT_THAT(item, ::testing::Not(::testing::HasSubstr("\"certificates\"")));
  EXPECT_EQ(failed, 2u);
}

TEST(Tls, CompressedCertificatesAreBounded) {
  const auto read = [](const std::string& content, size_t most) {
    Arena arena;
    const CompressedCertificates got = read_compressed_certificates(as_bytes(content), most, arena);
    return std::pair(std::string(got.algorithm), got.certificates.size());
  };
  const std::string good = packed_certificate(1);
  const size_t plain = static_cast<uint8_t>(good[3]) << 8 | static_cast<uint8_t>(good[4]);
  EXPECT_EQ(read(good, plain), std::pair("zlib"s, size_t{1}));
  EXPECT_EQ(read(good, plain - 1), std::pair("zlib"s, size_t{0}));
  // Not as long as it says, one way or the other.
  EXPECT_EQ(read(good.substr(0, 2) + be(plain + 1, 3) + good.substr(5), 1 << 16).second, 0u);
  EXPECT_EQ(read(good.substr(0, 2) + be(plain - 1, 3) + good.substr(5), 1 << 16).second, 0u);
  EXPECT_EQ(read(be(2, 2) + good.substr(2), 1 << 16), std::pair("brotli"s, size_t{0}));  // it is zlib
  // "hello" in an uncompressed meta-block of Brotli (RFC 7932 9.2): unpacked, and no certificate.
  EXPECT_EQ(read(be(2, 2) + be(5, 3) + sized(3, unhex("0b 02 80 'hello' 03")), 1 << 16),
            std::pair("brotli"s, size_t{0}));
  for (size_t n = 0; n < good.size(); ++n) EXPECT_EQ(read(good.substr(0, n), 1 << 16).second, 0u) << n;
}

TEST(Tls, Table) { check_table<Tls>(rows()); }
TEST(Tls, Goldens) { EXPECT_EQ(compare_goldens<Tls>(BALEEN_SOURCE_DIR "/src/dissect/tls"), ""); }

TEST(Tls, Probe) {
  using enum Direction;
  expect_probe<Tls>(kToServer, record(22, client_hello(kSni)), Probe::kYes);
  expect_probe<Tls>(kToClient, record(22, server_hello(0x1301, "")), Probe::kYes);
  expect_probe<Tls>(kToServer, record(22, server_hello(0x1301, "")), Probe::kNo);
  expect_probe<Tls>(kToServer, record(23, std::string(60, 'x')), Probe::kNo);
  expect_probe<Tls>(kToServer, "GET / HTTP/1.1\r\n", Probe::kNo);
  expect_probe<Tls>(kToServer, v2_hello(), Probe::kYes);
  expect_probe<Tls>(kToClient, v2_hello(), Probe::kNo);
  std::string other = v2_hello();
  other[1] = static_cast<char>(other[1] + 1);
  expect_probe<Tls>(kToServer, other, Probe::kNo);
  expect_probe<Tls>(kToServer, record(22, client_hello(kSni).substr(0, 3)) + record(22, client_hello(kSni).substr(3)),
                    Probe::kYes);
}

/// RFC 4217 12.3.
TEST(Tls, FtpGoesOnInTheClear) {
  const std::string sealed = record(23, std::string(40, '\xAB')), shut = record(21, std::string(24, '\xCD'));
  const auto switched = [&](const std::string& clear, size_t piece) {
    TestConversation t(entry<Tls>("tls"));
    t.to_server(record(22, client_hello(kSni)));
    t.to_client(record(22, server_hello(0xC02F, "")) + kCcs + sealed);
    t.to_server(kCcs + sealed);
    t.to_client(sealed + shut);
    t.to_server(shut);
    for (size_t at = 0; at < clear.size(); at += piece) t.to_server(clear.substr(at, piece));
    EXPECT_EQ(t.items.size(), 1u);
    return t.switched;
  };
  for (const size_t piece : {1u, 2u, 3u, 100u}) {
    EXPECT_THAT(switched("PASV\r\n", piece), ::testing::ElementsAre("ftp")) << piece;
    EXPECT_THAT(switched("pwd\r\n", piece), ::testing::ElementsAre("ftp")) << piece;
    EXPECT_TRUE(switched("HELLO\r\n", piece).empty()) << piece;
    EXPECT_TRUE(switched(sealed, piece).empty()) << piece;
  }
}

TEST(Tls, WhatIsEncryptedIsNotWaitedFor) {
  Tls tls;
  Collected out;
  const std::string head = record(23, std::string(16000, 'x')).substr(0, 5);
  const Step step = tls.dissect({Direction::kToServer, as_bytes(head), {}, false}, out);
  EXPECT_EQ(step.kind, Step::Kind::kSkip);
  EXPECT_EQ(step.bytes, 16005u);
}

}  // namespace
}  // namespace baleen::dissect::tls
