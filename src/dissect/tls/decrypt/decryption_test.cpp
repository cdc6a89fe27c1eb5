#include "dissect/tls/decrypt/decryption.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <sstream>

#include "dissect/engine.h"
#include "dissect/registry.h"
#include "dissect/test_bytes.h"
#include "dissect/tls/decrypt/key_schedule.h"
#include "net/harness.h"

namespace baleen::dissect::tls {
namespace {

using net::OwnedPacket;

std::string folder() { return std::string(BALEEN_SOURCE_DIR) + "/src/dissect/tls/decrypt/testdata/"; }

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What TLS carried, one line an item: path and status, sorted.
struct Inner final : EngineObserver {
  std::vector<std::string> items;
  size_t handshakes = 0, wrong = 0;
  size_t certificates = 0;  // handshakes that show those of the server
  void on_item(item::ItemRef item) override {
    if (item->protocol->name == std::string_view("tls")) {
      ++handshakes;
      certificates += item->response.payload["certificates"].size() != 0 ? 1 : 0;
      return;
    }
    if (!item->tls || item->tls_random.size() != 32) ++wrong;
    items.push_back(std::string(item->request.payload["path"].text()) + " " +
                    std::to_string(item->response.payload["status"].as_int()));
  }
  std::multiset<std::string> sorted() const { return {items.begin(), items.end()}; }
};

struct Ran {
  Inner inner;
  EngineCounters counters;
};

EngineOptions with(const KeyLog* log) {
  EngineOptions options;
  options.protocols = registry();
  options.settings.key_log = log;
  return options;
}

/// Plays packets; `before` is called with the number of each.
template <class F>
Ran play(const std::vector<OwnedPacket>& packets, const KeyLog* log, F before) {
  Ran out;
  {
    Engine engine(with(log), out.inner);
    for (size_t i = 0; i < packets.size(); ++i) {
      before(i);
      engine.on_packet(packets[i].view());
    }
    engine.finish();
    out.counters = engine.counters();
  }
  return out;
}
Ran play(const std::vector<OwnedPacket>& packets, const KeyLog* log) {
  return play(packets, log, [](size_t) {});
}

struct Capture {
  const char* name;
  size_t handshakes;
  std::multiset<std::string> expected;
};

std::multiset<std::string> pairs(std::initializer_list<const char*> names) {
  std::multiset<std::string> out;
  for (const std::string name : names)
    for (const char* number : {"-1", "-2"}) out.insert("/" + name + number + " 200");
  return out;
}

std::multiset<std::string> joined(std::multiset<std::string> a, const std::multiset<std::string>& b) {
  a.insert(b.begin(), b.end());
  return a;
}

/// What make.sh asked the servers for; tshark finds the same with the same secrets.
const std::vector<Capture>& captures() {
  static const std::vector<Capture> all = {
      {"tls13", 5,
       pairs({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
              "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"})},
      // KeyUpdate of both ends, HelloRetryRequest, resumption, early data, HTTP/2.
      {"tls13-more", 5,
       joined({"/before 200", "/between 200", "/after 200", "/early 200"}, pairs({"retry", "resumed", "late", "h2"}))},
      {"tls12", 12,
       pairs({"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
              "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-CCM8", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
              "AES128-SHA256", "CAMELLIA256-SHA", "AES256-SHA", "first", "again"})},
      // MAC before encryption, and a renegotiation.
      {"tls12-more", 4, {"/file 200", "/file 200", "/file 200", "/file 200"}},
  };
  return all;
}

class Decrypted : public ::testing::TestWithParam<size_t> {
 protected:
  const Capture& capture() const { return captures()[GetParam()]; }
  std::vector<OwnedPacket> packets() const { return net::load_capture(folder() + capture().name + ".pcap"); }
  std::string keys() const { return read_file(folder() + capture().name + ".keys"); }
};
INSTANTIATE_TEST_SUITE_P(Captures, Decrypted, ::testing::Range<size_t>(0, 4), [](const auto& info) {
  std::string name = captures()[info.param].name;
  std::erase(name, '-');
  return name;
});

TEST_P(Decrypted, ShowsWhatTlsCarries) {
  KeyLog log;
  log.add(keys());
  const Ran ran = play(packets(), &log);
  EXPECT_EQ(ran.inner.sorted(), capture().expected);
  EXPECT_EQ(ran.inner.handshakes, capture().handshakes);
  EXPECT_EQ(ran.inner.wrong, 0u);
  EXPECT_EQ(ran.counters.of(Counter::kUndecryptable), 0u);
  EXPECT_GT(ran.counters.of(Counter::kDecrypted), 0u);
}

TEST(Decryption, ShowsWhatTls13HidesOfTheHandshake) {
  KeyLog log;
  log.add(read_file(folder() + "tls13.keys"));
  const auto packets = net::load_capture(folder() + "tls13.pcap");
  EXPECT_EQ(play(packets, &log).inner.certificates, 5u);
  EXPECT_EQ(play(packets, nullptr).inner.certificates, 0u);
}

TEST_P(Decrypted, WithoutSecretsOnlyHandshakesAreSeen) {
  const KeyLog nothing;
  for (const KeyLog* log : {static_cast<const KeyLog*>(nullptr), &nothing}) {
    const Ran ran = play(packets(), log);
    EXPECT_TRUE(ran.inner.items.empty());
    EXPECT_EQ(ran.inner.handshakes, capture().handshakes);
    EXPECT_EQ(ran.counters.of(Counter::kDecrypted) + ran.counters.of(Counter::kUndecryptable), 0u);
  }
  KeyLog others;
  others.add("CLIENT_RANDOM " + std::string(64, 'a') + " " + std::string(96, 'b') + "\n");
  const Ran ran = play(packets(), &others);
  EXPECT_TRUE(ran.inner.items.empty());
  EXPECT_EQ(ran.inner.handshakes, capture().handshakes);
  EXPECT_GT(ran.counters.of(Counter::kUndecryptable), 0u);
}

/// Programs write their secrets when they have them; whoever reads the file sees them a little after the packets.
TEST_P(Decrypted, SecretsMayComeLate) {
  const auto all = packets();
  const std::string secrets = keys();
  for (const size_t late : {size_t{1}, all.size() / 3, all.size() / 2, all.size()}) {
    KeyLog log;
    log.set_grows(true);
    auto soon = all;  // within the time that is waited
    for (size_t i = 0; i < soon.size(); ++i) soon[i].time = all[0].time + std::chrono::milliseconds(5 * i);
    const Ran ran = play(soon, &log, [&](size_t i) {
      if (i + 1 == late) log.add(secrets);
    });
    EXPECT_EQ(ran.inner.sorted(), capture().expected) << "after packet " << late;
    EXPECT_EQ(ran.inner.handshakes, capture().handshakes);
  }
}

/// They are read while they are being written: an answer may not be shown before its question for that.
TEST_P(Decrypted, SecretsMayComeOneByOne) {
  auto soon = packets();
  for (size_t i = 0; i < soon.size(); ++i) soon[i].time = soon[0].time + std::chrono::milliseconds(i);
  std::vector<std::string> lines;
  std::istringstream text(keys());
  for (std::string line; std::getline(text, line);) lines.push_back(line + "\n");
  for (size_t late = 1; late < soon.size(); late += 7) {
    KeyLog log;
    log.set_grows(true);
    size_t said = 0;
    const Ran ran = play(soon, &log, [&](size_t i) {
      const size_t due = i + 1 == soon.size() ? lines.size() : i + 1 < late ? 0 : std::min(i + 2 - late, lines.size());
      while (said < due) log.add(lines[said++]);
    });
    EXPECT_EQ(ran.inner.sorted(), capture().expected) << "from packet " << late << " on";
  }
}

TEST(Decryption, WhereOneSidesSecretNeverComesTheOtherSideIsShownAlone) {
  std::istringstream text(read_file(folder() + "tls13.keys"));
  KeyLog log;
  log.set_grows(true);
  for (std::string line; std::getline(text, line);)
    if (!line.starts_with("CLIENT_TRAFFIC_SECRET_0")) log.add(line + "\n");
  const Ran ran = play(net::load_capture(folder() + "tls13.pcap"), &log);
  EXPECT_FALSE(ran.inner.items.empty());
  for (const std::string& item : ran.inner.items) EXPECT_EQ(item, " 200");
  EXPECT_GT(ran.counters.of(Counter::kUndecryptable), 0u);
}

TEST_P(Decrypted, SecretsThatNeverComeAreNotWaitedForLong) {
  KeyLog log;
  log.set_grows(true);
  const Ran ran = play(packets(), &log);
  EXPECT_TRUE(ran.inner.items.empty());
  EXPECT_EQ(ran.inner.handshakes, capture().handshakes);
}

/// SYN or RST: where the order of these changes, the connection is another one.
bool is_edge(const OwnedPacket& packet) { return (static_cast<uint8_t>(packet.bytes[14 + 20 + 13]) & 6) != 0; }

/// The law of cuts, through two layers: packets are moved, repeated and cut in two.
TEST_P(Decrypted, TheSameHoweverPacketsCome) {
  KeyLog log;
  log.add(keys());
  const auto all = packets();
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<OwnedPacket> other = all;
    for (size_t i = 8; i + 4 < other.size(); i += 1 + random() % 6) {
      const auto here = other.begin() + static_cast<ptrdiff_t>(i);
      if (random() % 3 == 0 && std::none_of(here, here + 4, is_edge)) std::swap(other[i], other[i + 1 + random() % 3]);
      if (random() % 5 == 0) other.insert(other.begin() + static_cast<ptrdiff_t>(i), other[i]);
    }
    for (size_t i = 0; i < other.size(); ++i) other[i].time = all[0].time + std::chrono::milliseconds(i);
    const Ran ran = play(other, &log);
    ASSERT_EQ(ran.inner.sorted(), capture().expected) << "round " << round;
  }
}

/// Of each packet every byte of its payload in a segment of its own, as far as short messages reach.
std::vector<OwnedPacket> in_single_bytes(const std::vector<OwnedPacket>& packets) {
  constexpr size_t kMostPieces = 300, kSequence = 14 + 20 + 4;
  std::vector<OwnedPacket> out;
  for (const OwnedPacket& p : packets) {
    const size_t head = 14 + 20 + (static_cast<uint8_t>(p.bytes[14 + 20 + 12]) >> 4) * 4u;
    const size_t total = 14 + load_be16(&as_bytes(p.bytes)[16]);
    const uint32_t seq = load_be32(&as_bytes(p.bytes)[kSequence]);
    size_t at = head;
    do {
      const size_t piece = at - head < kMostPieces ? std::min<size_t>(1, total - at) : total - at;
      OwnedPacket one = p;
      one.bytes = p.bytes.substr(0, head) + p.bytes.substr(at, piece);
      one.bytes.replace(16, 2, net::be16_text(static_cast<uint16_t>(one.bytes.size() - 14)));
      one.bytes.replace(kSequence, 4, net::be32_text(seq + static_cast<uint32_t>(at - head)));
      if (at + piece < total) one.bytes[kSequence + 9] &= static_cast<char>(~1);  // a FIN stands behind the last
      out.push_back(one);
      at += piece;
    } while (at < total);
  }
  return out;
}

TEST_P(Decrypted, TheSameInSingleBytes) {
  KeyLog log;
  log.add(keys());
  const Ran ran = play(in_single_bytes(packets()), &log);
  EXPECT_EQ(ran.inner.sorted(), capture().expected);
  EXPECT_EQ(ran.counters.of(Counter::kUndecryptable), 0u);
}

/// Whatever packet is lost: nothing is shown that was not said, and other connections are whole.
TEST_P(Decrypted, EveryLostPacket) {
  KeyLog log;
  log.add(keys());
  const auto all = packets();
  std::set<std::string> known(capture().expected.begin(), capture().expected.end());
  size_t whole = 0;
  for (size_t lost = 0; lost < all.size(); ++lost) {
    auto other = all;
    other.erase(other.begin() + static_cast<ptrdiff_t>(lost));
    const Ran ran = play(other, &log);
    size_t found = 0;
    for (const std::string& item : ran.inner.items) {
      const std::string path = item.substr(0, item.find(' '));
      const bool half = path.empty() || item.ends_with(" 0");  // a question or an answer alone
      EXPECT_TRUE(half || known.contains(item)) << item << " without packet " << lost;
      found += known.contains(item) ? 1 : 0;
    }
    EXPECT_GE(found + 4, capture().expected.size()) << "without packet " << lost;
    whole += found == capture().expected.size() ? 1 : 0;
  }
  EXPECT_GT(whole, all.size() / 4);  // acknowledgements and the like
}

TEST_P(Decrypted, NoBytesAreBelievedThatWereChanged) {
  KeyLog log;
  log.add(keys());
  const auto all = packets();
  std::set<std::string> known(capture().expected.begin(), capture().expected.end());
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    auto other = all;
    OwnedPacket& victim = other[random() % other.size()];
    if (victim.bytes.size() < 80) continue;
    victim.bytes[70 + random() % (victim.bytes.size() - 70)] ^= static_cast<char>(1 + random() % 255);
    const Ran ran = play(other, &log);
    for (const std::string& item : ran.inner.items)
      EXPECT_TRUE(item.find(' ') == 0 || item.ends_with(" 0") || known.contains(item)) << item;
  }
}

