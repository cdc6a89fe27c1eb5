#pragma once

#include <cstdint>
#include <string_view>

#include "kfl/path.h"

namespace baleen::kfl {

/// Protocols as bits: what the flags of KFL v2 and the scopes of its variables are made of.
enum ProtocolBit : uint64_t {
  kHttp1 = 1ull << 0,
  kHttp2 = 1ull << 1,
  kGrpc = 1ull << 2,
  kGql1 = 1ull << 3,
  kGql2 = 1ull << 4,
  kWs = 1ull << 5,
  kDns = 1ull << 6,
  kRedis = 1ull << 7,
  kKafka = 1ull << 8,
  kAmqp = 1ull << 9,
  kLdap = 1ull << 10,
  kRadius = 1ull << 11,
  kDiameter = 1ull << 12,
  kMongo = 1ull << 13,
  kMysql = 1ull << 14,
  kPostgres = 1ull << 15,
  kTlsx = 1ull << 16,
  kTcp = 1ull << 17,
  kUdp = 1ull << 18,
  kSctp = 1ull << 19,
  kIcmp = 1ull << 20,
  kTcpConn = 1ull << 21,
  kUdpConn = 1ull << 22,
  kTcpFlow = 1ull << 23,
  kUdpFlow = 1ull << 24,
  kOther = 1ull << 25,
  // Beyond the reference.
  kMqtt = 1ull << 26,
  kNats = 1ull << 27,
  kMemcached = 1ull << 28,
  kCassandra = 1ull << 29,
  kSip = 1ull << 30,
  kSmtp = 1ull << 31,
  kFtp = 1ull << 32,
  kNtp = 1ull << 33,
  kDhcp = 1ull << 34,
  kThrift = 1ull << 35,
  kZookeeper = 1ull << 36,
  kMdns = 1ull << 37,
  kLlmnr = 1ull << 38,
  kSctpConn = 1ull << 39,
  kKnown = 1ull << 63,
};
constexpr uint64_t kHttpFamily = kHttp1 | kHttp2 | kGrpc | kGql1 | kGql2;
constexpr uint64_t kAnyProtocol = ~0ull;

/// The bits of a flag ("http", "gql", "conn"); 0 when there is no such flag.
uint64_t flag_mask(std::string_view flag);
/// Flags with their documentation, in the order of the reference.
struct FlagCard {
  std::string_view name;
  uint64_t mask;
  std::string_view doc;
};
std::span<const FlagCard> flag_cards();

/// The bits of an item's protocol, with kKnown set.
uint64_t protocol_of(const Record& record);
uint64_t protocol_bits(std::string_view name, std::string_view version, std::string_view abbreviation,
                       std::string_view macro);

}  // namespace baleen::kfl
