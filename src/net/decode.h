#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "net/address.h"
#include "net/defragment.h"
#include "net/packet.h"

namespace baleen::net {

/// What came of a packet. Everything but kTransport is counted by its cause and is never an error.
enum class DecodeStatus : uint8_t {
  kTransport,       // `Decoded` is whole
  kNotIp,           // ARP, LLDP, STP, ...
  kFragment,        // kept until the others come
  kUnknownLink,     // a link type that is not read
  kCutLink,         // the capture ends inside a link header
  kCutIp,           // ... inside an IP header
  kCutTransport,    // ... inside a transport header
  kBadIp,           // version, header length or total length are nonsense
  kBadTransport,    // header length is nonsense
  kTooManyLayers,   // tunnels within tunnels beyond the limit
  kBadFragment,     // overlapping, over-long, beyond the limits
  kOtherTransport,  // an IP protocol that is not read
  kCount
};
const char* to_string(DecodeStatus status);

namespace tcp_flag {
constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;
}

struct TcpFields {
  uint32_t seq = 0, ack = 0;
  uint16_t window = 0;
  uint8_t flags = 0;
  Bytes options;
};

/// What the options of a segment say (RFC 9293 3.2, RFC 7323); malformed ones end the list.
struct TcpOptions {
  uint16_t maximum_segment = 0;  // 0: not said
  uint8_t window_scale = 0;      // shift, at most 14
  bool has_window_scale = false, sack_permitted = false, has_timestamps = false;
  uint32_t timestamp = 0, timestamp_echo = 0;
};
TcpOptions tcp_options(Bytes options);

struct IcmpFields {
  uint8_t type = 0, code = 0;
  Bytes quoted;  // the IP packet that an error message quotes, from its IP header on; empty otherwise
};
/// The ends of the packet that an ICMP error quotes; nothing when its headers are not all there.
std::optional<FiveTuple> quoted_tuple(Bytes quoted);

/// A packet taken apart down to the payload of its transport. Views into the packet, or into the defragmenter's buffer
/// until its next use.
struct Decoded {
  FiveTuple tuple;               // ports are zero where the transport has none
  Bytes payload;                 // as far as it was captured
  uint32_t payload_missing = 0;  // payload bytes that were on the wire but not captured
  uint32_t ip_length = 0;        // of the innermost IP packet, its header included, as it was on the wire
  TcpFields tcp;
  IcmpFields icmp;
  uint32_t sctp_tag = 0;  // verification tag
  uint32_t checksum = 0;  // as it stands in the header of TCP, UDP or SCTP
  uint16_t vlan = 0;      // outermost VLAN id, 0 when untagged
  uint8_t tunnels = 0;    // how many tunnel headers stood around it
  bool defragmented = false;
  uint64_t datagram = 0;  // of a fragment that waits, and of what was made of some: Defragmenter::number_of()
  uint16_t more_at = 0;   // where in the packet's bytes another frame begins (A-MSDU, see next_subframe()); 0: nowhere
};

/// The frame of an A-MSDU that begins at `at` of a packet, as one of Ethernet, and in `at` where the next one begins, 0
/// when there is none.
Packet next_subframe(const Packet& packet, size_t& at);

/// Takes packets apart: link (Ethernet, cooked, loopback, NFLOG, plain IP), VLAN (802.1Q, 802.1ad), MPLS, IPv4 and
/// IPv6, fragments, VXLAN, Geneve, GRE, ERSPAN, GTP-U, IP in IP. One thread. Stateless but for the fragments that it
/// holds, within the limits of `FragmentLimits`.
class Decoder {
 public:
  explicit Decoder(const FragmentLimits& limits = {}) : fragments_(limits) {}

  DecodeStatus decode(const Packet& packet, Decoded& out);
  /// A datagram of UDP of which the first piece came, and not all others in time (`all`: nothing more will come), as
  /// far as it is there; `time` is that of its first packet. False when there is none. Its views are valid
  /// until the next call, and those of decode() stay so.
  bool next_head(Timestamp now, bool all, Decoded& out, Timestamp& time);

  uint64_t count(DecodeStatus status) const { return counts_[static_cast<size_t>(status)]; }
  const Defragmenter& fragments() const { return fragments_; }

 private:
  Defragmenter fragments_;
  std::array<uint64_t, static_cast<size_t>(DecodeStatus::kCount)> counts_{};
};

}  // namespace baleen::net