TEST(Decryption, BytesThatWaitAreBounded) {
  // A client's early data whose server never answers, and secrets that never come.
  KeyLog log;
  log.set_grows(true);
  const auto all = net::load_capture(folder() + "tls13.pcap");
  EngineOptions options = with(&log);
  options.settings.sealed_cap = 64;  // less than one record
  Inner inner;
  Engine engine(options, inner);
  for (const OwnedPacket& packet : all) engine.on_packet(packet.view());
  engine.finish();
  EXPECT_TRUE(inner.items.empty());
  EXPECT_EQ(inner.handshakes, 5u);
  EXPECT_GT(engine.counters().of(Counter::kUndecryptable), 0u);
}

// RFC 8448 3: a simple 1-RTT handshake.
TEST(KeySchedule, OfTheStandardsExample) {
  const std::string secret = unhex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
  const Suite suite = suite_of(0x1301);
  std::array<uint8_t, 16> key{};
  std::array<uint8_t, 12> iv{};
  expand_label(suite.hash, as_bytes(secret), "key", key);
  expand_label(suite.hash, as_bytes(secret), "iv", iv);
  EXPECT_EQ(as_text(Bytes(key)), unhex("dbfaa693d1762c5b666af5d950258d01"));
  EXPECT_EQ(as_text(Bytes(iv)), unhex("5bd3c71b836e0b76bb73265f"));
}

