#include "dissect/l4/connection.h"

#include <algorithm>

#include "dissect/l4/icmp.h"
#include "net/sctp.h"
#include "net/tcp.h"

// The judgement of segments. The order of the questions matters: a keep-alive looks like a retransmission of one byte,
// a retransmission after duplicate acknowledgements is a fast one, one that comes right after its successors was only
// reordered on its way to us.

namespace baleen::dissect::l4 {

using item::Value;
using net::seq_less;

namespace {

constexpr Duration kFast = std::chrono::milliseconds(20);    // since the acknowledgement that asked for it
constexpr Duration kReorder = std::chrono::milliseconds(3);  // without a known round trip
constexpr uint8_t kControl = net::tcp_flag::kSyn | net::tcp_flag::kFin | net::tcp_flag::kRst;

uint32_t microseconds(Duration d) {
  return static_cast<uint32_t>(std::clamp<int64_t>(d.count() / 1000, 0, UINT32_MAX));
}

uint32_t window_of(const TcpSide& side) {
  return uint32_t{side.window} << (side.scale == TcpSide::kNoScale ? 0 : side.scale);
}

/// The sequence numbers that a segment uses up.
struct Segment {
  uint32_t seq, payload, length;
  uint32_t end() const { return seq + length; }
};

/// Whether a segment that only acknowledges says again what the last one said.
bool repeats(const TcpSide& side, const net::TcpFields& tcp, const Segment& s) {
  return s.payload == 0 && (tcp.flags & kControl) == 0 && side.acks && tcp.window != 0 && tcp.window == side.window &&
         s.seq == side.next && tcp.ack == side.acked;
}

void judge_again_sent(Connection& c, TcpSide& side, const TcpSide& peer, const Segment& s, Timestamp time) {
  if (peer.repeated_acks >= 2 && peer.acked == s.seq && time - peer.acked_at < kFast) {
    ++side.fast_retransmissions;
    ++side.retransmissions;
    side.sampling = false;
    return;
  }
  const bool acknowledged = peer.acks && !seq_less(peer.acked, s.end());
  const Duration reorder =
      c.handshake_us != 0 ? Duration(std::chrono::microseconds(c.handshake_us)) : Duration(kReorder);
  if (!acknowledged && time - side.advanced < reorder && side.next != s.end()) {
    ++side.out_of_order;
    side.goodput += s.payload;
    return;
  }
  ++side.retransmissions;
  side.sampling = false;  // nobody knows which of the two was acknowledged (Karn)
}

void judge_sequence(Connection& c, TcpSide& side, const TcpSide& peer, const net::TcpFields& tcp, const Segment& s,
                    Timestamp time) {
  const bool control = (tcp.flags & kControl) != 0;
  if (side.started && seq_less(side.next, s.seq) && (tcp.flags & net::tcp_flag::kRst) == 0) ++side.missing;
  const bool alive = side.started && s.payload <= 1 && !control && s.seq == side.next - 1;
  if (alive) ++side.keep_alives;
  if (s.payload != 0 && !control && peer.scale != TcpSide::kNoScale && peer.acks &&
      s.end() == peer.acked + window_of(peer))
    ++side.full_windows;
  if (!alive && s.length != 0 && side.started && seq_less(s.seq, side.next)) {
    judge_again_sent(c, side, peer, s, time);
  } else if (!alive && s.payload != 0 && peer.acks && !seq_less(peer.acked, s.seq + s.payload)) {
    ++side.retransmissions;  // its receiver has it already: it comes late, or again
  }
  side.kept_alive = alive;
}

void judge_acknowledgement(TcpSide& side, const TcpSide& peer, const net::TcpFields& tcp, const Segment& s,
                           Timestamp time) {
  const bool same = repeats(side, tcp, s);
  if (same && !peer.kept_alive) {
    ++side.duplicate_acks;
    ++side.repeated_acks;
  } else if (!side.acks || tcp.ack != side.acked) {
    side.repeated_acks = 0;
  }
  side.acked = tcp.ack;
  side.acked_at = time;
  side.acks = true;
}

void sample_round_trip(Connection& c, TcpSide& peer, uint32_t ack, Timestamp time) {
  if (!peer.sampling || seq_less(ack, peer.sampled)) return;
  peer.sampling = false;
  const uint32_t rtt = microseconds(time - peer.sampled_at);
  c.rtt_min_us = c.rtt_samples == 0 ? rtt : std::min(c.rtt_min_us, rtt);
  c.rtt_max_us = std::max(c.rtt_max_us, rtt);
  c.rtt_sum_us += rtt;
  if (c.rtt_samples != 0) {  // smoothed as in RFC 3550 6.4.1
    const int64_t change = std::abs(int64_t{rtt} - int64_t{c.last_rtt_us});
    c.jitter_us = static_cast<uint32_t>(int64_t{c.jitter_us} + (change - int64_t{c.jitter_us}) / 16);
  }
  c.last_rtt_us = rtt;
  ++c.rtt_samples;
}

}  // namespace

Traffic Traffic::since(const Traffic& earlier) const {
  Traffic out = *this;
  for (int i = 0; i < 2; ++i) {
    out.packets[i] -= earlier.packets[i];
    out.bytes[i] -= earlier.bytes[i];
  }
  return out;
}

void Traffic::add(const Traffic& more) {
  for (int i = 0; i < 2; ++i) {
    packets[i] += more.packets[i];
    bytes[i] += more.bytes[i];
  }
}

void Connection::observe(int from, const net::Decoded& d, Timestamp time) {
  ++sent.packets[from];
  sent.bytes[from] += d.ip_length;
  if (time > last) last = time;
}

void Connection::observe_tcp(int from, const net::Decoded& d, Timestamp time, int client_half) {
  observe(from, d, time);
  TcpSide& me = side[from];
  TcpSide& peer = side[1 - from];
  const net::TcpFields& tcp = d.tcp;
  const bool syn = (tcp.flags & net::tcp_flag::kSyn) != 0, fin_set = (tcp.flags & net::tcp_flag::kFin) != 0,
             ack = (tcp.flags & net::tcp_flag::kAck) != 0;
  const auto payload = static_cast<uint32_t>(d.payload.size()) + d.payload_missing;
  if ((tcp.flags & net::tcp_flag::kRst) != 0) {
    ++resets;
    refused = refused || (complete & (kSynAck | kData)) == 0;
    complete |= kRst;
    return;
  }
  if (syn) {
    const net::TcpOptions options = net::tcp_options(tcp.options);
    me.scale = options.has_window_scale ? options.window_scale : 0;
    complete |= ack ? kSynAck : kSyn;
    // Scaling is on when both ask for it (RFC 7323 2.2).
    if (ack && (!options.has_window_scale || peer.scale == TcpSide::kNoScale)) me.scale = peer.scale = 0;
  } else if (ack && (complete & (kSyn | kSynAck | kAck)) == (kSyn | kSynAck)) {
    complete |= kAck;
    handshake_us = microseconds(time - begin);
  }
  const Segment s{tcp.seq, payload, payload + (syn ? 1 : 0) + (fin_set ? 1 : 0)};
  if (tcp.window == 0 && (tcp.flags & kControl) == 0) ++me.zero_windows;
  judge_sequence(*this, me, peer, tcp, s, time);
  if (ack) {
    judge_acknowledgement(me, peer, tcp, s, time);
    sample_round_trip(*this, peer, tcp.ack, time);
  }
  me.window = tcp.window;
  if (!syn) me.window_sum += window_of(me);
  if (payload != 0) {
    complete |= kData;
    if (from != client_half && first_byte_us == 0) first_byte_us = microseconds(time - begin);
  }
  if (!me.started || seq_less(me.next, s.end())) {
    const uint32_t fresh = me.started ? std::min(payload, s.end() - me.next) : payload;
    if (payload != 0) me.goodput += fresh;
    if (!me.sampling && s.length != 0) {
      me.sampling = true;
      me.sampled = s.end();
      me.sampled_at = time;
    }
    if (s.length != 0) me.advanced = time;
    me.next = s.end();
    me.started = true;
  }
  if (fin_set && !me.fin) {
    me.fin = true;
    complete |= kFin;
  }
  fins = static_cast<uint16_t>(fins + (fin_set ? 1 : 0));
}

void Connection::observe_sctp(int from, const net::Decoded& d, Timestamp time, int client_half) {
  observe(from, d, time);
  TcpSide& me = side[from];
  net::SctpChunks chunks(d.payload, d.payload_missing);
  net::SctpChunk chunk;
  while (chunks.next(chunk)) {
    namespace type = net::sctp_chunk;
    switch (chunk.type) {
      case type::kInit: complete |= kSyn; break;
      case type::kInitAck: complete |= kSynAck; break;
      case type::kCookieEcho: complete |= kAck; break;
      case type::kCookieAck:
        if ((complete & kSyn) != 0 && handshake_us == 0) handshake_us = microseconds(time - begin);
        break;
      case type::kHeartbeat: ++me.keep_alives; break;
      case type::kShutdown:
        complete |= kFin;
        me.fin = true;
        ++fins;
        break;
      case type::kAbort:
        refused = refused || ((complete & kSyn) != 0 && (complete & (kAck | kData)) == 0);
        complete |= kRst;
        ++resets;
        if (chunk.body.size() >= 2) abort_cause = static_cast<uint8_t>(load_be16(chunk.body.data()));
        break;
      case type::kSack: note_sack(from, chunk.body, time); break;
      default:
        if (const auto data = net::sctp_data(chunk)) note_data(from, *data, chunk.missing, time, from != client_half);
        break;
    }
  }
}

void Connection::note_data(int from, const net::SctpData& data, uint32_t missing, Timestamp time, bool of_server) {
  TcpSide& me = side[from];
  complete |= kData;
  if (of_server && first_byte_us == 0) first_byte_us = microseconds(time - begin);
  if (me.started && seq_less(data.tsn, me.next)) {
    me.sampling = false;
    return;
  }
  if (me.started && me.next != data.tsn) ++me.missing;
  me.started = true;
  me.next = data.tsn + 1;
  me.goodput += data.bytes.size() + missing;
  if (me.sampling) return;
  me.sampling = true;
  me.sampled = me.next;
  me.sampled_at = time;
}

void Connection::note_sack(int from, Bytes body, Timestamp time) {  // RFC 9260 3.3.4
  if (body.size() < 12) return;
  TcpSide& me = side[from];
  if (load_be32(&body[4]) == 0) ++me.zero_windows;
  me.duplicate_acks += load_be16(&body[10]);
  sample_round_trip(*this, side[1 - from], load_be32(body.data()) + 1, time);
}

void Connection::found(const item::Protocol& protocol) {
  for (const item::Protocol*& p : protocols) {
    if (p == &protocol) return;
    if (p != nullptr) continue;
    p = &protocol;
    return;
  }
}

bool Connection::is_over() const {
  return side[0].fin && side[1].fin && !seq_less(side[0].acked, side[1].next) && !seq_less(side[1].acked, side[0].next);
}

std::string_view Connection::failure(bool reset, bool idle, Arena& arena) const {
  const bool answered = sent.packets[0] != 0 && sent.packets[1] != 0;
  if (icmp && !answered) return join({"ICMP: ", icmp_name(icmp_v6, icmp_type, icmp_code, arena)}, arena);
  if (refused) return "Reset: the connection was refused";
  if (reset) return "Reset: the connection was reset";
  if (!idle || complete == 0) return {};
  if ((complete & kSyn) != 0 && !answered) return "SynSent: nobody answered";
  if (side[0].fin != side[1].fin) return "CloseWait: only one end closed the connection";
  if (side[0].fin && !is_over()) return "LastAck: the last end of stream was not acknowledged";
  return {};
}

std::string_view Connection::sctp_failure(bool reset, bool idle, Arena& arena) const {
  const bool answered = sent.packets[0] != 0 && sent.packets[1] != 0;
  if (icmp && !answered) return join({"ICMP: ", icmp_name(icmp_v6, icmp_type, icmp_code, arena)}, arena);
  if (refused) return "Abort: the association was refused";
  if (reset) return "Abort: the association was aborted";
  if (!idle) return {};
  if ((complete & kSyn) != 0 && !answered) return "CookieWait: nobody answered";
  if ((complete & kAck) != 0 && (complete & kSyn) != 0 && handshake_us == 0 && (complete & kData) == 0)
    return "CookieEchoed: the cookie was not acknowledged";
  return {};
}

std::string_view abort_cause_name(uint8_t cause, Arena& arena) {
  static constexpr Name kCauses[] = {{1, "InvalidStreamIdentifier"},
                                     {2, "MissingMandatoryParameter"},
                                     {3, "StaleCookie"},
                                     {4, "OutOfResource"},
                                     {5, "UnresolvableAddress"},
                                     {6, "UnrecognizedChunkType"},
                                     {7, "InvalidMandatoryParameter"},
                                     {8, "UnrecognizedParameters"},
                                     {9, "NoUserData"},
                                     {10, "CookieReceivedWhileShuttingDown"},
                                     {11, "RestartWithNewAddresses"},
                                     {12, "UserInitiatedAbort"},
                                     {13, "ProtocolViolation"}};
  if (cause == 0) return {};
  const std::string_view name = name_in(kCauses, cause);
  return !name.empty() ? name : decimal(cause, arena);
}

namespace {

void add_round_trips(MapOf& map, const Connection& c) {
  map.add("rtt_min_us", Value(c.rtt_min_us));
  map.add("rtt_max_us", Value(c.rtt_max_us));
  map.add("rtt_avg_us", Value(c.rtt_samples == 0 ? uint64_t{0} : c.rtt_sum_us / c.rtt_samples));
  map.add("rtt_samples", Value(c.rtt_samples));
  map.add("jitter_us", Value(c.jitter_us));
}

}  // namespace

Value sctp_metrics(const Connection& c, int local, Arena& arena) {
  const auto sum = [&](auto TcpSide::* number) { return uint64_t{c.side[0].*number} + uint64_t{c.side[1].*number}; };
  MapOf map(arena);
  map.add("retransmissions", Value(sum(&TcpSide::retransmissions)));
  map.add("local_retransmissions", Value(uint64_t{c.side[local].retransmissions}));
  map.add("remote_retransmissions", Value(uint64_t{c.side[1 - local].retransmissions}));
  map.add("duplicate_tsns", Value(sum(&TcpSide::duplicate_acks)));
  map.add("missing_chunks", Value(sum(&TcpSide::missing)));
  map.add("zero_window_events", Value(sum(&TcpSide::zero_windows)));
  map.add("heartbeat_count", Value(sum(&TcpSide::keep_alives)));
  map.add("abort_count", Value(int{c.resets}));
  map.add("shutdown_count", Value(int{c.fins}));
  map.add("connection_completeness", Value(int{c.complete}));
  map.add("handshake_time_us", Value(c.handshake_us));
  map.add("connection_time_us", Value(int64_t{(c.last - c.begin).count() / 1000}));
  map.add("time_to_first_byte_us", Value(c.first_byte_us));
  add_round_trips(map, c);
  map.add("goodput_bytes", Value(sum(&TcpSide::goodput)));
  return map.build();
}

Value tcp_metrics(const Connection& c, int local, Arena& arena) {
  const auto sum = [&](auto TcpSide::* number) { return uint64_t{c.side[0].*number} + uint64_t{c.side[1].*number}; };
  const uint64_t packets = c.sent.all_packets(), again = sum(&TcpSide::retransmissions);
  const uint8_t scale = c.side[local].scale;
  MapOf map(arena);
  map.add("retransmissions", Value(again));
  map.add("local_retransmissions", Value(uint64_t{c.side[local].retransmissions}));
  map.add("remote_retransmissions", Value(uint64_t{c.side[1 - local].retransmissions}));
  map.add("fast_retransmissions", Value(sum(&TcpSide::fast_retransmissions)));
  map.add("retransmission_rate", Value(packets == 0 ? 0.0 : static_cast<double>(again) / static_cast<double>(packets)));
  map.add("zero_window_events", Value(sum(&TcpSide::zero_windows)));
  map.add("window_full_events", Value(sum(&TcpSide::full_windows)));
  map.add("window_scale", scale == TcpSide::kNoScale ? Value(-1) : Value(int{scale}));
  map.add("avg_receive_window", Value(packets == 0 ? uint64_t{0} : sum(&TcpSide::window_sum) / packets));
  map.add("out_of_order", Value(sum(&TcpSide::out_of_order)));
  map.add("dup_acks", Value(sum(&TcpSide::duplicate_acks)));
  map.add("missing_segments", Value(sum(&TcpSide::missing)));
  map.add("rst_count", Value(int{c.resets}));
  map.add("fin_count", Value(int{c.fins}));
  map.add("keepalive_count", Value(sum(&TcpSide::keep_alives)));
  map.add("connection_completeness", Value(int{c.complete}));
  map.add("initial_rtt_us", Value(c.handshake_us));
  map.add("handshake_time_us", Value(c.handshake_us));
  map.add("connection_time_us", Value(int64_t{(c.last - c.begin).count() / 1000}));
  map.add("time_to_first_byte_us", Value(c.first_byte_us));
  add_round_trips(map, c);
  map.add("goodput_bytes", Value(sum(&TcpSide::goodput)));
  return map.build();
}

Value protocols_seen(std::span<const item::Protocol* const> protocols, Arena& arena) {
  ListOf list(arena);
  for (const item::Protocol* p : protocols)
    if (p != nullptr) list.push(Value(p->abbreviation));
  return list.build();
}

}  // namespace baleen::dissect::l4
