#include "record/recorder.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "item/json.h"

namespace baleen::record {
namespace {

constexpr auto kTurn = std::chrono::milliseconds(200);
constexpr int kLateTurns = 10;  // two seconds in which a stream that has ended may still get packets
constexpr size_t kEventsPerTurn = 8192;
constexpr size_t kFinishingWhileWaiting = 2;

std::string name_of(uint64_t stream, item::StreamKind kind) {
  char buffer[32];
  return std::string(buffer, item::write_stream_name(stream, kind, buffer));
}

}  // namespace

Recorder::Recorder(RecorderOptions options, std::vector<const FlightRecorder*> flights, const CaptureNumbers* numbers)
    : options_(std::move(options)),
      flights_(std::move(flights)),
      numbers_(numbers),
      ring_(options_.ring_items),
      generation_(std::make_shared<const Generation>()) {}

Result<std::unique_ptr<Recorder>> Recorder::open(RecorderOptions options, std::vector<const FlightRecorder*> flights,
                                                 const CaptureNumbers* numbers) {
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(options), std::move(flights), numbers));
  BALEEN_TRY(recorder->spool_, Spool::open(recorder->options_.spool_folder, recorder->options_.open_store));
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
    auto block = BlockWriter::recover(folder);
    if (!block) {
      log::warning("{}: not recovered: {}", folder, block.error().message);
      continue;
    }
    if ((*block)->empty()) {
      std::error_code ignored;
      block->reset();
      std::filesystem::remove_all(folder, ignored);
      continue;
    }
    if (auto record = (*block)->finish({}, {}); !record) {
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
  next->number = generation_.load()->number + 1;
  if (recordings.size() > 32) recordings.resize(32);
  next->recordings = std::move(recordings);
  generation_.store(std::move(next));
}

void Recorder::set_interfaces(std::vector<InterfaceName> interfaces) {
  const std::lock_guard lock(mutex_);
  interfaces_ = std::move(interfaces);
}

