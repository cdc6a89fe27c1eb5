#include "net/tcp.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace baleen::net {
namespace {

constexpr uint32_t kFarthest = 1u << 30;  // beyond any window (RFC 7323 2.2): not this connection
constexpr int kLongestWalk = 512;         // early segments that are passed by to find one's place

}  // namespace

SegmentStore::~SegmentStore() {
  while (free_ != nullptr) std::free(std::exchange(free_, free_->next));
}

StoredSegment* SegmentStore::take(Bytes payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  const uint32_t capacity = std::max(size, kOrdinary);
  if (bytes_ + capacity > limit_) return nullptr;
  StoredSegment* segment = nullptr;
  if (capacity == kOrdinary && free_ != nullptr) {
    segment = std::exchange(free_, free_->next);
  } else {
    segment = static_cast<StoredSegment*>(std::malloc(sizeof(StoredSegment) + capacity));
    BALEEN_CHECK(segment != nullptr);
    segment->capacity = capacity;
  }
  bytes_ += capacity;
  segment->next = nullptr;
  segment->size = size;
  std::memcpy(segment + 1, payload.data(), size);
  return segment;
}

void SegmentStore::give(StoredSegment* segment) {
  bytes_ -= segment->capacity;
  if (segment->capacity != kOrdinary) return std::free(segment);
  segment->next = free_;
  free_ = segment;
}

/// Nothing comes after the end (RFC 9293 3.10.7.4); a liar's bytes are not the stream's.
Bytes TcpHalf::until_end(uint32_t seq, Bytes payload, TcpCounters& counters) const {
  const uint32_t last = seq + static_cast<uint32_t>(payload.size());
  if (!end_known_ || !seq_less(end_, last)) return payload;
  const size_t beyond = std::min<size_t>(last - end_, payload.size());
  counters.bytes_after_end += beyond;
  return payload.first(payload.size() - beyond);
}

Bytes TcpHalf::sort_in(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store,
                       TcpCounters& counters) {
  payload = until_end(seq, payload, counters);
  if (payload.empty()) return {};
  if (seq_less(next_, seq)) {
    keep(seq, payload, arrival, store, counters);
    return {};
  }
  const uint32_t old = next_ - seq;
  if (old >= payload.size()) {
    counters.retransmitted_bytes += payload.size();
    return {};
  }
  counters.retransmitted_bytes += old;
  payload = payload.subspan(old);
  // An early segment that was here first keeps its bytes.
  if (early_ != nullptr && seq_less(early_->seq, next_ + static_cast<uint32_t>(payload.size()))) {
    const uint32_t before = seq_less(next_, early_->seq) ? early_->seq - next_ : 0;
    if (before < payload.size()) {
      keep(next_ + before, payload.subspan(before), arrival, store, counters);  // the parts that nobody has yet
      payload = payload.first(before);
    }
  }
  next_ += static_cast<uint32_t>(payload.size());
  return payload;
}

void TcpHalf::keep(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store, TcpCounters& counters) {
  if (seq_less(seq, next_)) {  // held, and partly old
    const uint32_t old = next_ - seq;
    if (old >= payload.size()) return;
    payload = payload.subspan(old);
    seq = next_;
  }
  if (seq - next_ > kFarthest) {
    ++counters.refused_segments;
    return;
  }
  ++counters.early_segments;
  StoredSegment** link = &early_;
  if (last_ != nullptr && !seq_less(seq, last_->seq + last_->size)) link = &last_->next;
  int steps = 0;
  while (!payload.empty()) {
    // Skip segments that end at or before us. Nobody honest is that far out of order.
    while (*link != nullptr && !seq_less(seq, (*link)->seq + (*link)->size) && ++steps < kLongestWalk)
      link = &(*link)->next;
    if (steps >= kLongestWalk) {
      ++counters.refused_segments;
      return;
    }
    size_t room = payload.size();
    if (*link != nullptr) {
      if (!seq_less(seq, (*link)->seq)) {  // begins inside an older one: those bytes lose
        const size_t covered = std::min<size_t>((*link)->seq + (*link)->size - seq, payload.size());
        counters.overlapping_bytes += covered;
        payload = payload.subspan(covered);
        seq += static_cast<uint32_t>(covered);
        continue;
      }
      room = std::min<size_t>(room, (*link)->seq - seq);
    }
    StoredSegment* segment = early_count_ < kMostEarlySegments ? store.take(payload.first(room)) : nullptr;
    if (segment == nullptr) {
      ++counters.refused_segments;
      return;
    }
    segment->seq = seq;
    segment->arrival = arrival;
    segment->next = *link;
    if (*link == nullptr) last_ = segment;
    *link = segment;
    link = &segment->next;
    ++early_count_;
    early_bytes_ += segment->size;
    payload = payload.subspan(room);
    seq += static_cast<uint32_t>(room);
  }
}

StoredSegment* TcpHalf::pop(Bytes& out, TcpCounters& counters) {
  StoredSegment* segment = std::exchange(early_, early_->next);
  if (early_ == nullptr) last_ = nullptr;
  --early_count_;
  early_bytes_ -= segment->size;
  const uint32_t old = std::min(next_ - segment->seq, segment->size);
  counters.retransmitted_bytes += old;
  out = segment->bytes().subspan(old);
  next_ += static_cast<uint32_t>(out.size());
  return segment;
}

void TcpHalf::clear(SegmentStore& store) {
  while (early_ != nullptr) store.give(std::exchange(early_, early_->next));
  last_ = nullptr;
  early_bytes_ = early_count_ = 0;
}

}  // namespace baleen::net
