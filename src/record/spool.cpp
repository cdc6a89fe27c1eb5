#include "record/spool.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/replace_file.h"
#include "record/spool_parts.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

uint64_t folder_bytes(const std::string& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    bytes += entry.is_regular_file(ignored) ? entry.file_size(ignored) : 0;
  return bytes;
}

std::vector<std::string> folders_in(const std::string& parent) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored))
    if (entry.is_directory(ignored)) out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

constexpr size_t kTombstones = 64;          // of one recording and destination; more are told as one
constexpr uint64_t kBlockSlack = 64 << 10;  // what finishing writes beside the journals' contents
constexpr const char* kCause = "spool limit";

index::DroppedBlocks merged(const index::DroppedBlocks& a, const index::DroppedBlocks& b) {
  return {a.block,
          a.cause,
          a.blocks + b.blocks,
          a.items + b.items,
          a.packets + b.packets,
          a.bytes + b.bytes,
          std::min(a.first, b.first),
          std::max(a.last, b.last)};
}

nlohmann::json tombstone_json(const Tombstone& t) {
  const index::DroppedBlocks& b = t.blocks;
  return {{"recording", t.recording},
          {"destination", t.destination},
          {"folder", t.folder},
          {"block", b.block},
          {"blocks", b.blocks},
          {"items", b.items},
          {"packets", b.packets},
          {"bytes", b.bytes},
          {"first_time_ns", to_ns(b.first)},
          {"last_time_ns", to_ns(b.last)},
          {"newest", t.newest}};
}

Tombstone tombstone_of(const nlohmann::json& j) {
  return {j.at("recording"),
          j.at("destination"),
          j.at("folder"),
          {j.at("block"), kCause, j.at("blocks"), j.at("items"), j.at("packets"), j.at("bytes"),
           timestamp_from_ns(j.at("first_time_ns")), timestamp_from_ns(j.at("last_time_ns"))},
          j.value("newest", "")};
}

/// Of one that has grown, what has not been told: under another id, as nobody may count the told ones twice.
void leave_rest(Tombstone& t, const index::DroppedBlocks& told) {
  t.blocks.block = t.newest;
  t.blocks.blocks -= told.blocks;
  t.blocks.items -= told.items;
  t.blocks.packets -= told.packets;
  t.blocks.bytes -= told.bytes;
  t.newest.clear();
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::string& folder, OpenStore open_store,
                                           const SpoolOptions& options) {
  if (options.limit_bytes < SpoolOptions::kSmallestLimit)
    return Error{Code::kInvalid, "the spool needs 1 MiB at least: allow it more bytes"};
  std::error_code failed;
  for (const char* part : {"/open", "/ready", "/done"}) {
    fs::create_directories(folder + part, failed);
    if (failed) return Error{Code::kIo, fmt::format("spool {}: {}", folder, failed.message())};
  }
  std::unique_ptr<Spool> spool(new Spool(folder, std::move(open_store), options));
  const std::string path = folder + "/lock";
  spool->lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!spool->lock_) return errno_error(path, errno);
  if (::flock(spool->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Code::kConflict,
                 fmt::format("another process uses the data folder {}: stop it, or choose another with dataDir",
                             fs::path(folder).parent_path().string())};
  for (const std::string& done : folders_in(folder + "/done")) fs::remove_all(done, failed);
  spool->random_.seed(static_cast<unsigned>(to_ns(now())) ^ static_cast<unsigned>(::getpid()));
  spool->load_tombstones();
  for (const std::string& open : folders_in(folder + "/open"))
    spool->reserved_bytes_ += spool->reserved_[open] = 2 * folder_bytes(open) + kBlockSlack;
  for (const std::string& ready : folders_in(folder + "/ready")) spool->add_waiting(ready, spool->describe(ready));
  spool->make_room(0);
  return spool;
}

Spool::~Spool() { stop(Duration{0}); }

std::string Spool::new_folder() {
  std::string name;
  do {
    name = fmt::format("{}-{}-{:06}", to_ns(now()), ::getpid(), next_folder_++);
  } while (fs::exists(folder_ + "/open/" + name) || fs::exists(folder_ + "/ready/" + name));
  return folder_ + "/open/" + name;
}

std::vector<std::string> Spool::left_open() const { return folders_in(folder_ + "/open"); }

