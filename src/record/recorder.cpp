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
constexpr auto kFinishAgain = std::chrono::seconds(10);
constexpr size_t kEndedStreams = 1 << 16;
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
    auto block = BlockWriter::recover(folder, options_.encryption);
    std::error_code ignored;
    // Journals are made after the owner is written: without an owner there is nothing in them.
    const bool nothing =
        block ? (*block)->empty()
              : block.error().code == Code::kNotFound && !std::filesystem::exists(folder + "/packets.journal", ignored);
    if (nothing) {
      if (block) block->reset();
      std::filesystem::remove_all(folder, ignored);
      continue;
    }
    if (!block) {
      log::warning("{}: not recovered: {}", folder, block.error().message);
      continue;
    }
    // What else its process had seen went with it.
    index::LossLedger known;
    known.items_seen = known.items_stored = (*block)->items();
    known.packets_stored = (*block)->packets();
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
  next->number = generation_.load()->number + 1;
  if (recordings.size() > kMostRecordings) recordings.resize(kMostRecordings);
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
  // Seen before anything else is said of it: see ledger().
  items_seen_.fetch_add(1, std::memory_order_relaxed);
  if (event.recordings == 0) {
    items_not_matched_.fetch_add(1, std::memory_order_release);
    return;
  }
  event.item = item;
  event.generation = generation->number;
  if (!ring_.push(std::move(event))) items_dropped_.fetch_add(1, std::memory_order_release);
}

void Recorder::stream_ended(uint64_t stream) {
  Event event;
  event.ended = true;
  event.ended_stream = stream;
  ring_.push(std::move(event));  // when it is full the stream is followed until the block's recording stops
}

void Recorder::run() {
  name_this_thread("bl-recorder");
  auto next_turn = std::chrono::steady_clock::now(), finish_again = next_turn;
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
    if (unfinished_ != 0 && std::chrono::steady_clock::now() >= finish_again && finisher_.unfinished() == 0) {
      finish_again = std::chrono::steady_clock::now() + kFinishAgain;
      finisher_.run([this] { finish_blocks(); });
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
          stream->second.until = std::chrono::steady_clock::now() + kLate;
      continue;
    }
    // An item was matched under the recordings of its time: what came before a change is kept before the change.
    if (event.generation > adopted_) adopt(generation_.load());
    bool stored = false, failed = false;
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
      (take_item(open, *event.item) ? stored : failed) = true;
    }
    (stored ? items_stored_ : failed ? items_failed_ : items_not_matched_).fetch_add(1, std::memory_order_release);
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
      const Recording& before = it->second.recording;
      const bool alike = r.redaction && before.redaction ? r.redaction->rules() == before.redaction->rules()
                                                         : r.redaction == before.redaction;
      return r.name == it->first && r.destination == before.destination && r.filter.text() == before.filter.text() &&
             alike;
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
                   ++sequences_[open.recording.name]};
  auto block = BlockWriter::create(spool_->new_folder(), owner, options_.encryption);
  if (!block) {
    failed(block.error());
    return nullptr;
  }
  open.block = *std::move(block);
  return open.block.get();
}

/// False when the disk has taken neither it nor a block for it. Its stream is followed all the same.
bool Recorder::take_item(Open& open, const item::Item& item) {
  BlockWriter* const block = block_of(open);
  bool kept = block != nullptr;
  if (kept) {
    Result<> added;
    if (open.recording.redaction) {
      index::ItemRow row;
      if (open.recording.redaction->redact(item, row, open.redacted->rules)) ++open.redacted->items;
      added = block->add_row(row);
    } else {
      added = block->add_item(item);
    }
    if (!added) {
      failed(added.error());
      kept = false;
    }
    // What is redacted is not given away with the key to it.
    if (!open.recording.redaction && !item.tls_random.empty() && options_.secrets_of &&
        !block->has_secrets(item.tls_random))
      if (const auto added = block->add_secrets(item.tls_random, options_.secrets_of(item.tls_random)); !added)
        failed(added.error());
  }
  const auto [stream, fresh] = open.streams.try_emplace(item.stream);
  if (!fresh) return kept;
  stream->second.name = name_of(item.stream, item.stream_kind);
  if (const auto before = open.ended.find(item.stream); before != open.ended.end()) {
    stream->second.cursor = before->second;
    stream->second.until = std::chrono::steady_clock::now() + kLate;
    open.ended.erase(before);
    if (open.recording.redaction)
      stream->second.redactor =
          std::make_unique<StreamRedactor>(open.recording.redaction, *open.redacted, RedactorLimits{}, /*blind=*/true);
  } else {
    if (open.recording.redaction)
      stream->second.redactor = std::make_unique<StreamRedactor>(open.recording.redaction, *open.redacted);
    streams_.fetch_add(1, std::memory_order_relaxed);
  }
  return kept;
}

