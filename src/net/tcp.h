#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/clock.h"

namespace baleen::net {

/// a < b in the circle of sequence numbers (RFC 9293 3.4).
inline bool seq_less(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

/// A segment that came too early, with a copy of its payload behind it.
struct StoredSegment {
  StoredSegment* next;
  Timestamp time;
  uint32_t seq;
  uint32_t size;
  uint32_t capacity;
  Bytes bytes() const { return {reinterpret_cast<const uint8_t*>(this + 1), size}; }
};

/// Memory for early segments of all flows of a shard: a free list of blocks for ordinary sizes, and a limit for all.
class SegmentStore {
 public:
  explicit SegmentStore(size_t limit_bytes = 64 << 20) : limit_(limit_bytes) {}
  ~SegmentStore();
  SegmentStore(const SegmentStore&) = delete;
  SegmentStore& operator=(const SegmentStore&) = delete;

  /// Null when the limit is reached.
  StoredSegment* take(Bytes payload);
  void give(StoredSegment* segment);
  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kOrdinary = 2048;
  StoredSegment* free_ = nullptr;
  size_t bytes_ = 0;
  size_t limit_;
};

struct TcpCounters {
  uint64_t retransmitted_bytes = 0, early_segments = 0, overlapping_bytes = 0, refused_segments = 0,
           bytes_after_end = 0;
};

/// One direction of a connection: puts segments into the order of their sequence numbers. First bytes win on overlap.
///
/// offer() gives back what of a segment is next in line, as a view of the packet itself; early segments are copied and
/// come out of pop() once their turn is there. Holes are the owner's decision: gap() tells, skip_gap() gives up on one.
class TcpHalf {
 public:
  bool started() const { return started_; }
  /// The stream's first byte will be `seq`.
  void start(uint32_t seq) {
    next_ = seq;
    started_ = true;
  }
  /// Sequence number of the next byte that is wanted.
  uint32_t next() const { return next_; }

  /// REQUIRES: started(). The part of `payload` that is next in line, now counted as delivered; empty when it is old or
  /// early. `missing` payload bytes behind it were not captured: they are skipped as a gap by the owner through lose().
  Bytes offer(uint32_t seq, Bytes payload, Timestamp time, SegmentStore& store, TcpCounters& counters);

  /// Keeps a segment although its turn may have come: the owner waits for something else before it calls pop().
  void hold(uint32_t seq, Bytes payload, Timestamp time, SegmentStore& store, TcpCounters& counters) {
    keep(seq, payload, time, store, counters);
  }

  /// The first early segment whose turn has come; null when there is none. The caller delivers `out` and gives the
  /// segment back.
  StoredSegment* pop(Bytes& out, TcpCounters& counters);
  /// Whether early segments wait behind a hole.
  bool waiting() const { return early_ != nullptr; }
  /// REQUIRES: waiting(). Bytes between what was delivered and the first early segment; zero when none are missing.
  uint32_t gap() const { return seq_less(next_, early_->seq) ? early_->seq - next_ : 0; }
  Timestamp waiting_since() const { return early_->time; }
  uint32_t waiting_bytes() const { return early_bytes_; }
  uint32_t waiting_segments() const { return early_count_; }
  /// Gives up on the hole before the first early segment; returns its size.
  uint32_t skip_gap() {
    const uint32_t lost = gap();
    next_ += lost;
    return lost;
  }
  /// The next `n` bytes will not come.
  void lose(uint32_t n) { next_ += n; }

  void set_end(uint32_t seq) {
    end_known_ = true;
    end_ = seq;
  }
  /// FIN was seen and everything before it was delivered or given up.
  bool ended() const { return end_known_ && started_ && !seq_less(next_, end_); }
  bool end_known() const { return end_known_; }

  void clear(SegmentStore& store);

 private:
  void keep(uint32_t seq, Bytes payload, Timestamp time, SegmentStore& store, TcpCounters& counters);

  StoredSegment* early_ = nullptr;  // sorted, disjoint
  uint32_t next_ = 0;
  uint32_t end_ = 0;
  uint32_t early_bytes_ = 0;
  uint16_t early_count_ = 0;
  bool started_ = false;
  bool end_known_ = false;
};
static_assert(sizeof(TcpHalf) <= 32);

}  // namespace baleen::net
