#include "dissect/engine.h"

#include <algorithm>

#include "base/check.h"

// Order is this file's subject. Within a direction net::TcpHalf orders bytes; between directions acknowledgements do: a
// segment that acknowledges bytes of its peer which we have not seen waits (`blocked`) until they come, within a bound,
// so that packets which the capture reordered do not show an answer before its question. When the bound is reached the
// bytes are taken for lost, and the dissector is told.

namespace baleen::dissect {
namespace {

constexpr uint32_t kLargestWindow = 1u << 30;  // RFC 7323 2.2
constexpr Duration kTick = std::chrono::seconds(1);

}  // namespace

Engine::Engine(const EngineOptions& options, EngineObserver& observer)
    : options_(options),
      observer_(observer),
      table_(options.flow_limit),
      store_(options.early_limit),
      next_stream_(options.first_stream) {
  BALEEN_CHECK(options.protocols.size() <= 64);
}

Engine::~Engine() { finish(); }

void Engine::on_packet(const net::Packet& packet) {
  ++counters_.packets;
  counters_.bytes += packet.bytes.size();
  now_ = std::max(now_, packet.time);
  net::Decoded d;
  if (decoder_.decode(packet, d) != net::DecodeStatus::kTransport) return;
  switch (d.tuple.transport) {
    case net::Transport::kTcp: on_tcp(packet, d); break;
    case net::Transport::kUdp: on_udp(packet, d); break;
    case net::Transport::kSctp: ++counters_.sctp_packets; break;
    default: ++counters_.icmp_packets; break;
  }
  if (now_ - last_tick_ > kTick) advance(now_);
}

void Engine::advance(Timestamp time) {
  now_ = std::max(now_, time);
  last_tick_ = now_;
  const auto end_idle = [&](Flow::List list, Duration idle, StreamEnd end) {
    for (Flow* flow = table_.oldest(list); flow != nullptr && now_ - flow->last > idle; flow = table_.oldest(list)) {
      close(*flow, end);
      release(*flow);
    }
  };
  end_idle(Flow::List::kTcp, options_.tcp_idle, StreamEnd::kIdle);
  end_idle(Flow::List::kTcpClosed, options_.closed_linger, StreamEnd::kFin);
  end_idle(Flow::List::kUdpStale, options_.udp_idle, StreamEnd::kIdle);
  const Duration timeout = options_.settings.answer_timeout;
  for (Flow* flow = table_.oldest(Flow::List::kUdp); flow != nullptr && now_ - flow->last > timeout;
       flow = table_.oldest(Flow::List::kUdp)) {
    flow_ = flow;
    if (flow->session) flow->session->expire(now_ - timeout, *this);
    table_.touch(flow, Flow::List::kUdpStale);
  }
}

void Engine::finish() {
  for (const Flow::List list : {Flow::List::kTcp, Flow::List::kTcpClosed, Flow::List::kUdp, Flow::List::kUdpStale}) {
    while (Flow* flow = table_.oldest(list)) {
      close(*flow, StreamEnd::kFinished);
      release(*flow);
    }
  }
}

// ---- flows ----

Flow* Engine::open(const net::FlowKey& key, uint64_t hash, bool from_low, Flow::List list, const net::Decoded& d) {
  if (table_.full()) evict_one();
  Flow* flow = table_.insert(key, hash, list);
  flow->stream = next_stream_;
  next_stream_ += options_.stream_step;
  flow->client_half = from_low ? 0 : 1;
  flow->vlan = d.vlan;
  flow->expire_checked = now_;
  ++counters_.streams;
  if (options_.sample_percent < 100 && static_cast<int>(hash % 100) >= options_.sample_percent) {
    ++counters_.sampled_out;
    flow->state = Flow::State::kIgnored;
  }
  return flow;
}

void Engine::evict_one() {
  Flow* victim = nullptr;
  for (const Flow::List list : {Flow::List::kTcpClosed, Flow::List::kUdpStale, Flow::List::kUdp, Flow::List::kTcp}) {
    victim = table_.oldest(list);
    if (victim != nullptr) break;
  }
  ++counters_.evicted_flows;
  close(*victim, StreamEnd::kEvicted);
  release(*victim);
}

StreamRef Engine::stream_of(const Flow& flow) const {
  return {flow.stream, flow.key.transport == net::Transport::kUdp ? item::StreamKind::kUdp : item::StreamKind::kTcp};
}

void Engine::close(Flow& flow, StreamEnd end) {
  if (flow.closed) return;
  flow_ = &flow;
  if (flow.key.transport == net::Transport::kTcp) {
    if (end != StreamEnd::kReset) give_up_holes(flow);
    if (end != StreamEnd::kReset && end != StreamEnd::kFin) {
      // The stream ends here for us; a body that lasts until the end is over now.
      for (int from = 0; from < 2; ++from) feed_end(flow, from, flow.last);
    }
  }
  flow.closed = true;
  if (flow.session) flow.session->close(end == StreamEnd::kReset, *this);
  flow.session.reset();
  flow.state = Flow::State::kIgnored;
  for (Half& half : flow.half) {
    half.tcp.clear(store_);
    drop_pending(half);
  }
  observer_.on_stream_end(stream_of(flow), end);
}

void Engine::release(Flow& flow) {
  if (flow_ == &flow) flow_ = nullptr;
  table_.erase(&flow);
}

// ---- UDP ----

void Engine::on_udp(const net::Packet& packet, const net::Decoded& d) {
  ++counters_.udp_packets;
  const net::DirectedKey key = net::flow_key(d.tuple);
  const uint64_t hash = net::hash(key.key);
  Flow* flow = table_.find(key.key, hash);
  if (flow == nullptr) flow = open(key.key, hash, key.from_low, Flow::List::kUdp, d);
  flow->last = packet.time;
  table_.touch(flow, Flow::List::kUdp);
  flow_ = flow;
  if (options_.tell_packets) observer_.on_packet(stream_of(*flow), packet, d);
  if (flow->session && packet.time - flow->expire_checked > options_.settings.answer_timeout) {
    flow->expire_checked = packet.time;
    flow->session->expire(packet.time - options_.settings.answer_timeout, *this);
  }
  if (!d.payload.empty()) feed_datagram(*flow, key.from_low ? 0 : 1, d.payload, packet.time);
}

// ---- TCP ----

void Engine::on_tcp(const net::Packet& packet, const net::Decoded& d) {
  ++counters_.tcp_packets;
  const net::DirectedKey key = net::flow_key(d.tuple);
  const uint64_t hash = net::hash(key.key);
  const int from = key.from_low ? 0 : 1;
  const net::TcpFields& tcp = d.tcp;
  Flow* flow = table_.find(key.key, hash);
  if (flow != nullptr && is_reuse(*flow, from, tcp)) {
    ++counters_.reused_ports;
    close(*flow, StreamEnd::kReused);
    release(*flow);
    flow = nullptr;
  }
  if (flow == nullptr) {
    if ((tcp.flags & net::tcp_flag::kRst) != 0 && d.payload.empty()) {
      ++counters_.stray_packets;
      return;
    }
    flow = open(key.key, hash, key.from_low, Flow::List::kTcp, d);
  }
  flow->last = packet.time;
  flow_ = flow;
  if (options_.tell_packets) observer_.on_packet(stream_of(*flow), packet, d);
  if (flow->closed) return;
  table_.touch(flow, Flow::List::kTcp);

  if ((tcp.flags & net::tcp_flag::kSyn) != 0) on_syn(*flow, from, tcp);
  if ((tcp.flags & net::tcp_flag::kAck) != 0 && (tcp.flags & net::tcp_flag::kRst) == 0) {
    Half& peer = flow->half[1 - from];
    if (!peer.ack_known || net::seq_less(peer.acked, tcp.ack)) peer.acked = tcp.ack;
    peer.ack_known = true;
  }
  const uint32_t seq = tcp.seq + ((tcp.flags & net::tcp_flag::kSyn) != 0 ? 1 : 0);
  if (!d.payload.empty() || d.payload_missing != 0 || (tcp.flags & net::tcp_flag::kFin) != 0)
    on_segment(*flow, from, d, seq, packet.time);
  if (flow->blocked != 2) check_blocked(*flow, packet.time, false);
  for (int side = 0; side < 2; ++side)
    if (flow->half[side].tcp.waiting() && flow->blocked != side) check_hole(*flow, side, packet.time, false);
  if ((tcp.flags & net::tcp_flag::kRst) != 0) return on_reset(*flow, from, tcp);
  check_ends(*flow, packet.time);
}

/// A SYN with another initial sequence number than the flow's is another connection between the same ports.
bool Engine::is_reuse(const Flow& flow, int from, const net::TcpFields& tcp) const {
  if ((tcp.flags & net::tcp_flag::kSyn) == 0 || (tcp.flags & net::tcp_flag::kRst) != 0) return false;
  if (flow.isn_known[from]) return flow.isn[from] != tcp.seq;
  if ((tcp.flags & net::tcp_flag::kAck) != 0) return flow.closed;
  // A SYN after bytes of the same sender: unless it is the late SYN of just these bytes.
  const net::TcpHalf& half = flow.half[from].tcp;
  return flow.closed || (half.started() && tcp.seq + 1 != half.next() && half.next() - tcp.seq > kLargestWindow);
}

void Engine::on_syn(Flow& flow, int from, const net::TcpFields& tcp) {
  if (!flow.isn_known[from]) {
    flow.isn_known[from] = true;
    flow.isn[from] = tcp.seq;
    if (!flow.half[from].tcp.started()) flow.half[from].tcp.start(tcp.seq + 1);
  }
  if (flow.oriented) return;  // of a simultaneous open the first SYN's sender is the client
  const bool answer = (tcp.flags & net::tcp_flag::kAck) != 0;
  flow.client_half = static_cast<uint8_t>(answer ? 1 - from : from);
  flow.oriented = true;
}

void Engine::on_segment(Flow& flow, int from, const net::Decoded& d, uint32_t seq, Timestamp time) {
  Half& half = flow.half[from];
  const uint32_t end = seq + static_cast<uint32_t>(d.payload.size()) + d.payload_missing;
  if (!half.tcp.started()) half.tcp.start(seq);  // joined in the middle
  if ((d.tcp.flags & net::tcp_flag::kFin) != 0 && !half.tcp.end_known()) half.tcp.set_end(end);
  if (!d.payload.empty()) {
    if (flow.blocked == from || (flow.blocked == 2 && must_wait(flow, from, d.tcp, time))) {
      half.tcp.hold(seq, d.payload, time, store_, counters_.tcp);
    } else {
      const Bytes bytes = half.tcp.offer(seq, d.payload, time, store_, counters_.tcp);
      if (!bytes.empty()) feed(flow, from, bytes, time);
      if (half.tcp.waiting()) drain(flow, from);
    }
  }
  if (d.payload_missing != 0 && half.tcp.next() == end - d.payload_missing) lose(flow, from, d.payload_missing);
}

/// Whether a segment acknowledges bytes of its peer that we have not seen: it waits for them.
bool Engine::must_wait(Flow& flow, int from, const net::TcpFields& tcp, Timestamp time) {
  const net::TcpHalf& peer = flow.half[1 - from].tcp;
  if ((tcp.flags & net::tcp_flag::kAck) == 0 || !peer.started()) return false;
  const uint32_t ahead = tcp.ack - peer.next();
  if (ahead == 0 || ahead > kLargestWindow) return false;
  if (peer.end_known() && peer.ended()) return false;  // only the FIN is ahead
  flow.blocked = static_cast<uint8_t>(from);
  flow.blocked_ack = tcp.ack;
  flow.blocked_since = time;
  flow.blocked_packets = 0;
  return true;
}

void Engine::check_blocked(Flow& flow, Timestamp time, bool give_up) {
  const int from = flow.blocked;
  const net::TcpHalf& peer = flow.half[1 - from].tcp;
  const bool arrived = !net::seq_less(peer.next(), flow.blocked_ack) || peer.ended();
  ++flow.blocked_packets;
  const bool too_long =
      flow.blocked_packets > options_.reorder_packets || time - flow.blocked_since > options_.reorder_wait;
  if (!arrived && !too_long && !give_up) return;
  flow.blocked = 2;
  if (!arrived) catch_up(flow, 1 - from, flow.blocked_ack);
  if (flow.half[from].tcp.waiting()) drain(flow, from);
}

/// Gives up on everything of this direction before `to` that is not there.
void Engine::catch_up(Flow& flow, int from, uint32_t to) {
  net::TcpHalf& half = flow.half[from].tcp;
  while (net::seq_less(half.next(), to)) {
    const uint32_t missing = to - half.next();
    const uint32_t hole = half.waiting() ? std::min(half.gap(), missing) : missing;
    if (hole != 0) lose(flow, from, hole);
    if (half.waiting()) drain(flow, from);
  }
}

void Engine::check_hole(Flow& flow, int from, Timestamp time, bool give_up) {
  Half& half = flow.half[from];
  while (half.tcp.waiting() && flow.blocked != from) {
    const uint32_t hole = half.tcp.gap();
    if (hole == 0) {
      drain(flow, from);
      continue;
    }
    // What the receiver has acknowledged will not be sent again: it was lost on its way to us.
    const bool acknowledged = half.ack_known && !net::seq_less(half.acked, half.tcp.next() + hole);
    const bool waited = time - half.tcp.waiting_since() > options_.reorder_wait ||
                        half.tcp.waiting_segments() > options_.reorder_packets;
    const bool full =
        half.tcp.waiting_bytes() > options_.early_limit_stream || store_.bytes() > options_.early_limit / 4 * 3;
    if (!give_up && !full && !(acknowledged && waited)) return;
    lose(flow, from, hole);
    drain(flow, from);
  }
}

void Engine::give_up_holes(Flow& flow) {
  if (flow.blocked != 2) check_blocked(flow, flow.last, true);
  for (int from = 0; from < 2; ++from) check_hole(flow, from, flow.last, true);
}

void Engine::drain(Flow& flow, int from) {
  Half& half = flow.half[from];
  Bytes bytes;
  while (net::StoredSegment* segment = half.tcp.pop(bytes, counters_.tcp)) {
    if (!bytes.empty()) feed(flow, from, bytes, segment->time);
    store_.give(segment);
  }
}

void Engine::lose(Flow& flow, int from, uint32_t bytes) {
  Half& half = flow.half[from];
  half.tcp.lose(bytes);
  ++counters_.gaps;
  count(Counter::kGapBytes, bytes);
  if (flow.state == Flow::State::kIgnored) return;
  const uint64_t skipped = std::min<uint64_t>(half.skip, bytes);
  half.skip -= skipped;
  if (skipped == bytes) return;  // nobody wanted them
  if (flow.state == Flow::State::kDetecting) {
    drop_pending(half);  // what follows is no beginning, but a probe may still know it
    return;
  }
  // What the dissector had not used is cut off by the hole, unless it says that the hole lies inside a body.
  const bool whole = half.pending == nullptr || half.pending->view().empty();
  if (flow.session->gap(flow.direction(from), bytes - skipped, *this) && whole) return;
  drop_pending(half);
  half.need = 0;
  half.lost = true;
}

void Engine::on_reset(Flow& flow, int from, const net::TcpFields& tcp) {
  // Blind resets (RFC 5961 3.2) must not end what goes on: the number has to lie in what could be the window.
  const net::TcpHalf& half = flow.half[from].tcp;
  const uint32_t ahead = tcp.seq - half.next();
  const bool plausible = !half.started() || ahead < (1u << 24) || half.next() - tcp.seq < (1u << 16);
  const bool answers_syn =
      (tcp.flags & net::tcp_flag::kAck) != 0 && flow.isn_known[1 - from] && tcp.ack == flow.isn[1 - from] + 1;
  if (!plausible && !answers_syn) {
    ++counters_.refused_resets;
    return;
  }
  give_up_holes(flow);
  close(flow, StreamEnd::kReset);
  table_.touch(&flow, Flow::List::kTcpClosed);
}

void Engine::check_ends(Flow& flow, Timestamp time) {
  for (int from = 0; from < 2; ++from)
    if (flow.half[from].tcp.ended() && !flow.half[from].at_end && flow.blocked != from) feed_end(flow, from, time);
  if (!flow.half[0].at_end || !flow.half[1].at_end) return;
  close(flow, StreamEnd::kFin);
  table_.touch(&flow, Flow::List::kTcpClosed);
}

// ---- Output ----

item::Item* Engine::begin(const item::Protocol& protocol) {
  item::Item* item = items_.take();
  item->protocol = &protocol;
  item->origin = options_.origin;
  item->source = options_.source;
  item->stream = flow_->stream;
  item->stream_kind = stream_of(*flow_).kind;
  item->index = flow_->items++;
  item->vlan = flow_->vlan;
  return item;
}

void Engine::finish(item::Item* item) {
  item->client.address = flow_->client();
  item->server.address = flow_->server();
  count(Counter::kItems, 1);
  observer_.on_item(item::ItemRef(item));
}

void Engine::drop(item::Item* item) { items_.give(item); }

}  // namespace baleen::dissect
