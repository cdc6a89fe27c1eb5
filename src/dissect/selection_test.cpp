#include "dissect/selection.h"

#include <gtest/gtest.h>

#include "dissect/registry.h"

namespace baleen::dissect {
namespace {

struct Case {
  std::vector<std::string> names;
  std::vector<std::string_view> protocols;
  bool icmp;
  std::vector<std::string> unknown;
};

TEST(Selection, names_are_those_of_protocols_and_their_variants) {
  const Case cases[] = {
      {{"dns", "http"}, {"http", "http2", "dns"}, false, {}},
      {{"grpc"}, {"http", "http2"}, false, {}},
      {{"gql", "icmp"}, {"http", "http2"}, true, {}},
      {{"ws"}, {"http", "websocket"}, false, {}},
      {{"tlsx"}, {"tls", "dtls", "quic"}, false, {}},
      {{"tls"}, {"tls", "dtls", "quic"}, false, {}},
      {{"htpp", "icmp"}, {}, true, {"htpp"}},
  };
  for (const Case& c : cases) {
    const Selection got = select_dissectors(c.names);
    std::vector<std::string_view> protocols;
    for (const ProtocolEntry& entry : got.protocols) protocols.push_back(entry.name);
    EXPECT_EQ(protocols, c.protocols) << c.names[0];
    EXPECT_EQ(got.l4.icmp, c.icmp) << c.names[0];
    EXPECT_EQ(got.unknown, c.unknown) << c.names[0];
  }
}

TEST(Selection, nothing_named_is_the_default) {
  const Selection got = select_dissectors({});
  EXPECT_EQ(got.protocols.size(), registry().size());
  EXPECT_TRUE(got.l4.icmp);
}

TEST(Selection, every_name_that_is_offered_is_known) {
  for (const std::string_view name : dissector_names()) {
    const std::string one[] = {std::string(name)};
    EXPECT_TRUE(select_dissectors(one).unknown.empty()) << name;
  }
}

TEST(Selection, items_of_packets_are_made_for_those_who_ask) {
  const struct {
    std::string_view filter;
    bool tcp, udp, sctp;
  } cases[] = {
      {"http", false, false, false},
      {"response.status > 400 or error or icmp or tcp", true, false, false},
      {"tcp_payload.size() > 0", true, false, false},
      {"tcp_conn && conn_state == 'open'", false, false, false},
      {"data.tcp_metrics.retransmissions > 0", false, false, false},
      {"udp && udp_length > 100", false, true, false},
      {"sctp_chunk_type == 'Init'", false, false, true},
  };
  for (const auto& c : cases) {
    Selection got = select_dissectors({});
    EXPECT_FALSE(got.l4.tcp || got.l4.udp || got.l4.sctp);
    add_what_is_asked(c.filter, got);
    EXPECT_EQ(got.l4.tcp, c.tcp) << c.filter;
    EXPECT_EQ(got.l4.udp, c.udp) << c.filter;
    EXPECT_EQ(got.l4.sctp, c.sctp) << c.filter;
  }
}

TEST(Selection, connections_and_flows_are_made_for_those_who_ask) {
  Selection got = select_dissectors({});
  EXPECT_FALSE(got.l4.of_tcp() || got.l4.of_udp());
  add_what_is_asked("http and connection == 1 or overflow", got);
  EXPECT_FALSE(got.l4.of_tcp() || got.l4.of_udp());
  add_what_is_asked("conn_state == \"open\"", got);
  EXPECT_TRUE(got.l4.tcp_conn && got.l4.udp_conn && !got.l4.tcp_flow);
  add_what_is_asked("http or udp_flow", got);
  EXPECT_TRUE(got.l4.udp_flow && !got.l4.tcp_flow);
}

}  // namespace
}  // namespace baleen::dissect
