#include "dissect/proxy_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/crc32c.h"
#include "dissect/engine.h"
#include "dissect/play.h"
#include "dissect/registry.h"
#include "item/json.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using Kind = ProxyReading::Kind;
using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kSyn;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string tlv(uint8_t type, std::string_view value) {
  return std::string(1, static_cast<char>(type)) + net::be16_text(static_cast<uint16_t>(value.size())) +
         std::string(value);
}

std::string version2(uint8_t command, uint8_t family, std::string_view content) {
  return kSignature + static_cast<char>(0x20 | command) + static_cast<char>(family) +
         net::be16_text(static_cast<uint16_t>(content.size())) + std::string(content);
}

const std::string kEnds4 = "\xC6\x33\x64\x16\x0A\x00\x00\x01\xC8\x22\x01\xBB"s;
const std::string kLine = "PROXY TCP4 198.51.100.22 10.0.0.1 51234 443\r\n";
constexpr std::string_view kLineShown =
    R"({"version":1,"command":"PROXY","transport":"TCP4","src":{"ip":"198.51.100.22","port":"51234"},)"
    R"("dst":{"ip":"10.0.0.1","port":"443"}})";

/// As items show it; "no" or "need" otherwise. `bytes` lie at the end of their memory.
std::string shown(std::string_view bytes, size_t* size = nullptr) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  if (!may_be_proxy_head(exact)) return "no";
  ProxyHead head;
  const ProxyReading reading = read_proxy_head(exact, head);
  if (size != nullptr) *size = reading.bytes;
  if (reading.kind != Kind::kYes) return reading.kind == Kind::kNo ? "no" : "need";
  Arena arena;
  std::string text;
  item::append_json(head.value(arena), text);
  return text;
}

TEST(ProxyHead, reads_lines_of_version_1) {
  EXPECT_EQ(shown(kLine), kLineShown);
  EXPECT_EQ(shown("PROXY TCP6 2001:db8::1 fe80::2 0 65535\r\nGET /"),
            R"({"version":1,"command":"PROXY","transport":"TCP6","src":{"ip":"2001:db8::1","port":"0"},)"
            R"("dst":{"ip":"fe80::2","port":"65535"}})");
  EXPECT_EQ(shown("PROXY UNKNOWN\r\n"), R"({"version":1,"command":"PROXY","transport":"UNKNOWN"})");
  EXPECT_EQ(shown("PROXY UNKNOWN ffff:: what ever 1\r\n"), R"({"version":1,"command":"PROXY","transport":"UNKNOWN"})");
}

TEST(ProxyHead, reads_what_version_2_announces) {
  size_t size = 0;
  const std::string tls = "\x03\0\0\0\0"s + tlv(0x21, "TLSv1.3") + tlv(0x22, "client.example") +
                          tlv(0x23, "TLS_AES_128_GCM_SHA256") + tlv(0x24, "RSA-SHA256") + tlv(0x25, "RSA2048");
  const std::string head =
      version2(1, 0x11,
               kEnds4 + tlv(1, "h2") + tlv(2, "shop.example") + tlv(4, "xyz") + tlv(5, "\x01\xFF"s) + tlv(0x20, tls) +
                   tlv(0x30, "blue") + tlv(0xEA, "\x01vpce-0a1b"s));
  EXPECT_EQ(
      shown(head + "GET", &size),
      R"({"version":2,"command":"PROXY","transport":"TCP4","src":{"ip":"198.51.100.22","port":"51234"},)"
      R"("dst":{"ip":"10.0.0.1","port":"443"},"alpn":"h2","authority":"shop.example","uniqueId":"01ff","netns":"blue",)"
      R"("vpcEndpoint":"vpce-0a1b","tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256",)"
      R"("clientCertificate":true,"verified":true,"cn":"client.example","signatureAlgorithm":"RSA-SHA256",)"
      R"("keyAlgorithm":"RSA2048"}})");
  EXPECT_EQ(size, head.size());
  std::string ends6(36, '\0');
  ends6[0] = ends6[16] = '\x20';
  ends6[35] = 53;
  EXPECT_EQ(shown(version2(1, 0x22, ends6)),
            R"({"version":2,"command":"PROXY","transport":"UDP6","src":{"ip":"2000::","port":"0"},)"
            R"("dst":{"ip":"2000::","port":"53"}})");
  std::string paths(216, '\0');
  paths.replace(0, 6, "/a.sck").replace(108, 5, "\0name"s);
  EXPECT_THAT(shown(version2(1, 0x31, paths)),
              HasSubstr(R"("UNIX","src":{"path":"/a.sck"},"dst":{"path":"\u0000name"})"));
  // A health check; with addresses that have to be passed over, too.
  EXPECT_EQ(shown(version2(0, 0, "")), R"({"version":2,"command":"LOCAL","transport":"UNKNOWN"})");
  EXPECT_EQ(shown(version2(0, 0x77, kEnds4), &size), R"({"version":2,"command":"LOCAL","transport":"UNKNOWN"})");
  EXPECT_EQ(size, 28u);
  EXPECT_EQ(shown(version2(1, 0, "")), R"({"version":2,"command":"PROXY","transport":"UNKNOWN"})");
}