Result<> Spool::ready(const std::string& open_folder) {
  const std::string target = folder_ + "/ready/" + fs::path(open_folder).filename().string();
  Block block = describe(open_folder);
  block.tombstone.folder = fs::path(open_folder).filename().string();
  {
    // Moved and noted in one step: at no moment does it count twice, or lie there uncounted.
    const std::lock_guard lock(mutex_);
    if (::rename(open_folder.c_str(), target.c_str()) != 0) return errno_error(target, errno);
    add_waiting(target, std::move(block));
    if (const auto was = reserved_.find(open_folder); was != reserved_.end()) {
      reserved_bytes_ -= was->second;
      reserved_.erase(was);
    }
    make_room(0);
    add_thread();
    changed_.notify_all();
  }
  const UniqueFd parent(::open((folder_ + "/ready").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return errno_error(folder_, errno);
  return {};
}

SpoolProgress Spool::progress() const {
  const std::lock_guard lock(mutex_);
  SpoolProgress progress = progress_;
  progress.waiting_blocks = waiting_.size();
  progress.waiting_bytes = waiting_bytes_;
  for (const auto& [folder, block] : waiting_) {
    progress.refused_blocks += block.refused ? 1 : 0;
    progress.uploading_blocks += block.uploading ? 1 : 0;
    progress.sent_bytes += block.uploading ? block.sent->load(std::memory_order_relaxed) : 0;
    if (progress.oldest == Timestamp{} || block.finished < progress.oldest) progress.oldest = block.finished;
  }
  progress.limit_bytes = options_.limit_bytes;
  progress.reserved_bytes = reserved_bytes_;
  return progress;
}

std::map<std::string, SpoolWaiting> Spool::waiting() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, SpoolWaiting> out = tried_;
  for (const auto& [folder, block] : waiting_) {
    SpoolWaiting& w = out[block.tombstone.recording];
    if (w.blocks == 0 || block.finished < w.oldest) w.oldest = block.finished;
    ++w.blocks;
    w.bytes += block.bytes;
    w.uploading_blocks += block.uploading ? 1 : 0;
    w.sent_bytes += block.uploading ? block.sent->load(std::memory_order_relaxed) : 0;
  }
  return out;
}

/// What the folder of a finished block says. One that is damaged has no numbers, but a size.
Spool::Block Spool::describe(const std::string& folder) const {
  Block block;
  block.bytes = folder_bytes(folder);
  Tombstone& t = block.tombstone;
  t.folder = t.blocks.block = fs::path(folder).filename().string();
  t.blocks.cause = kCause;
  t.blocks.bytes = block.bytes;
  struct stat facts;
  block.finished = ::stat((folder + "/block.json").c_str(), &facts) == 0
                       ? timestamp_from_ns(int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec)
                       : now();
  const auto text = read_text(folder + "/block.json");
  const auto owner_text = read_text(folder + "/owner.json");
  if (!text || !owner_text) return block;
  const auto record = index::BlockRecord::from_json(*text);
  const auto owner = nlohmann::json::parse(*owner_text, nullptr, false);
  if (!record || !owner.is_object()) return block;
  t.recording = record->recording;
  if (const auto to = owner.find("destination"); to != owner.end() && to->is_string()) t.destination = *to;
  if (const auto location = store::Location::parse(t.destination)) block.lane = lane_of(*location);
  t.blocks.block = record->block;
  t.blocks.items = record->items;
  t.blocks.packets = record->packets;
  t.blocks.first = record->first;
  t.blocks.last = record->last;
  block.told = record->dropped;
  return block;
}

/// REQUIRES: the mutex is held, or nobody else knows of us.
void Spool::add_waiting(const std::string& folder, Block block) {
  waiting_bytes_ += block.bytes;
  ++progress_.added_blocks;
  progress_.added_bytes += block.bytes;
  Lane& lane = lanes_[block.lane];
  if (lane.to_try++ == 0 && !stopping_)
    lane.not_before = std::max(lane.not_before, Clock::now() + random_part(options_.spread));
  waiting_[folder] = std::move(block);
}

/// REQUIRES: the mutex is held.
uint64_t Spool::used() const { return waiting_bytes_ + reserved_bytes_ + tombstone_bytes_; }

bool Spool::reserve(const std::string& open_folder, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!make_room(bytes)) return false;
  reserved_[open_folder] += bytes;
  reserved_bytes_ += bytes;
  if (const bool before = std::exchange(hurried_, is_pressed()); hurried_ && !before) {
    add_thread();
    changed_.notify_all();
  }
  return true;
}

/// REQUIRES: the mutex is held. Whether room may soon be needed for what comes: then no upload waits for its turn among
/// the nodes.
bool Spool::is_pressed() const { return used() > options_.limit_bytes / 2; }

void Spool::release(const std::string& open_folder) {
  const std::lock_guard lock(mutex_);
  const auto was = reserved_.find(open_folder);
  if (was == reserved_.end()) return;
  reserved_bytes_ -= was->second;
  reserved_.erase(was);
}

bool Spool::takes_new_streams() const {
  if (options_.when_full == WhenFull::kDropOldest) return true;
  const std::lock_guard lock(mutex_);
  return used() < options_.limit_bytes - options_.limit_bytes / 8;
}

/// REQUIRES: the mutex is held. Tombstones grow while room is made, so it is looked at each time.
bool Spool::make_room(uint64_t bytes) {
  while (used() + bytes > options_.limit_bytes)
    if (options_.when_full == WhenFull::kRefuseNewest || !drop_oldest()) return false;
  return true;
}

