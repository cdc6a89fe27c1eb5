#include "record/flight_recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"

// A position is segment number * segment size + offset, so positions only grow. Each record names the position of its
// stream's record before it; reading a stream walks that chain back to the cursor, then calls forward. What a walk
// meets in a segment that is gone was overwritten: the numbers in the records tell how many packets that were.

namespace baleen::record {
namespace {

struct RecordHeader {
  int64_t time_ns;
  uint64_t previous;  // position, or kNone
  uint64_t stream;
  uint32_t captured, wire_length, interface;
  uint32_t ordinal;  // of the packet in its stream, from 1
  uint16_t link;
  uint8_t kind;
  uint8_t reserved[5];
};
static_assert(sizeof(RecordHeader) == 48);

constexpr uint64_t kNone = ~uint64_t{0};
constexpr size_t kGoneLimit = 1 << 16;
constexpr uint64_t kSmallestSegment = 4096;

}  // namespace

struct FlightRecorder::Segment {
  uint64_t number = 0;
  uint64_t size = 0;
  uint8_t* memory = nullptr;
  std::atomic<uint64_t> used{0};
  std::atomic<uint32_t> readers{0};  // grows under the mutex only
  uint64_t packets = 0;
  Timestamp newest{};
  ~Segment() {
    if (memory != nullptr) ::munmap(memory, size);
  }
};

/// The segments of one moment; nobody writes over them while this lives.
class FlightRecorder::Walk {
 public:
  /// REQUIRES: the mutex is held.
  void begin(const FlightRecorder& recorder) {
    segments_.assign(recorder.segments_.begin(), recorder.segments_.end());
    for (const auto& segment : segments_) segment->readers.fetch_add(1, std::memory_order_relaxed);
  }
  Walk() = default;
  Walk(const Walk&) = delete;
  ~Walk() {
    for (const auto& segment : segments_) segment->readers.fetch_sub(1, std::memory_order_release);
  }
  const std::vector<std::shared_ptr<Segment>>& segments() const { return segments_; }
  /// Null when it is gone.
  const Segment* find(uint64_t number) const {
    const uint64_t first = segments_.front()->number;  // numbers have no gaps
    return number < first || number - first >= segments_.size() ? nullptr : segments_[number - first].get();
  }

