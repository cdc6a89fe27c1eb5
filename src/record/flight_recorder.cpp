#include "record/flight_recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

// A position is segment number * segment size + offset, so positions only grow. Each record names the position of its
// stream's record before it; reading a stream walks that chain back to the cursor, then calls forward. What a walk
// meets in a segment that is gone was overwritten: the numbers in the records tell how many packets that were.
//
// The newest records lie in a chunk of memory; full, it is written to the segment's file, and read from there through a
// mapping. A reader takes the chunk along, so that a record is always in the one or in the other for it.

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
constexpr size_t kReadAtOnce = 1 << 20;
constexpr uint64_t kChunk = 256 << 10;
constexpr Duration kShortestSegment = std::chrono::seconds(10);
constexpr Duration kLongestTtl = std::chrono::hours(24 * 365);  // beyond it nothing grows old

}  // namespace

struct FlightRecorder::Segment {
  uint64_t number = 0;
  uint64_t size = 0;
  UniqueFd file;
  uint8_t* memory = nullptr;  // of the file: what chunks have been written to
  std::atomic<uint64_t> used{0};
  std::atomic<uint32_t> readers{0};  // grows under the mutex only
  uint64_t before = 0;               // packets that were kept before its first
  uint64_t packets = 0;
  Timestamp first{}, newest{};                                       // as they came
  Timestamp earliest = Timestamp::max(), latest = Timestamp::min();  // the clock may have been set
  ~Segment() {
    if (memory != nullptr) ::munmap(memory, size);
  }
};

/// The newest records of the newest segment, on their way to its file.
struct FlightRecorder::Chunk {
  explicit Chunk(uint64_t size) : capacity(size), bytes(new uint8_t[size]) {}
  uint64_t begin = 0;  // in the segment; records before it are in the file
  uint64_t capacity;
  std::unique_ptr<uint8_t[]> bytes;
  /// A count of shared pointers would not say that what their owners read has been read.
  mutable std::atomic<uint32_t> readers{0};
};

/// One segment that nobody writes over while this lives.
class FlightRecorder::Hold {
 public:
  explicit Hold(const FlightRecorder& recorder) : recorder_(recorder) {}
  Hold(const Hold&) = delete;
  ~Hold() { release(); }
  /// REQUIRES: the mutex is held. Null lets go.
  void take(std::shared_ptr<Segment> segment) {
    if (segment) segment->readers.fetch_add(1, std::memory_order_relaxed);
    release();
    segment_ = std::move(segment);
    if (segment_ == nullptr) return;
    used_ = segment_->used.load(std::memory_order_relaxed);
    if (segment_ != recorder_.segments_.back()) return;
    chunk_ = recorder_.chunk_;
    chunk_->readers.fetch_add(1, std::memory_order_relaxed);
  }
  /// False when the segment with that position is gone.
  bool at(uint64_t position) {
    const uint64_t number = position / recorder_.options_.segment_bytes;
    if (segment_ && segment_->number == number) return true;
    const std::lock_guard lock(recorder_.mutex_);
    take(recorder_.find(number));
    return segment_ != nullptr;
  }
  const Segment* segment() const { return segment_.get(); }
  /// Bytes of records that it had when it was taken.
  uint64_t used() const { return used_; }
  /// REQUIRES: at(position), which had a record when the segment was taken.
  const RecordHeader& record(uint64_t position) const {
    const uint64_t at = position % recorder_.options_.segment_bytes;
    const uint8_t* const where =
        chunk_ && at >= chunk_->begin ? chunk_->bytes.get() + (at - chunk_->begin) : segment_->memory + at;
    return *reinterpret_cast<const RecordHeader*>(where);
  }

 private:
  void release() {
    if (chunk_) chunk_->readers.fetch_sub(1, std::memory_order_release);
    chunk_.reset();
    if (segment_) segment_->readers.fetch_sub(1, std::memory_order_release);
    segment_.reset();
  }
  const FlightRecorder& recorder_;
  std::shared_ptr<Segment> segment_;
  std::shared_ptr<const Chunk> chunk_;  // is not used again while somebody has it
  uint64_t used_ = 0;
};

namespace {

uint64_t size_of(uint64_t captured) { return (sizeof(RecordHeader) + captured + 7) & ~uint64_t{7}; }

RecordedPacket packet_of(const RecordHeader& h) {
  return {timestamp_from_ns(h.time_ns), Bytes(reinterpret_cast<const uint8_t*>(&h + 1), h.captured), h.wire_length,
          h.interface, static_cast<net::LinkType>(h.link)};
}

}  // namespace