void Recorder::offer(const item::ItemRef& item) {
  const auto generation = generation_.load(std::memory_order_acquire);
  Event event;
  for (size_t i = 0; i < generation->recordings.size(); ++i)
    if (generation->recordings[i].filter.matches(*item)) event.recordings |= 1u << i;
  items_seen_.fetch_add(1, std::memory_order_relaxed);
  if (event.recordings == 0) {
    items_not_matched_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  event.item = item;
  event.generation = generation->number;
  items_offered_.fetch_add(1, std::memory_order_relaxed);
  if (!ring_.push(std::move(event))) {
    items_offered_.fetch_sub(1, std::memory_order_relaxed);
    items_dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Recorder::stream_ended(uint64_t stream) {
  Event event;
  event.ended = true;
  event.ended_stream = stream;
  ring_.push(std::move(event));  // when it is full the stream is followed until the block's recording stops
}

void Recorder::run() {
  name_this_thread("bl-recorder");
  auto next_turn = std::chrono::steady_clock::now();
  while (true) {
    const bool last = stopping_.load(std::memory_order_acquire);
    const bool busy = take_events();
    if (std::chrono::steady_clock::now() >= next_turn || last || hurry_.load(std::memory_order_relaxed)) {
      if (ring_.size() == 0) adopt(generation_.load());
      for (auto& [name, open] : open_) {
        follow_streams(open, false);
        check_age(open);
      }
      next_turn = std::chrono::steady_clock::now() + kTurn;
      turns_.fetch_add(1, std::memory_order_release);
    }
    if (last && !busy) break;
    if (!busy) std::this_thread::sleep_for(std::chrono::milliseconds(hurry_ ? 1 : 20));
  }
  for (auto& [name, open] : open_) {
    follow_streams(open, true);
    close_block(open);
  }
}

bool Recorder::take_events() {
  Event event;
  size_t n = 0;
  for (; n < kEventsPerTurn && ring_.pop(event); ++n) {
    if (event.ended) {
      for (auto& [name, open] : open_)
        if (const auto stream = open.streams.find(event.ended_stream); stream != open.streams.end())
          stream->second.turns_left = kLateTurns;
      continue;
    }
    // An item was matched under the recordings of its time: what came before a change is kept before the change.
    if (event.generation > adopted_) adopt(generation_.load());
    bool stored = false;
    for (auto& [name, open] : open_) {
      // Bits number the recordings of the item's generation; after a change the filters are asked again.
      bool wanted = false;
      if (event.generation == adopted_) {
        for (size_t i = 0; i < in_force_->recordings.size(); ++i)
          wanted |= (event.recordings >> i & 1) != 0 && in_force_->recordings[i].name == name;
      } else {
        wanted = open.recording.filter.matches(*event.item);
      }
      if (!wanted) continue;
      take_item(open, *event.item);
      stored = true;
    }
    (stored ? items_stored_ : items_not_matched_).fetch_add(1, std::memory_order_relaxed);
    items_offered_.fetch_sub(1, std::memory_order_relaxed);
    event = {};
  }
  return n != 0;
}

/// Opens recordings that are new, closes those that are gone or have changed.
void Recorder::adopt(const std::shared_ptr<const Generation>& generation) {
  if (adopted_ == generation->number) return;
  adopted_ = generation->number;
  in_force_ = generation;
  for (auto it = open_.begin(); it != open_.end();) {
    const auto same = [&](const Recording& r) {
      return r.name == it->first && r.destination == it->second.recording.destination &&
             r.filter.text() == it->second.recording.filter.text();
    };
    if (std::any_of(generation->recordings.begin(), generation->recordings.end(), same)) {
      ++it;
      continue;
    }
    follow_streams(it->second, true);
    close_block(it->second);
    it = open_.erase(it);
  }
  for (const Recording& recording : generation->recordings)
    open_.try_emplace(recording.name).first->second.recording = recording;
}

BlockWriter* Recorder::block_of(Open& open) {
  if (open.block) return open.block.get();
  BlockOwner owner{open.recording.name,
                   std::string(open.recording.filter.text()),
                   open.recording.destination,
                   options_.node,
                   options_.cluster,
                   options_.run,
                   ++open.sequence};
  auto block = BlockWriter::create(spool_->new_folder(), owner);
  if (!block) {
    failed(block.error());
    return nullptr;
  }
  open.block = *std::move(block);
  return open.block.get();
}

void Recorder::take_item(Open& open, const item::Item& item) {
  BlockWriter* block = block_of(open);
  if (block == nullptr) return;
  if (const auto added = block->add_item(item); !added) failed(added.error());
  const auto [stream, fresh] = open.streams.try_emplace(item.stream);
  if (!fresh) return;
  stream->second.name = name_of(item.stream, item.stream_kind);
  streams_.fetch_add(1, std::memory_order_relaxed);
}

void Recorder::follow_streams(Open& open, bool last_turn) {
  for (auto it = open.streams.begin(); it != open.streams.end();) {
    Followed& stream = it->second;
    const FlightRecorder& flight = *flights_[it->first % flights_.size()];
    const uint64_t lost = flight.read(it->first, stream.cursor, [&](const RecordedPacket& packet) {
      BlockWriter* block = block_of(open);
      if (block == nullptr) {
        packets_lost_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      if (const auto added = block->add_packet(stream.name, packet); !added) failed(added.error());
      packets_stored_.fetch_add(1, std::memory_order_relaxed);
      if (packet.wire_length > packet.bytes.size()) packets_truncated_.fetch_add(1, std::memory_order_relaxed);
    });
    packets_lost_.fetch_add(lost, std::memory_order_relaxed);
    if (open.block && is_full(*open.block)) close_block(open);
    const bool over = stream.turns_left > 0 && --stream.turns_left == 0;
    it = over && !last_turn ? open.streams.erase(it) : std::next(it);
  }
  if (last_turn) open.streams.clear();
  if (!open.block) return;
  if (const auto flushed = open.block->flush(); !flushed) failed(flushed.error());
  sync_later(open);
}

bool Recorder::is_full(const BlockWriter& block) const {
  return block.packet_bytes() >= options_.block_bytes || block.item_bytes() >= 2 * options_.block_bytes;
}

/// A disk takes as long as it takes: one sync at a time, never on the thread that takes in items.
void Recorder::sync_later(Open& open) {
  if (syncer_.unfinished() > open_.size()) return;
  auto journals = std::make_shared<std::vector<UniqueFd>>(open.block->journals());
  syncer_.run([this, journals] {
    for (const UniqueFd& fd : *journals)
      if (::fdatasync(fd.get()) != 0) failed(errno_error("syncing a journal of the spool", errno));
  });
}

void Recorder::check_age(Open& open) {
  if (open.block && !open.block->empty() && now() - open.block->opened() > options_.block_age) close_block(open);
}

void Recorder::close_block(Open& open) {
  if (!open.block || open.block->empty()) return;
  if (const auto flushed = open.block->flush(); !flushed) failed(flushed.error());
  finisher_.run([this, block = std::shared_ptr<BlockWriter>(std::move(open.block)), numbers = ledger()] {
    finish_block(*block, numbers);
  });
}

void Recorder::finish_block(BlockWriter& block, const index::LossLedger& ledger) {
  std::vector<InterfaceName> interfaces;
  {
    const std::lock_guard lock(mutex_);
    interfaces = interfaces_;
  }
  const std::string folder = block.folder();
  const auto record = block.finish(interfaces, ledger);
  if (!record) return failed(record.error());  // its journals stay, and are taken up at the next start
  if (const auto moved = spool_->ready(folder); !moved) failed(moved.error());
}

void Recorder::failed(const Error& error) {
  write_errors_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (last_error_ != error.message) log::error("recording: {}", error.message);
  last_error_ = error.message;
}

index::LossLedger Recorder::ledger() const {
  index::LossLedger l;
  l.items_stored = items_stored_;
  l.items_not_matched = items_not_matched_;
  l.items_dropped_queue = items_dropped_;
  // What was offered and not yet taken in. The sum is what has been seen up to this moment.
  l.items_in_flight = items_offered_;
  l.items_seen = l.items_stored + l.items_not_matched + l.items_dropped_queue + l.items_in_flight;
  if (numbers_ != nullptr) {
    l.packets_captured = numbers_->packets;
    l.packets_dropped_kernel = numbers_->dropped_by_kernel;
  }
  l.packets_stored = packets_stored_;
  l.packets_lost_recorder = packets_lost_;
  l.packets_truncated = packets_truncated_;
  return l;
}

void Recorder::settle() {
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
  stopping_.store(true, std::memory_order_release);
  thread_.join();
  syncer_.finish();
  finisher_.finish();
  spool_->stop(patience);
}

Recorder::Status Recorder::status() const {
  Status s;
  s.ledger = ledger();
  // With nothing in flight the sum must be what the shard has counted on its own side.
  if (s.ledger.items_in_flight == 0) s.ledger.items_seen = items_seen_;
  s.spool = spool_->progress();
  s.streams = streams_;
  s.write_errors = write_errors_;
  s.finishing_blocks = finisher_.unfinished();
  const std::lock_guard lock(mutex_);
  s.last_error = last_error_;
  return s;
}

}  // namespace baleen::record