TEST(ProxyHead, checks_the_checksum) {
  std::string head = version2(1, 0x11, kEnds4 + tlv(3, "\0\0\0\0"s) + tlv(2, "a"));
  const std::string sum = net::be32_text(crc32c(as_bytes(head)));
  head.replace(16 + 12 + 3, 4, sum);
  EXPECT_THAT(shown(head), HasSubstr(R"("checksum":"right")"));
  head.back() = 'b';
  EXPECT_THAT(shown(head), HasSubstr(R"("checksum":"wrong")"));
}

TEST(ProxyHead, passes_over_the_rest_of_a_long_one) {
  size_t size = 0;
  const std::string head = version2(1, 0x11, kEnds4 + tlv(2, "a") + tlv(0xE0, std::string(60'000, 'x')));
  EXPECT_EQ(shown(head.substr(0, kProxyHeadRead - 1)), "need");
  EXPECT_THAT(shown(head.substr(0, kProxyHeadRead), &size), HasSubstr(R"("authority":"a")"));
  EXPECT_EQ(size, head.size());
}

TEST(ProxyHead, refuses_what_is_none) {
  for (const std::string& bytes : {"POST / HTTP/1.1\r\n"s,
                                   "PROXY"s + "X",
                                   "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"s,
                                   "PROXY TCP4 1.2.3.4 ::1 1 2\r\n"s,
                                   "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"s,
                                   "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"s,
                                   "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX"s,
                                   "PROXY UNKNOWNX\r\n"s,
                                   "PROXY UNKNOWN "s + std::string(100, 'x'),
                                   "\r\n\r\nGET"s,
                                   kSignature + "\x11\x11\0\x0C"s + kEnds4,
                                   kSignature + "\x22\x11\0\x0C"s + kEnds4,
                                   version2(1, 0x41, kEnds4),
                                   version2(1, 0x13, kEnds4),
                                   version2(1, 0x21, kEnds4)})
    EXPECT_EQ(shown(bytes), "no") << bytes;
}

TEST(ProxyHead, says_the_same_as_bytes_come) {
  for (const std::string& head :
       {kLine, "PROXY UNKNOWN\r\n"s, version2(1, 0x11, kEnds4 + tlv(1, "h2")), version2(0, 0, "")}) {
    for (size_t n = 1; n < head.size(); ++n) EXPECT_EQ(shown(head.substr(0, n)), "need") << n << " of " << head;
    EXPECT_EQ(shown(head + "GET / HTTP/1.1\r\n"), shown(head));
  }
}

// ---- in front of streams and datagrams ----

struct Shown final : EngineObserver {
  std::vector<std::string> items, undissected;
  void on_item(item::ItemRef item) override {
    std::string line(item->protocol->name);
    line += item->request.present ? " req" : "";
    line += item->response.present ? " res " : " ";
    line += net::to_string(item->client.address) + " ";
    item::append_json(item->proxy_head, line);
    items.push_back(std::move(line));
  }
  void on_undissected(StreamRef) override { undissected.emplace_back("?"); }
};

class Talk {
 public:
  explicit Talk(bool opened = true) {
    if (!opened) return;
    add(0, kSyn, "");
    ++seq_[0];
    add(1, kSyn | kAck, "");
    ++seq_[1];
    add(0, kAck, "");
  }
  void say(int from, std::string_view bytes, size_t piece = 1400) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      add(from, kAck, bytes.substr(at, piece));
      seq_[from] += static_cast<uint32_t>(bytes.substr(at, piece).size());
    }
  }
  void end() {
    for (const int from : {0, 1}) {
      add(from, kFin | kAck, "");
      ++seq_[from];
    }
  }
  void datagram(int from, std::string_view bytes) {
    packets.push_back({next_time(), net::udp_frame(ends_[from], ends_[1 - from], bytes)});
  }
  Shown run() const {
    Shown shown;
    EngineOptions options;
    options.protocols = registry();
    Engine engine(options, shown);
    for (const net::OwnedPacket& p : packets) engine.on_packet(p.view());
    engine.finish();
    EXPECT_EQ(engine.flows() + engine.early_bytes() + engine.pending_bytes() + engine.open_items(), 0u);
    return shown;
  }
  std::vector<net::OwnedPacket> packets;

 private:
  Timestamp next_time() { return timestamp_from_ns(1'700'000'000'000'000'000 + 1'000'000 * ++time_); }
  void add(int from, uint8_t flags, std::string_view payload) {
    const net::TcpShape shape{ends_[from].port, ends_[1 - from].port, seq_[from], seq_[1 - from], flags};
    packets.push_back({next_time(), net::tcp_frame(ends_[from], ends_[1 - from], shape, payload)});
  }
  net::Endpoint ends_[2] = {{*net::IpAddress::parse("10.0.0.9"), 45000}, {*net::IpAddress::parse("10.0.0.1"), 1234}};
  uint32_t seq_[2] = {1000, 0xFFFFFFF0u};
  int64_t time_ = 0;
};

const std::string kGet = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string kHttp = "http req res 10.0.0.9:45000 ";

std::vector<Said> smtp() {
  return {s("220 mx ESMTP\r\n"), c("EHLO a\r\n"), s("250 mx\r\n"), c("NOOP\r\n"), s("250 ok\r\n")};
}
std::vector<Said> postgresql() {
  const std::string hello = "\0\3\0\0user\0bob\0\0"s;
  return {c(net::be32_text(static_cast<uint32_t>(hello.size() + 4)) + hello), s("R\0\0\0\x08\0\0\0\0Z\0\0\0\5I"s),
          c("Q\0\0\0\x0DSELECT 1\0"s), s("C\0\0\0\x0DSELECT 1\0Z\0\0\0\5I"s)};
}
std::vector<Said> redis() {
  return {c("*1\r\n$4\r\nPING\r\n"), s("+PONG\r\n"), c("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), s("$1\r\nb\r\n")};
}
std::vector<Said> http() { return {c(kGet), s(kOk), c(kGet + kGet), s(kOk + kOk)}; }

std::vector<std::string> items_of(const std::string& head, const std::vector<Said>& script, size_t piece, bool opened) {
  Talk talk(opened);
  talk.say(0, head, piece);
  for (const Said& said : script) talk.say(said.direction == Direction::kToServer ? 0 : 1, said.bytes, piece);
  talk.end();
  return talk.run().items;
}

TEST(ProxyHead, stands_before_any_protocol_and_is_cut_anywhere) {
  for (const std::string& head : {kLine, version2(1, 0x11, kEnds4 + tlv(2, "shop.example"))})
    for (const std::vector<Said>& script : {http(), smtp(), postgresql(), redis()}) {
      auto wanted = items_of("", script, 1400, true);
      ASSERT_GE(wanted.size(), 2u);
      for (std::string& line : wanted) {
        ASSERT_THAT(line, HasSubstr(" null"));
        line.replace(line.size() - 4, 4, shown(head));
      }
      for (const bool opened : {true, false})
        for (const size_t piece : {1400u, 1u, 2u, 3u, 7u, 13u, 30u})
          EXPECT_EQ(items_of(head, script, piece, opened), wanted) << piece << (opened ? "" : ", joined");
      // In one segment with what follows it.
      if (script[0].direction != Direction::kToServer) continue;
      std::vector<Said> together = script;
      together[0].bytes = head + together[0].bytes;
      EXPECT_EQ(items_of("", together, 1400, true), wanted);
    }
}

TEST(ProxyHead, is_found_when_packets_are_reordered_or_repeated) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    Talk talk;
    talk.say(0, kLine + kGet, 9);
    talk.say(1, kOk, 9);
    auto& p = talk.packets;
    for (size_t i = 3; i + 1 < p.size(); ++i)
      if (random() % 3 == 0) std::swap(p[i].bytes, p[i + 1].bytes);
    p.insert(p.begin() + 5, p[3]);
    EXPECT_THAT(talk.run().items, ElementsAre(kHttp + std::string(kLineShown)));
  }
}

TEST(ProxyHead, announces_nothing_when_a_part_of_it_was_lost) {
  for (size_t lost = 0; lost < 3; ++lost) {
    Talk talk;
    talk.say(0, kLine, 20);  // three segments
    talk.say(0, kGet);
    talk.say(1, kOk);
    talk.packets.erase(talk.packets.begin() + static_cast<ptrdiff_t>(3 + lost));
    talk.end();
    EXPECT_THAT(talk.run().items, ElementsAre(kHttp + "null")) << lost;
  }
}

TEST(ProxyHead, that_is_malformed_is_ordinary_bytes) {
  Talk talk;
  talk.say(0, "PROXY TCP4 1.2.3.4 nobody 1 2\r\n" + kGet);
  talk.say(1, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  talk.end();
  for (const std::string& line : talk.run().items) EXPECT_THAT(line, HasSubstr(" null"));
}

TEST(ProxyHead, of_the_server_is_none) {
  Talk talk;
  talk.say(0, kGet);
  talk.say(1, kLine + kOk);
  for (const std::string& line : talk.run().items) EXPECT_THAT(line, HasSubstr(" null"));
}

TEST(ProxyHead, may_stand_behind_another) {
  const std::string outer = version2(1, 0x11, kEnds4), inner = "PROXY TCP4 203.0.113.5 10.0.0.1 7 80\r\n";
  for (const size_t piece : {1u, 1400u}) {
    const auto items = items_of(outer + inner, http(), piece, true);
    ASSERT_EQ(items.size(), 3u);
    EXPECT_THAT(items[0], HasSubstr("\"203.0.113.5\""));
    EXPECT_THAT(items[0], HasSubstr("\"heads\":2"));
  }
  // There is an end to it.
  Talk talk;
  for (int i = 0; i < 9; ++i) talk.say(0, inner);
  talk.say(0, kGet);
  talk.run();
}

TEST(ProxyHead, longer_than_anybody_reads_is_passed_over) {
  const std::string head = version2(1, 0x11, kEnds4 + tlv(0xE0, std::string(60'000, 'x')));
  for (const size_t piece : {1400u, 100u, 1u}) {
    const auto items = items_of(head, http(), piece, true);
    ASSERT_EQ(items.size(), 3u) << piece;
    EXPECT_THAT(items[0], HasSubstr("\"198.51.100.22\""));
  }
}

TEST(ProxyHead, stands_before_each_datagram) {
  const auto question = [](char id) { return std::string{0, id} + "\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"s; };
  const auto answer = [](char id) { return std::string{0, id} + "\x81\x83\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"s; };
  const auto head = [](char host) {
    return version2(1, 0x12, std::string("\xC6\x33\x64", 3) + host + "\x0A\0\0\1\xC8\x22\0\x35"s);
  };
  Talk talk(false);
  talk.datagram(0, head(5) + question(1));
  talk.datagram(0, head(6) + question(2));
  talk.datagram(1, answer(2));
  talk.datagram(1, answer(1));
  talk.datagram(0, question(3));
  talk.datagram(1, answer(3));
  talk.datagram(0, head(7));
  const auto items = talk.run().items;
  ASSERT_EQ(items.size(), 3u);
  EXPECT_THAT(items[0], HasSubstr("\"198.51.100.6\""));
  EXPECT_THAT(items[1], HasSubstr("\"198.51.100.5\""));
  EXPECT_THAT(items[2], HasSubstr(" null"));
}

TEST(ProxyHead, are_kept_of_so_many_streams_and_no_more) {
  constexpr size_t kKept = 1 << 16, kMore = 5;
  Shown shown;
  EngineOptions options;
  options.protocols = registry();
  Engine engine(options, shown);
  const net::Endpoint server{*net::IpAddress::parse("10.0.0.1"), 1234};
  for (size_t n = 0; n < kKept + kMore; ++n) {
    const uint8_t host[4] = {10, 1, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
    const net::Endpoint client{net::IpAddress::v4(host), static_cast<uint16_t>(40000 + (n >> 16))};
    const std::string bytes = n < kKept ? std::string(kLine) : kLine + kGet;
    const net::OwnedPacket packet{timestamp_from_ns(1'700'000'000'000'000'000),
                                  net::tcp_frame(client, server, {client.port, server.port, 1, 1, kAck}, bytes)};
    engine.on_packet(packet.view());
  }
  engine.finish();
  ASSERT_EQ(shown.items.size(), kMore);
  for (const std::string& item : shown.items) EXPECT_THAT(item, HasSubstr(" null")) << "beyond the limit";
  EXPECT_EQ(engine.counters().dissect[static_cast<size_t>(Counter::kSkippedBytes)], kMore * kLine.size());
}

}  // namespace
}  // namespace baleen::dissect
