#pragma once

#include <cstdint>

#include "base/clock.h"
#include "dissect/build.h"
#include "item/protocol.h"
#include "net/decode.h"
#include "net/sctp.h"

namespace baleen::dissect {
struct Flow;
}

namespace baleen::dissect::l4 {

struct Group;

/// What was sent, in both directions. 0: by the client ("local"), 1: by the server ("remote").
struct Traffic {
  uint64_t packets[2] = {0, 0};
  uint64_t bytes[2] = {0, 0};  // of IP packets, as they were on the wire

  Traffic since(const Traffic& earlier) const;
  void add(const Traffic& more);
  uint64_t all_packets() const { return packets[0] + packets[1]; }
};

/// One direction of a TCP connection, as far as it is needed to judge the next segment.
struct TcpSide {
  uint32_t next = 0;   // behind the highest byte that was sent
  uint32_t acked = 0;  // what this side acknowledged last
  uint32_t sampled = 0;
  uint16_t window = 0;  // as written in its last segment
  uint16_t repeated_acks = 0;
  uint8_t scale = kNoScale;
  bool started : 1 = false;
  bool acks : 1 = false;      // it has acknowledged something
  bool sampling : 1 = false;  // the acknowledgement of `sampled` will tell a round trip
  bool kept_alive : 1 = false;
  bool fin : 1 = false;
  Timestamp advanced{};  // when `next` moved
  Timestamp acked_at{};
  Timestamp sampled_at{};
  uint32_t retransmissions = 0, fast_retransmissions = 0, out_of_order = 0, missing = 0;
  uint32_t duplicate_acks = 0, zero_windows = 0, full_windows = 0, keep_alives = 0;
  uint64_t window_sum = 0;  // in bytes, of all segments but SYNs
  uint64_t goodput = 0;     // payload, each byte once

  static constexpr uint8_t kNoScale = 0xFF;
};

/// A TCP connection, SCTP association or UDP conversation as L4 sees it: what was sent, how TCP fared, what ran over
/// it. Beside its flow, and only there when L4 items are wanted. The rules are those of Wireshark's analysis of TCP
/// sequence numbers, so that its numbers can be compared.
struct Connection {
  static constexpr size_t kMostProtocols = 4;
  // Of SCTP: INIT, INIT ACK, COOKIE ECHO, DATA, SHUTDOWN, ABORT.
  enum Complete : uint8_t { kSyn = 1, kSynAck = 2, kAck = 4, kData = 8, kFin = 16, kRst = 32 };

  Flow* flow = nullptr;
  Connection* older = nullptr;  // in the order in which they are due
  Connection* newer = nullptr;
  Group* group = nullptr;
  Timestamp begin{}, last{}, reported_at{};
  Traffic sent;      // by the halves of the flow, not by client and server
  Traffic reported;  // ... up to reported_at
  TcpSide side[2];   // by half
  uint32_t handshake_us = 0, first_byte_us = 0;
  uint32_t rtt_min_us = 0, rtt_max_us = 0, rtt_samples = 0, jitter_us = 0, last_rtt_us = 0;
  uint64_t rtt_sum_us = 0;
  uint16_t resets = 0, fins = 0;
  uint8_t complete = 0;
  uint8_t icmp_type = 0, icmp_code = 0;
  uint8_t abort_cause = 0;  // of an SCTP association that was aborted with one
  bool icmp : 1 = false;    // an ICMP error quoted it
  bool icmp_v6 : 1 = false;
  bool refused : 1 = false;  // a SYN was answered by a reset
  const item::Protocol* protocols[kMostProtocols] = {};

  void observe(int from, const net::Decoded& d, Timestamp time);
  void observe_tcp(int from, const net::Decoded& d, Timestamp time, int client_half);
  /// The numbers of a side are then those of its DATA chunks and SACKs. Who sent a chunk twice is told by again_sent().
  void observe_sctp(int from, const net::Decoded& d, Timestamp time, int client_half);
  void again_sent(int from) { ++side[from].retransmissions; }
  void found(const item::Protocol& protocol);
  /// Both ends have closed it, and each knows that the other did.
  bool is_over() const;
  /// Why it failed; empty when it did not.
  std::string_view failure(bool reset, bool idle, Arena& arena) const;
  std::string_view sctp_failure(bool reset, bool idle, Arena& arena) const;

 private:
  void note_data(int from, const net::SctpData& data, uint32_t missing, Timestamp time, bool of_server);
  void note_sack(int from, Bytes body, Timestamp time);
};

/// The 24 numbers of TCP; REQUIRES a TCP connection. `local` is the client's half.
item::Value tcp_metrics(const Connection& connection, int local, Arena& arena);
/// Those of SCTP; REQUIRES an association.
item::Value sctp_metrics(const Connection& connection, int local, Arena& arena);
/// Why an association was aborted, in words (RFC 9260 3.3.10); empty when nothing was said.
std::string_view abort_cause_name(uint8_t cause, Arena& arena);
/// Names of what was found in it, as badges say: ["HTTP"].
item::Value protocols_seen(std::span<const item::Protocol* const> protocols, Arena& arena);

}  // namespace baleen::dissect::l4