void Recorder::keep_packet(Open& open, const Followed& stream, const RecordedPacket& packet) {
  BlockWriter* const block = block_of(open);
  const auto added = block != nullptr ? block->add_packet(stream.name, packet) : Result<>();
  if (!added) failed(added.error());
  if (block == nullptr || !added) {
    packets_lost_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  packets_stored_.fetch_add(1, std::memory_order_relaxed);
  if (packet.wire_length > packet.bytes.size()) packets_truncated_.fetch_add(1, std::memory_order_relaxed);
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
    const auto keep = [&](const RecordedPacket& packet) { keep_packet(open, stream, packet); };
    const uint64_t lost = flight.read(it->first, stream.cursor, [&](const RecordedPacket& packet) {
      stream.redactor ? stream.redactor->add(packet, keep) : keep(packet);
    });
    packets_lost_.fetch_add(lost, std::memory_order_relaxed);
    const bool over = stream.until && std::chrono::steady_clock::now() >= *stream.until;
    if (stream.redactor && (over || last_turn)) stream.redactor->finish(keep);
    if (open.block && is_full(*open.block)) close_block(open);
    if (!over) {
      ++it;
      continue;
    }
    open.ended[it->first] = stream.cursor;
    if (open.ended.size() > kEndedStreams) open.ended.erase(open.ended.begin());
    it = open.streams.erase(it);
  }
  if (last_turn) open.streams.clear();
  count_redactions(open);
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
  open.block->set_redactions(open.redacted->rules);
  finisher_.run([this, closed = Closed{std::move(open.block), ledger()}] {
    closed_.push_back(closed);
    finish_blocks();
  });
}

/// What cannot be finished now (the disk is full) is tried again: with the next block, every few seconds, at the end.
void Recorder::finish_blocks() {
  std::erase_if(closed_, [this](const Closed& closed) {
    const auto finished = finish_block(closed);
    if (!finished) failed(finished.error());
    return finished.has_value();
  });
  unfinished_ = closed_.size();
}

Result<> Recorder::finish_block(const Closed& closed) {
  std::vector<InterfaceName> interfaces;
  {
    const std::lock_guard lock(mutex_);
    interfaces = interfaces_;
  }
  // It may be finished already, and only not moved.
  if (!BlockWriter::is_finished(closed.block->folder()))
    if (auto record = closed.block->finish(interfaces, closed.ledger); !record) return std::move(record).error();
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
  // Read last, and counted first by the shard: what is left is in the ring, and nothing is negative.
  l.items_seen = items_seen_.load(std::memory_order_acquire);
  l.items_in_flight = l.items_seen - l.items_stored - l.items_not_matched - l.items_dropped_queue - l.items_failed;
  if (numbers_ != nullptr) {
    l.packets_captured = numbers_->packets;
    l.packets_dropped_kernel = numbers_->dropped_by_kernel;
  }
  l.packets_stored = packets_stored_;
  l.packets_lost_recorder = packets_lost_;
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
  stopping_.store(true, std::memory_order_release);
  thread_.join();
  syncer_.finish();
  finisher_.run([this] { finish_blocks(); });
  finisher_.finish();
  spool_->stop(patience);
}

Recorder::Status Recorder::status() const {
  Status s;
  s.ledger = ledger();
  s.spool = spool_->progress();
  s.streams = streams_;
  s.write_errors = write_errors_;
  s.finishing_blocks = finisher_.unfinished() + unfinished_;
  const std::lock_guard lock(mutex_);
  s.last_error = last_error_;
  return s;
}

}  // namespace baleen::record
