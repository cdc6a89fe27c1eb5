#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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

/// The stream of packets that belong to none: ARP, fragments before their last, what cannot be decoded.
constexpr uint64_t kNoStream = ~uint64_t{0};

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

/// Where reading of everything stands.
struct Place {
  uint64_t position = 0;
  uint64_t packets = 0;  // kept since the start that lie before it, whether they were read or not
  bool operator==(const Place&) const = default;
};

/// What a recorder holds at one moment.
struct Extent {
  uint64_t packets = 0, bytes = 0;  // bytes: on the disk
  Timestamp oldest{}, newest{};     // of these packets; the epoch when there are none
  bool complete = true;             // nothing that was captured has been overwritten yet
};

/// Keeps every captured packet for a short time: sequential writes into segment files, and a chain through each
/// stream's packets. No file, no allocation per packet; 48 bytes of overhead each.
///
/// append() is for one thread; reading is for any. A reader holds the segment in which it reads, one at a time: that
/// is not written over, counts against the limit when it is dropped meanwhile, and so must not be held for long.
class FlightRecorder {
 public:
  static Result<std::unique_ptr<FlightRecorder>> open(const FlightRecorderOptions& options);
  ~FlightRecorder();

  /// False when the packet is not kept: it is larger than a segment, or there is no place (the disk or the limit) but
  /// in segments that are being read. It counts as one of its stream's packets that are lost.
  bool append(StreamKey stream, const net::Packet& packet);

  /// Calls `each` for the packets of a stream that came after `cursor`, in the order of their capture, and moves it.
  /// Returns how many packets of it have been overwritten, or refused, since the last call. Packets appended meanwhile
  /// may be left for the next call.
  uint64_t read(uint64_t stream, Cursor& cursor, const std::function<void(const RecordedPacket&)>& each) const;
  /// Calls `each` for packets of all streams from `place` up to `end`, in the order of their capture, until they are
  /// `most_bytes` or the segment ends, and moves `place`; it stays where it is when there are none. Returns how many
  /// packets have been overwritten between `place` and the first one.
  uint64_t read_on(Place& place, const Place& end, size_t most_bytes,
                   const std::function<void(StreamKey, const RecordedPacket&)>& each) const;
  /// Behind the newest packet.
  Place end() const;
  /// The beginning of the first segment that may have packets of that time or later.
  Place place_of(Timestamp since) const;
  Extent extent() const;
  /// Every packet since `since` that is there now, in the order of their capture, of all streams. Returns how many were
  /// overwritten before they could be read.
  uint64_t read_all(Timestamp since, const std::function<void(StreamKey, const RecordedPacket&)>& each) const;
  bool knows(uint64_t stream) const;
  /// Of the stream's newest packet; nothing when it has none.
  std::optional<Timestamp> last_time(uint64_t stream) const;
  /// Streams that have packets now.
  std::vector<StreamKey> streams() const;

  uint64_t packets() const { return packets_.load(std::memory_order_relaxed); }
  uint64_t overwritten_packets() const { return overwritten_.load(std::memory_order_relaxed); }
  /// Of those, what segments had that reached to this time or later: of the last kMostPast segments, and of the oldest
  /// of these also what lay before it.
  uint64_t overwritten_since(Timestamp since) const;
  static constexpr size_t kMostPast = 4096;
  /// Packets that append() has refused.
  uint64_t refused_packets() const { return refused_.load(std::memory_order_relaxed); }
  uint64_t bytes_on_disk() const;
  /// How often the disk had no room for another segment, and the oldest one's was used again.
  uint64_t failed_segments() const { return failed_.load(std::memory_order_relaxed); }

 private:
  struct Segment;
  struct Chunk;
  struct Head {
    uint64_t last = ~uint64_t{0};  // position of the newest packet; all ones: none yet
    uint32_t packets = 0;
    item::StreamKind kind = item::StreamKind::kTcp;
  };
  class Hold;
  explicit FlightRecorder(const FlightRecorderOptions& options) : options_(options) {}
  bool next_segment();
  void begin_chunk(uint64_t at);
  void write_out(uint64_t next);
  bool drop_old(Timestamp time);
  bool is_to_close(const Segment& segment, Timestamp time);
  bool has_room() const;
  bool reuse_oldest();
  void note_gone(const Segment& segment);
  std::shared_ptr<Segment> find(uint64_t number) const;
  bool refuse(uint64_t stream);
  void forget_before(uint64_t position);
  void remember_gone(uint64_t stream, uint32_t packets);

  FlightRecorderOptions options_;
  // Guards what follows up to next_number_; held for a few instructions per packet, never while reading packets.
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Segment>> segments_;
  std::shared_ptr<Chunk> chunk_;
  std::vector<std::shared_ptr<Segment>> retired_;  // dropped while they were read: on the disk until that is over
  std::unordered_map<uint64_t, Head> heads_;
  // How many packets streams had whose packets are all gone: a stream that goes on is numbered on, and what was not
  // read in time is counted. Bounded; what is forgotten here begins at one again.
  std::unordered_map<uint64_t, uint32_t> gone_;
  std::deque<uint64_t> gone_order_;
  struct Past {
    Timestamp newest;
    uint64_t packets;
  };
  std::deque<Past> past_;  // segments that are gone
  uint64_t next_number_ = 0;
  uint64_t kept_ = 0;  // packets_, under the mutex
  std::atomic<uint64_t> packets_{0}, overwritten_{0}, refused_{0}, failed_{0};
};

}  // namespace baleen::record
