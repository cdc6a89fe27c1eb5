#include "net/address.h"

#include <arpa/inet.h>

#include <charconv>

#include "base/bytes.h"

namespace baleen::net {
namespace {

size_t write_v4(const uint8_t* four, char* out) {
  char* at = out;
  for (int i = 0; i < 4; ++i) {
    if (i != 0) *at++ = '.';
    at = std::to_chars(at, at + 3, four[i]).ptr;
  }
  return static_cast<size_t>(at - out);
}

struct Run {
  int start = -1;
  int length = 0;
};

/// The longest run of at least two zero groups, the first of equals (RFC 5952 4.2).
Run longest_zero_run(const uint16_t (&groups)[8]) {
  Run best;
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i >= 2 && end - i > best.length) best = {i, end - i};
    i = end == i ? i + 1 : end;
  }
  return best;
}

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof buffer) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  uint8_t raw[16];
  if (inet_pton(AF_INET, buffer, raw) == 1) return v4(raw);
  if (inet_pton(AF_INET6, buffer, raw) == 1) return v6(raw);
  return std::nullopt;
}

size_t write_address(const IpAddress& address, char* out) {
  if (address.is_v4()) return write_v4(&address.bytes[12], out);
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = load_be16(&address.bytes[static_cast<size_t>(2 * i)]);
  const Run zeros = longest_zero_run(groups);
  char* at = out;
  for (int i = 0; i < 8; ++i) {
    if (i == zeros.start) {
      *at++ = ':';
      *at++ = ':';
      i += zeros.length - 1;
      continue;
    }
    if (i != 0 && at[-1] != ':') *at++ = ':';
    at = std::to_chars(at, at + 4, groups[i], 16).ptr;
  }
  return static_cast<size_t>(at - out);
}

std::string to_string(const IpAddress& address) {
  char buffer[46];
  return std::string(buffer, write_address(address, buffer));
}

const char* to_string(Transport transport) {
  switch (transport) {
    case Transport::kTcp: return "tcp";
    case Transport::kUdp: return "udp";
    case Transport::kIcmp: return "icmp";
    case Transport::kIcmp6: return "icmp6";
    case Transport::kSctp: return "sctp";
    case Transport::kOther: return "other";
  }
  return "other";
}

std::string to_string(const Endpoint& endpoint) {
  const std::string ip = to_string(endpoint.ip);
  return (endpoint.ip.is_v4() ? ip : "[" + ip + "]") + ":" + std::to_string(endpoint.port);
}

void set_flow_key(const FiveTuple& tuple, DirectedKey& key) {
  // Port first: in nearly every flow it decides without looking at the addresses.
  key.from_low = tuple.src.port != tuple.dst.port ? tuple.src.port < tuple.dst.port : tuple.src.ip <= tuple.dst.ip;
  key.key.low.set(key.from_low ? tuple.src : tuple.dst);
  key.key.high.set(key.from_low ? tuple.dst : tuple.src);
  key.key.transport = tuple.transport;
  key.key.channel = 0;
}

DirectedKey flow_key(const FiveTuple& tuple) {
  DirectedKey key;
  set_flow_key(tuple, key);
  return key;
}

uint64_t hash(const FlowKey& key, uint64_t seed) {
  // The folded multiplication of wyhash (public domain). Without the seed a product of zero can be had for the asking.
  const uint64_t a = 0xa0761d6478bd642f ^ seed, b = 0xe7037ed1a0b428db + seed, c = 0x8ebc6af09c88c6e3 ^ seed;
  const uint64_t ports =
      uint64_t{key.low.port} << 32 | uint64_t{key.high.port} << 8 | static_cast<uint8_t>(key.transport);
  const uint64_t low = mix(load_le64(&key.low.ip.bytes[0]) ^ a, load_le64(&key.low.ip.bytes[8]) ^ b);
  const uint64_t high = mix(load_le64(&key.high.ip.bytes[0]) ^ b, load_le64(&key.high.ip.bytes[8]) ^ c);
  return mix(low ^ ports ^ key.channel * 0x9E3779B97F4A7C15, high ^ a);
}

}  // namespace baleen::net
