#include "kfl/closed_sets.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.h"

namespace baleen::kfl {
namespace {

constexpr std::string_view kMethods[] = {"GET",  "POST",    "PUT",     "DELETE", "PATCH",
                                         "HEAD", "OPTIONS", "CONNECT", "TRACE"};
constexpr std::string_view kAbbreviations[] = {"HTTP",       "HTTP/2", "gRPC", "GQL",    "WS",       "DNS",     "REDIS",
                                               "KAFKA",      "AMQP",   "LDAP", "RADIUS", "DIAMETER", "MONGODB", "MYSQL",
                                               "POSTGRESQL", "TLS",    "TCP",  "UDP",    "SCTP",     "ICMP"};
constexpr std::string_view kNames[] = {"http", "dns",    "redis",    "kafka",   "amqp",  "ws",
                                       "ldap", "radius", "diameter", "mongodb", "mysql", "postgresql",
                                       "tls",  "tcp",    "udp",      "sctp",    "icmp"};
constexpr std::string_view kSources[] = {"unspecified", "af_packet", "ebpf", "ebpf_tls"};
constexpr std::string_view kBackends[] = {"af_packet", "ebpf"};
constexpr std::string_view kOpcodes[] = {"text", "binary", "close", "ping", "pong"};
constexpr std::string_view kStates[] = {"open", "in_progress", "closed"};
constexpr std::string_view kErrors[] = {"dissection", "connection", "timeout", "pair-not-found"};
constexpr std::string_view kVersions[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2"};
constexpr std::string_view kLayer4[] = {"tcp", "udp", "sctp", "icmp"};

struct Set {
  std::string_view name;
  std::span<const std::string_view> values;
};
constexpr Set kSets[] = {
    {"method", kMethods},           {"request.method", kMethods},
    {"protocol", kAbbreviations},   {"protocol.abbr", kAbbreviations},
    {"protocol.name", kNames},      {"protocol.layer4", kLayer4},
    {"capture_source", kSources},   {"capture.source", kSources},
    {"capture_backend", kBackends}, {"capture.backend", kBackends},
    {"ws_opcode", kOpcodes},        {"conn_state", kStates},
    {"flow_state", kStates},        {"error.type", kErrors},
    {"http_version", kVersions},    {"request.httpVersion", kVersions},
};

}  // namespace

std::span<const std::string_view> closed_set(std::string_view name) {
  for (const Set& s : kSets)
    if (s.name == name) return s.values;
  return {};
}

void warn_closed_set(std::string_view name, std::string_view value, size_t begin, size_t end, Diagnoser& diagnose) {
  const auto values = closed_set(name);
  if (values.empty() || value.empty() || std::find(values.begin(), values.end(), value) != values.end()) return;
  const std::string_view near = suggest(value, values);
  if (!near.empty())
    diagnose.warning(begin, end, fmt::format("{} is no value that {} usually has", shown(value), name),
                     fmt::format("did you mean \"{}\"?", near));
}

}  // namespace baleen::kfl