 private:
  std::vector<std::shared_ptr<Segment>> segments_;
};

Result<std::unique_ptr<FlightRecorder>> FlightRecorder::open(const FlightRecorderOptions& options) {
  std::unique_ptr<FlightRecorder> recorder(new FlightRecorder(options));
  uint64_t& size = recorder->options_.segment_bytes;
  size = std::min(size, options.limit_bytes / 2) & ~uint64_t{7};
  if (size < kSmallestSegment)
    return Error{Code::kInvalid, "the flight recorder needs two segments of 4 KiB at least: allow it more bytes"};
  if (!recorder->next_segment()) return errno_error("flight recorder: " + options.folder, errno);
  return recorder;
}

FlightRecorder::~FlightRecorder() = default;

bool FlightRecorder::next_segment() {
  auto segment = std::make_shared<Segment>();
  segment->number = next_number_;
  segment->size = options_.segment_bytes;
  const UniqueFd fd(::open(options_.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  // Blocks are reserved now: a disk that fills up must not become a signal in the middle of a packet.
  const int refused = fd ? ::posix_fallocate(fd.get(), 0, static_cast<off_t>(segment->size)) : errno;
  void* const memory =
      refused != 0 ? MAP_FAILED : ::mmap(nullptr, segment->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) {
    if (refused != 0) errno = refused;
    failed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  segment->memory = static_cast<uint8_t*>(memory);
  const std::lock_guard lock(mutex_);
  ++next_number_;
  segments_.push_back(std::move(segment));
  return true;
}

void FlightRecorder::drop_old(Timestamp time) {
  std::vector<std::shared_ptr<Segment>> dropped;  // unmapped when the lock has been given up
  const std::lock_guard lock(mutex_);
  while (segments_.size() > 1) {
    const Segment& oldest = *segments_.front();
    // The limit holds always; the age only frees what nobody needs.
    if ((segments_.size() + 1) * options_.segment_bytes <= options_.limit_bytes && time - oldest.newest <= options_.ttl)
      break;
    overwritten_.fetch_add(oldest.packets, std::memory_order_relaxed);
    dropped.push_back(std::move(segments_.front()));
    segments_.pop_front();
  }
  if (!dropped.empty()) forget_before(segments_.front()->number * options_.segment_bytes);
}

/// The disk has no room: the oldest segment's place is the next one's, rather than to stop capturing. False when
/// somebody reads it.
bool FlightRecorder::reuse_oldest() {
  const std::lock_guard lock(mutex_);
  Segment& oldest = *segments_.front();
  if (oldest.readers.load(std::memory_order_acquire) != 0) return false;
  auto again = std::make_shared<Segment>();
  again->number = next_number_++;
  again->size = oldest.size;
  again->memory = std::exchange(oldest.memory, nullptr);
  overwritten_.fetch_add(oldest.packets, std::memory_order_relaxed);
  segments_.pop_front();
  segments_.push_back(std::move(again));
  forget_before(segments_.front()->number * options_.segment_bytes);
  return true;
}

/// REQUIRES: the mutex is held.
void FlightRecorder::forget_before(uint64_t position) {
  std::erase_if(heads_, [&](const auto& entry) {
    if (entry.second.last >= position) return false;
    remember_gone(entry.first, entry.second.packets);
    return true;
  });
}

/// REQUIRES: the mutex is held.
void FlightRecorder::remember_gone(uint64_t stream, uint32_t packets) {
  if (gone_.insert_or_assign(stream, packets).second) gone_order_.push_back(stream);
  for (; gone_order_.size() > kGoneLimit; gone_order_.pop_front()) gone_.erase(gone_order_.front());
}

bool FlightRecorder::refuse(uint64_t stream) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (const auto head = heads_.find(stream); head != heads_.end()) {
    ++head->second.packets;
  } else {
    const auto before = gone_.find(stream);
    remember_gone(stream, before == gone_.end() ? 1 : before->second + 1);
  }
  return false;
}

bool FlightRecorder::append(StreamKey stream, const net::Packet& packet) {
  const uint64_t size = (sizeof(RecordHeader) + packet.bytes.size() + 7) & ~uint64_t{7};
  if (size > options_.segment_bytes) return refuse(stream.number);
  Segment* segment = segments_.back().get();  // only this thread changes the list
  uint64_t at = segment->used.load(std::memory_order_relaxed);
  if (at + size > segment->size) {
    drop_old(packet.time);
    if (!next_segment() && !reuse_oldest()) return refuse(stream.number);
    segment = segments_.back().get();
    at = 0;
  }
  const uint64_t position = segment->number * options_.segment_bytes + at;
  RecordHeader header{to_ns(packet.time),
                      kNone,
                      stream.number,
                      static_cast<uint32_t>(packet.bytes.size()),
                      packet.wire_length,
                      packet.interface,
                      1,
                      static_cast<uint16_t>(packet.link),
                      static_cast<uint8_t>(stream.kind),
                      {}};
  {
    const std::lock_guard lock(mutex_);
    Head& head = heads_[stream.number];
    if (head.last != kNone) {
      header.previous = head.last;
    } else if (const auto before = gone_.find(stream.number); before != gone_.end()) {
      head.packets = before->second;
    }
    head.last = position;
    header.ordinal = ++head.packets;
    head.kind = stream.kind;
    // The record is written before the lock is given up: a reader that sees the head sees the record.
    std::memcpy(segment->memory + at, &header, sizeof header);
    if (!packet.bytes.empty())
      std::memcpy(segment->memory + at + sizeof header, packet.bytes.data(), packet.bytes.size());
    segment->newest = packet.time;
    ++segment->packets;
    segment->used.store(at + size, std::memory_order_release);
  }
  packets_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

uint64_t FlightRecorder::read(uint64_t stream, Cursor& cursor,
                              const std::function<void(const RecordedPacket&)>& each) const {
  Walk walk;
  uint64_t position = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto head = heads_.find(stream);
    if (head == heads_.end()) {
      const auto before = gone_.find(stream);
      if (before == gone_.end() || before->second <= cursor.packets) return 0;
      return before->second - std::exchange(cursor.packets, before->second);
    }
    position = head->second.last;
    walk.begin(*this);
  }
  const auto record_at = [&](uint64_t p) -> const RecordHeader* {
    const Segment* const segment = walk.find(p / options_.segment_bytes);
    if (segment == nullptr) return nullptr;
    return reinterpret_cast<const RecordHeader*>(segment->memory + p % options_.segment_bytes);
  };
  std::vector<const RecordHeader*> found;
  const uint64_t newest = position;
  while (position != kNone && position >= cursor.position) {
    const RecordHeader* const r = record_at(position);
    if (r == nullptr) break;
    found.push_back(r);
    position = r->previous;
  }
  if (found.empty()) return 0;
  const uint64_t came = found.front()->ordinal > cursor.packets ? found.front()->ordinal - cursor.packets : 0;
  const uint64_t lost = came > found.size() ? came - found.size() : 0;
  cursor.position = newest + 1;
  for (auto r = found.rbegin(); r != found.rend(); ++r) {
    const RecordHeader& h = **r;
    each({timestamp_from_ns(h.time_ns), Bytes(reinterpret_cast<const uint8_t*>(*r + 1), h.captured), h.wire_length,
          h.interface, static_cast<net::LinkType>(h.link)});
    cursor.packets = h.ordinal;
  }
  return lost;
}

void FlightRecorder::read_all(Timestamp since,
                              const std::function<void(StreamKey, const RecordedPacket&)>& each) const {
  Walk walk;
  {
    const std::lock_guard lock(mutex_);
    walk.begin(*this);
  }
  for (const auto& segment : walk.segments()) {
    const uint64_t used = segment->used.load(std::memory_order_acquire);
    for (uint64_t at = 0; at < used;) {
      RecordHeader h;
      std::memcpy(&h, segment->memory + at, sizeof h);
      const Timestamp time = timestamp_from_ns(h.time_ns);
      if (time >= since)
        each({h.stream, static_cast<item::StreamKind>(h.kind)},
             {time, Bytes(segment->memory + at + sizeof h, h.captured), h.wire_length, h.interface,
              static_cast<net::LinkType>(h.link)});
      at += (sizeof h + h.captured + 7) & ~uint64_t{7};
    }
  }
}

bool FlightRecorder::knows(uint64_t stream) const {
  const std::lock_guard lock(mutex_);
  return heads_.contains(stream);
}

std::vector<StreamKey> FlightRecorder::streams() const {
  const std::lock_guard lock(mutex_);
  std::vector<StreamKey> out;
  for (const auto& [number, head] : heads_) out.push_back({number, head.kind});
  return out;
}

uint64_t FlightRecorder::bytes_on_disk() const {
  const std::lock_guard lock(mutex_);
  return segments_.size() * options_.segment_bytes;
}

}  // namespace baleen::record