TEST(Suites, WhatCanBeOpened) {
  size_t known = 0;
  for (uint32_t number = 0; number < 0x10000; ++number) {
    const Suite suite = suite_of(static_cast<uint16_t>(number));
    if (!suite.is_known()) continue;
    ++known;
    EXPECT_NE(suite.cipher, nullptr);
    EXPECT_NE(suite.hash, nullptr);
    EXPECT_EQ(suite.mac != nullptr, suite.kind == Suite::Kind::kCbc);
  }
  EXPECT_GT(known, 240u);
  for (const uint16_t closed : {0x0000, 0x0002, 0x0005, 0xC011, 0xC07A}) EXPECT_FALSE(suite_of(closed).is_known());
  EXPECT_EQ(suite_of(0x000A).key_size, 24);
  EXPECT_EQ(suite_of(0xC060).kind, Suite::Kind::kGcm) << "ARIA";
  EXPECT_EQ(suite_of(0x1303).kind, Suite::Kind::kChaCha);
  EXPECT_EQ(suite_of(0xC0AF).tag_size, 8);
}

/// A record of TLS 1.2 as a client seals it (RFC 5246 6.2.3.2, RFC 7366), by libcrypto alone.
std::string sealed_cbc(const Suite& suite, const KeyBlockSeed& seed, bool encrypt_then_mac,
                       const std::string& content) {
  const size_t mac = static_cast<size_t>(EVP_MD_get_size(suite.mac)), key = suite.key_size, block = suite.block_size;
  std::vector<uint8_t> keys(2 * (mac + key));
  const std::string randoms = std::string(as_text(seed.server_random)) + std::string(as_text(seed.client_random));
  prf(suite.hash, seed.master, "key expansion", as_bytes(randoms), keys);
  const auto mac_of = [&](const std::string& text) {
    const std::string covered = std::string(7, '\0') + "\5" + be(0x170303, 3) + be(text.size(), 2) + text;
    std::array<uint8_t, EVP_MAX_MD_SIZE> out;
    HMAC(suite.mac, keys.data(), static_cast<int>(mac), as_bytes(covered).data(), covered.size(), out.data(), nullptr);
    return std::string(as_text(Bytes(out).first(mac)));
  };
  std::string text = content + (encrypt_then_mac ? "" : mac_of(content));
  const size_t padding = block - text.size() % block;
  text += std::string(padding, static_cast<char>(padding - 1));
  std::string out = std::string(block, 'i') + std::string(text.size(), '\0');
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  int n = 0;
  EVP_EncryptInit_ex(context, suite.cipher, nullptr, keys.data() + 2 * mac, as_bytes(out).data());
  EVP_CIPHER_CTX_set_padding(context, 0);
  EVP_EncryptUpdate(context, reinterpret_cast<uint8_t*>(out.data()) + block, &n, as_bytes(text).data(),
                    static_cast<int>(text.size()));
  EVP_CIPHER_CTX_free(context);
  if (encrypt_then_mac) out += mac_of(out);
  return be(0x170303, 3) + sized(2, out);
}

