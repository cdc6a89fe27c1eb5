#include "dissect/quic/quic.h"

#include <fstream>
#include <iterator>

#include "dissect/quic/crypto_stream.h"
#include "dissect/quic/seal.h"
#include "dissect/test_table.h"

namespace baleen::dissect::quic {
namespace {

using enum Direction;

/// A packet that a specification's appendix publishes.
std::string published(const std::string& name) {
  std::ifstream in(BALEEN_SOURCE_DIR "/src/dissect/quic/testdata/" + name + ".hex");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(text.empty()) << name;
  return unhex(text);
}

std::string extension(int type, const std::string& body) { return be(type, 2) + sized(2, body); }
std::string message(int type, const std::string& body) { return be(type, 1) + sized(3, body); }

std::string parameters() {
  return varint(1) + sized(1, varint(30000)) + varint(4) + sized(1, varint(1 << 20)) + varint(0x0C) + sized(1, "") +
         varint(0x0F) + sized(1, "client") + varint(0x11) + sized(1, be(0x6B3343CF, 4) + be(0x1A2A3A4A, 4) + be(1, 4)) +
         varint(27) + sized(1, "grease") + varint(0x3129) + sized(1, "Browser/1");
}
std::string client_hello(const std::string& name = "example.org", const std::string& more = "") {
  return message(
      1, be(0x0303, 2) + std::string(32, 'r') + sized(1, "") + sized(2, be(0x1301, 2) + be(0x1302, 2)) +
             sized(1, be(0, 1)) +
             sized(2, extension(0, sized(2, be(0, 1) + sized(2, name))) + extension(16, sized(2, sized(1, "h3"))) +
                          extension(43, sized(1, be(0x0304, 2))) + extension(57, parameters()) + more));
}
std::string server_hello(const std::string& random = std::string(32, 's')) {
  return message(2, be(0x0303, 2) + random + sized(1, "") + be(0x1301, 2) + be(0, 1) +
                        sized(2, extension(43, be(0x0304, 2)) + extension(51, be(29, 2) + sized(2, "key"))));
}
const std::string kHelloRetry = unhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C");

const std::string kFirst = "firstfirst";
Said client(uint64_t number, const std::string& frames, const std::string& destination = kFirst) {
  return c(seal({kToServer, kFirst, destination, "client", number, frames}));
}
Said server(uint64_t number, const std::string& frames) {
  return s(seal({kToClient, kFirst, "client", "server", number, frames}));
}
const std::string kAck = unhex("02 00 40 64 00 00");

std::vector<Row> rows() {
  const std::string hello = client_hello();
  const std::string large = client_hello("large.example", extension(51, std::string(2400, 'k')));
  const Said answer = server(0, kAck + crypto(0, server_hello()));
  const Said long_part[] = {client(0, crypto(0, large.substr(0, 1100))),
                            client(1, crypto(1100, large.substr(1100, 1100))),
                            client(2, crypto(2200, large.substr(2200)))};
  const std::string version_negotiation =
      be(0x80, 1) + be(0, 4) + sized(1, "client") + sized(1, kFirst) + be(0x6B3343CF, 4) + be(0xDADADADA, 4);
  const std::string retry =
      be(0xF0, 1) + be(1, 4) + sized(1, "client") + sized(1, "elsewhere") + "token" + std::string(16, 't');
  return {
      {"a handshake",
       {client(0, crypto(0, hello) + std::string(1000, '\0')), answer},
       {R"~(0 req|"summary":"example.org","sni":"example.org","alpn":"h3"|"ja4":"q13d0204h3_|"quicVersion":"1","connectionId":"66697273746669727374","transportParameters":{"maxIdleTimeout":30000,"initialMaxData":1048576,"disableActiveMigration":true,"initialSourceConnectionId":"636c69656e74","versionInformation":["2","1"],"userAgent":"Browser/1"}}|"info":"ServerHello"|"cipherSuiteName":"TLS_AES_128_GCM_SHA256"|"group":"x25519","resumed":false,"status":"TLS 1.3","quicVersion":"1","connectionId":"736572766572")~"}},
      {"the server's datagrams hold several packets",
       {client(0, crypto(0, hello)),
        s(server(0, kAck).bytes + server(1, crypto(0, server_hello())).bytes + be(0xE0, 1) + be(1, 4) +
          sized(1, "client") + sized(1, "server") + varint(40) + std::string(40, 'x') + be(0x40, 1) + "short")},
       {R"~(0 req|"status":"TLS 1.3")~"}},
      {"0-RTT before the rest",
       {c(client(0, crypto(0, hello)).bytes + be(0xD0, 1) + be(1, 4) + sized(1, kFirst) + sized(1, "client") +
          varint(50) + std::string(50, 'x')),
        answer},
       {"0 req"}},
      {"a hello in three packets",
       {long_part[0], long_part[1], long_part[2], answer},
       {R"~(0 req|"sni":"large.example")~"}},
      {"... in another order",
       {long_part[2], long_part[0], long_part[1], answer},
       {R"~(0 req|"sni":"large.example")~"}},
      {"... of which one is sent again",
       {long_part[0], long_part[2], long_part[0], client(3, crypto(1100, large.substr(1100, 1100))), answer},
       {R"~(0 req|"sni":"large.example")~"}},
      {"pieces in disorder with padding between",
       {client(0, crypto(60, hello.substr(60, 20)) + be(0, 3) + crypto(0, hello.substr(0, 5)) + be(1, 1) +
                      crypto(80, hello.substr(80)) + crypto(5, hello.substr(5, 55))),
        answer},
       {R"~(0 req|"sni":"example.org")~"}},
      {"pieces that overlap",
       {client(0, crypto(0, hello.substr(0, 50)) + crypto(70, hello.substr(70)) + crypto(20, hello.substr(20, 80))),
        answer},
       {R"~(0 req|"sni":"example.org")~"}},
      {"sent again, before and after the answer",
       {client(0, crypto(0, hello)), client(1, crypto(0, hello)), answer, client(2, crypto(0, hello)),
        client(3, kAck, "server"), answer},
       {"0 req"}},
      {"an answer in two packets",
       {client(0, crypto(0, hello)), server(1, crypto(40, server_hello().substr(40))),
        server(0, crypto(0, server_hello().substr(0, 40)))},
       {R"~(0 req|"status":"TLS 1.3")~"}},
      {"the server asks for another hello",
       {client(0, crypto(0, hello)), server(0, crypto(0, server_hello(kHelloRetry))),
        client(1, crypto(hello.size(), hello), "server"), server(1, crypto(server_hello().size(), server_hello()))},
       {R"~(0 req|"status":"TLS 1.3"|"helloRetry":true)~"}},
      {"Retry",
       {client(0, crypto(0, hello)), s(retry),
        c(seal({kToServer, "elsewhere", "elsewhere", "client", 1, crypto(0, hello), "token"})),
        s(seal({kToClient, "elsewhere", "client", "server", 0, crypto(0, server_hello())}))},
       {R"~(0 req|"connectionId":"66697273746669727374"|"retry":true)~"}},
      {"Retry that nobody obeys",
       {client(0, crypto(0, hello)), s(retry), answer},
       {R"~(0 req|"connectionId":"736572766572")~"}},
      {"the server speaks another version",
       {client(0, crypto(0, hello)), s(version_negotiation),
        c(seal({kToServer, "othersecond", "othersecond", "client", 0, crypto(0, client_hello("second.example")), "",
                0x6B3343CF})),
        s(seal({kToClient, "othersecond", "client", "server", 0, crypto(0, server_hello()), "", 0x6B3343CF}))},
       {R"~(0 req|"sni":"second.example"|"quicVersion":"2","connectionId":"6f746865727365636f6e64"|"versionNegotiation":["2"])~"}},
      {"... and the client gives up",
       {client(0, crypto(0, hello)), s(version_negotiation)},
       {R"~(0 req|"info":"VersionNegotiation"|"versionNegotiation":["2"],"status":"version negotiation")~"}},
      {"the server changes to a version that the client has offered",
       {client(0, crypto(0, hello)),
        s(seal({kToClient, kFirst, "client", "server", 0, crypto(0, server_hello()), "", 0x6B3343CF}))},
       {R"~(0 req|"quicVersion":"1"|"quicVersion":"2")~"}},
      {"a draft with parameters of the old form",
       {c(seal({kToServer, kFirst, kFirst, "client", 0,
                crypto(0, message(1, be(0x0303, 2) + std::string(32, 'r') + sized(1, "") + sized(2, be(0x1301, 2)) +
                                         sized(1, be(0, 1)) +
                                         sized(2, extension(0xFFA5, sized(2, be(1, 2) + sized(2, varint(7)) +
                                                                                 be(0x0C, 2) + sized(2, "")))))),
                "", 0xFF000018}))},
       {R"~(2 req|"quicVersion":"draft-24"|"transportParameters":{"maxIdleTimeout":7,"disableActiveMigration":true})~"}},
      {"refused",
       {client(0, crypto(0, hello)), server(0, varint(0x1C) + varint(0x178) + varint(6) + varint(2) + "no")},
       {R"~(5 req|"info":"Alert"|"alert":{"level":"fatal","description":"no_application_protocol","reason":"no"},"status":"no_application_protocol"|error=closed by the server: no_application_protocol)~"}},
      {"given up by the client",
       {client(0, crypto(0, hello)), client(1, varint(0x1C) + varint(0x0C) + varint(0) + varint(0))},
       {R"~(5 req|"alert":{"level":"fatal","description":"application_error"}|error=closed by the client: application_error)~"}},
      {"two connections between the same ports",
       {client(0, crypto(0, hello)),
        c(seal({kToServer, "anotherone", "anotherone", "C2", 0, crypto(0, client_hello("two.example"))})),
        s(seal({kToClient, "anotherone", "C2", "S2", 0, crypto(0, server_hello())})), answer},
       {R"~(0 req|"sni":"two.example"|"status":"TLS 1.3")~", R"~(0 req|"sni":"example.org"|"status":"TLS 1.3")~"}},
      {"one after the other, without identifiers of the client",
       {c(seal({kToServer, "oneoneone", "oneoneone", "", 0, crypto(0, client_hello("one.example"))})),
        s(seal({kToClient, "oneoneone", "", "s1", 0, crypto(0, server_hello())})),
        c(seal({kToServer, "twotwotwo", "twotwotwo", "", 0, crypto(0, client_hello("two.example"))})),
        s(seal({kToClient, "twotwotwo", "", "s2", 0, crypto(0, server_hello())}))},
       {R"~(0 req|"sni":"one.example")~", R"~(0 req|"sni":"two.example")~"}},
      {"a fixed bit that is not set",
       {client(0, crypto(0, hello)),
        s(seal({kToClient, kFirst, "client", "server", 0, crypto(0, server_hello()), "", 1, 2, false}))},
       {"0 req"}},
      {"half", {client(0, crypto(0, hello))}, {"2 req"}},
      {"a frame that may not be here",
       {client(0, crypto(0, hello) + be(0x08, 1)), answer},
       {"4 req|error=malformed handshake"}},
      {"a hello that is none",
       {client(0, crypto(0, message(1, "nonsense"))), answer},
       {"4 res|error=malformed handshake"}},
  };
}

TEST(Quic, Table) { check_datagrams<Quic>(rows()); }

TEST(Quic, PublishedPackets) {
  for (const std::string rfc : {"rfc9001", "rfc9369"}) {
    const std::string ask = published(rfc + "-client-initial"), answer = published(rfc + "-server-initial");
    const std::string version = rfc == "rfc9001" ? "1" : "2";
    ASSERT_EQ(ask.size(), 1200u);
    expect_items(
        play_datagrams<Quic>({c(ask), s(answer)}),
        {rfc.c_str(),
         {},
         {R"~(0 req[1200@1]|"sni":"example.com","alpn":"alpn"|"ja4":"q13d0211an_62ed6f6ca7ad_4d634acda6c0|"quicVersion":")~" +
          version +
          R"~(","connectionId":"8394c8f03e515708"|"transportParameters":{"initialMaxData":4611686018427387903,|"maxIdleTimeout":30000|res[135@2]|"cipherSuiteName":"TLS_AES_128_GCM_SHA256"|"group":"x25519"|"connectionId":"f067a5502a4262b5")~"}});
    // Sealed here they are what was published.
    const uint32_t number = rfc == "rfc9001" ? 1 : 0x6B3343CF;
    const InitialKeys keys = derive_initial_keys(*find_version(number), as_bytes(ask).subspan(6, 8));
    Packet p;
    ASSERT_TRUE(read_packet(as_bytes(ask), p));
    const auto opened = open_initial(p, keys.client, 0);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->number, 2u);
    const std::string frames(as_text(opened->frames));
    EXPECT_EQ(seal({kToServer, ask.substr(6, 8), ask.substr(6, 8), "", 2, frames, "", number, 4}), ask);
    // The client goes on as the Retry packet asks.
    const std::string other = unhex("f067a5502a4262b5");
    expect_items(
        play_datagrams<Quic>({c(ask), s(published(rfc + "-retry")),
                              c(seal({kToServer, other, other, "", 3, frames, "token", number})),
                              s(seal({kToClient, other, "", "server", 0, crypto(0, server_hello()), "", number}))}),
        {rfc.c_str(), {}, {R"~(0 req|"sni":"example.com"|"retry":true)~"}});
  }
}

TEST(Quic, EveryVersion) {
  for (const uint32_t version :
       {0xFF000016u, 0xFF000017u, 0xFF00001Bu, 0xFF00001Du, 0xFF000020u, 0xFF000021u, 0xFF000022u, 1u, 0x6B3343CFu,
        0x709A50C4u, 0xFF020000u, 0xFACEB001u, 0xFACEB002u, 0x1A2A3A4Au}) {
    const auto items =
        play_datagrams<Quic>({c(seal({kToServer, kFirst, kFirst, "", 0, crypto(0, client_hello()), "", version}))});
    ASSERT_EQ(items.size(), 1u) << version;
    EXPECT_THAT(items[0], testing::HasSubstr(R"~("sni":"example.org")~"));
  }
}

TEST(Quic, Probe) {
  const auto asks = [](Direction d, const std::string& bytes) { return probe_of<Quic>(d, bytes, true); };
  const std::string first = client(0, crypto(0, client_hello())).bytes;
  EXPECT_EQ(asks(kToServer, first), Probe::kYes);
  EXPECT_EQ(asks(kToServer, first + "what follows"), Probe::kYes);
  EXPECT_EQ(asks(kToClient, first), Probe::kNo);
  for (size_t n = 0; n < first.size(); ++n) EXPECT_EQ(asks(kToServer, first.substr(0, n)), Probe::kNo) << n;
  for (size_t i = 0; i < first.size(); ++i) {  // no byte may be another one
    std::string wrong = first;
    wrong[i] = static_cast<char>(wrong[i] ^ 0x01);
    EXPECT_EQ(asks(kToServer, wrong), Probe::kNo) << i;
  }
  EXPECT_EQ(asks(kToServer, server(0, crypto(0, server_hello())).bytes), Probe::kNo);
  EXPECT_EQ(asks(kToServer, seal({kToServer, "short", "short", "client", 0, crypto(0, client_hello())})), Probe::kNo);
  EXPECT_EQ(asks(kToServer, std::string("\x40") + first.substr(1)), Probe::kNo);
}

TEST(Quic, WhatIsSealedByOthersIsNobodys) {
  std::string wrong = server(0, crypto(0, server_hello())).bytes;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  expect_items(play_datagrams<Quic>({client(0, crypto(0, client_hello())), s(wrong)}), {"wrong tag", {}, {"2 req"}});
}

TEST(Quic, WhatIsTooFarAwayIsNotKept) {
  Collected out;
  Quic quic;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string far = client(i, crypto(20000 + i * 2, "x") + crypto((1 << 20) + i, "y")).bytes;
    quic.dissect({kToServer, as_bytes(far), {}, true, true}, out);
  }
  EXPECT_EQ(out.counted(Counter::kMessageTooLong), 200u);
  quic.close(false, out);
  EXPECT_EQ(out.held(), 0);
}

TEST(Quic, NoMoreThanFourAtATime) {
  Collected out;
  Quic quic;
  for (int i = 0; i < 10; ++i) {
    const std::string id = "identifier" + std::to_string(i);
    const std::string ask = seal({kToServer, id, id, id, 0, crypto(0, client_hello())});
    quic.dissect({kToServer, as_bytes(ask), timestamp_from_ns(i), true, true}, out);
  }
  EXPECT_EQ(out.counted(Counter::kTooManyPending), 6u);
  EXPECT_EQ(out.finished, 6u);
  quic.expire(timestamp_from_ns(8), out);
  EXPECT_EQ(out.finished, 8u);
  quic.close(false, out);
  EXPECT_EQ(out.finished, 10u);
}

TEST(Quic, NumbersAreFoundByTheirLastBytes) {
  for (const uint64_t number : {uint64_t{0}, uint64_t{255}, uint64_t{256}, uint64_t{40000}}) {
    const std::string sealed = seal({kToServer, kFirst, kFirst, "client", number, kAck, "", 1, 1});
    Packet p;
    ASSERT_TRUE(read_packet(as_bytes(sealed), p));
    const InitialKeys keys = derive_initial_keys(*p.version, as_bytes(kFirst));
    for (const uint64_t ahead : {uint64_t{0}, uint64_t{1}, uint64_t{100}}) {
      const auto opened = open_initial(p, keys.client, number + 1 - std::min(number + 1, ahead));
      ASSERT_TRUE(opened) << number << " " << ahead;
      EXPECT_EQ(opened->number, number);
    }
  }
}

/// A stream against one that keeps everything: pieces of any order and size.
TEST(CryptoStream, PiecesInAnyOrder) {
  uint32_t seed = 1;
  const auto random = [&seed](uint32_t below) { return (seed = seed * 1664525 + 1013904223) % 65536 * below / 65536; };
  const std::string whole = message(1, std::string(3000, 'a') + std::string(3000, 'b'));
  for (int round = 0; round < 200; ++round) {
    Arena arena;
    CryptoStream stream;
    std::vector<bool> there(whole.size());
    for (int i = 0; i < 400 && stream.front().empty(); ++i) {
      const size_t at = random(static_cast<uint32_t>(whole.size())), size = 1 + random(400);
      const std::string piece = whole.substr(at, size);
      if (stream.insert(at, as_bytes(piece), arena))
        std::fill_n(there.begin() + static_cast<long>(at), piece.size(), true);
      const auto hole = std::find(there.begin(), there.end(), false) - there.begin();
      ASSERT_EQ(as_text(stream.contiguous()), whole.substr(0, static_cast<size_t>(hole))) << round << " " << i;
    }
  }
}

}  // namespace
}  // namespace baleen::dissect::quic
