#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/clock.h"

namespace baleen::net {

/// a < b in the circle of sequence numbers (RFC 9293 3.4).
inline bool seq_less(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

/// What else a segment said when it arrived, kept with its bytes while they wait.
struct Arrival {
  Timestamp time{};
  uint32_t ack = 0;   // what it acknowledges
  bool acks = false;  // whether it does
};

/// A segment that came too early, with a copy of its payload behind it.
struct StoredSegment {
  StoredSegment* next;
  Arrival arrival;
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
  uint64_t retransmitted_bytes = 0, early_segments = 0, overlapping_bytes = 0;
  uint64_t refused_segments = 0;  // early ones beyond a limit
  uint64_t bytes_after_end = 0;   // behind a FIN
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
  /// The same again, for a stream that went on elsewhere. REQUIRES: nothing waits.
  void restart(uint32_t seq) {
    end_known_ = false;
    start(seq);
  }
  /// Sequence number of the next byte that is wanted.
  uint32_t next() const { return next_; }

  /// REQUIRES: started(). The part of `payload` that is next in line, now counted as delivered; empty when it is old or
  /// early.
  Bytes offer(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store, TcpCounters& counters) {
    if (seq != next_ || early_ != nullptr || end_known_) return sort_in(seq, payload, arrival, store, counters);
    next_ += static_cast<uint32_t>(payload.size());  // nearly always
    return payload;
  }

  /// Keeps a segment although its turn may have come: the owner waits for something else before it calls pop().
  void hold(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store, TcpCounters& counters) {
    keep(seq, until_end(seq, payload, counters), arrival, store, counters);
  }

  /// The first early segment if its turn has come, else null.
  const StoredSegment* front() const { return early_ != nullptr && !seq_less(next_, early_->seq) ? early_ : nullptr; }
  /// REQUIRES: front() is there. Takes it, `out` being those of its bytes that are new. The caller delivers them and
  /// gives the segment back.
  StoredSegment* pop(Bytes& out, TcpCounters& counters);
  /// Whether early segments wait behind a hole.
  bool waiting() const { return early_ != nullptr; }
  /// REQUIRES: waiting(). Bytes between what was delivered and the first early segment; zero when none are missing.
  uint32_t gap() const { return seq_less(next_, early_->seq) ? early_->seq - next_ : 0; }
  Timestamp waiting_since() const { return early_->arrival.time; }
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
  /// REQUIRES: end_known(). The sequence number behind the last byte.
  uint32_t end() const { return end_; }
  static constexpr uint16_t kMostEarlySegments = 4096;

  void clear(SegmentStore& store);

 private:
  Bytes sort_in(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store, TcpCounters& counters);
  Bytes until_end(uint32_t seq, Bytes payload, TcpCounters& counters) const;
  void keep(uint32_t seq, Bytes payload, const Arrival& arrival, SegmentStore& store, TcpCounters& counters);

  StoredSegment* early_ = nullptr;  // sorted, disjoint
  StoredSegment* last_ = nullptr;   // of them; most segments go behind it
  uint32_t next_ = 0;
  uint32_t end_ = 0;
  uint32_t early_bytes_ = 0;
  uint16_t early_count_ = 0;
  bool started_ = false;
  bool end_known_ = false;
};
static_assert(sizeof(TcpHalf) <= 32);

}  // namespace baleen::net
