// Recorder: the open blocks of its recordings, from the first packet to the spool.

#include <fmt/core.h>
#include <unistd.h>

#include <iterator>

#include "base/log.h"
#include "item/json.h"
#include "record/recorder.h"
#include "record/recorder_parts.h"

namespace baleen::record {
namespace {

constexpr auto kSyncAfter = std::chrono::seconds(1);
constexpr uint64_t kOrderAfter = 8 << 20;      // bytes of journals that the disk has not begun with
constexpr uint64_t kRecordOverhead = 48;       // of a packet in its journal: the record's head, and its block's frame
constexpr uint64_t kOrderOverhead = 12;        // of a packet in the order of packets
constexpr uint64_t kStreamOverhead = 144;      // of a stream in the journal and in a block's record
constexpr uint64_t kBlockOverhead = 64 << 10;  // of a block: metadata of its Parquet file, and its record
constexpr uint64_t kItemRoom = 64 << 10;       // most items' rows are shorter

/// What a block takes of the spool at most, until it is finished: journals, and the files that are made from them.
uint64_t cost_of(const BlockWriter& block) {
  const uint64_t packets = block.packet_bytes() + block.packets() * kRecordOverhead;
  return kBlockOverhead + packets + (block.copies_packets() ? packets : block.packets() * kOrderOverhead) +
         2 * (block.secret_bytes() + block.item_bytes()) + block.label_bytes() + block.streams() * kStreamOverhead +
         block.encryption_bytes();
}

std::string name_of(uint64_t stream, item::StreamKind kind) {
  char buffer[32];
  return std::string(buffer, item::write_stream_name(stream, kind, buffer));
}

}  // namespace

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
  open.synced = open.ordered = 0;
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
  if (open.recording.is_full_of_bytes()) return Outcome::kBeyondLimit;
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
  auto& counter = outcome == Outcome::kStored        ? packets_stored_
                  : outcome == Outcome::kFailed      ? packets_failed_
                  : outcome == Outcome::kBeyondLimit ? packets_beyond_limit_
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
    const auto keep = [&](const RecordedPacket& packet) { count(take_packet(open, stream, packet), packet); };
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
/// waits for a second, but the disk begins with it before, where much comes: finishing a block waits for little then.
void Recorder::sync_later(Open& open) {
  const uint64_t flushed = open.block->flushed_bytes();
  if (flushed == open.synced) return;
  const auto now = std::chrono::steady_clock::now();
  if (!open.unsynced) open.unsynced = now;
  if (syncer_.unfinished() > open_.size()) return;
  if (now - *open.unsynced >= kSyncAfter) {
    open.synced = open.ordered = flushed;
    open.unsynced.reset();
    sync_journals(*open.block);
  } else if (flushed - open.ordered >= kOrderAfter) {
    open.ordered = flushed;
    syncer_.run([journals = open.block->syncer()] { journals->order(); });
  }
}

void Recorder::sync_journals(const BlockWriter& block) {
  syncer_.run([this, journals = block.syncer()] {
    if (const auto synced = journals->sync(); !synced) failed(synced.error());
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
  if (finishing() > kFinishingWhileWaiting) sync_journals(*open.block);
  const index::LossLedger now = ledger();
  Captured& before = captured_[open.recording.name];
  if (numbers_ != nullptr)
    open.block->set_capture(now.packets_captured - before.packets, now.packets_dropped_kernel - before.dropped);
  before = {now.packets_captured, now.packets_dropped_kernel};
  finisher_.run([this, closed = Closed{std::move(open.block), now}] {
    closed_.push_back(closed);
    finish_blocks();
  });
}

size_t Recorder::finishing() const { return finisher_.unfinished() + sealer_.unfinished(); }

/// What cannot be finished now (the disk is full) is tried again: with the next block, every few seconds, at the end.
void Recorder::finish_blocks() {
  {
    const std::lock_guard lock(mutex_);
    std::move(unsealed_.begin(), unsealed_.end(), std::back_inserter(closed_));
    unsealed_.clear();
  }
  std::erase_if(closed_, [this](const Closed& closed) {
    const auto composed = compose_block(closed);
    if (composed) {
      sealer_.run([this, closed] { seal_block(closed); });
    } else {
      failed(composed.error());
      (void)closed.block->sync();  // it may wait long
    }
    return composed.has_value();
  });
  count_unfinished();
}

/// Finisher's thread, or none is left.
void Recorder::count_unfinished() {
  const std::lock_guard lock(mutex_);
  unfinished_ = closed_.size() + unsealed_.size();
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

Result<> Recorder::compose_block(const Closed& closed) {
  // It may be finished already, and only not moved.
  if (BlockWriter::is_finished(closed.block->folder())) return {};
  std::vector<InterfaceName> interfaces;
  {
    const std::lock_guard lock(mutex_);
    interfaces = interfaces_;
  }
  return closed.block->compose(interfaces, closed.ledger, PacketsAs::kOrder);
}

/// Sealer's thread: one block after the other, so that what was dropped is told by one of them only.
void Recorder::seal_block(const Closed& closed) {
  const auto seal = [&]() -> Result<> {
    if (!BlockWriter::is_finished(closed.block->folder())) {
      const BlockOwner& owner = closed.block->owner();
      const auto dropped = spool_->to_tell(owner.recording, owner.destination);
      closed.block->tell_dropped(dropped);
      BALEEN_TRY(const auto record, closed.block->seal());
      spool_->told(owner.recording, owner.destination, dropped);
    }
    return spool_->ready(closed.block->folder());
  };
  const Result<> sealed = seal();
  if (sealed) return;
  failed(sealed.error());
  (void)closed.block->sync();
  const std::lock_guard lock(mutex_);
  unsealed_.push_back(closed);
  ++unfinished_;
}

}  // namespace baleen::record
