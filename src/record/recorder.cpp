#include "record/recorder.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

#include "base/log.h"
#include "record/recorder_parts.h"

namespace baleen::record {
namespace {

constexpr auto kTurn = std::chrono::milliseconds(200);
constexpr auto kFinishAgain = std::chrono::seconds(10);
constexpr size_t kEventsPerTurn = 8192;
constexpr size_t kLeftRecordings = 64;
constexpr size_t kScannedPerTurn = 256 << 20;  // of a shard, for a scope

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
      ++unrecovered_;
      continue;
    }
    // What else its process had seen went with it.
    const index::LossLedger known = (*block)->ledger_of_recovered();
    if (known.packets_failed != 0)
      log::warning("{}: {} packets are damaged and left out", folder, known.packets_failed);
    packets_matched_ += known.packets_failed;
    packets_failed_ += known.packets_failed;
    if (auto record = (*block)->finish({}, known); !record) {
      log::warning("{}: not recovered: {}", folder, record.error().message);
      ++unrecovered_;
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
  next->number = generation_->number + 1;
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
  newest_.store(next->number, std::memory_order_release);
  generation_ = std::move(next);
}

/// Between two batches the shard's packets are in its flight recorder and its items are offered: what lies before that
/// place is of the time before the change.
void Recorder::at_batch(size_t shard) {
  const auto& pinned = pinned_[shard];
  if (pinned && pinned->number == newest_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  shards_pin_ = true;
  pinned_[shard] = generation_;
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
    const uint64_t newest = generation_->number;
    return std::all_of(pinned_.begin(), pinned_.end(),
                       [&](const auto& pinned) { return pinned && pinned->number == newest; });
  });
}

void Recorder::set_interfaces(std::vector<InterfaceName> interfaces) {
  const std::lock_guard lock(mutex_);
  interfaces_ = std::move(interfaces);
}

std::shared_ptr<const Recorder::Generation> Recorder::newest_generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void Recorder::offer(const item::ItemRef& item) {
  const auto& pinned = pinned_[item->stream % pinned_.size()];
  const auto newest = pinned ? nullptr : newest_generation();
  const Generation& generation = pinned ? *pinned : *newest;
  Event event;
  bool scoped = false, asked_last = false;
  item::Item* const own = item.sole();
  const auto ask = [&](bool last) {
    for (size_t i = 0; i < generation.recordings.size(); ++i) {
      const Recording& r = generation.recordings[i];
      asked_last |= r.asks_recordings;
      if (r.asks_recordings != last || r.is_full()) continue;
      if (r.by_filter && r.filter.matches(*item)) {
        event.recordings |= 1u << i;
      } else {
        scoped |= r.scope.any();
      }
    }
  };
  ask(/*last=*/false);
  if (asked_last) {
    if (own != nullptr && event.recordings != 0) name_recordings(*own, generation, event.recordings);
    ask(/*last=*/true);
  }
  // Seen before anything else is said of it: see ledger().
  items_seen_.fetch_add(1, std::memory_order_relaxed);
  // Which streams are in a scope the recorder's thread knows.
  if (event.recordings == 0 && !scoped) {
    items_not_matched_.fetch_add(1, std::memory_order_release);
    return;
  }
  if (own != nullptr && event.recordings != 0) name_recordings(*own, generation, event.recordings);
  event.item = item;
  event.generation = generation.number;
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
      spool_is_full_ = false;
      // Loaded before the look at the ring: what was offered before that change is in the ring, or taken in.
      const uint64_t newest = newest_.load(std::memory_order_acquire);
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
    if (unfinished_ != 0 && std::chrono::steady_clock::now() >= finish_again && finishing() == 0) {
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

void Recorder::failed(const Error& error) {
  write_errors_.fetch_add(1, std::memory_order_relaxed);
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  last_error_ = error.message;
  // A disk in trouble fails in two or three ways by turns.
  std::erase_if(logged_, [&](const auto& logged) { return now - logged.second >= kLogAgain; });
  if (logged_.size() < kLogged && logged_.try_emplace(error.message, now).second)
    log::error("recording: {}", error.message);
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
  l.packets_beyond_limit = packets_beyond_limit_.load(std::memory_order_acquire);
  l.packets_matched = packets_matched_.load(std::memory_order_acquire);
  l.packets_in_flight = l.packets_matched - l.packets_stored - l.packets_lost_recorder - l.packets_failed -
                        l.packets_refused_spool - l.packets_beyond_limit;
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
  while (finishing() > kFinishingWhileWaiting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  hurry_ = false;
}

void Recorder::stop(Duration patience) {
  if (!thread_.joinable()) return;
  if (patience <= Duration{0}) give_up_looking_ = true;
  stopping_.store(true, std::memory_order_release);
  thread_.join();
  looker_.finish();
  syncer_.finish();
  finisher_.run([this] { finish_blocks(); });
  finisher_.finish();
  sealer_.finish();
  std::move(unsealed_.begin(), unsealed_.end(), std::back_inserter(closed_));
  unsealed_.clear();
  count_unwritten();
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
  s.finishing_blocks = finishing() + unfinished_;
  s.unrecovered_blocks = unrecovered_;
  const std::lock_guard lock(mutex_);
  s.last_error = last_error_;
  return s;
}

}  // namespace baleen::record
