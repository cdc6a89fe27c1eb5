#include "net/tcp.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace baleen::net {
namespace {

constexpr uint16_t kMostEarlySegments = 4096;  // of one direction
constexpr uint32_t kFarthest = 1u << 30;       // beyond any window: not this connection

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

Bytes TcpHalf::offer(uint32_t seq, Bytes payload, Timestamp time, SegmentStore& store, TcpCounters& counters) {
  if (end_known_ && !payload.empty()) {
    // Nothing comes after the end (RFC 9293 3.10.7.4); a liar's bytes are not the stream's.
    const uint32_t last = seq + static_cast<uint32_t>(payload.size());
    if (seq_less(end_, last)) {
      const uint32_t beyond = std::min<uint32_t>(last - end_, static_cast<uint32_t>(payload.size()));
      counters.bytes_after_end += beyond;
      payload = payload.first(payload.size() - beyond);
    }
  }
  if (payload.empty()) return {};
  if (seq_less(next_, seq)) {
    keep(seq, payload, time, store, counters);
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
      keep(next_ + before, payload.subspan(before), time, store, counters);  // the parts that nobody has yet
      payload = payload.first(before);
    }
  }
  next_ += static_cast<uint32_t>(payload.size());
  return payload;
}

void TcpHalf::keep(uint32_t seq, Bytes payload, Timestamp time, SegmentStore& store, TcpCounters& counters) {
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
  while (!payload.empty()) {
    // Skip segments that end at or before us.
    while (*link != nullptr && !seq_less(seq, (*link)->seq + (*link)->size)) link = &(*link)->next;
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
    segment->time = time;
    segment->next = *link;
    *link = segment;
    link = &segment->next;
    ++early_count_;
    early_bytes_ += segment->size;
    payload = payload.subspan(room);
    seq += static_cast<uint32_t>(room);
  }
}

StoredSegment* TcpHalf::pop(Bytes& out, TcpCounters& counters) {
  if (early_ == nullptr || seq_less(next_, early_->seq)) return nullptr;
  StoredSegment* segment = std::exchange(early_, early_->next);
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
  early_bytes_ = early_count_ = 0;
}

}  // namespace baleen::net
