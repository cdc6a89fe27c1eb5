#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace baleen::net {

/// An IPv4 or IPv6 address in 16 bytes; IPv4 is kept IPv4-mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that a
/// dual-stack socket's address and the packet's compare equal.
struct IpAddress {
  using Word16 = uint64_t __attribute__((vector_size(16)));

  std::array<uint8_t, 16> bytes{};

  static IpAddress v4(const uint8_t* four) {
    IpAddress a;
    a.set_v4(four);
    return a;
  }
  static IpAddress v6(const uint8_t* sixteen) {
    IpAddress a;
    std::memcpy(a.bytes.data(), sixteen, 16);
    return a;
  }
  /// Written in one go: who reads it next, with the next instructions perhaps, reads it in one go, and a processor
  /// passes on what is being written only to reads that lie within one write.
  void set_v4(const uint8_t* four) {
    uint32_t word;
    std::memcpy(&word, four, 4);
    const Word16 whole = std::endian::native == std::endian::little ? Word16{0, uint64_t{word} << 32 | 0xFFFF0000}
                                                                    : Word16{0, uint64_t{0xFFFF} << 32 | word};
    std::memcpy(bytes.data(), &whole, 16);
  }
  /// The same for a copy.
  void set(const IpAddress& other) {
    Word16 whole;
    std::memcpy(&whole, other.bytes.data(), 16);
    std::memcpy(bytes.data(), &whole, 16);
  }
  /// "10.0.0.1" or "fe80::1" (no zone); nothing for anything else.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return std::memcmp(bytes.data(), kMapped, 12) == 0;
  }
  auto operator<=>(const IpAddress&) const = default;
  /// Two words: the flow of every packet is looked for by this, and std::array would call memcmp().
  bool operator==(const IpAddress& other) const {
    uint64_t a[2], b[2];
    std::memcpy(a, bytes.data(), 16);
    std::memcpy(b, other.bytes.data(), 16);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
  }
};

/// Writes "10.0.0.1" or RFC 5952 text to `out`, which has room for 46 bytes; returns its length. Does not allocate.
size_t write_address(const IpAddress& address, char* out);
std::string to_string(const IpAddress& address);

enum class Transport : uint8_t { kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58, kSctp = 132, kOther = 255 };
const char* to_string(Transport transport);  // "tcp"

struct Endpoint {
  IpAddress ip;
  uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
  /// A copy as IpAddress::set() makes it.
  void set(const Endpoint& other) {
    ip.set(other.ip);
    port = other.port;
  }
};
/// "10.0.0.1:80", "[fe80::1]:80".
std::string to_string(const Endpoint& endpoint);

/// As written in a packet.
struct FiveTuple {
  Endpoint src, dst;
  Transport transport = Transport::kOther;
};

/// The same for both directions of a flow.
struct FlowKey {
  Endpoint low, high;
  Transport transport = Transport::kOther;
  uint32_t channel = 0;  // of an SCTP association: which of its conversations; zero for flows of packets
  bool operator==(const FlowKey&) const = default;
};
/// The key, and whether the packet went from `low` to `high`.
struct DirectedKey {
  FlowKey key;
  bool from_low;
};
DirectedKey flow_key(const FiveTuple& tuple);
void set_flow_key(const FiveTuple& tuple, DirectedKey& key);
/// 64 well-mixed bits. Tables that strangers fill choose a secret `seed`, so that nobody can make keys that collide.
uint64_t hash(const FlowKey& key, uint64_t seed = 0);

}  // namespace baleen::net
