#include <algorithm>
#include <utility>

#include "base/check.h"
#include "dissect/association.h"
#include "dissect/engine.h"

// SCTP (RFC 9260). The flow of an association orders its DATA chunks; what they carry goes to a flow for each channel,
// which a dissector reads as it reads a TCP stream. All of them have the association's number, so that a recorded item
// brings the association's packets along.

namespace baleen::dissect {
namespace {

constexpr uint32_t kItemsOfChannel = 1u << 20;  // so that no two items of an association have the same number
constexpr size_t kMostHomes = 65536;

uint64_t home_key(uint32_t tag, uint16_t src, uint16_t dst) { return uint64_t{tag} << 32 | uint32_t{src} << 16 | dst; }

}  // namespace

void Engine::on_sctp(const net::Packet& packet, const Slot& slot) {
  ++counters_.sctp_packets;
  Flow* flow = table_.find(slot.key.key, slot.hash);
  if (flow == nullptr) {
    if (const Home* const home = find_home(slot); home != nullptr) {  // of an association that is known by other ends
      Slot there = slot;
      there.key = {home->key, home->from_low};
      there.hash = table_.hash(home->key);
      if (table_.find(there.key.key, there.hash) != nullptr) return on_association(packet, there);
    }
    flow = open(slot, Flow::List::kUdp, packet);
    flow->session = std::make_unique<Association>();
    flow->state = Flow::State::kIgnored;
  }
  on_association(packet, slot);
}

/// REQUIRES: its flow is there.
void Engine::on_association(const net::Packet& packet, const Slot& slot) {
  Flow* const flow = table_.find(slot.key.key, slot.hash);
  flow->last = packet.time;
  table_.move(flow, Flow::List::kUdp, now_);
  flow_ = flow;
  tell(*flow, packet, slot.decoded);
  if (!is_sampled(slot.key.key)) return;
  const int from = slot.key.from_low ? 0 : 1;
  net::SctpChunks chunks(slot.decoded.payload, slot.decoded.payload_missing);
  net::SctpChunk chunk;
  if (options_.l4.of_sctp()) {
    net::SctpChunks front = chunks;
    if (flow->connection == nullptr && front.next(chunk) && chunk.type == net::sctp_chunk::kInit)
      watch(*flow, packet.time);  // the next one between the same ends
    if (flow->connection != nullptr) flow->connection->observe_sctp(from, slot.decoded, packet.time, flow->client_half);
  }
  if (options_.l4.sctp) tell_raw(*flow, packet, slot.decoded);
  while (chunks.next(chunk))
    if (!on_chunk(*flow, from, chunk, slot, packet)) return;
}

// ---- several addresses (RFC 9260 5.1.2, 6.4) ----

// The tag that a receiver chose, together with the ports, tells its association from all others, whatever the
// addresses. Packets of other addresses may come to other shards: then they are streams of their own.

const Engine::Home* Engine::find_home(const Slot& slot) const {
  const net::Decoded& d = slot.decoded;
  if (d.sctp_tag == 0 || homes_.empty()) return nullptr;
  const auto found = homes_.find(home_key(d.sctp_tag, d.tuple.src.port, d.tuple.dst.port));
  return found != homes_.end() ? &found->second : nullptr;
}

/// Packets of side `from` carry `tag` from now on.
void Engine::set_tag(Flow& flow, int from, uint32_t tag) {
  uint32_t& known = static_cast<Association&>(*flow.session).tag[from];
  const net::Endpoint &src = from == 0 ? flow.key.low : flow.key.high, &dst = from == 0 ? flow.key.high : flow.key.low;
  if (known != 0) homes_.erase(home_key(known, src.port, dst.port));
  known = homes_.size() < kMostHomes ? tag : 0;
  if (known != 0) homes_.insert_or_assign(home_key(tag, src.port, dst.port), Home{flow.key, from == 0});
}

void Engine::forget_tags(Flow& flow) {
  if (!flow.session) return;
  set_tag(flow, 0, 0);
  set_tag(flow, 1, 0);
}

// ---- chunks ----

void Engine::on_init(Flow& flow, int from, const net::SctpChunk& chunk) {
  if (chunk.body.size() < 16) return;
  auto& association = static_cast<Association&>(*flow.session);
  if (std::exchange(association.over, false)) {
    end_channels(flow, StreamEnd::kReused);
    association.protocols.clear();
  }
  association.half[from].start(load_be32(&chunk.body[12]), store_);
  association.drop_messages(from);
  set_tag(flow, 1 - from, load_be32(chunk.body.data()));
  flow.isn_known[from] = true;
  if (flow.oriented) return;
  flow.client_half = static_cast<uint8_t>(chunk.type == net::sctp_chunk::kInit ? from : 1 - from);
  flow.oriented = true;
}

/// Whether the association is still there: a new channel may have driven it out of a full table.
bool Engine::on_chunk(Flow& flow, int from, const net::SctpChunk& chunk, const Slot& slot, const net::Packet& packet) {
  auto& association = static_cast<Association&>(*flow.session);
  switch (chunk.type) {
    case net::sctp_chunk::kInit:
    case net::sctp_chunk::kInitAck: on_init(flow, from, chunk); return true;
    case net::sctp_chunk::kAbort:
    case net::sctp_chunk::kShutdownComplete: {
      const StreamEnd end = chunk.type == net::sctp_chunk::kAbort ? StreamEnd::kReset : StreamEnd::kFin;
      if (!give_up_chunks(flow, slot, packet)) return false;
      end_channels(flow, end);
      forget_tags(flow);
      association.over = true;
      if (flow.connection != nullptr) end_watch(flow, end);
      return true;
    }
    case net::sctp_chunk::kForwardTsn:
    case net::sctp_chunk::kIForwardTsn:
      return chunk.body.size() < 4 || on_forward(flow, from, load_be32(chunk.body.data()) + 1, slot, packet);
    case net::sctp_chunk::kData:
    case net::sctp_chunk::kIData: break;
    default: return true;
  }
  const auto data = net::sctp_data(chunk);
  if (!data) return true;
  if (!data->interleaved || data->begins) association.saw(data->protocol);
  net::SctpHalf& half = association.half[from];
  const uint64_t again = counters_.sctp.retransmitted;
  const bool next = half.offer(data->tsn, chunk, packet.time, store_, counters_.sctp);
  if (counters_.sctp.retransmitted != again && flow.connection != nullptr) flow.connection->again_sent(from);
  if (next && !feed_chunk(flow, from, chunk, packet.time, slot, packet)) return false;
  if (!deliver_chunks(flow, from, slot, packet)) return false;
  // Who sends the 33rd chunk behind a hole was told of it and does not send it again: it was lost on its way to us.
  while (half.waiting() && (half.waiting_chunks() > options_.reorder_packets ||
                            packet.time - half.waiting_since() > options_.hole_wait)) {
    skip_chunks(flow, from);
    if (!deliver_chunks(flow, from, slot, packet)) return false;
  }
  return true;
}

/// The sender gives up on all chunks before `tsn` (RFC 3758 3.2, RFC 8260 2.3.1): what we miss of them will not come.
bool Engine::on_forward(Flow& flow, int from, uint32_t tsn, const Slot& slot, const net::Packet& packet) {
  net::SctpHalf& half = static_cast<Association&>(*flow.session).half[from];
  while (half.waiting() && net::seq_less(half.first_waiting(), tsn)) {
    skip_chunks(flow, from);
    if (!deliver_chunks(flow, from, slot, packet)) return false;
  }
  if (!half.started() || !net::seq_less(half.next(), tsn)) return true;
  half.skip_to(tsn, counters_.sctp);
  lose_in_channels(flow, from);
  return deliver_chunks(flow, from, slot, packet);
}

bool Engine::deliver_chunks(Flow& flow, int from, const Slot& slot, const net::Packet& packet) {
  net::SctpHalf& half = static_cast<Association&>(*flow.session).half[from];
  while (net::StoredSegment* const kept = half.pop()) {
    const bool there = feed_chunk(flow, from, net::SctpHalf::chunk_of(*kept), kept->arrival.time, slot, packet);
    store_.give(kept);
    if (!there) return false;
  }
  return true;
}

/// Chunks are missing and will not come.
void Engine::skip_chunks(Flow& flow, int from) {
  static_cast<Association&>(*flow.session).half[from].skip_hole(counters_.sctp);
  lose_in_channels(flow, from);
}

/// No channel knows how much of what was lost was its own.
void Engine::lose_in_channels(Flow& flow, int from) {
  auto& association = static_cast<Association&>(*flow.session);
  association.drop_messages(from);
  for (const uint32_t channel : association.channels) {
    Flow* const sub = find_channel(flow, channel);
    if (sub == nullptr || sub->closed) continue;
    flow_ = sub;
    lose(*sub, from, 0);
  }
  flow_ = &flow;
}

bool Engine::give_up_chunks(Flow& flow, const Slot& slot, const net::Packet& packet) {
  for (int from = 0; from < 2; ++from) {
    while (static_cast<Association&>(*flow.session).half[from].waiting()) {
      skip_chunks(flow, from);
      if (!deliver_chunks(flow, from, slot, packet)) return false;
    }
  }
  return true;
}

Flow* Engine::find_channel(const Flow& flow, uint32_t channel) const {
  net::FlowKey key = flow.key;
  key.channel = channel;
  return table_.find(key, table_.hash(key));
}

/// A chunk whose turn has come. Returns whether the association is still there.
bool Engine::feed_chunk(Flow& flow, int from, const net::SctpChunk& chunk, Timestamp time, const Slot& slot,
                        const net::Packet& packet) {
  const auto data = net::sctp_data(chunk);
  if (!data) return true;
  if (data->interleaved && !(data->begins && data->ends))
    return feed_piece(flow, from, *data, chunk.missing, time, slot, packet);
  return feed_channel(flow, from, *data, chunk.missing, time, slot, packet);
}

/// A piece of a message, between which there may be pieces of others: it is put together first.
bool Engine::feed_piece(Flow& flow, int from, const net::SctpData& piece, uint32_t missing, Timestamp time,
                        const Slot& slot, const net::Packet& packet) {
  auto& association = static_cast<Association&>(*flow.session);
  auto& all = association.messages;
  auto at = std::find_if(all.begin(), all.end(), [&](const Association::Message& m) {
    return m.from == from && m.stream == piece.stream && m.unordered == piece.unordered && m.id == piece.sequence;
  });
  if (at == all.end()) {
    if (!piece.begins) return true;  // its beginning was lost
    if (all.size() >= Association::kMostMessages) {
      ++counters_.sctp.refused;
      return true;
    }
    at = all.insert(all.end(), {from, piece.stream, piece.unordered, piece.sequence, piece.protocol, 0, {}});
  }
  if (association.message_bytes + piece.bytes.size() > Association::kMostMessageBytes) {
    ++counters_.sctp.refused;
    association.message_bytes -= at->bytes.size();
    all.erase(at);
    return true;
  }
  at->missing += missing;
  at->bytes.insert(at->bytes.end(), piece.bytes.begin(), piece.bytes.end());
  association.message_bytes += piece.bytes.size();
  if (!piece.ends) return true;
  const Association::Message whole = std::move(*at);
  all.erase(at);
  association.message_bytes -= whole.bytes.size();
  net::SctpData data = piece;
  data.protocol = whole.protocol;
  data.bytes = whole.bytes;
  return feed_channel(flow, from, data, whole.missing, time, slot, packet);
}

/// Returns whether the association is still there.
bool Engine::feed_channel(Flow& flow, int from, const net::SctpData& data, uint32_t missing, Timestamp time,
                          const Slot& slot, const net::Packet& packet) {
  auto& association = static_cast<Association&>(*flow.session);
  const uint32_t channel = Association::channel(data);
  Flow* sub = find_channel(flow, channel);
  if (sub == nullptr) {
    if (association.channels.size() >= Association::kMostChannels) return true;
    sub = open_channel(flow, channel, slot, packet);
    if (table_.find(slot.key.key, slot.hash) != &flow) {
      close(*sub, StreamEnd::kEvicted);
      release(*sub);
      return false;
    }
  }
  sub->last = time;
  if (sub->list != Flow::List::kUdp || sub->listed != now_) table_.move(sub, Flow::List::kUdp, now_);
  flow_ = sub;
  if (!data.bytes.empty()) feed(*sub, from, data.bytes, time);
  if (missing != 0) lose(*sub, from, missing);
  flow_ = &flow;
  return true;
}

Flow* Engine::open_channel(Flow& flow, uint32_t channel, const Slot& slot, const net::Packet& packet) {
  auto& association = static_cast<Association&>(*flow.session);
  if (std::find(association.channels.begin(), association.channels.end(), channel) == association.channels.end())
    association.channels.push_back(channel);
  const uint32_t ordinal = ++association.opened;
  const uint64_t stream = flow.stream, next = next_stream_;
  const bool oriented = flow.oriented, known0 = flow.isn_known[0], known1 = flow.isn_known[1];
  const uint8_t client = flow.client_half;
  Slot own = slot;
  own.key.key.channel = channel;
  own.hash = table_.hash(own.key.key);
  Flow* const sub = open(own, Flow::List::kUdp, packet);  // `flow` may be gone from here on
  next_stream_ = next;
  --counters_.streams;
  sub->stream = stream;
  sub->items = ordinal * kItemsOfChannel;
  sub->oriented = oriented;
  if (oriented) sub->client_half = client;
  sub->isn_known[0] = known0;  // whether the beginning was seen
  sub->isn_known[1] = known1;
  return sub;
}

void Engine::end_channels(Flow& flow, StreamEnd end) {
  auto& association = static_cast<Association&>(*flow.session);
  for (const uint32_t channel : association.channels) {
    Flow* const sub = find_channel(flow, channel);
    if (sub == nullptr) continue;
    close(*sub, end);
    release(*sub);
  }
  association.channels.clear();
  association.messages.clear();
  association.message_bytes = 0;
  for (net::SctpHalf& half : association.half) half.clear(store_);
  flow_ = &flow;
}

}  // namespace baleen::dissect
