#include <algorithm>

#include "base/check.h"
#include "dissect/association.h"
#include "dissect/engine.h"

// SCTP (RFC 9260). The flow of an association orders its DATA chunks; what they carry goes to a flow for each channel,
// which a dissector reads as it reads a TCP stream. All of them have the association's number, so that a recorded item
// brings the association's packets along.

namespace baleen::dissect {
namespace {

constexpr uint32_t kItemsOfChannel = 1u << 20;  // so that no two items of an association have the same number

}  // namespace

void Engine::on_sctp(const net::Packet& packet, const Slot& slot) {
  ++counters_.sctp_packets;
  Flow* flow = table_.find(slot.key.key, slot.hash);
  if (flow == nullptr) {
    flow = open(slot, Flow::List::kUdp, packet);
    flow->session = std::make_unique<Association>();
    flow->state = Flow::State::kIgnored;
  }
  flow->last = packet.time;
  table_.move(flow, Flow::List::kUdp, now_);
  flow_ = flow;
  tell(*flow, packet, slot.decoded);
  if (!is_sampled(slot.key.key)) return;
  const int from = slot.key.from_low ? 0 : 1;
  net::SctpChunks chunks(slot.decoded.payload, slot.decoded.payload_missing);
  net::SctpChunk chunk;
  while (chunks.next(chunk))
    if (!on_chunk(*flow, from, chunk, slot, packet)) return;
}

/// Whether the association is still there: a new channel may have driven it out of a full table.
bool Engine::on_chunk(Flow& flow, int from, const net::SctpChunk& chunk, const Slot& slot, const net::Packet& packet) {
  auto& association = static_cast<Association&>(*flow.session);
  switch (chunk.type) {
    case net::sctp_chunk::kInit:
    case net::sctp_chunk::kInitAck: {
      if (chunk.body.size() < 16) return true;
      if (association.over) end_channels(flow, StreamEnd::kReused);
      association.over = false;
      association.half[from].start(load_be32(&chunk.body[12]), store_);
      flow.isn_known[from] = true;
      if (!flow.oriented) {
        flow.client_half = static_cast<uint8_t>(chunk.type == net::sctp_chunk::kInit ? from : 1 - from);
        flow.oriented = true;
      }
      return true;
    }
    case net::sctp_chunk::kAbort:
    case net::sctp_chunk::kShutdownComplete:
      give_up_chunks(flow, slot, packet);
      end_channels(flow, chunk.type == net::sctp_chunk::kAbort ? StreamEnd::kReset : StreamEnd::kFin);
      association.over = true;
      return true;
    case net::sctp_chunk::kData: break;
    default: return true;
  }
  const auto data = net::sctp_data(chunk.body);
  if (!data) return true;
  net::SctpHalf& half = association.half[from];
  if (half.offer(data->tsn, chunk, packet.time, store_, counters_.sctp) &&
      !feed_channel(flow, from, *data, chunk.missing, packet.time, slot, packet))
    return false;
  if (!deliver_chunks(flow, from, slot, packet)) return false;
  // Who sends the 33rd chunk behind a hole was told of it and does not send it again: it was lost on its way to us.
  while (half.waiting() && (half.waiting_chunks() > options_.reorder_packets ||
                            packet.time - half.waiting_since() > options_.hole_wait)) {
    skip_chunks(flow, from);
    if (!deliver_chunks(flow, from, slot, packet)) return false;
  }
  return true;
}

bool Engine::deliver_chunks(Flow& flow, int from, const Slot& slot, const net::Packet& packet) {
  net::SctpHalf& half = static_cast<Association&>(*flow.session).half[from];
  while (net::StoredSegment* const kept = half.pop()) {
    const auto data = net::sctp_data(kept->bytes());
    const bool there = !data || feed_channel(flow, from, *data, kept->arrival.ack, kept->arrival.time, slot, packet);
    store_.give(kept);
    if (!there) return false;
  }
  return true;
}

/// Chunks are missing and will not come: no channel knows how much of it that was.
void Engine::skip_chunks(Flow& flow, int from) {
  auto& association = static_cast<Association&>(*flow.session);
  association.half[from].skip_hole(counters_.sctp);
  for (const uint32_t channel : association.channels) {
    Flow* const sub = find_channel(flow, channel);
    if (sub == nullptr || sub->closed) continue;
    flow_ = sub;
    lose(*sub, from, 0);
  }
  flow_ = &flow;
}

void Engine::give_up_chunks(Flow& flow, const Slot& slot, const net::Packet& packet) {
  for (int from = 0; from < 2; ++from) {
    while (static_cast<Association&>(*flow.session).half[from].waiting()) {
      skip_chunks(flow, from);
      if (!deliver_chunks(flow, from, slot, packet)) return;
    }
  }
}

Flow* Engine::find_channel(const Flow& flow, uint32_t channel) const {
  net::FlowKey key = flow.key;
  key.channel = channel;
  return table_.find(key, table_.hash(key));
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
  for (net::SctpHalf& half : association.half) half.clear(store_);
  flow_ = &flow;
}

}  // namespace baleen::dissect
