#include "dissect/engine.h"

#include <algorithm>

#include "base/check.h"

// The engine in seven files: packets, flows and time here; the order of bytes in order.cpp; which protocol they are in
// detection.cpp; what sessions are told in conversation.cpp; what TLS carries in inner.cpp; items of packets
// and flows themselves in layer4.cpp; SCTP in sctp.cpp.

namespace baleen::dissect {
namespace {

constexpr Duration kTick = std::chrono::seconds(1);
// Packets of several interfaces may be out of order by this much; more is a clock that was set back.
constexpr Duration kClockSlack = std::chrono::seconds(10);
// A flow moves to the young end of its list at most this often: its neighbours' memory is touched for that.
constexpr Duration kListing = std::chrono::milliseconds(250);
// A packet of a batch on its way: decoded, this many packets later its flow is fetched, then what it carries unless
// somebody reads ahead, and then it is taken.
constexpr size_t kFetchAhead = 3, kPayloadAhead = 6, kDecodeAhead = 10;
constexpr size_t kReadAhead = 8;        // packets of a batch, before they are decoded
constexpr size_t kHeadBytes = 64;       // bytes of the payload that came with the headers
constexpr size_t kFetchedBytes = 4096;  // ... and that are asked for; what is longer the processor foresees itself

/// The packet without what stands from `at` on: other frames.
net::Packet before(net::Packet packet, size_t at) {
  packet.bytes = packet.bytes.first(at);
  return packet;
}

}  // namespace

Engine::Engine(const EngineOptions& options, EngineObserver& observer)
    : options_(options),
      observer_(observer),
      table_(options.flow_limit),
      store_(options.early_limit),
      next_stream_(options.first_stream),
      candidates_(options.protocols),
      groups_(options.l4_groups) {
  BALEEN_CHECK(options.flow_limit > 0);
  for (const ProtocolEntry& entry : options_.protocols)
    if (entry.meeting != nullptr)
      for (const item::Protocol* card : entry.cards)
        for (const uint16_t port : card->ports) meeting_ports_.emplace_back(port, &entry);
}

Engine::~Engine() { finish(); }

void Engine::on_packet(const net::Packet& packet) {
  Slot& slot = slots_[0];
  prepare(packet, slot);
  if (slot.decoded.more_at == 0) return take(packet, slot);
  take(before(packet, slot.decoded.more_at), slot);
  take_subframes(packet, slot.decoded.more_at);
}

/// What a dissector will read of a packet, unless nobody reads its flow: then its head is all that matters.
inline void Engine::prefetch_payload(const Slot& slot) const {
  const Bytes payload = slot.decoded.payload;
  if (payload.size() <= kHeadBytes || slot.status != net::DecodeStatus::kTransport) return;
  const Flow* const flow = table_.first(slot.hash);  // most likely its own
  if (flow != nullptr && (flow->state == Flow::State::kIgnored || flow->half[slot.key.from_low ? 0 : 1].skip != 0))
    return;
  const size_t end = std::min(payload.size(), kFetchedBytes);
  for (size_t at = kHeadBytes; at < end; at += 64) __builtin_prefetch(&payload[at]);
}

void Engine::on_batch(std::span<const net::Packet> packets, net::ReadAhead* ahead) {
  const auto slot = [&](size_t i) -> Slot& { return slots_[i % slots_.size()]; };
  size_t done = 0;
  const auto take_until = [&](size_t end) {
    for (; done < end; ++done) {
      take(packets[done], slot(done));
      if (ahead != nullptr && flow_ != nullptr && flow_->state == Flow::State::kDissecting)
        ahead->step_far(packets[done].bytes.data());
    }
  };
  for (size_t i = 0; i < packets.size(); ++i) {
    if (ahead != nullptr) {
      ahead->step(packets[i].bytes.data());
    } else if (i + kReadAhead < packets.size()) {  // headers lie in two lines
      const Bytes later = packets[i + kReadAhead].bytes;
      __builtin_prefetch(later.data());
      if (later.size() > 64) __builtin_prefetch(&later[64]);
    }
    prepare(packets[i], slot(i));
    table_.prefetch_bucket(slot(i).hash);
    // Its bytes are the defragmenter's until the next packet; so may be those of the other frames in it.
    if (slot(i).decoded.defragmented) take_until(i + 1);
    if (const size_t at = slot(i).decoded.more_at; at != 0) {
      take_until(i);
      take(before(packets[i], at), slot(i));
      take_subframes(packets[i], at);
      done = i + 1;
    }
    if (i >= kFetchAhead && i - kFetchAhead >= done) table_.prefetch_flow(slot(i - kFetchAhead).hash);
    if (ahead == nullptr && i >= kPayloadAhead && i - kPayloadAhead >= done) prefetch_payload(slot(i - kPayloadAhead));
    if (i >= kDecodeAhead) take_until(i - kDecodeAhead + 1);
  }
  take_until(packets.size());
}

void Engine::prepare(const net::Packet& packet, Slot& slot) {
  slot.status = decoder_.decode(packet, slot.decoded);
  slot.hash = 0;
  if (slot.status != net::DecodeStatus::kTransport) return;
  net::set_flow_key(slot.decoded.tuple, slot.key);
  slot.hash = table_.hash(slot.key.key);
}

void Engine::take(const net::Packet& packet, const Slot& slot) {
  ++counters_.packets;
  counters_.bytes += packet.bytes.size();
  if (packet.time > now_ || now_ - packet.time > kClockSlack) now_ = packet.time;
  if (now_ - last_tick_ > kTick || last_tick_ > now_) advance(now_);
  if (!waiters_.empty()) look_for_secrets();
  if (slot.status == net::DecodeStatus::kFragment && slot.decoded.datagram != 0 && options_.tell_packets) {
    held_.keep(slot.decoded.datagram, packet);
    if (held_.bytes() > HeldFragments::kMostBytes) give_up_fragments(Timestamp::min());
    return;
  }
  if (slot.status != net::DecodeStatus::kTransport) return tell_loose(packet);
  switch (slot.decoded.tuple.transport) {
    case net::Transport::kTcp: on_tcp(packet, slot); break;
    case net::Transport::kUdp: on_udp(packet, slot); break;
    case net::Transport::kSctp: on_sctp(packet, slot); break;
    default: on_icmp(packet, slot); break;
  }
}

/// The other frames that came in one transmission: all of them are one packet of the capture. Each is told alone, so
/// that what is kept of a stream has nothing of others.
void Engine::take_subframes(const net::Packet& packet, size_t at) {
  Slot slot;
  const uint64_t bytes = counters_.bytes - at + packet.bytes.size();
  while (at != 0) {
    const net::Packet frame = net::next_subframe(packet, at);
    prepare(frame, slot);
    take(frame, slot);
    --counters_.packets;
  }
  counters_.bytes = bytes;
}

/// Datagrams whose first fragments are there, and the others not: a filter has left them out, which have no ports, or
/// they were lost.
void Engine::read_lone_fragments(bool all) {
  if (decoder_.fragments().waiting() == 0 && !decoder_.fragments().has_retired()) return;
  Slot slot{.status = net::DecodeStatus::kTransport, .decoded = {}, .key = {}, .hash = 0};
  for (Timestamp time{}; decoder_.next_head(now_, all, slot.decoded, time);) {
    ++counters_.lone_fragments;
    slot.key = net::flow_key(slot.decoded.tuple);
    slot.hash = table_.hash(slot.key.key);
    Flow* flow = table_.find(slot.key.key, slot.hash);
    if (flow == nullptr) flow = open(slot, Flow::List::kUdp, {.time = time});
    touch_udp(*flow, std::max(flow->last, time));
    flow_ = flow;
    const net::Decoded& d = slot.decoded;
    tell_fragments(*flow, d);
    if (!d.payload.empty()) feed_datagram(*flow, slot.key.from_low ? 0 : 1, d.payload, d.payload_missing, time);
  }
}

// ---- time ----

void Engine::end_idle(Flow::List list, Duration idle, StreamEnd end) {
  for (Flow* flow = table_.oldest(list); flow != nullptr && now_ - flow->listed > idle; flow = table_.oldest(list)) {
    close(*flow, end);
    release(*flow);
  }
}

void Engine::advance(Timestamp time) {
  if (time > now_) now_ = time;
  last_tick_ = now_;
  read_lone_fragments(false);
  give_up_fragments(now_ - HeldFragments::kWait);
  counters_.fragments = decoder_.fragments().counters();
  if (!waiters_.empty()) {
    look_for_secrets();
    give_up_secrets();
  }
  // What waits for bytes that do not come is decided without a packet of its flow, too.
  for (Flow* flow = table_.oldest(Flow::List::kTcpWaiting);
       flow != nullptr && now_ - flow->listed > options_.reorder_wait; flow = table_.oldest(Flow::List::kTcpWaiting)) {
    flow_ = flow;
    check_waiting(*flow, now_);
    check_ends(*flow);
    if (!flow->closed) table_.move(flow, is_waiting(*flow) ? Flow::List::kTcpWaiting : Flow::List::kTcp, now_);
  }
  end_idle(Flow::List::kTcpOpening, options_.opening_idle, StreamEnd::kIdle);
  end_idle(Flow::List::kTcp, options_.tcp_idle, StreamEnd::kIdle);
  end_idle(Flow::List::kTcpClosed, options_.closed_linger, StreamEnd::kFin);
  end_idle(Flow::List::kUdpStale, options_.udp_idle, StreamEnd::kIdle);
  report_due();
  const Duration timeout = options_.settings.answer_timeout;
  for (Flow* flow = table_.oldest(Flow::List::kUdp); flow != nullptr && now_ - flow->listed > timeout + kListing;
       flow = table_.oldest(Flow::List::kUdp)) {
    flow_ = flow;
    if (flow->session) flow->session->expire(now_ - timeout, *this);
    table_.move(flow, Flow::List::kUdpStale, now_);
  }
}

void Engine::finish() {
  read_lone_fragments(true);
  give_up_fragments(Timestamp::max());
  counters_.fragments = decoder_.fragments().counters();
  look_for_secrets();
  for (size_t list = 0; list < static_cast<size_t>(Flow::List::kCount); ++list) {
    while (Flow* flow = table_.oldest(static_cast<Flow::List>(list))) {
      close(*flow, StreamEnd::kFinished);
      release(*flow);
    }
  }
  close_quiet_groups(true);
}

// ---- flows ----

Flow* Engine::open(const Slot& slot, Flow::List list, const net::Packet& packet) {
  if (table_.full()) evict_one();
  Flow* flow = table_.insert(slot.key.key, slot.hash, list, now_);
  flow->stream = next_stream_;
  next_stream_ += options_.stream_step;
  flow->client_half = slot.key.from_low ? 0 : 1;
  flow->vlan = slot.decoded.vlan;
  flow->expire_checked = packet.time;
  ++counters_.streams;
  if (!is_sampled(slot.key.key)) {
    ++counters_.sampled_out;
    flow->state = Flow::State::kIgnored;
    return flow;
  }
  const net::Transport transport = slot.key.key.transport;
  if (transport == net::Transport::kTcp   ? options_.l4.of_tcp()
      : transport == net::Transport::kUdp ? options_.l4.of_udp()
                                          : is_association(*flow) && options_.l4.of_sctp())
    watch(*flow, packet.time);
  return flow;
}

/// Without the table's secret: the same streams of a file are chosen each time.
bool Engine::is_sampled(const net::FlowKey& key) const {
  if (options_.sample_percent >= 100) return true;
  net::FlowKey whole = key;
  whole.channel = 0;
  return static_cast<int>(net::hash(whole) % 100) < options_.sample_percent;
}

/// Those go first of which least is lost. A flood of SYNs only drives out its own.
void Engine::evict_one() {
  using enum Flow::List;
  for (const Flow::List list : {kTcpClosed, kTcpOpening, kUdpStale, kUdp, kTcp, kTcpWaiting}) {
    Flow* victim = table_.oldest(list);
    if (victim == nullptr) continue;
    ++counters_.evicted_flows;
    close(*victim, StreamEnd::kEvicted);
    return release(*victim);
  }
}

StreamRef Engine::stream_of(const Flow& flow) const {
  return {flow.stream, flow.key.transport == net::Transport::kUdp ? item::StreamKind::kUdp : item::StreamKind::kTcp};
}

void Engine::tell(const Flow& flow, const net::Packet& packet, const net::Decoded& d) {
  if (!options_.tell_packets) return;
  tell_fragments(flow, d);
  observer_.on_packet(stream_of(flow), packet, d);
}

/// The packets before this one that its datagram came in.
void Engine::tell_fragments(const Flow& flow, const net::Decoded& d) {
  if (d.datagram != 0)
    held_.take(d.datagram, [&](const net::Packet& piece) { observer_.on_fragment(stream_of(flow), piece); });
}

void Engine::tell_loose(const net::Packet& packet) {
  if (options_.tell_packets) observer_.on_loose_packet(packet);
}

void Engine::give_up_fragments(Timestamp before) {
  held_.give_up(before, [this](const net::Packet& piece) {
    ++counters_.unclaimed_fragments;
    tell_loose(piece);
  });
}

/// What is inside another stream belongs to that one, which is understood.
void Engine::tell_undissected(Flow& flow) {
  if (flow.is_inner || is_channel(flow) || is_association(flow) || std::exchange(flow.undissected, true)) return;
  observer_.on_undissected(stream_of(flow));
}

/// Puts a TCP flow where time does to it what its state asks for.
void Engine::file(Flow& flow) {
  using enum Flow::List;
  const Flow::List list = is_waiting(flow)                                               ? kTcpWaiting
                          : flow.half[0].tcp.end_known() && flow.half[1].tcp.end_known() ? kTcpClosed
                          : flow.list != kTcpOpening || (flow.heard[0] && flow.heard[1]) ||
                                  flow.half[0].pending != nullptr || flow.half[1].pending != nullptr || flow.session
                              ? kTcp
                              : kTcpOpening;
  // Who waits keeps the place that says since when.
  if (list != flow.list || (list != kTcpWaiting && now_ - flow.listed >= kListing)) table_.move(&flow, list, now_);
}

void Engine::close(Flow& flow, StreamEnd end) {
  if (flow.closed) return;
  flow_ = &flow;
  if (is_association(flow)) {
    end_channels(flow, end);
    forget_tags(flow);
    if (flow.connection != nullptr) end_watch(flow, end);  // while it knows what it carried
  }
  if (flow.key.transport == net::Transport::kTcp || is_channel(flow)) {
    give_up_holes(flow);
    last_chance(flow);
    // The stream ends here for us; a body that lasts until the end is over now.
    if (end != StreamEnd::kReset)
      for (int from = 0; from < 2; ++from) feed_end(flow, from);
  }
  flow.closed = true;
  close_inner(flow, end == StreamEnd::kReset);
  if (flow.session) flow.session->close(end == StreamEnd::kReset, *this);
  const bool tried = flow.state == Flow::State::kDissecting || flow.unknown_datagrams != 0;
  const bool in_vain = flow.state == Flow::State::kDetecting && (flow.half[0].tries != 0 || flow.half[1].tries != 0);
  if (in_vain) count(Counter::kUnknownProtocol, 1);
  if ((tried || in_vain) && flow.items == 0) tell_undissected(flow);
  flow.session.reset();
  flow.state = Flow::State::kIgnored;
  flow.blocked = 2;
  stop_awaiting(flow);
  for (Half& half : flow.half) {
    half.tcp.clear(store_);
    drop_pending(half);
  }
  // Of what FINs closed the last acknowledgement is still to come.
  if (flow.connection != nullptr && (end != StreamEnd::kFin || flow.connection->is_over())) end_watch(flow, end);
  if (!is_channel(flow)) observer_.on_stream_end(stream_of(flow), end);
}

void Engine::release(Flow& flow) {
  if (flow.connection != nullptr) end_watch(flow, StreamEnd::kFin);
  if (flow_ == &flow) flow_ = nullptr;
  forget_proxy_head(flow);
  table_.erase(&flow);
}

// ---- UDP ----

void Engine::touch_udp(Flow& flow, Timestamp time) {
  flow.last = time;
  if (flow.list != Flow::List::kUdp || now_ - flow.listed >= kListing) table_.move(&flow, Flow::List::kUdp, now_);
}

void Engine::on_udp(const net::Packet& packet, const Slot& slot) {
  ++counters_.udp_packets;
  int from = slot.key.from_low ? 0 : 1;
  Flow* flow = nullptr;
  for (const auto& [port, entry] : meeting_ports_)
    if (port == slot.decoded.tuple.dst.port) flow = meet(slot, *entry, packet.time, from);
  if (flow == nullptr) flow = table_.find(slot.key.key, slot.hash);
  if (flow == nullptr) flow = open(slot, Flow::List::kUdp, packet);
  touch_udp(*flow, packet.time);
  flow_ = flow;
  tell(*flow, packet, slot.decoded);
  if (flow->connection != nullptr) flow->connection->observe(from, slot.decoded, packet.time);
  if (options_.l4.udp) tell_raw(*flow, packet, slot.decoded);
  const Duration timeout = options_.settings.answer_timeout;
  if (flow->session && packet.time - flow->expire_checked > timeout) {
    flow->expire_checked = packet.time;
    flow->session->expire(packet.time - timeout, *this);
  }
  const net::Decoded& d = slot.decoded;
  if (!d.payload.empty()) feed_datagram(*flow, from, d.payload, d.payload_missing, packet.time);
}

/// The flow of the question that this answers, where that went to another address than the answer comes from: the
/// answer is of that stream then, and `from` is the half opposite to who asked. Null otherwise. Where question and
/// answer come to different shards, they do not meet.
Flow* Engine::meet(const Slot& slot, const ProtocolEntry& entry, Timestamp time, int& from) {
  const net::Decoded& d = slot.decoded;
  const Meeting meeting =
      entry.meeting(d.tuple, {Direction::kToServer, d.payload, time, true, true, d.payload_missing});
  if (meeting.key.empty()) return nullptr;
  const Timestamp since = time - options_.settings.answer_timeout;
  if (meeting.asks) {
    count(Counter::kForgotten, meetings_.note(meeting.key, {slot.key.key, slot.key.from_low, time}, since));
    return nullptr;
  }
  const Meetings::Place* const place = meetings_.find(meeting.key, since);
  if (place == nullptr) return nullptr;
  from = place->from_low ? 1 : 0;
  Flow* const flow = table_.find(place->flow, table_.hash(place->flow));
  if (flow == nullptr) from = slot.key.from_low ? 0 : 1;
  return flow;
}

// ---- Output ----

item::Item* Engine::begin(const item::Protocol& protocol) {
  item::Item* item = items_.take();
  ++open_items_;
  item->protocol = &protocol;
  item->origin = options_.origin;
  item->source = options_.source;
  item->stream = flow_->stream;
  item->stream_kind = stream_of(*flow_).kind;
  item->vlan = flow_->vlan;
  if (flow_->is_inner) {
    item->tls = true;
    item->tls_random = as_bytes(item->arena.copy(as_text(static_cast<InnerFlow*>(flow_)->client_random)));
  }
  if (const ProxyHead* const head = proxy_heads_.empty() ? nullptr : proxy_head_of(*flow_))
    item->proxy_head = head->value(item->arena);
  return item;
}

void Engine::finish(item::Item* item) {
  if (l4::Connection* const connection = connection_of(*flow_); connection != nullptr)
    connection->found(*item->protocol);
  finish_between(item, flow_->client(), flow_->server());
}

uint64_t Engine::next_index() const { return outermost(*flow_).items; }

void Engine::finish_between(item::Item* item, const net::Endpoint& client, const net::Endpoint& server) {
  --open_items_;
  item->index = outermost(*flow_).items++;
  item->client.address = client;
  item->server.address = server;
  count(Counter::kItems, 1);
  observer_.on_item(item::ItemRef(item));
}

void Engine::drop(item::Item* item) {
  --open_items_;
  items_.give(item);
}

}  // namespace baleen::dissect