Result<std::unique_ptr<FlightRecorder>> FlightRecorder::open(const FlightRecorderOptions& options) {
  std::unique_ptr<FlightRecorder> recorder(new FlightRecorder(options));
  uint64_t& size = recorder->options_.segment_bytes;
  size = std::min(size, options.limit_bytes / 2) & ~uint64_t{7};
  if (size < kSmallestSegment)
    return Error{Code::kInvalid, "the flight recorder needs two segments of 4 KiB at least: allow it more bytes"};
  recorder->chunk_ = std::make_shared<Chunk>(std::min(size, kChunk));
  if (!recorder->next_segment()) return errno_error("flight recorder: " + options.folder, errno);
  return recorder;
}

FlightRecorder::~FlightRecorder() = default;

/// REQUIRES: the mutex is held. Null when it is gone.
std::shared_ptr<FlightRecorder::Segment> FlightRecorder::find(uint64_t number) const {
  const uint64_t first = segments_.front()->number;  // numbers have no gaps
  return number < first || number - first >= segments_.size() ? nullptr : segments_[number - first];
}

bool FlightRecorder::next_segment() {
  auto segment = std::make_shared<Segment>();
  segment->number = next_number_;
  segment->size = options_.segment_bytes;
  segment->file.reset(::open(options_.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const UniqueFd& fd = segment->file;
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
  segment->before = kept_;
  segments_.push_back(std::move(segment));
  begin_chunk(0);
  return true;
}

/// REQUIRES: the mutex is held. What a reader looks at is left to it.
void FlightRecorder::begin_chunk(uint64_t at) {
  if (chunk_->readers.load(std::memory_order_acquire) != 0) chunk_ = std::make_shared<Chunk>(chunk_->capacity);
  chunk_->begin = at;
}

/// A write of many pages at once costs a tenth of what it costs to touch them one by one through the mapping, each of
/// which is a fault and a question to the file system.
void FlightRecorder::write_out(uint64_t next) {
  Segment& segment = *segments_.back();
  const uint8_t* from = chunk_->bytes.get();
  uint64_t at = chunk_->begin, left = segment.used.load(std::memory_order_relaxed) - at;
  while (left != 0) {
    const ssize_t n = ::pwrite(segment.file.get(), from, left, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      // The place is ours, whatever is wrong with writing.
      std::memcpy(segment.memory + at, from, left);
      break;
    }
    from += n;
    at += static_cast<uint64_t>(n);
    left -= static_cast<uint64_t>(n);
  }
  const std::lock_guard lock(mutex_);
  begin_chunk(next);
}

/// REQUIRES: the mutex is held. Whether the limit allows one segment more.
bool FlightRecorder::has_room() const {
  return (segments_.size() + retired_.size() + 1) * options_.segment_bytes <= options_.limit_bytes;
}

/// REQUIRES: the mutex is held.
void FlightRecorder::note_gone(const Segment& segment) {
  overwritten_.fetch_add(segment.packets, std::memory_order_relaxed);
  if (segment.packets == 0) return;
  if (past_.size() == kMostPast) past_.pop_front();
  past_.push_back({segment.newest, segment.packets});
}

uint64_t FlightRecorder::overwritten_since(Timestamp since) const {
  const std::lock_guard lock(mutex_);
  uint64_t packets = 0;
  for (const Past& past : past_)
    if (past.newest >= since) packets += past.packets;
  return packets;
}

/// Makes room for one segment more, the oldest first; false when readers hold what would have to go. The limit holds
/// always; the age only frees what nobody needs.
bool FlightRecorder::drop_old(Timestamp time) {
  std::vector<std::shared_ptr<Segment>> dropped;  // unmapped when the lock has been given up
  const std::lock_guard lock(mutex_);
  const auto is_read = [](const auto& segment) { return segment->readers.load(std::memory_order_acquire) != 0; };
  const auto free_ones = std::partition(retired_.begin(), retired_.end(), is_read);
  dropped.assign(free_ones, retired_.end());
  retired_.erase(free_ones, retired_.end());
  bool any = false;
  for (; segments_.size() > 1; segments_.pop_front(), any = true) {
    std::shared_ptr<Segment>& oldest = segments_.front();
    if (has_room() && time - oldest->newest <= options_.ttl) break;
    note_gone(*oldest);
    (is_read(oldest) ? retired_ : dropped).push_back(oldest);
  }
  if (any) forget_before(segments_.front()->number * options_.segment_bytes);
  return has_room();
}

/// There is no room: the oldest segment's place is the next one's, rather than to stop capturing. False when somebody
/// reads it.
bool FlightRecorder::reuse_oldest() {
  const std::lock_guard lock(mutex_);
  Segment& oldest = *segments_.front();
  if (oldest.readers.load(std::memory_order_acquire) != 0) return false;
  auto again = std::make_shared<Segment>();
  again->number = next_number_++;
  again->size = oldest.size;
  again->memory = std::exchange(oldest.memory, nullptr);
  again->file = std::move(oldest.file);
  again->before = kept_;
  note_gone(oldest);
  segments_.pop_front();
  segments_.push_back(std::move(again));
  begin_chunk(0);
  forget_before(segments_.front()->number * options_.segment_bytes);
  return true;
}

/// On a quiet network a segment would take days to fill: what is in it could not grow old. None is given up for that.
bool FlightRecorder::is_to_close(const Segment& segment, Timestamp time) {
  if (segment.packets == 0 || options_.ttl > kLongestTtl ||
      time - segment.first <= std::max<Duration>(options_.ttl / 2, kShortestSegment))
    return false;
  const std::lock_guard lock(mutex_);
  return has_room();
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
  if (stream == kNoStream) return false;
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
  const uint64_t size = size_of(packet.bytes.size());
  if (size > options_.segment_bytes) return refuse(stream.number);
  Segment* segment = segments_.back().get();  // only this thread changes the list
  uint64_t at = segment->used.load(std::memory_order_relaxed);
  if (at + size > segment->size || is_to_close(*segment, packet.time)) {
    write_out(at);
    const bool room = drop_old(packet.time);
    if (!(room && next_segment()) && !reuse_oldest()) return refuse(stream.number);
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
  const bool fits = size <= chunk_->capacity;
  if (!fits || at + size > chunk_->begin + chunk_->capacity) write_out(fits ? at : at + size);
  uint8_t* const out = fits ? chunk_->bytes.get() + (at - chunk_->begin) : segment->memory + at;
  if (!packet.bytes.empty())  // nobody reads beyond `used`
    std::memcpy(out + sizeof header, packet.bytes.data(), packet.bytes.size());
  {
    const std::lock_guard lock(mutex_);
    if (stream.number != kNoStream) {
      Head& head = heads_[stream.number];
      if (head.last != kNone) {
        header.previous = head.last;
      } else if (const auto before = gone_.find(stream.number); before != gone_.end()) {
        head.packets = before->second;
      }
      head.last = position;
      header.ordinal = ++head.packets;
      head.kind = stream.kind;
    }
    // The record is written before the lock is given up: a reader that sees the head sees the record.
    std::memcpy(out, &header, sizeof header);
    if (segment->packets == 0) segment->first = packet.time;
    segment->newest = packet.time;
    segment->earliest = std::min(segment->earliest, packet.time);
    segment->latest = std::max(segment->latest, packet.time);
    ++segment->packets;
    ++kept_;
    segment->used.store(at + size, std::memory_order_release);
  }
  packets_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

uint64_t FlightRecorder::read(uint64_t stream, Cursor& cursor,
                              const std::function<void(const RecordedPacket&)>& each) const {
  Hold hold(*this);
  uint64_t newest = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto head = heads_.find(stream);
    if (head == heads_.end()) {
      const auto before = gone_.find(stream);
      if (before == gone_.end() || before->second <= cursor.packets) return 0;
      return before->second - std::exchange(cursor.packets, before->second);
    }
    newest = head->second.last;
    if (newest < cursor.position) return 0;
    hold.take(find(newest / options_.segment_bytes));
  }
  const uint64_t last = hold.record(newest).ordinal;
  std::vector<uint64_t> found;
  for (uint64_t position = newest; position != kNone && position >= cursor.position && hold.at(position);) {
    found.push_back(position);
    position = hold.record(position).previous;
  }
  uint64_t read = 0;
  for (auto position = found.rbegin(); position != found.rend(); ++position) {
    if (!hold.at(*position)) continue;  // overwritten since
    each(packet_of(hold.record(*position)));
    ++read;
  }
  const uint64_t came = last > cursor.packets ? last - cursor.packets : 0;
  cursor = {newest + 1, last};
  return came > read ? came - read : 0;
}

uint64_t FlightRecorder::read_on(Place& place, const Place& end, size_t most_bytes,
                                 const std::function<void(StreamKey, const RecordedPacket&)>& each) const {
  Hold hold(*this);
  uint64_t lost = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto go_to = [&](const Segment& segment) {
      place = {segment.number * options_.segment_bytes, segment.before};
    };
    if (place.position / options_.segment_bytes < segments_.front()->number) {
      const Segment& oldest = *segments_.front();
      lost = oldest.before > place.packets ? oldest.before - place.packets : 0;
      go_to(oldest);
    }
    std::shared_ptr<Segment> segment = find(place.position / options_.segment_bytes);
    while (segment && place.position % options_.segment_bytes >= segment->used.load(std::memory_order_acquire)) {
      segment = find(segment->number + 1);
      if (segment) go_to(*segment);
    }
    hold.take(std::move(segment));
  }
  if (hold.segment() == nullptr) return lost;
  const uint64_t begin = hold.segment()->number * options_.segment_bytes;
  const uint64_t until = std::min(begin + hold.used(), end.position);
  for (size_t bytes = 0; place.position < until && bytes < most_bytes;) {
    const RecordHeader& h = hold.record(place.position);
    each({h.stream, static_cast<item::StreamKind>(h.kind)}, packet_of(h));
    bytes += size_of(h.captured);
    place.position += size_of(h.captured);
    ++place.packets;
  }
  return lost;
}

Place FlightRecorder::end() const {
  const std::lock_guard lock(mutex_);
  const Segment& newest = *segments_.back();
  return {newest.number * options_.segment_bytes + newest.used.load(std::memory_order_relaxed), kept_};
}

Place FlightRecorder::place_of(Timestamp since) const {
  const std::lock_guard lock(mutex_);
  for (const auto& segment : segments_)
    if (segment->packets != 0 && segment->latest >= since)
      return {segment->number * options_.segment_bytes, segment->before};
  const Segment& newest = *segments_.back();
  return {newest.number * options_.segment_bytes + newest.used.load(std::memory_order_relaxed), kept_};
}

Extent FlightRecorder::extent() const {
  const std::lock_guard lock(mutex_);
  Extent e;
  e.bytes = (segments_.size() + retired_.size()) * options_.segment_bytes;
  e.complete = overwritten_.load(std::memory_order_relaxed) == 0;
  for (const auto& segment : segments_) {
    if (segment->packets == 0) continue;
    e.oldest = e.packets == 0 ? segment->earliest : std::min(e.oldest, segment->earliest);
    e.newest = e.packets == 0 ? segment->latest : std::max(e.newest, segment->latest);
    e.packets += segment->packets;
  }
  return e;
}

uint64_t FlightRecorder::read_all(Timestamp since,
                                  const std::function<void(StreamKey, const RecordedPacket&)>& each) const {
  const Place last = end();
  uint64_t lost = 0;
  for (Place place = place_of(since); place.position < last.position;) {
    const Place before = place;
    lost += read_on(place, last, kReadAtOnce, [&](StreamKey stream, const RecordedPacket& packet) {
      if (packet.time >= since) each(stream, packet);
    });
    if (place == before) break;
  }
  return lost;
}

bool FlightRecorder::knows(uint64_t stream) const {
  const std::lock_guard lock(mutex_);
  return heads_.contains(stream);
}

std::optional<Timestamp> FlightRecorder::last_time(uint64_t stream) const {
  Hold hold(*this);
  const std::lock_guard lock(mutex_);
  const auto head = heads_.find(stream);
  if (head == heads_.end()) return std::nullopt;
  hold.take(find(head->second.last / options_.segment_bytes));
  return timestamp_from_ns(hold.record(head->second.last).time_ns);
}

std::vector<StreamKey> FlightRecorder::streams() const {
  const std::lock_guard lock(mutex_);
  std::vector<StreamKey> out;
  for (const auto& [number, head] : heads_) out.push_back({number, head.kind});
  return out;
}

uint64_t FlightRecorder::bytes_on_disk() const {
  const std::lock_guard lock(mutex_);
  return (segments_.size() + retired_.size()) * options_.segment_bytes;
}

}  // namespace baleen::record
