#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "dissect/engine.h"
#include "dissect/registry.h"
#include "net/harness.h"

// Redaction knows by the Field tables what is a secret: what they do not mark is kept as it was sent.

namespace baleen::dissect {
namespace {

bool is_marked(std::string_view card, std::string_view path) {
  bool found = false;
  for (const item::Protocol* p : cards()) {
    if (p->abbreviation != card) continue;
    for (const item::Field& f : p->fields)
      if (f.path == path) found = f.secret;
  }
  return found;
}

TEST(Secrets, EveryProtocolMarksWhatProvesWhoSomebodyIs) {
  struct Row {
    const char *card, *path;
  };
  for (const Row& row : {
           Row{"HTTP", "request.headers.Authorization"},
           Row{"HTTP", "request.headers.Cookie"},
           Row{"HTTP", "request.headers.X-Csrf-Token"},
           Row{"HTTP", "request.postData.params"},
           Row{"HTTP", "response.headers.Set-Cookie"},
           Row{"HTTP/2", "request.headers.Authorization"},
           Row{"gRPC", "request.headers.Authorization"},
           Row{"GQL", "request.graphql.variables"},
           Row{"REDIS", "request.password"},
           Row{"PGSQL", "request.password"},
           Row{"PGSQL", "response.secretKey"},
           Row{"MYSQL", "request.password"},
           Row{"MONGODB", "request.secret"},
           Row{"KAFKA", "request.payload.authBytes"},
           Row{"AMQP", "request.fields.response"},
           Row{"LDAP", "request.password"},
           Row{"RADIUS", "request.secrets"},
           Row{"DIAMETER", "request.secrets"},
           Row{"MQTT", "request.password"},
           Row{"NATS", "request.credentials"},
           Row{"MEMCACHED", "request.credentials"},
           Row{"CQL", "request.token"},
           Row{"SIP", "request.credentials"},
           Row{"SMTP", "request.credentials"},
           Row{"FTP", "request.password"},
           Row{"ZK", "request.auth"},
       })
    EXPECT_TRUE(is_marked(row.card, row.path)) << row.card << ' ' << row.path;
}

class Nobody final : public EngineObserver {
  void on_item(item::ItemRef) override {}
};

/// What the engine says after a client has sent `text` in segments of `cut` bytes.
std::pair<uint64_t, uint64_t> unread_and_open(std::string_view text, size_t cut, bool finish) {
  Nobody nobody;
  Engine engine({.protocols = registry()}, nobody);
  const net::Endpoint client{*net::IpAddress::parse("10.0.0.1"), 40000}, server{*net::IpAddress::parse("10.0.0.2"), 80};
  int64_t now = 1'000'000'000;
  const auto send = [&](uint8_t flags, uint32_t seq, std::string_view payload) {
    net::OwnedPacket p;
    p.time = timestamp_from_ns(now += 1000);
    p.bytes = net::tcp_frame(client, server, {.seq = seq, .ack = 1, .flags = flags}, payload);
    engine.on_packet(p.view());
  };
  send(net::tcp_flag::kSyn, 99, "");
  for (size_t at = 0; at < text.size(); at += cut)
    send(net::tcp_flag::kAck, static_cast<uint32_t>(100 + at), text.substr(at, cut));
  if (finish) engine.finish();
  EXPECT_TRUE(!finish || engine.counters().read_bytes + engine.counters().unread_bytes == text.size());
  return {engine.counters().unread_bytes, engine.open_items()};
}

TEST(Secrets, WhatNobodyHasLookedAtIsCounted) {
  using Numbers = std::pair<uint64_t, uint64_t>;
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const size_t cut : {1, 7, 1000}) {
    EXPECT_EQ(unread_and_open(request, cut, false), Numbers(0, 1)) << "it waits for its answer";
    EXPECT_EQ(unread_and_open(request, cut, true), Numbers(0, 0));
    EXPECT_EQ(unread_and_open(request + "POST", cut, true), Numbers(4, 0)) << "what is no whole message";
    EXPECT_EQ(unread_and_open(std::string(5000, '\x01'), cut, true), Numbers(5000, 0)) << "no protocol that is known";
  }
}

}  // namespace
}  // namespace baleen::dissect