TEST(Suites, EveryCbcSuiteIsOpened) {
  const std::string master(48, 'm'), client(32, 'c'), server(32, 's');
  const KeyBlockSeed seed{as_bytes(master), as_bytes(client), as_bytes(server)};
  std::vector<uint8_t> room(RecordCipher::kMostPlaintext);
  size_t suites = 0;
  for (uint32_t number = 0; number < 0x10000; ++number) {
    const Suite suite = suite_of(static_cast<uint16_t>(number));
    if (suite.kind != Suite::Kind::kCbc) continue;
    ++suites;
    for (const bool encrypt_then_mac : {false, true})
      for (const std::string& content : {std::string("hello"), std::string(16, 'x'), std::string(1000, 'y')}) {
        const auto cipher = RecordCipher::tls12(suite, seed, true, encrypt_then_mac);
        ASSERT_NE(cipher, nullptr) << number;
        std::string record = sealed_cbc(suite, seed, encrypt_then_mac, content);
        const auto opened = cipher->open(as_bytes(record), 5, room);
        ASSERT_TRUE(opened) << number;
        EXPECT_EQ(as_text(opened->plaintext), content) << number;
        EXPECT_FALSE(cipher->open(as_bytes(record), 6, room)) << "another number";
        record.back() = static_cast<char>(record.back() ^ 1);
        EXPECT_FALSE(cipher->open(as_bytes(record), 5, room)) << "another byte";
      }
  }
  EXPECT_GT(suites, 120u);
}

}  // namespace
}  // namespace baleen::dissect::tls
