#pragma once

// The head that a load balancer puts before the bytes of the connection that it passes on, so that the server knows
// whose they are: "The PROXY protocol" of HAProxy (doc/proxy-protocol.txt), version 1 (2.1, a line) and 2 (2.2, binary,
// with TLVs). It stands at the beginning of a TCP stream, or of each datagram, before whatever protocol follows.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"
#include "net/address.h"

namespace baleen::dissect {

/// What such a head announces. Texts are as they were sent.
struct ProxyHead {
  uint8_t version = 0;         // 1 or 2
  uint8_t number = 1;          // of heads that stand before these bytes, this one included; it is the last of them
  bool local = false;          // LOCAL: the balancer speaks for itself, to see whether the server lives (2.2)
  std::string_view transport;  // "TCP4", "TCP6", "UDP4", "UDP6", "UNIX", "UNIX-DGRAM" or "UNKNOWN"
  bool has_ends = false;
  net::Endpoint source, destination;          // where `has_ends`
  std::string source_path, destination_path;  // of UNIX sockets
  // TLVs, empty where there are none (2.2.1 to 2.2.7).
  std::string alpn, authority, unique_id, net_namespace;
  std::string vpc_endpoint;  // AWS: type 0xEA, subtype 1
  bool has_tls = false;      // PP2_TYPE_SSL
  uint8_t tls_client = 0;    // its bits
  uint32_t tls_verify = 0;
  std::string tls_version, tls_common_name, tls_cipher, tls_signature, tls_key;
  enum class Checksum : uint8_t { kNone, kRight, kWrong } checksum = Checksum::kNone;

  /// As items show it. Everything is copied into the arena.
  item::Value value(Arena& arena) const;
};

/// Whether a head stands at the front of these bytes; kNo and kYes are final for every continuation.
struct ProxyReading {
  enum class Kind : uint8_t { kNo, kNeed, kYes } kind;
  size_t bytes = 0;  // kYes: the head's length, which may go beyond what is there
};

/// Bytes of a head of version 2 that are read; of a longer one the rest is passed over.
inline constexpr size_t kProxyHeadRead = 16 + 2048;

/// Whether bytes that begin so could be one: what every other stream is asked, once.
inline bool may_be_proxy_head(Bytes bytes) { return !bytes.empty() && (bytes[0] == 'P' || bytes[0] == '\r'); }

/// REQUIRES: may_be_proxy_head().
ProxyReading read_proxy_head(Bytes bytes, ProxyHead& head);

}  // namespace baleen::dissect
