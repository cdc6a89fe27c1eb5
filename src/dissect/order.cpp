#include <algorithm>

#include "dissect/engine.h"

// Order. Within a direction net::TcpHalf orders bytes by their numbers. Between directions acknowledgements do: a
// segment that acknowledges bytes of its peer which we have not seen waits until they come (its half is `blocked`), so
// that packets which the capture reordered do not show an answer before its question. Every wait has an end: a number
// of packets, a time by the packets' clocks, or an amount of bytes. Then what is missing is taken for lost, and the
// dissector is told.
//
// A SYN may carry bytes (TCP Fast Open, RFC 7413), which its answer acknowledges: where the answer is there first, what
// follows it waits for the SYN, or for anything else of its sender.
//
// At rest one half at most is blocked: when the next segments of both are there and each acknowledges bytes of the
// other's (one of them is a later copy), no packet to come could help, and the client's goes first.

namespace baleen::dissect {
namespace {

using net::seq_less;

constexpr uint32_t kLargestWindow = 1u << 30;  // RFC 7323 2.2
constexpr uint32_t kFarBack = 1u << 24;        // nobody retransmits what is 16 MiB old
constexpr uint32_t kFarAhead = 1u << 26;
constexpr uint8_t kMostStrays = 8;
constexpr uint32_t kJoinWindow = 64 << 10;  // bytes that may be under way where we join a connection

}  // namespace

void Engine::on_tcp(const net::Packet& packet, const Slot& slot) {
  ++counters_.tcp_packets;
  const net::Decoded& d = slot.decoded;
  const net::TcpFields& tcp = d.tcp;
  const int from = slot.key.from_low ? 0 : 1;
  Flow* flow = table_.find(slot.key.key, slot.hash);
  if (flow != nullptr && is_reuse(*flow, from, tcp)) {
    ++counters_.reused_ports;
    close(*flow, StreamEnd::kReused);
    release(*flow);
    flow = nullptr;
  }
  if (flow == nullptr) {
    if ((tcp.flags & net::tcp_flag::kRst) != 0 && d.payload.empty()) {
      ++counters_.stray_packets;
      return tell_loose(packet);
    }
    flow = open(slot, Flow::List::kTcpOpening, packet);
  }
  flow->last = packet.time;
  flow->heard[from] = true;
  flow_ = flow;
  tell(*flow, packet, d);
  if (options_.l4.tcp) {
    tell_segment(*flow, from, packet, d);
  } else if (flow->connection != nullptr) {
    flow->connection->observe_tcp(from, d, packet.time, flow->client_half);
  }
  if (flow->connection != nullptr && flow->closed && flow->connection->is_over()) end_watch(*flow, StreamEnd::kFin);
  if (flow->closed) return;
  constexpr uint8_t kTurns = net::tcp_flag::kSyn | net::tcp_flag::kFin | net::tcp_flag::kRst;
  if (flow->state == Flow::State::kIgnored && (tcp.flags & kTurns) == 0 && !flow->half[from].tcp.end_known() &&
      !is_waiting(*flow)) {  // half of all packets, in many networks
    if (!d.payload.empty() || d.payload_missing != 0) follow(*flow, from, d, tcp.seq);
    return file(*flow);
  }

  const bool syn = (tcp.flags & net::tcp_flag::kSyn) != 0, rst = (tcp.flags & net::tcp_flag::kRst) != 0;
  if (flow->half[from].syn_due) end_syn_due(*flow, from, d);
  if (syn) on_syn(*flow, from, tcp);
  if ((tcp.flags & net::tcp_flag::kAck) != 0 && !rst) {
    Half& peer = flow->half[1 - from];
    if (!peer.ack_known || seq_less(peer.acked, tcp.ack)) peer.acked = tcp.ack;
    peer.ack_known = true;
  }
  if (!d.payload.empty() || d.payload_missing != 0 || (tcp.flags & net::tcp_flag::kFin) != 0)
    on_segment(*flow, from, d, tcp.seq + (syn ? 1 : 0), packet.time);
  if (is_waiting(*flow)) check_waiting(*flow, packet.time);
  if (rst) return on_reset(*flow, from, tcp);
  check_ends(*flow);
  if (!flow->closed) file(*flow);
}

/// A SYN with another initial sequence number than the flow's is another connection between the same ports.
bool Engine::is_reuse(const Flow& flow, int from, const net::TcpFields& tcp) const {
  if ((tcp.flags & net::tcp_flag::kSyn) == 0 || (tcp.flags & net::tcp_flag::kRst) != 0) return false;
  if (flow.isn_known[from]) return flow.isn[from] != tcp.seq;
  if ((tcp.flags & net::tcp_flag::kAck) != 0) return flow.closed;
  // A SYN after bytes of the same sender: unless it is the late SYN of just these bytes.
  const net::TcpHalf& half = flow.half[from].tcp;
  return flow.closed || (half.started() && half.next() - (tcp.seq + 1) > kFarBack);
}

void Engine::on_syn(Flow& flow, int from, const net::TcpFields& tcp) {
  if (!flow.isn_known[from]) {
    flow.isn_known[from] = true;
    flow.isn[from] = tcp.seq;
    if (!flow.half[from].tcp.started()) flow.half[from].tcp.start(tcp.seq + 1);
  }
  // What it answers may come later: the stream of its peer begins there all the same, and what acknowledges bytes of it
  // waits for them.
  const bool answer = (tcp.flags & net::tcp_flag::kAck) != 0;
  if (Half& peer = flow.half[1 - from]; answer && !peer.tcp.started()) {
    peer.tcp.start(tcp.ack);
    peer.syn_due = flow.state != Flow::State::kIgnored;
  }
  if (flow.oriented) return;  // of a simultaneous open the first SYN's sender is the client
  flow.client_half = static_cast<uint8_t>(answer ? 1 - from : from);
  flow.oriented = true;
}

/// The SYN that was answered before it was there has come, and its bytes, if it has any, are the first; or another
/// packet of its sender, and it will not come. What waited for it goes on, behind the bytes of this packet.
void Engine::end_syn_due(Flow& flow, int from, const net::Decoded& d) {
  Half& half = flow.half[from];
  half.syn_due = false;
  const bool syn = (d.tcp.flags & (net::tcp_flag::kSyn | net::tcp_flag::kAck)) == net::tcp_flag::kSyn;
  if (syn && half.tcp.next() - (d.tcp.seq + 1) < kJoinWindow) half.tcp.start(d.tcp.seq + 1);
  if (d.payload.empty() && flow.blocked != 2) deliver(flow);
}

/// Of a flow that nobody reads only the numbers are followed, so that its end is seen.
void Engine::follow(Flow& flow, int from, const net::Decoded& d, uint32_t seq) {
  net::TcpHalf& half = flow.half[from].tcp;
  const uint32_t end = seq + static_cast<uint32_t>(d.payload.size()) + d.payload_missing;
  if (!half.started()) half.start(seq);
  if (seq_less(half.next(), end)) half.lose(end - half.next());
  if ((d.tcp.flags & net::tcp_flag::kFin) != 0 && half.next() == end) half.set_end(end);
}

/// Whether a segment belongs to what this direction said until now. After several in a row that do not, the direction
/// goes on where they are: the capture may have missed more than the numbers can tell, or a forged SYN misled us.
bool Engine::on_track(Flow& flow, int from, uint32_t seq, uint32_t end) {
  Half& half = flow.half[from];
  const uint32_t ahead = seq - half.tcp.next(), back = half.tcp.next() - end;
  if (ahead < kFarAhead || back < kFarBack || end - half.tcp.next() < kFarAhead) {
    half.strays = 0;
    return true;
  }
  ++counters_.stray_packets;
  if (++half.strays < kMostStrays) return false;
  half.strays = 0;
  ++counters_.lost_tracks;
  give_up_holes(flow);
  half.tcp.clear(store_);
  half.tcp.restart(seq);
  half.ack_known = false;
  lose(flow, from, 0);
  return true;
}

void Engine::on_segment(Flow& flow, int from, const net::Decoded& d, uint32_t seq, Timestamp time) {
  if (flow.state == Flow::State::kIgnored) return follow(flow, from, d, seq);
  Half& half = flow.half[from];
  const auto size = static_cast<uint32_t>(d.payload.size());
  const uint32_t end = seq + size + d.payload_missing;
  if (!half.tcp.started()) {
    // Joined in the middle. What the receiver has not acknowledged may still come, reordered; what it has acknowledged
    // comes again, and was answered before.
    const bool under_way = half.ack_known && (seq - half.acked <= kJoinWindow || half.acked - end <= kJoinWindow);
    half.tcp.start(under_way ? half.acked : seq);
  }
  if (!on_track(flow, from, seq, end)) return;
  const bool fin = (d.tcp.flags & net::tcp_flag::kFin) != 0;
  if (fin && !half.tcp.end_known() && !seq_less(end, half.tcp.next())) half.tcp.set_end(end);
  if (size != 0) {
    const net::Arrival arrival{time, d.tcp.ack, (d.tcp.flags & net::tcp_flag::kAck) != 0};
    if (flow.blocked == from || waits_for_peer(flow, from, arrival)) {
      half.tcp.hold(seq, d.payload, arrival, store_, counters_.tcp);
    } else {
      const Bytes bytes = half.tcp.offer(seq, d.payload, arrival, store_, counters_.tcp);
      if (!bytes.empty()) feed(flow, from, bytes, after_peer(flow, from, arrival));
    }
    if (flow.blocked != 2 || half.tcp.waiting()) deliver(flow);
  }
  if (d.payload_missing != 0 && flow.blocked != from && half.tcp.next() == seq + size)
    lose(flow, from, d.payload_missing);
}

/// Whether a segment acknowledges bytes of its peer that we have not seen.
bool Engine::waits_for_peer(const Flow& flow, int from, const net::Arrival& arrival) const {
  const net::TcpHalf& peer = flow.half[1 - from].tcp;
  if (!arrival.acks || !peer.started() || peer.ended()) return false;  // behind the end only the FIN is ahead
  if (flow.half[1 - from].syn_due) return true;
  const uint32_t ahead = arrival.ack - peer.next();
  return ahead != 0 && ahead <= kLargestWindow;
}

/// Hands on whatever waited and whose turn has come, in both directions.
void Engine::deliver(Flow& flow) {
  for (bool go_on = true; go_on;) {
    go_on = false;
    for (int from = 0; from < 2; ++from) {
      while (const net::StoredSegment* next = flow.half[from].tcp.front()) {
        if (waits_for_peer(flow, from, next->arrival)) break;
        deliver_front(flow, from);
        go_on = true;
      }
    }
    const net::StoredSegment *one = flow.half[0].tcp.front(), *other = flow.half[1].tcp.front();
    if (go_on || one == nullptr || other == nullptr) continue;
    deliver_front(flow, flow.oriented ? flow.client_half : other->arrival.time < one->arrival.time ? 1 : 0);
    go_on = true;
  }
  note_blocked(flow);
}

/// The time of a segment, but not before that of bytes which it acknowledges and nobody has looked at yet: the clocks
/// of two interfaces may have their times the other way round.
Timestamp Engine::after_peer(const Flow& flow, int from, const net::Arrival& arrival) {
  const Half& peer = flow.half[1 - from];
  if (peer.pending == nullptr || !arrival.acks || seq_less(arrival.ack, peer.tcp.next())) return arrival.time;
  return std::max({arrival.time, peer.pending->time(), peer.pending->marks.back().time});
}

/// Hands on the next segment of this direction, whatever it acknowledges. REQUIRES: it is there.
void Engine::deliver_front(Flow& flow, int from) {
  Bytes bytes;
  net::StoredSegment* segment = flow.half[from].tcp.pop(bytes, counters_.tcp);
  if (!bytes.empty()) feed(flow, from, bytes, after_peer(flow, from, segment->arrival));
  store_.give(segment);
}

/// Which half waits for its peer now, and since when for just these bytes.
void Engine::note_blocked(Flow& flow) {
  const uint8_t from = flow.half[0].tcp.front() != nullptr ? 0 : flow.half[1].tcp.front() != nullptr ? 1 : 2;
  if (from == 2) {
    flow.blocked = 2;
    return;
  }
  const uint32_t ack = flow.half[from].tcp.front()->arrival.ack;
  if (flow.blocked == from && flow.blocked_ack == ack) return;
  flow.blocked = from;
  flow.blocked_ack = ack;
  flow.blocked_since = flow.last;
  flow.blocked_packets = 0;
}

void Engine::check_waiting(Flow& flow, Timestamp time) {
  if (flow.blocked != 2 &&
      (++flow.blocked_packets > options_.reorder_packets || time - flow.blocked_since > options_.reorder_wait))
    unblock(flow);
  for (int from = 0; from < 2; ++from)
    while (is_hole_final(flow, from, time)) skip_hole(flow, from);
}

/// Gives up on what the blocked half waits for.
void Engine::unblock(Flow& flow) {
  const int from = flow.blocked;
  flow.half[1 - from].syn_due = false;
  catch_up(flow, 1 - from, flow.blocked_ack);
  if (flow.half[from].tcp.front() == nullptr || flow.blocked != from) return;
  deliver_front(flow, from);  // its peer has ended before what it acknowledges
  deliver(flow);
}

/// Gives up on everything of this direction before `to` that is not there.
void Engine::catch_up(Flow& flow, int from, uint32_t to) {
  net::TcpHalf& half = flow.half[from].tcp;
  if (half.end_known() && seq_less(half.end(), to)) to = half.end();
  while (seq_less(half.next(), to)) {
    const uint32_t missing = to - half.next();
    const uint32_t hole = half.waiting() ? std::min(half.gap(), missing) : missing;
    if (hole != 0) lose(flow, from, hole);
    const uint32_t before = half.next();
    deliver(flow);
    if (half.front() != nullptr && half.next() == before) deliver_front(flow, from);
  }
  deliver(flow);
}

/// Whether the bytes before the first early segment of this direction are waited for no longer.
bool Engine::is_hole_final(const Flow& flow, int from, Timestamp time) const {
  const Half& half = flow.half[from];
  if (!half.tcp.waiting() || half.tcp.gap() == 0) return false;
  const Duration waited = time - half.tcp.waiting_since();
  // What the receiver has acknowledged will not be sent again: it was lost on its way to us.
  const bool acknowledged = half.ack_known && !seq_less(half.acked, half.tcp.next() + half.tcp.gap());
  const bool enough = waited > options_.reorder_wait || half.tcp.waiting_segments() > options_.reorder_packets;
  const bool full = half.tcp.waiting_bytes() > options_.early_limit_stream ||
                    half.tcp.waiting_segments() >= net::TcpHalf::kMostEarlySegments ||
                    store_.bytes() > options_.early_limit / 4 * 3;
  return full || waited > options_.hole_wait || (acknowledged && enough);
}

void Engine::skip_hole(Flow& flow, int from) {
  lose(flow, from, flow.half[from].tcp.gap());
  deliver(flow);
}

void Engine::give_up_holes(Flow& flow) {
  // Each turn hands on a segment or passes a hole.
  while (flow.state != Flow::State::kIgnored && is_waiting(flow)) {
    if (flow.blocked != 2) {
      unblock(flow);
    } else {
      skip_hole(flow, flow.half[0].tcp.waiting() ? 0 : 1);
    }
  }
  for (int from = 0; from < 2; ++from) {  // a FIN may be known and the bytes before it missing
    const net::TcpHalf& half = flow.half[from].tcp;
    if (half.started() && half.end_known() && !half.ended()) catch_up(flow, from, half.end());
  }
}

/// `bytes` of this direction, next in line, will not come; zero: nobody knows how many.
void Engine::lose(Flow& flow, int from, uint32_t bytes) {
  Half& half = flow.half[from];
  half.tcp.lose(bytes);
  if (flow.state == Flow::State::kIgnored) return;
  ++counters_.gaps;
  count(Counter::kGapBytes, bytes);
  const uint64_t skipped = std::min<uint64_t>(half.skip, bytes);
  half.skip -= skipped;
  if (bytes == 0) half.skip = 0;
  if (bytes != 0 && skipped == bytes) return;  // nobody wanted them
  // What the dissector had not used is cut off by the hole, unless it says that the hole lies inside a body.
  const bool whole = half.pending == nullptr;
  if (!whole) cut_off(flow, from);
  drop_pending(half);
  half.need = 0;
  half.stalled = false;
  if (flow.state == Flow::State::kDetecting) {  // what follows may be no beginning; probes may know it all the same
    half.lost = true;
    half.refused = false;
    flow.candidates[from] = Candidates::kAll;
    return;
  }
  if (half.lost) return;
  if (flow.session->gap(flow.direction(from), whole ? bytes - skipped : 0, *this)) return;
  half.lost = true;
  half.found = false;
}

/// Shows the session what it had not used of this direction; one that was not known yet is found by that, where it
/// makes something of it.
void Engine::cut_off(Flow& flow, int from) {
  const Input in{flow.direction(from), front(flow, from), front_time(flow, from), false, false, 1};
  if (flow.state == Flow::State::kDetecting) {
    if (flow.half[from].lost) return;
    bool unsure = false;
    const ProtocolEntry* const entry = detect(flow, from, in, true, unsure);
    if (entry == nullptr || !entry->reads_cut) return;
    start_session(flow, *entry);
  }
  flow_ = &flow;
  flow.session->cut_off({flow.direction(from), in.bytes, in.time, false, false, 1}, *this);
}

void Engine::on_reset(Flow& flow, int from, const net::TcpFields& tcp) {
  // Blind resets (RFC 5961 3.2) must not end what goes on: the number has to lie in what could be the window.
  const net::TcpHalf& half = flow.half[from].tcp;
  const bool plausible = !half.started() || tcp.seq - half.next() < kFarBack || half.next() - tcp.seq < (1u << 16);
  const bool answers_syn =
      (tcp.flags & net::tcp_flag::kAck) != 0 && flow.isn_known[1 - from] && tcp.ack == flow.isn[1 - from] + 1;
  if (!plausible && !answers_syn) {
    ++counters_.refused_resets;
    return;
  }
  // Bytes that wait for secrets are not waited for in vain: it lingers as if it had ended by itself.
  if (!is_awaiting(flow)) close(flow, StreamEnd::kReset);
  table_.move(&flow, Flow::List::kTcpClosed, now_);
}

void Engine::check_ends(Flow& flow) {
  if (is_awaiting(flow)) return;
  for (int from = 0; from < 2; ++from)
    if (flow.half[from].tcp.ended() && !flow.half[from].ended && flow.blocked != from) feed_end(flow, from);
  if (!flow.half[0].ended || !flow.half[1].ended) return;
  close(flow, StreamEnd::kFin);
  table_.move(&flow, Flow::List::kTcpClosed, now_);
}

}  // namespace baleen::dissect
