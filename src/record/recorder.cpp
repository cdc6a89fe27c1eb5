#include "record/recorder.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "item/json.h"

namespace baleen::record {
namespace {

constexpr auto kTurn = std::chrono::milliseconds(200);
constexpr auto kLate = std::chrono::seconds(2);  // in which a stream that has ended may still get packets
constexpr auto kSyncAfter = std::chrono::seconds(1);
constexpr auto kFinishAgain = std::chrono::seconds(10);
constexpr size_t kEndedStreams = 1 << 16;
constexpr size_t kEventsPerTurn = 8192;
constexpr size_t kFinishingWhileWaiting = 2;
constexpr size_t kLeftRecordings = 64;
constexpr size_t kMostFound = 1024;            // items found by looking back that wait to be taken in
constexpr size_t kScannedAtOnce = 1 << 20;     // bytes for which a segment is held
constexpr size_t kScannedPerTurn = 256 << 20;  // of a shard, for a scope
constexpr uint64_t kRecordOverhead = 48;       // of a packet in a journal: header and the stream's name
constexpr uint64_t kStreamOverhead = 96;       // of a stream in a block's record
constexpr uint64_t kBlockOverhead = 64 << 10;  // of a block: metadata of its Parquet file, and its record

/// What a block takes of the spool at most, until it is finished: journals, and the files that are made from them.
uint64_t cost_of(const BlockWriter& block) {
  return kBlockOverhead +
         2 * (block.packet_bytes() + block.secret_bytes() + block.packets() * kRecordOverhead + block.item_bytes()) +
         block.streams() * kStreamOverhead + block.encryption_bytes();
}

constexpr uint64_t kItemRoom = 64 << 10;  // most items' rows are shorter

std::string place_of(const Recording& recording) { return recording.name + "\n" + recording.destination; }

std::string name_of(uint64_t stream, item::StreamKind kind) {
  char buffer[32];
  return std::string(buffer, item::write_stream_name(stream, kind, buffer));
}

bool wait_for(Duration patience, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace

Recorder::Recorder(RecorderOptions options, std::vector<const FlightRecorder*> flights, const CaptureNumbers* numbers)
    : options_(std::move(options)),
      flights_(std::move(flights)),
      numbers_(numbers),
      ring_(options_.ring_items),
      generation_(std::make_shared<const Generation>()),
      pinned_(flights_.size()),
      caught_up_(flights_.size()) {}

Result<std::unique_ptr<Recorder>> Recorder::open(RecorderOptions options, std::vector<const FlightRecorder*> flights,
                                                 const CaptureNumbers* numbers) {
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(options), std::move(flights), numbers));
  RecorderOptions& o = recorder->options_;
  BALEEN_TRY(recorder->spool_, Spool::open(o.spool_folder, o.open_store, o.spool));
  o.block_bytes = std::min(o.block_bytes, o.spool.limit_bytes / 16);
  BALEEN_TRY_DO(recorder->recover());
  recorder->spool_->start();
  recorder->thread_ = std::thread([r = recorder.get()] { r->run(); });
  return recorder;
}

Recorder::~Recorder() { stop(Duration{0}); }

/// Blocks that a process left open become finished blocks now: what their journals hold was promised.
Result<> Recorder::recover() {
  for (const std::string& folder : spool_->left_open()) {
    // The record is the last file of a finished block: the process died between finishing and moving it.
    if (BlockWriter::is_finished(folder)) {
      BALEEN_TRY_DO(spool_->ready(folder));
      continue;
    }
    auto block = BlockWriter::recover(folder, options_.encryption);
    std::error_code ignored;
    // Journals are made after the owner is written: without an owner there is nothing in them.
    const bool nothing =
        block ? (*block)->empty()
              : block.error().code == Code::kNotFound && !std::filesystem::exists(folder + "/packets.journal", ignored);
    if (nothing) {
      if (block) block->reset();
      std::filesystem::remove_all(folder, ignored);
      spool_->release(folder);
      continue;
    }
    if (!block) {
      log::warning("{}: not recovered: {}", folder, block.error().message);
      continue;
    }
    // What else its process had seen went with it.
    index::LossLedger known;
    known.items_seen = known.items_stored = (*block)->items();
    known.packets_matched = known.packets_stored = (*block)->packets();
    if (auto record = (*block)->finish({}, known); !record) {
      log::warning("{}: not recovered: {}", folder, record.error().message);
    } else {
      log::info("recovered block {}: {} items, {} packets", record->block, record->items, record->packets);
      BALEEN_TRY_DO(spool_->ready(folder));
    }
  }
  return {};
}

void Recorder::set_recordings(std::vector<Recording> recordings) {
  auto next = std::make_shared<Generation>();
  const std::lock_guard lock(mutex_);
  next->number = generation_.load()->number + 1;
  if (recordings.size() > kMostRecordings) recordings.resize(kMostRecordings);
  next->recordings = std::move(recordings);
  next->boundary = std::make_shared<Boundary>();
  next->boundary->time = now();
  for (const FlightRecorder* flight : flights_) {
    next->boundary->begins.push_back(flight->end());
    // Shards that pin say themselves where they stand.
    next->boundary->ends.push_back(shards_pin_ ? std::nullopt : std::optional(flight->end()));
  }
  if (!next->boundary->is_known()) boundaries_.push_back(next->boundary);
  coming_.push_back(next);
  newest_.store(next->number, std::memory_order_relaxed);
  generation_.store(std::move(next));
}

/// Between two batches the shard's packets are in its flight recorder and its items are offered: what lies before that
/// place is of the time before the change.
void Recorder::at_batch(size_t shard) {
  const auto& pinned = pinned_[shard];
  if (pinned && pinned->number == newest_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  shards_pin_ = true;
  pinned_[shard] = generation_.load();
  for (const auto& boundary : boundaries_)
    if (!boundary->ends[shard]) boundary->ends[shard] = flights_[shard]->end();
  std::erase_if(boundaries_, [](const auto& boundary) { return boundary->is_known(); });
}

bool Recorder::wait_until_caught_up(Duration patience) const {
  const int64_t wanted = now().time_since_epoch().count();
  return wait_for(patience, [&] {
    return std::all_of(caught_up_.begin(), caught_up_.end(),
                       [&](const auto& time) { return time.load(std::memory_order_acquire) >= wanted; });
  });
}

bool Recorder::wait_until_in_force(Duration patience) const {
  return wait_for(patience, [&] {
    const std::lock_guard lock(mutex_);
    const uint64_t newest = generation_.load()->number;
    return std::all_of(pinned_.begin(), pinned_.end(),
                       [&](const auto& pinned) { return pinned && pinned->number == newest; });
  });
}

void Recorder::set_interfaces(std::vector<InterfaceName> interfaces) {
  const std::lock_guard lock(mutex_);
  interfaces_ = std::move(interfaces);
}

void Recorder::offer(const item::ItemRef& item) {
  const auto& pinned = pinned_[item->stream % pinned_.size()];
  const auto generation = pinned ? pinned : generation_.load(std::memory_order_acquire);
  Event event;
  bool scoped = false;
  for (size_t i = 0; i < generation->recordings.size(); ++i) {
    const Recording& r = generation->recordings[i];
    if (r.is_full()) continue;
    if (r.by_filter && r.filter.matches(*item)) {
      event.recordings |= 1u << i;
    } else {
      scoped |= r.scope.any();
    }
  }
  // Seen before anything else is said of it: see ledger().
  items_seen_.fetch_add(1, std::memory_order_relaxed);
  // Which streams are in a scope the recorder's thread knows.
  if (event.recordings == 0 && !scoped) {
    items_not_matched_.fetch_add(1, std::memory_order_release);
    return;
  }
  if (item::Item* const own = item.sole(); own != nullptr && event.recordings != 0)
    name_recordings(*own, *generation, event.recordings);
  event.item = item;
  event.generation = generation->number;
  if (!ring_.push(std::move(event))) items_dropped_.fetch_add(1, std::memory_order_release);
}

/// So that filters and scripts, which get the item after us, can ask for it.
void Recorder::name_recordings(item::Item& item, const Generation& generation, uint32_t mask) {
  size_t size = 0;
  for (size_t i = 0; i < generation.recordings.size(); ++i)
    if ((mask >> i & 1) != 0) size += generation.recordings[i].name.size() + 1;
  const auto text = item.arena.array<char>(size);
  char* out = text.data();
  for (size_t i = 0; i < generation.recordings.size(); ++i) {
    if ((mask >> i & 1) == 0) continue;
    out = std::copy(generation.recordings[i].name.begin(), generation.recordings[i].name.end(), out);
    *out++ = ',';
  }
  item.record = {text.data(), size - 1};
}

void Recorder::stream_ended(uint64_t stream) {
  Event event;
  event.kind = Event::Kind::kStreamEnd;
  event.stream.number = stream;
  ring_.push(std::move(event));  // when it is full the stream is followed until the block's recording stops
}

void Recorder::stream_undissected(StreamKey stream) {
  Event event;
  event.kind = Event::Kind::kUndissected;
  event.stream = stream;
  if (!ring_.push(std::move(event))) streams_dropped_.fetch_add(1, std::memory_order_relaxed);
}

void Recorder::run() {
  name_this_thread("bl-recorder");
  auto next_turn = std::chrono::steady_clock::now(), finish_again = next_turn;
  while (true) {
    const bool last = stopping_.load(std::memory_order_acquire);
    look_back_when_known(last);
    const bool found = take_found();
    const bool busy = take_events() || found || (last && looker_.unfinished() != 0);
    if (std::chrono::steady_clock::now() >= next_turn || last || hurry_.load(std::memory_order_relaxed)) {
      // Loaded before the look at the ring: what was offered before that change is in the ring, or taken in.
      spool_is_full_ = false;
      const uint64_t newest = generation_.load()->number;
      if (ring_.size() == 0) adopt_until(newest);
      for (auto& [name, open] : open_) {
        for (size_t shard = 0; shard < flights_.size(); ++shard) scan(open, shard, kScannedPerTurn);
        follow_streams(open, false);
        check_age(open);
      }
      if (spool_is_full_) relieve_spool();
      next_turn = std::chrono::steady_clock::now() + kTurn;
      turns_.fetch_add(1, std::memory_order_release);
    }
    if (unfinished_ != 0 && std::chrono::steady_clock::now() >= finish_again && finisher_.unfinished() == 0) {
      finish_again = std::chrono::steady_clock::now() + kFinishAgain;
      finisher_.run([this] { finish_blocks(); });
    }
    if (last && !busy && looking_.empty()) break;
    if (!busy) std::this_thread::sleep_for(std::chrono::milliseconds(hurry_ ? 1 : 20));
  }
  for (auto& [name, open] : open_) {
    for (size_t shard = 0; shard < flights_.size(); ++shard) scan(open, shard, SIZE_MAX);
    follow_streams(open, true);
    close_block(open);
  }
}

bool Recorder::take_events() {
  Event event;
  size_t n = 0;
  for (; n < kEventsPerTurn && ring_.pop(event); ++n) {
    switch (event.kind) {
      case Event::Kind::kItem: take_item_event(event); break;
      case Event::Kind::kStreamEnd: stream_over(event.stream.number); break;
      case Event::Kind::kUndissected: note_undissected(event.stream); break;
    }
    event = {};
  }
  return n != 0;
}

void Recorder::stream_over(uint64_t number) {
  if (over_.insert(number).second) over_order_.push_back(number);
  for (; over_order_.size() > kEndedStreams; over_order_.pop_front()) over_.erase(over_order_.front());
  for (auto& [name, open] : open_) {
    (void)is_in_scope(open, number);  // if it is, it is followed from now on
    if (const auto stream = open.streams.find(number); stream != open.streams.end())
      stream->second.until = std::chrono::steady_clock::now() + kLate;
    if (const auto before = open.ended.find(number); before != open.ended.end()) before->second.over = true;
  }
  for (auto& [place, left] : left_)
    if (const auto before = left.streams.find(number); before != left.streams.end()) before->second.over = true;
}

void Recorder::note_undissected(StreamKey stream) {
  undissected_.emplace(stream.number, stream.kind);
  if (undissected_.size() > kEndedStreams) undissected_.erase(undissected_.begin());
  for (auto& [name, open] : open_) {
    if (!open.recording.undissected || open.recording.is_full()) continue;
    if (!open.streams.contains(stream.number)) streams_undissected_.fetch_add(1, std::memory_order_relaxed);
    follow(open, stream, /*whole=*/false);
  }
}

void Recorder::take_item_event(const Event& event) {
  // An item was matched under the recordings of its time: what came before a change is kept before the change.
  if (event.generation > adopted_) adopt_until(event.generation);
  bool stored = false, failed = false, refused = false;
  for (auto& [name, open] : open_) {
    if (event.generation < open.looks_back_from_before) continue;  // it is found by looking back
    // Bits number the recordings of the item's generation; after a change the filters are asked again.
    bool wanted = false;
    if (event.generation == adopted_) {
      for (size_t i = 0; i < in_force_->recordings.size(); ++i)
        wanted |= (event.recordings >> i & 1) != 0 && in_force_->recordings[i].name == name;
    } else {
      wanted = open.recording.by_filter && open.recording.filter.matches(*event.item);
    }
    if (open.recording.is_full() || !(wanted || is_in_scope(open, event.item->stream))) continue;
    const Outcome outcome = take_item(open, *event.item);
    (outcome == Outcome::kStored ? stored : outcome == Outcome::kFailed ? failed : refused) = true;
  }
  using enum Outcome;
  take_outcome(stored    ? std::optional(kStored)
               : failed  ? std::optional(kFailed)
               : refused ? std::optional(kRefused)
                         : std::nullopt);
}

/// Of an item; none: no recording wanted it.
void Recorder::take_outcome(std::optional<Outcome> outcome) {
  auto& counter = !outcome                       ? items_not_matched_
                  : *outcome == Outcome::kStored ? items_stored_
                  : *outcome == Outcome::kFailed ? items_failed_
                                                 : items_refused_;
  counter.fetch_add(1, std::memory_order_release);
}

/// One change after the other: an item that was offered between two of them finds its recordings in force.
void Recorder::adopt_until(uint64_t generation) {
  while (adopted_ < generation) {
    std::shared_ptr<const Generation> next;
    {
      const std::lock_guard lock(mutex_);
      if (coming_.empty()) return;
      next = std::move(coming_.front());
      coming_.pop_front();
    }
    adopt(next);
  }
}

/// Opens recordings that are new, closes those that are gone or have changed. Where reading of their streams stood is
/// remembered: another pattern, or a recording that comes back, goes on from there.
void Recorder::adopt(const std::shared_ptr<const Generation>& generation) {
  if (adopted_ == generation->number) return;
  adopted_ = generation->number;
  in_force_ = generation;
  for (auto it = open_.begin(); it != open_.end();) {
    const auto same = [&](const Recording& r) {
      const Recording& before = it->second.recording;
      const bool alike = r.redaction && before.redaction ? r.redaction->rules() == before.redaction->rules()
                                                         : r.redaction == before.redaction;
      return r.name == it->first && r.destination == before.destination && r.filter.text() == before.filter.text() &&
             r.by_filter == before.by_filter && r.scope.text() == before.scope.text() &&
             r.undissected == before.undissected && alike;
    };
    if (std::any_of(generation->recordings.begin(), generation->recordings.end(), same)) {
      ++it;
      continue;
    }
    follow_streams(it->second, true);
    close_block(it->second);
    if (left_.size() >= kLeftRecordings) left_.erase(left_.begin());
    left_[place_of(it->second.recording)] = {std::move(it->second.ended), generation->boundary};
    it = open_.erase(it);
  }
  for (const Recording& recording : generation->recordings) {
    const auto [open, fresh] = open_.try_emplace(recording.name);
    open->second.recording = recording;
    std::shared_ptr<Boundary> before;
    if (const auto left = left_.find(place_of(recording)); fresh && left != left_.end()) {
      open->second.ended = std::move(left->second.streams);
      before = std::move(left->second.boundary);
      left_.erase(left);
    }
    if (fresh) begin_open(open->second, *generation, std::move(before));
  }
}

/// What lies before its beginning and is wanted all the same.
void Recorder::begin_open(Open& open, const Generation& generation, std::shared_ptr<Boundary> before) {
  const Recording& recording = open.recording;
  const bool looks_back =
      recording.look_back > Duration{0} && looked_back_.emplace(place_of(recording), recording.beginning).second;
  const Timestamp since = generation.boundary->time - recording.look_back;
  if (recording.scope.any())
    for (size_t i = 0; i < flights_.size(); ++i)
      open.scanned.push_back(looks_back ? flights_[i]->place_of(since) : generation.boundary->begins[i]);
  if (recording.undissected) {
    for (const auto& [number, kind] : undissected_) {
      const FlightRecorder& flight = *flights_[number % flights_.size()];
      const std::optional<Timestamp> last = flight.last_time(number);
      if (!last || (over_.contains(number) && !(looks_back && *last >= since))) continue;
      streams_undissected_.fetch_add(1, std::memory_order_relaxed);
      follow(open, {number, kind}, /*whole=*/false);
    }
  }
  if (!looks_back) return;
  if (looked_back_.size() > kEndedStreams) looked_back_.erase(looked_back_.begin());
  open.looks_back_from_before = generation.number;
  looking_.push_back(
      {recording.name, recording.beginning, recording.look_back, generation.boundary, std::move(before)});
}

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
    {
      const std::lock_guard lock(mutex_);
      const Boundary& boundary = *it->boundary;
      what.since = boundary.time - it->length;
      for (size_t i = 0; i < flights_.size(); ++i) {
        known &= boundary.ends[i].has_value() || last;
        Place begin = flights_[i]->place_of(what.since);
        if (it->before && it->before->ends[i] && it->before->ends[i]->position > begin.position)
          begin = *it->before->ends[i];
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

/// Whether the open block may grow by `more` bytes; asks the spool for a little more each time.
bool Recorder::afford(Open& open, uint64_t more) {
  const uint64_t needed =
      (open.block ? cost_of(*open.block) : kBlockOverhead) + 2 * (more + kRecordOverhead) + kStreamOverhead;
  if (needed <= open.reserved) return true;
  const uint64_t missing = needed - open.reserved;
  const uint64_t ahead = std::min<uint64_t>(1 << 20, options_.spool.limit_bytes / 64);
  if (spool_->reserve(open.block->folder(), missing + ahead)) {
    open.reserved += missing + ahead;
  } else if (spool_->reserve(open.block->folder(), missing)) {
    open.reserved += missing;
  } else {
    spool_is_full_ = true;
    return false;
  }
  return true;
}

/// The spool can neither drop nor upload a block that is open: close the largest.
void Recorder::relieve_spool() {
  Open* largest = nullptr;
  for (auto& [name, open] : open_)
    if (open.block && (largest == nullptr || cost_of(*open.block) > cost_of(*largest->block))) largest = &open;
  if (largest != nullptr && cost_of(*largest->block) > std::max(4 * kBlockOverhead, options_.spool.limit_bytes / 32))
    close_block(*largest);
}

/// Null when there can be none: `refused` by the spool's limit, or the disk takes nothing.
BlockWriter* Recorder::block_of(Open& open, bool& refused) {
  if (open.block) return open.block.get();
  const std::string folder = spool_->new_folder();
  refused = !spool_->reserve(folder, kBlockOverhead);
  if (refused) {
    spool_is_full_ = true;
    return nullptr;
  }
  BlockOwner owner{open.recording.name,
                   std::string(open.recording.filter.text()),
                   open.recording.destination,
                   options_.node,
                   options_.cluster,
                   options_.run,
                   ++sequences_[open.recording.name]};
  auto block = BlockWriter::create(folder, owner, options_.encryption);
  if (!block) {
    spool_->release(folder);
    failed(block.error());
    return nullptr;
  }
  open.reserved = kBlockOverhead;
  open.synced = 0;
  open.unsynced.reset();
  open.block = *std::move(block);
  return open.block.get();
}

/// Null without rules. `blind`: the stream has been followed before.
std::unique_ptr<StreamRedactor> Recorder::redactor_for(Open& open, bool blind) {
  if (!open.recording.redaction) return nullptr;
  return std::make_unique<StreamRedactor>(open.recording.redaction, *open.redacted, RedactorLimits{}, blind);
}

Result<> Recorder::add_item(Open& open, BlockWriter& block, const item::Item& item) {
  if (!open.recording.redaction) return block.add_item(item);
  index::ItemRow row;
  const bool changed = open.recording.redaction->redact(item, row, open.redacted->rules, open.recording.name);
  BALEEN_TRY_DO(block.add_row(row));
  if (changed) ++open.redacted->items;
  return {};
}

/// From its first packet that is still there, or from where copying it stood. `whole`: all its items are wanted.
Recorder::Followed& Recorder::follow(Open& open, StreamKey key, bool whole) {
  const auto [entry, fresh] = open.streams.try_emplace(key.number);
  Followed& stream = entry->second;
  stream.whole |= whole;
  if (fresh) {
    stream.name = name_of(key.number, key.kind);
    if (over_.contains(key.number)) stream.until = std::chrono::steady_clock::now() + kLate;
    if (const auto before = open.ended.find(key.number); before != open.ended.end()) {
      stream.cursor = before->second.cursor;
      stream.whole |= before->second.whole;
      if (before->second.over) stream.until = std::chrono::steady_clock::now() + kLate;
      open.ended.erase(before);
      stream.redactor = redactor_for(open, /*blind=*/true);
    } else {
      stream.redactor = redactor_for(open, /*blind=*/false);
      streams_.fetch_add(1, std::memory_order_relaxed);
      if (open.recording.tally) open.recording.tally->streams.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (fresh || stream.refused) {
    const bool before = std::exchange(stream.refused, !spool_->takes_new_streams());
    if (stream.refused && !before) streams_refused_.fetch_add(1, std::memory_order_relaxed);
  }
  return stream;
}

/// Its stream is followed all the same, whether the item could be kept or not.
Recorder::Outcome Recorder::take_item(Open& open, const item::Item& item) {
  const Followed& stream = follow(open, {item.stream, item.stream_kind}, /*whole=*/false);
  if (stream.refused) return Outcome::kRefused;
  bool refused = false;
  BlockWriter* const block = block_of(open, refused);
  if (block == nullptr) return refused ? Outcome::kRefused : Outcome::kFailed;
  // How long its row becomes is known afterwards only; what it takes beyond this comes out of the next reservation.
  if (!afford(open, std::min<uint64_t>(kItemRoom, options_.spool.limit_bytes / 256))) return Outcome::kRefused;
  if (const auto added = add_item(open, *block, item); !added) {
    failed(added.error());
    return Outcome::kFailed;
  }
  // What is redacted is not given away with the key to it.
  if (!open.recording.redaction && !item.tls_random.empty() && options_.secrets_of &&
      !block->has_secrets(item.tls_random))
    if (const auto added = block->add_secrets(item.tls_random, options_.secrets_of(item.tls_random)); !added)
      failed(added.error());
  if (open.recording.tally) open.recording.tally->items.fetch_add(1, std::memory_order_relaxed);
  return Outcome::kStored;
}

Recorder::Outcome Recorder::take_packet(Open& open, const Followed& stream, const RecordedPacket& packet) {
  if (stream.refused) return Outcome::kRefused;
  bool refused = false;
  BlockWriter* const block = block_of(open, refused);
  if (block == nullptr) return refused ? Outcome::kRefused : Outcome::kFailed;
  if (!afford(open, packet.bytes.size())) return Outcome::kRefused;
  const auto added = block->add_packet(stream.name, packet);
  if (!added) failed(added.error());
  if (added && open.recording.tally) {
    open.recording.tally->packets.fetch_add(1, std::memory_order_relaxed);
    open.recording.tally->bytes.fetch_add(packet.bytes.size(), std::memory_order_relaxed);
  }
  return added ? Outcome::kStored : Outcome::kFailed;
}

/// Counted as matched first: see ledger().
void Recorder::count(Outcome outcome, const RecordedPacket& packet) {
  packets_matched_.fetch_add(1, std::memory_order_relaxed);
  auto& counter = outcome == Outcome::kStored   ? packets_stored_
                  : outcome == Outcome::kFailed ? packets_failed_
                                                : packets_refused_;
  counter.fetch_add(1, std::memory_order_release);
  if (outcome == Outcome::kStored && packet.wire_length > packet.bytes.size())
    packets_truncated_.fetch_add(1, std::memory_order_relaxed);
}

void Recorder::end_stream(Open& open, uint64_t number, const Followed& stream) {
  open.ended[number] = {stream.cursor, stream.until.has_value(), stream.whole};
  if (open.ended.size() > kEndedStreams) open.ended.erase(open.ended.begin());
}

/// For the ledger, from the recording's own numbers.
void Recorder::count_redactions(Open& open) {
  RedactionTally& now = *open.redacted;
  const auto add = [](std::atomic<uint64_t>& total, uint64_t now, uint64_t& before) {
    total.fetch_add(now - std::exchange(before, now), std::memory_order_relaxed);
  };
  add(items_redacted_, now.items, open.counted[0]);
  add(packets_redacted_, now.packets, open.counted[1]);
  add(packets_blanked_, now.blanked, open.counted[2]);
}

void Recorder::follow_streams(Open& open, bool last_turn) {
  for (auto it = open.streams.begin(); it != open.streams.end();) {
    Followed& stream = it->second;
    const FlightRecorder& flight = *flights_[it->first % flights_.size()];
    const auto keep = [&](const RecordedPacket& packet) {
      if (!open.recording.is_full()) count(take_packet(open, stream, packet), packet);
    };
    const uint64_t lost = flight.read(it->first, stream.cursor, [&](const RecordedPacket& packet) {
      stream.redactor ? stream.redactor->add(packet, keep) : keep(packet);
    });
    packets_matched_.fetch_add(lost, std::memory_order_relaxed);
    packets_lost_.fetch_add(lost, std::memory_order_release);
    const bool over = last_turn || (stream.until && std::chrono::steady_clock::now() >= *stream.until);
    if (over && stream.redactor) stream.redactor->finish(keep);
    if (open.block && is_full(*open.block)) close_block(open);
    if (over) end_stream(open, it->first, stream);
    it = over ? open.streams.erase(it) : std::next(it);
  }
  count_redactions(open);
  if (!open.block) return;
  if (const auto flushed = open.block->flush(); !flushed) failed(flushed.error());
  sync_later(open);
}

bool Recorder::is_full(const BlockWriter& block) const {
  return block.packet_bytes() >= options_.block_bytes || block.item_bytes() >= 2 * options_.block_bytes;
}

/// A disk takes as long as it takes: one sync at a time, never on the thread that takes in items. What was written
/// waits for a second: the journals of a block that fills up before never reach the disk, only what is made of them
/// does, so that at high rates every packet is written once.
void Recorder::sync_later(Open& open) {
  const uint64_t flushed = open.block->flushed_bytes();
  if (flushed == open.synced) return;
  const auto now = std::chrono::steady_clock::now();
  if (!open.unsynced) open.unsynced = now;
  if (now - *open.unsynced < kSyncAfter || syncer_.unfinished() > open_.size()) return;
  open.synced = flushed;
  open.unsynced.reset();
  sync_journals(*open.block);
}

void Recorder::sync_journals(const BlockWriter& block) {
  auto journals = std::make_shared<std::vector<UniqueFd>>(block.journals());
  syncer_.run([this, journals] {
    for (const UniqueFd& fd : *journals)
      if (::fdatasync(fd.get()) != 0) failed(errno_error("syncing a journal of the spool", errno));
  });
}

void Recorder::check_age(Open& open) {
  if (open.block && !open.block->empty() && open.block->age() > options_.block_age) close_block(open);
}

void Recorder::close_block(Open& open) {
  if (!open.block || open.block->empty()) return;
  if (const auto flushed = open.block->flush(); !flushed) failed(flushed.error());
  open.block->set_redactions(open.redacted->rules);
  // Behind others its journals are all that there is for a while.
  if (finisher_.unfinished() > kFinishingWhileWaiting) sync_journals(*open.block);
  finisher_.run([this, closed = Closed{std::move(open.block), ledger()}] {
    closed_.push_back(closed);
    finish_blocks();
  });
}

/// What cannot be finished now (the disk is full) is tried again: with the next block, every few seconds, at the end.
void Recorder::finish_blocks() {
  std::erase_if(closed_, [this](const Closed& closed) {
    const auto finished = finish_block(closed);
    if (!finished) {
      failed(finished.error());
      (void)closed.block->sync();  // it may wait long
    }
    return finished.has_value();
  });
  unfinished_ = closed_.size();
}

/// At the end: what a disk that took nothing until now has not taken dies with us, though it was counted as stored. An
/// item of several recordings counts as lost when one has lost it.
void Recorder::count_unwritten() {
  const auto move = [](std::atomic<uint64_t>& from, std::atomic<uint64_t>& to, uint64_t n) {
    n = std::min(n, from.load(std::memory_order_acquire));
    from.fetch_sub(n, std::memory_order_release);
    to.fetch_add(n, std::memory_order_release);
  };
  for (const Closed& closed : closed_) {
    move(packets_stored_, packets_failed_, closed.block->unwritten_packets());
    move(items_stored_, items_failed_, closed.block->unwritten_items());
  }
}

Result<> Recorder::finish_block(const Closed& closed) {
  std::vector<InterfaceName> interfaces;
  {
    const std::lock_guard lock(mutex_);
    interfaces = interfaces_;
  }
  // It may be finished already, and only not moved.
  if (!BlockWriter::is_finished(closed.block->folder())) {
    const BlockOwner& owner = closed.block->owner();
    const auto dropped = spool_->to_tell(owner.recording, owner.destination);
    closed.block->tell_dropped(dropped);
    if (auto record = closed.block->finish(interfaces, closed.ledger); !record) return std::move(record).error();
    spool_->told(owner.recording, owner.destination, dropped);
  }
  return spool_->ready(closed.block->folder());
}

void Recorder::failed(const Error& error) {
  write_errors_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (last_error_ != error.message) log::error("recording: {}", error.message);
  last_error_ = error.message;
}

index::LossLedger Recorder::ledger() const {
  index::LossLedger l;
  l.items_stored = items_stored_.load(std::memory_order_acquire);
  l.items_not_matched = items_not_matched_.load(std::memory_order_acquire);
  l.items_dropped_queue = items_dropped_.load(std::memory_order_acquire);
  l.items_failed = items_failed_.load(std::memory_order_acquire);
  l.items_refused_spool = items_refused_.load(std::memory_order_acquire);
  // Read last, and counted first by the shard: what is left is in the ring, and nothing is negative.
  l.items_seen = items_seen_.load(std::memory_order_acquire);
  l.items_in_flight = l.items_seen - l.items_stored - l.items_not_matched - l.items_dropped_queue - l.items_failed -
                      l.items_refused_spool;
  if (numbers_ != nullptr) {
    l.packets_captured = numbers_->packets;
    l.packets_dropped_kernel = numbers_->dropped_by_kernel;
  }
  for (const FlightRecorder* flight : flights_) l.packets_refused_recorder += flight->refused_packets();
  l.packets_stored = packets_stored_.load(std::memory_order_acquire);
  l.packets_lost_recorder = packets_lost_.load(std::memory_order_acquire);
  l.packets_failed = packets_failed_.load(std::memory_order_acquire);
  l.packets_refused_spool = packets_refused_.load(std::memory_order_acquire);
  l.packets_matched = packets_matched_.load(std::memory_order_acquire);
  l.packets_in_flight =
      l.packets_matched - l.packets_stored - l.packets_lost_recorder - l.packets_failed - l.packets_refused_spool;
  l.streams_refused_spool = streams_refused_;
  l.streams_in_scope = streams_scope_;
  l.streams_undissected = streams_undissected_;
  l.streams_dropped_queue = streams_dropped_;
  l.items_looked_back = items_looked_back_;
  l.packets_unseen = packets_unseen_;
  const SpoolProgress spool = spool_->progress();
  l.blocks_dropped_spool = spool.dropped_blocks;
  l.bytes_dropped_spool = spool.dropped_bytes;
  l.items_dropped_spool = spool.dropped_items;
  l.packets_dropped_spool = spool.dropped_packets;
  l.packets_truncated = packets_truncated_;
  l.items_redacted = items_redacted_;
  l.packets_redacted = packets_redacted_;
  l.packets_blanked = packets_blanked_;
  return l;
}

void Recorder::settle() {
  if (stopping_) return;
  hurry_ = true;
  while (ring_.size() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // The turn that runs now may have begun before the last event; the one after it has not.
  const uint64_t turn = turns_.load(std::memory_order_acquire);
  while (turns_.load(std::memory_order_acquire) < turn + 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  while (finisher_.unfinished() > kFinishingWhileWaiting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  hurry_ = false;
}

void Recorder::stop(Duration patience) {
  if (!thread_.joinable()) return;
  if (patience <= Duration{0}) give_up_looking_ = true;
  stopping_.store(true, std::memory_order_release);
  thread_.join();
  looker_.finish();
  syncer_.finish();
  finisher_.run([this] {
    finish_blocks();
    count_unwritten();
  });
  finisher_.finish();
  spool_->stop(patience);
}

Recorder::Status Recorder::status() const {
  Status s;
  s.ledger = ledger();
  s.spool = spool_->progress();
  s.waiting = spool_->waiting();
  s.streams = streams_;
  s.looking_back = looking_back_;
  s.write_errors = write_errors_;
  s.finishing_blocks = finisher_.unfinished() + unfinished_;
  const std::lock_guard lock(mutex_);
  s.last_error = last_error_;
  return s;
}

}  // namespace baleen::record