/// REQUIRES: the mutex is held. The tombstone is on the disk before the block goes: a crash in between leaves both, and
/// load_tombstones() believes the block.
bool Spool::drop_oldest() {
  const auto oldest =
      std::find_if(waiting_.begin(), waiting_.end(), [](const auto& entry) { return !entry.second.uploading; });
  if (oldest == waiting_.end()) return false;
  const std::string folder = oldest->first;
  const Block block = std::move(oldest->second);
  lanes_[block.lane].to_try -= block.refused ? 0 : 1;
  for (const index::DroppedBlocks& told : block.told)
    add_tombstone({block.tombstone.recording, block.tombstone.destination, {}, told});
  add_tombstone(block.tombstone);
  save_tombstones();
  const std::string done = folder_ + "/done/" + fs::path(folder).filename().string();
  std::error_code failed;
  if (::rename(folder.c_str(), done.c_str()) == 0) fs::remove_all(done, failed);
  waiting_.erase(oldest);
  if (failed || fs::exists(folder)) {
    // It cannot be removed, so it still takes its place, and no second try would help.
    log::warning("spool: {} cannot be removed: {}", done, failed.message());
    reserved_[folder] = block.bytes;
    reserved_bytes_ += block.bytes;
  }
  waiting_bytes_ -= block.bytes;
  ++progress_.dropped_blocks;
  progress_.dropped_bytes += block.bytes;
  progress_.dropped_items += block.tombstone.blocks.items;
  progress_.dropped_packets += block.tombstone.blocks.packets;
  log::warning("spool: at its limit of {} bytes; the block {} ({} items, {} packets) was dropped", options_.limit_bytes,
               block.tombstone.blocks.block, block.tombstone.blocks.items, block.tombstone.blocks.packets);
  return true;
}

/// REQUIRES: the mutex is held.
void Spool::add_tombstone(Tombstone tombstone) {
  if (tombstone.recording.empty()) return;  // a damaged block: there is nobody to tell it
  const auto same_place = [&](const Tombstone& t) {
    return t.recording == tombstone.recording && t.destination == tombstone.destination;
  };
  const auto known = std::find_if(tombstones_.begin(), tombstones_.end(), [&](const Tombstone& t) {
    return same_place(t) && t.blocks.block == tombstone.blocks.block;
  });
  if (known != tombstones_.end()) {
    if (known->blocks.blocks < tombstone.blocks.blocks) known->blocks = tombstone.blocks;
    return;
  }
  if (static_cast<size_t>(std::count_if(tombstones_.begin(), tombstones_.end(), same_place)) >= kTombstones) {
    const auto last = std::find_if(tombstones_.rbegin(), tombstones_.rend(), same_place);
    last->blocks = merged(last->blocks, tombstone.blocks);
    last->newest = tombstone.newest.empty() ? tombstone.blocks.block : tombstone.newest;
    return;
  }
  tombstones_.push_back(std::move(tombstone));
}

/// REQUIRES: the mutex is held. When the disk takes nothing they are kept in memory, and written with the next one.
void Spool::save_tombstones() {
  auto list = nlohmann::json::array();
  for (const Tombstone& t : tombstones_) list.push_back(tombstone_json(t));
  const std::string text = list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  tombstone_bytes_ = 2 * text.size();  // the new one is written beside the old one
  if (const auto written = replace_file(folder_ + "/dropped.json", text); !written)
    progress_.last_error = written.error().message;
}

void Spool::load_tombstones() {
  const auto text = read_text(folder_ + "/dropped.json");
  if (!text) return;
  try {
    for (const auto& entry : nlohmann::json::parse(*text)) {
      Tombstone t = tombstone_of(entry);
      if (t.folder.empty() || !fs::exists(folder_ + "/ready/" + t.folder)) tombstones_.push_back(std::move(t));
    }
    tombstone_bytes_ = 2 * text->size();
  } catch (const nlohmann::json::exception& e) {
    log::warning("{}/dropped.json is left out: {}", folder_, e.what());
  }
}

std::vector<index::DroppedBlocks> Spool::to_tell(const std::string& recording, const std::string& destination) const {
  const std::lock_guard lock(mutex_);
  std::vector<index::DroppedBlocks> out;
  for (const Tombstone& t : tombstones_)
    if (t.recording == recording && t.destination == destination) out.push_back(t.blocks);
  return out;
}

/// What was merged into one of them meanwhile stays.
void Spool::told(const std::string& recording, const std::string& destination,
                 const std::vector<index::DroppedBlocks>& dropped) {
  if (dropped.empty()) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(tombstones_, [&](Tombstone& t) {
    if (t.recording != recording || t.destination != destination) return false;
    const auto known = std::find_if(dropped.begin(), dropped.end(),
                                    [&](const index::DroppedBlocks& d) { return d.block == t.blocks.block; });
    if (known == dropped.end()) return false;
    if (*known == t.blocks) return true;
    if (!t.newest.empty() && t.blocks.blocks > known->blocks) leave_rest(t, *known);
    return false;
  });
  save_tombstones();
}

}  // namespace baleen::record
