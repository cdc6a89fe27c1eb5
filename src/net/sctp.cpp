#include "net/sctp.h"

#include <algorithm>
#include <utility>

namespace baleen::net {
namespace {

constexpr uint32_t kFarthestChunk = 1u << 20;  // chunks ahead: further is another association's, or a lie

}  // namespace

bool SctpChunks::next(SctpChunk& chunk) {
  if (at_.size() < 4) return false;
  const uint32_t length = load_be16(&at_[2]);
  if (length < 4) return false;
  chunk.type = at_[0];
  chunk.flags = at_[1];
  const auto here = std::min<size_t>(length, at_.size());
  chunk.missing = length - static_cast<uint32_t>(here);
  if (chunk.missing > missing_) return false;  // longer than the packet ever was
  chunk.body = at_.subspan(4, here - 4);
  at_ = at_.subspan(std::min<size_t>((length + 3u) & ~3u, at_.size()));
  return true;
}

std::optional<SctpData> sctp_data(const SctpChunk& chunk) {
  const Bytes body = chunk.body;
  const bool interleaved = chunk.type == sctp_chunk::kIData;
  const size_t header = interleaved ? 16 : 12;
  if ((!interleaved && chunk.type != sctp_chunk::kData) || body.size() < header) return std::nullopt;
  SctpData data;
  data.tsn = load_be32(body.data());
  data.stream = load_be16(&body[4]);
  data.ends = (chunk.flags & 1) != 0;
  data.begins = (chunk.flags & 2) != 0;
  data.unordered = (chunk.flags & 4) != 0;
  data.interleaved = interleaved;
  data.sequence = interleaved ? load_be32(&body[8]) : load_be16(&body[6]);
  if (!interleaved) data.protocol = load_be32(&body[8]);
  if (interleaved && data.begins) data.protocol = load_be32(&body[12]);
  data.bytes = body.subspan(header);
  return data;
}

void SctpHalf::start(uint32_t tsn, SegmentStore& store) {
  clear(store);
  next_ = tsn;
  started_ = true;
}

bool SctpHalf::offer(uint32_t tsn, const SctpChunk& chunk, Timestamp time, SegmentStore& store,
                     SctpCounters& counters) {
  ++counters.chunks;
  if (!started_) start(tsn, store);
  if (tsn == next_) {
    ++next_;
    return true;
  }
  if (seq_less(tsn, next_)) {
    ++counters.retransmitted;
    return false;
  }
  StoredSegment** link = &early_;
  while (*link != nullptr && seq_less((*link)->seq, tsn)) link = &(*link)->next;
  if (*link != nullptr && (*link)->seq == tsn) {
    ++counters.retransmitted;
    return false;
  }
  StoredSegment* const kept = count_ < kMostEarly && tsn - next_ < kFarthestChunk ? store.take(chunk.body) : nullptr;
  if (kept == nullptr) {
    ++counters.refused;
    return false;
  }
  ++counters.early;
  kept->seq = tsn;
  kept->arrival = {time, uint32_t{chunk.type} << 24 | uint32_t{chunk.flags} << 16 | (chunk.missing & 0xFFFF), false};
  kept->next = std::exchange(*link, kept);
  ++count_;
  return false;
}

StoredSegment* SctpHalf::pop() {
  if (early_ == nullptr || early_->seq != next_) return nullptr;
  ++next_;
  --count_;
  return std::exchange(early_, early_->next);
}

SctpChunk SctpHalf::chunk_of(const StoredSegment& kept) {
  const uint32_t head = kept.arrival.ack;
  return {static_cast<uint8_t>(head >> 24), static_cast<uint8_t>(head >> 16), kept.bytes(), head & 0xFFFF};
}

void SctpHalf::skip_hole(SctpCounters& counters) {
  if (early_ == nullptr) return;
  counters.lost += early_->seq - next_;
  next_ = early_->seq;
}

void SctpHalf::skip_to(uint32_t tsn, SctpCounters& counters) {
  if (!started_ || !seq_less(next_, tsn) || tsn - next_ > kFarthestChunk) return;
  counters.lost += tsn - next_;
  next_ = tsn;
}

void SctpHalf::clear(SegmentStore& store) {
  while (early_ != nullptr) store.give(std::exchange(early_, early_->next));
  count_ = 0;
}

}  // namespace baleen::net
