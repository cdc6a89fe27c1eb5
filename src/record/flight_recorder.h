#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "item/item.h"
#include "net/packet.h"

namespace baleen::record {

struct FlightRecorderOptions {
  std::string folder;  // where segment files are made; they have no name and vanish with the process
  uint64_t limit_bytes = uint64_t{1} << 30;
  uint64_t segment_bytes = 64 << 20;        // at most half of the limit is used, so that the limit can hold
  Duration ttl = std::chrono::seconds(10);  // the least that packets stay, unless limit_bytes forbids it
};

struct StreamKey {
  uint64_t number = 0;
  item::StreamKind kind = item::StreamKind::kTcp;
};

/// A packet as it lies in the recorder. `bytes` are valid inside the callback only.
struct RecordedPacket {
  Timestamp time{};
  Bytes bytes;
  uint32_t wire_length = 0, interface = 0;
  net::LinkType link = net::LinkType::kEthernet;
};

/// Where reading of a stream stands; opaque but for its default, the stream's first packet.
struct Cursor {
  uint64_t position = 0;  // packets at or after it have not been read
  uint64_t packets = 0;
};

/// Keeps every captured packet for a short time: one sequential write into memory-mapped segment files, and a chain
/// through each stream's packets. No file, no allocation per packet; 48 bytes of overhead each.
///
/// append() is for one thread; reading is for any. A reader holds the segments that it walks: they are not overwritten
/// under it.
class FlightRecorder {
 public:
  static Result<std::unique_ptr<FlightRecorder>> open(const FlightRecorderOptions& options);
  ~FlightRecorder();

  /// False when the packet is not kept: it is larger than a segment, or the disk is full and every segment in hand is
  /// being read. It counts as one of its stream's packets that are lost.
  bool append(StreamKey stream, const net::Packet& packet);

  /// Calls `each` for the packets of a stream that came after `cursor`, in the order of their capture, and moves it.
  /// Returns how many packets of it have been overwritten, or refused, since the last call. Packets appended meanwhile
  /// may be left for the next call.
  uint64_t read(uint64_t stream, Cursor& cursor, const std::function<void(const RecordedPacket&)>& each) const;
  /// Every packet since `since`, in the order of their capture, of all streams.
  void read_all(Timestamp since, const std::function<void(StreamKey, const RecordedPacket&)>& each) const;
  bool knows(uint64_t stream) const;
  /// Streams that have packets now.
  std::vector<StreamKey> streams() const;

  uint64_t packets() const { return packets_.load(std::memory_order_relaxed); }
  uint64_t overwritten_packets() const { return overwritten_.load(std::memory_order_relaxed); }
  /// Packets that append() has refused.
  uint64_t refused_packets() const { return refused_.load(std::memory_order_relaxed); }
  uint64_t bytes_on_disk() const;
  /// How often the disk had no room for another segment, and the oldest one's was used again.
  uint64_t failed_segments() const { return failed_.load(std::memory_order_relaxed); }

 private:
  struct Segment;
  struct Head {
    uint64_t last = ~uint64_t{0};  // position of the newest packet; all ones: none yet
    uint32_t packets = 0;
    item::StreamKind kind = item::StreamKind::kTcp;
  };
  class Walk;
  explicit FlightRecorder(const FlightRecorderOptions& options) : options_(options) {}
  bool next_segment();
  void drop_old(Timestamp time);
  bool reuse_oldest();
  bool refuse(uint64_t stream);
  void forget_before(uint64_t position);
  void remember_gone(uint64_t stream, uint32_t packets);

  FlightRecorderOptions options_;
  // Guards what follows up to next_number_; held for a few instructions per packet, never while reading packets.
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Segment>> segments_;
  std::unordered_map<uint64_t, Head> heads_;
  // How many packets streams had whose packets are all gone: a stream that goes on is numbered on, and what was not
  // read in time is counted. Bounded; what is forgotten here begins at one again.
  std::unordered_map<uint64_t, uint32_t> gone_;
  std::deque<uint64_t> gone_order_;
  uint64_t next_number_ = 0;
  std::atomic<uint64_t> packets_{0}, overwritten_{0}, refused_{0}, failed_{0};
};

}  // namespace baleen::record
