#include "kfl/protocols.h"

namespace baleen::kfl {
namespace {

constexpr FlagCard kFlags[] = {
    {"http", kHttpFamily, "HTTP/1, HTTP/2 and what is spoken over them: gRPC, GraphQL."},
    {"dns", kDns, "DNS."},
    {"tlsx", kTlsx, "TLS handshakes."},
    {"tcp", kTcp, "TCP segments, whatever they carry; all but bare acknowledgements."},
    {"udp", kUdp, "UDP datagrams, whatever they carry."},
    {"sctp", kSctp, "SCTP packets."},
    {"icmp", kIcmp, "ICMP."},
    {"grpc", kGrpc, "gRPC."},
    {"redis", kRedis, "Redis."},
    {"kafka", kKafka, "Kafka."},
    {"amqp", kAmqp, "AMQP 0-9-1."},
    {"ldap", kLdap, "LDAP."},
    {"ws", kWs, "WebSocket."},
    {"gql", kGql1 | kGql2, "GraphQL."},
    {"gqlv1", kGql1, "GraphQL over HTTP/1."},
    {"gqlv2", kGql2, "GraphQL over HTTP/2."},
    {"radius", kRadius, "RADIUS."},
    {"diameter", kDiameter, "Diameter."},
    {"mongodb", kMongo, "MongoDB."},
    {"mysql", kMysql, "MySQL."},
    {"postgresql", kPostgres, "PostgreSQL."},
    {"conn", kTcpConn | kUdpConn | kSctpConn, "A connection, as the tracking of connections sees it."},
    {"flow", kTcpFlow | kUdpFlow, "A flow, as the tracking of flows sees it."},
    {"tcp_conn", kTcpConn, "A TCP connection."},
    {"udp_conn", kUdpConn, "A UDP connection."},
    {"tcp_flow", kTcpFlow, "A TCP flow."},
    {"udp_flow", kUdpFlow, "A UDP flow."},
    // Beyond the reference.
    {"sctp_conn", kSctpConn, "An SCTP association."},
    {"http2", kHttp2, "HTTP/2 alone."},
    {"mqtt", kMqtt, "MQTT."},
    {"nats", kNats, "NATS."},
    {"memcached", kMemcached, "memcached."},
    {"cassandra", kCassandra, "Cassandra CQL."},
    {"sip", kSip, "SIP."},
    {"smtp", kSmtp, "SMTP."},
    {"ftp", kFtp, "FTP."},
    {"ntp", kNtp, "NTP."},
    {"dhcp", kDhcp, "DHCP."},
    {"thrift", kThrift, "Thrift."},
    {"zookeeper", kZookeeper, "ZooKeeper."},
    {"mdns", kMdns, "Multicast DNS."},
    {"llmnr", kLlmnr, "Link-Local Multicast Name Resolution."},
};

struct Known {
  std::string_view name;
  uint64_t bits;
};
constexpr Known kByMacro[] = {
    {"http", kHttp1},
    {"http2", kHttp2},
    {"grpc", kGrpc},
    {"ws", kWs},
    {"dns", kDns},
    {"redis", kRedis},
    {"kafka", kKafka},
    {"amqp", kAmqp},
    {"ldap", kLdap},
    {"radius", kRadius},
    {"diameter", kDiameter},
    {"mongodb", kMongo},
    {"mongo", kMongo},
    {"mysql", kMysql},
    {"postgresql", kPostgres},
    {"postgres", kPostgres},
    {"tlsx", kTlsx},
    {"tls", kTlsx},
    {"tcp", kTcp},
    {"udp", kUdp},
    {"sctp", kSctp},
    {"icmp", kIcmp},
    {"tcp_conn", kTcpConn},
    {"udp_conn", kUdpConn},
    {"sctp_conn", kSctpConn},
    {"tcp_flow", kTcpFlow},
    {"udp_flow", kUdpFlow},
    {"websocket", kWs},
    {"mqtt", kMqtt},
    {"nats", kNats},
    {"memcached", kMemcached},
    {"cassandra", kCassandra},
    {"sip", kSip},
    {"smtp", kSmtp},
    {"ftp", kFtp},
    {"ntp", kNtp},
    {"dhcp", kDhcp},
    {"thrift", kThrift},
    {"zookeeper", kZookeeper},
    {"mdns", kMdns},
    {"llmnr", kLlmnr},
};

bool alike(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const char x = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i];
    if (x != b[i]) return false;
  }
  return true;
}

std::string_view text_of(const item::Value& map, std::string_view name) {
  const item::Value* v = map.find(name);
  return v != nullptr ? v->text() : std::string_view();
}

}  // namespace

uint64_t flag_mask(std::string_view flag) {
  for (const FlagCard& f : kFlags)
    if (f.name == flag) return f.mask;
  return 0;
}
std::span<const FlagCard> flag_cards() { return kFlags; }

uint64_t protocol_bits(std::string_view name, std::string_view version, std::string_view abbreviation,
                       std::string_view macro) {
  const auto gql = [&] { return (version.starts_with('2') ? kGql2 : kGql1) | kKnown; };
  if (macro == "gql" || abbreviation == "GQL") return gql();
  if (!macro.empty())
    for (const Known& k : kByMacro)
      if (k.name == macro) return k.bits | kKnown;
  if (abbreviation == "HTTP/2") return kHttp2 | kKnown;
  if (abbreviation == "gRPC") return kGrpc | kKnown;
  if (abbreviation == "HTTP" && version.starts_with('2')) return kHttp2 | kKnown;
  for (const std::string_view s : {abbreviation, name})
    for (const Known& k : kByMacro)
      if (alike(s, k.name)) return k.bits | kKnown;
  return kOther | kKnown;
}

uint64_t protocol_of(const Record& record) {
  if (record.item != nullptr) {
    const item::Protocol* p = record.item->protocol;
    if (p == nullptr) return kKnown;
    // Cards are constants: what one is need be found out once for each thread and card.
    thread_local const item::Protocol* last = nullptr;
    thread_local uint64_t last_bits = 0;
    if (p == last) return last_bits;
    last_bits = protocol_bits(p->name, p->version, p->abbreviation, p->macro);
    last = p;
    return last_bits;
  }
  const item::Value* p = record.root->find("protocol");
  if (p == nullptr) return kKnown;
  if (p->is_string()) return protocol_bits(p->text(), "", p->text(), "");
  if (!p->is_map()) return kKnown;
  return protocol_bits(text_of(*p, "name"), text_of(*p, "version"), text_of(*p, "abbr"), text_of(*p, "macro"));
}

}  // namespace baleen::kfl
