// Recorder: streams and items that no item of their time led to: those of a scope, and those of before a recording
// began.

#include "base/log.h"
#include "record/recorder.h"
#include "record/recorder_parts.h"

namespace baleen::record {
namespace {

constexpr size_t kMostFound = 1024;         // items found by looking back that wait to be taken in
constexpr size_t kScannedAtOnce = 1 << 20;  // bytes for which a segment is held

}  // namespace

/// Looks at packets that came since, and follows the streams of those that are in the scope.
void Recorder::scan(Open& open, size_t shard, size_t most_bytes) {
  if (open.scanned.empty()) return;
  Place& place = open.scanned[shard];
  const FlightRecorder& flight = *flights_[shard];
  const Place end = flight.end();
  size_t scanned = 0;
  while (place.position < end.position && scanned < most_bytes) {
    const Place before = place;
    uint64_t last = kNoStream;
    const uint64_t lost =
        flight.read_on(place, end, kScannedAtOnce, [&](StreamKey stream, const RecordedPacket& packet) {
          if (stream.number == kNoStream || stream.number == last || open.recording.is_full()) return;
          if (const auto followed = open.streams.find(stream.number);
              followed != open.streams.end() && followed->second.whole) {
            last = stream.number;
          } else if (open.recording.scope.has(packet)) {
            // Late packets of one that is copied already bring it back.
            const bool known = open.ended.contains(stream.number) || followed != open.streams.end();
            if (!known) streams_scope_.fetch_add(1, std::memory_order_relaxed);
            follow(open, stream, /*whole=*/true);
            last = stream.number;
          }
        });
    packets_unseen_.fetch_add(lost, std::memory_order_relaxed);
    scanned += kScannedAtOnce;
    if (place == before) break;
  }
}

/// Its packets came before its items: they are looked at first.
bool Recorder::is_in_scope(Open& open, uint64_t stream) {
  if (open.scanned.empty()) return false;
  const auto known = [&] {
    if (const auto followed = open.streams.find(stream); followed != open.streams.end()) return followed->second.whole;
    const auto ended = open.ended.find(stream);
    return ended != open.ended.end() && ended->second.whole;
  };
  if (known()) return true;
  scan(open, stream % flights_.size(), SIZE_MAX);
  return known();
}

/// As soon as every shard has said where the time before ends.
void Recorder::look_back_when_known(bool last) {
  for (auto it = looking_.begin(); it != looking_.end();) {
    const auto open = open_.find(it->name);
    LookBack what;
    bool known = true;
    uint64_t gone = 0;  // of that time, overwritten before it began to look
    {
      const std::lock_guard lock(mutex_);
      const Boundary& boundary = *it->boundary;
      what.since = boundary.time - it->length;
      for (size_t i = 0; i < flights_.size(); ++i) {
        known &= boundary.ends[i].has_value() || last;
        Place begin = flights_[i]->place_of(what.since);
        if (it->before && it->before->ends[i] && it->before->ends[i]->position > begin.position) {
          begin = *it->before->ends[i];
        } else {
          gone += flights_[i]->overwritten_since(what.since);
        }
        what.stretches.push_back({flights_[i], begin, boundary.ends[i] ? *boundary.ends[i] : flights_[i]->end()});
      }
    }
    if (!known) {
      ++it;
      continue;
    }
    if (open != open_.end() && (open->second.recording.by_filter || open->second.recording.scope.any())) {
      // Which streams are in the scope the recorder's thread knows.
      if (!open->second.recording.scope.any()) what.filter = open->second.recording.filter;
      what.engine = options_.engine;
      looking_back_.fetch_add(1);
      packets_unseen_.fetch_add(gone, std::memory_order_relaxed);
      looker_.run([this, what = std::move(what), looking = *it] { look(what, looking); });
    }
    it = looking_.erase(it);
  }
}

/// On a thread of its own; what it finds is handed to the recorder's, a bounded number at a time.
void Recorder::look(const LookBack& what, const Looking& looking) {
  const auto give = [&](const item::ItemRef& item) {
    std::unique_lock lock(found_mutex_);
    found_taken_.wait(lock, [this] { return found_.size() < kMostFound; });
    found_.push_back({looking.name, looking.beginning, item});
  };
  const auto let_go = [&] {
    std::unique_lock lock(found_mutex_);
    found_taken_.wait(lock, [this] { return found_.empty() && !taking_found_; });
  };
  const LookedBack done = look_back(what, give_up_looking_, give, let_go);
  packets_unseen_.fetch_add(done.overwritten, std::memory_order_relaxed);
  log::info("recording '{}' looked back at {} packets: {} items match, {} packets were overwritten meanwhile",
            looking.name, done.packets, done.items, done.overwritten);
  looking_back_.fetch_sub(1);
}

bool Recorder::is_wanted(Open& open, const item::Item& item) {
  return (open.recording.by_filter && open.recording.filter.matches(item)) || is_in_scope(open, item.stream);
}

bool Recorder::take_found() {
  std::deque<Found> found;
  {
    const std::lock_guard lock(found_mutex_);
    if (found_.empty()) return false;
    found.swap(found_);
    taking_found_ = true;
  }
  for (const Found& f : found) {
    const auto open = open_.find(f.name);
    // Seen for the second time: the first time nobody wanted it.
    items_seen_.fetch_add(1, std::memory_order_relaxed);
    const bool wanted = open != open_.end() && open->second.recording.beginning == f.beginning &&
                        !open->second.recording.is_full() && is_wanted(open->second, *f.item);
    if (wanted) items_looked_back_.fetch_add(1, std::memory_order_relaxed);
    take_outcome(wanted ? std::optional(take_item(open->second, *f.item)) : std::nullopt);
  }
  found.clear();
  {
    const std::lock_guard lock(found_mutex_);
    taking_found_ = false;
  }
  found_taken_.notify_all();
  return true;
}

}  // namespace baleen::record
