#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/tcp.h"

namespace baleen::net {

/// Types of chunks (RFC 9260 3.2, RFC 3758, RFC 8260).
namespace sctp_chunk {
constexpr uint8_t kData = 0, kInit = 1, kInitAck = 2, kSack = 3, kHeartbeat = 4, kAbort = 6, kShutdown = 7,
                  kCookieEcho = 10, kCookieAck = 11, kShutdownComplete = 14, kIData = 64, kForwardTsn = 192,
                  kIForwardTsn = 194;
}

/// A view of one chunk in a packet.
struct SctpChunk {
  uint8_t type = 0, flags = 0;
  Bytes body;            // behind the chunk's header, as far as it was captured
  uint32_t missing = 0;  // bytes of it that were on the wire and not captured
};

/// Takes the chunks off the front of a packet's payload, until one makes no sense.
class SctpChunks {
 public:
  /// `missing`: bytes behind `payload` that were not captured.
  SctpChunks(Bytes payload, uint32_t missing) : at_(payload), missing_(missing) {}
  bool next(SctpChunk& chunk);

 private:
  Bytes at_;
  uint32_t missing_;
};

/// A DATA chunk (RFC 9260 3.3.1) or an I-DATA chunk (RFC 8260 2.1): a message of the user, or a piece of one.
struct SctpData {
  uint32_t tsn = 0;
  uint16_t stream = 0;
  uint32_t sequence = 0;  // of its message: stream sequence number, or message identifier
  uint32_t protocol = 0;  // payload protocol identifier: 0 unspecified, 46 Diameter; of I-DATA in the first piece only
  bool begins = false, ends = false, unordered = false;  // of the message
  bool interleaved = false;                              // I-DATA: pieces of several messages may be mixed
  Bytes bytes;
};
/// Nothing when it is another chunk, or its header is not there.
std::optional<SctpData> sctp_data(const SctpChunk& chunk);

struct SctpCounters {
  uint64_t chunks = 0, retransmitted = 0, early = 0, refused = 0, lost = 0;
};

/// One direction of an association: DATA chunks in the order of their transmission sequence numbers. That is the order
/// in which the sender made them, so every stream, and the pieces of every message, come out in order as well.
class SctpHalf {
 public:
  static constexpr uint32_t kMostEarly = 1024;

  bool started() const { return started_; }
  uint32_t next() const { return next_; }
  /// The first chunk will be `tsn`; what waited for another one is given back.
  void start(uint32_t tsn, SegmentStore& store);
  /// Whether it is this chunk's turn; one that is early is copied, an old one is counted and forgotten.
  bool offer(uint32_t tsn, const SctpChunk& chunk, Timestamp time, SegmentStore& store, SctpCounters& counters);
  /// The early chunk whose turn has come, or null; goes back to the store. `seq` is its number.
  StoredSegment* pop();
  /// A view of what pop() gave.
  static SctpChunk chunk_of(const StoredSegment& kept);
  /// Gives up on all chunks before the first that waits.
  void skip_hole(SctpCounters& counters);
  /// The number of the first chunk that waits. REQUIRES: waiting()
  uint32_t first_waiting() const { return early_->seq; }
  /// Nothing before `tsn` will come, and nothing that waits is before it.
  void skip_to(uint32_t tsn, SctpCounters& counters);
  bool waiting() const { return early_ != nullptr; }
  uint32_t waiting_chunks() const { return count_; }
  Timestamp waiting_since() const { return early_->arrival.time; }
  void clear(SegmentStore& store);

 private:
  StoredSegment* early_ = nullptr;
  uint32_t next_ = 0;
  uint32_t count_ = 0;
  bool started_ = false;
};

}  // namespace baleen::net
