#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/log.h"
#include "base/task_thread.h"
#include "record/packets_order.h"
#include "record/spool.h"
#include "record/spool_parts.h"

namespace baleen::record {

namespace fs = std::filesystem;

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error(path, errno);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

namespace {

/// Where an upload by parts stands, beside the file that it sends: a later process goes on there. The text opens the
/// upload to whoever has it, so nobody else may read it. Losing it costs nothing but the parts that are sent again.
class UploadSession {
 public:
  explicit UploadSession(std::string path) : path_(std::move(path)) {}
  std::string read() const {
    std::error_code failed;
    const uintmax_t size = fs::file_size(path_, failed);
    if (failed || size > 16 * 1024) return {};
    return read_text(path_).value_or("");
  }
  /// Whole or not at all.
  void keep(const std::string& text) const {
    if (text.empty()) {
      ::unlink(path_.c_str());
      return;
    }
    const std::string fresh = path_ + ".new";
    const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::rename(fresh.c_str(), path_.c_str()) != 0)
      log::warning("{}: {}: an upload that is cut off now begins anew", path_, std::strerror(errno));
  }

 private:
  std::string path_;
};

/// What a folder under ready/ says of itself.
struct Finished {
  index::BlockRecord record;
  store::Location location;
};

Result<Finished> read_finished(const std::string& folder) {
  BALEEN_TRY(const std::string text, read_text(folder + "/block.json"));
  BALEEN_TRY(index::BlockRecord record, index::BlockRecord::from_json(text));
  BALEEN_TRY(const std::string owner, read_text(folder + "/owner.json"));
  const auto j = nlohmann::json::parse(owner, nullptr, false);
  if (!j.is_object() || !j.contains("destination") || !j["destination"].is_string())
    return Error{Code::kInvalid, folder + "/owner.json names no destination"};
  BALEEN_TRY(store::Location location, store::Location::parse(j["destination"].get<std::string>()));
  return Finished{std::move(record), std::move(location)};
}

constexpr size_t kMostNames = 1000;  // of recordings whose uploads are counted apart

}  // namespace

void Spool::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  add_thread();
}

void Spool::stop(Duration patience) {
  std::vector<std::thread> threads;
  {
    std::unique_lock lock(mutex_);
    if (!started_) return;
    stopping_ = true;
    // Whoever wants to stop gets a try at once, and then from the first pause on.
    for (auto& [name, lane] : lanes_) lane.pause = Duration{0}, lane.not_before = {};
    add_thread();
    changed_.notify_all();
    changed_.wait_for(lock, std::min<Duration>(patience, std::chrono::hours(24 * 365)),
                      [this] { return to_try() == 0; });
    cancel_ = true;
    changed_.notify_all();
    threads.swap(threads_);
    started_ = false;
  }
  for (std::thread& thread : threads) thread.join();
}

/// REQUIRES: the mutex is held.
uint64_t Spool::to_try() const {
  uint64_t n = 0;
  for (const auto& [name, lane] : lanes_) n += lane.to_try;
  return n;
}

/// REQUIRES: the mutex is held.
Duration Spool::random_part(Duration whole) {
  return Duration(static_cast<int64_t>(static_cast<double>(whole.count()) * static_cast<double>(random_()) /
                                       static_cast<double>(std::minstd_rand::max())));
}

/// REQUIRES: the mutex is held. Whether a destination takes one more, but for its time. One place is kept for each that
/// has none.
bool Spool::may_begin(const Lane& lane) const {
  if (lane.uploading == 0) return true;
  return lane.pause == Duration{0} && lane.uploading < options_.parallel &&
         uploading_ + lanes_.size() <= SpoolOptions::kMostUploads;
}

/// REQUIRES: the mutex is held. The block that is to go out now, or end(); `soonest`: when a pause ends for which one
/// waits.
Spool::Blocks::iterator Spool::choose(std::optional<Clock::time_point>& soonest) {
  auto best = waiting_.end();
  if (cancel_) return best;
  const auto now = Clock::now();
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    const Block& block = it->second;
    if (block.refused || block.uploading) continue;
    const Lane& lane = lanes_.at(block.lane);
    if (!may_begin(lane)) continue;
    const bool by_turns = lane.pause == Duration{0};  // not_before spreads nodes, and is no pause after a failure
    if (lane.not_before > now && !(by_turns && is_pressed())) {
      soonest = std::min(soonest.value_or(lane.not_before), lane.not_before);
    } else if (best == waiting_.end() || block.tries < best->second.tries) {
      best = it;
    }
  }
  return best;
}

/// REQUIRES: the mutex is held. One more when there is work and nobody is idle.
void Spool::add_thread() {
  std::optional<Clock::time_point> soonest;
  if (!started_ || idle_threads_ != 0 || threads_.size() >= SpoolOptions::kMostUploads) return;
  if (choose(soonest) == waiting_.end() && !(soonest && threads_.empty())) return;
  threads_.emplace_back([this] { run(); });
}

void Spool::run() {
  name_this_thread("bl-upload");
  std::unique_lock lock(mutex_);
  for (;;) {
    std::optional<Clock::time_point> soonest;
    const auto next = choose(soonest);
    if (next == waiting_.end()) {
      if (cancel_ || (stopping_ && to_try() == 0)) return;
      ++idle_threads_;
      if (soonest) {
        changed_.wait_until(lock, *soonest);
      } else {
        changed_.wait(lock);
      }
      --idle_threads_;
      continue;
    }
    const std::string folder = next->first;
    const auto sent = next->second.sent = std::make_shared<std::atomic<uint64_t>>(0);
    next->second.uploading = true;
    ++next->second.tries;
    ++lanes_.at(next->second.lane).uploading;
    ++uploading_;
    add_thread();
    lock.unlock();
    bool refused = false;
    const auto begin = Clock::now();
    const Result<> outcome = upload(folder, *sent, refused);
    lock.lock();
    note(folder, outcome, refused, begin);
  }
}

/// REQUIRES: the mutex is held. Exponential, with jitter: nodes that lost a bucket together do not come back in the
/// same second. Uploads that were under way together count as one failure.
void Spool::slow_down(Lane& lane, Clock::time_point begin) {
  if (begin < lane.failed) return;
  lane.failed = Clock::now();
  lane.pause = std::clamp<Duration>(lane.pause * 2, options_.first_pause, options_.longest_pause);
  const Duration half = lane.pause / 2;
  lane.not_before = lane.failed + half + random_part(half);
}

/// REQUIRES: the mutex is held.
void Spool::note(const std::string& folder, const Result<>& outcome, bool refused, Clock::time_point begin) {
  const auto at = waiting_.find(folder);
  Block& block = at->second;
  Lane& lane = lanes_.at(block.lane);
  --lane.uploading;
  --uploading_;
  const std::string& name = block.tombstone.recording;
  SpoolWaiting& own = tried_[tried_.size() < kMostNames || tried_.contains(name) ? name : std::string()];
  if (outcome) {
    const auto end = Clock::now();
    lane.pause = Duration{0};
    lane.not_before = {};
    --lane.to_try;
    ++progress_.uploaded_blocks;
    progress_.uploaded_bytes += block.bytes;
    progress_.upload_time += end - std::max(begin, uploaded_until_);
    uploaded_until_ = end;
    ++own.uploaded_blocks;
    own.uploaded_bytes += block.bytes;
    own.last_error.clear();
    waiting_bytes_ -= block.bytes;
    waiting_.erase(at);
  } else {
    ++progress_.failed_tries;
    block.uploading = false;
    block.refused = refused;
    if (refused) {
      --lane.to_try;
    } else {
      slow_down(lane, begin);
    }
    const std::string& message = outcome.error().message;
    ++own.failed_tries;
    own.last_error = message;
    if (progress_.last_error != message)
      log::warning("upload: {}; it is kept and tried again{}", message, refused ? " at the next start" : "");
    progress_.last_error = message;
  }
  changed_.notify_all();
}

Result<store::ObjectStore*> Spool::store_for(const store::Location& location) {
  const std::lock_guard lock(stores_mutex_);
  auto& store = stores_[lane_of(location)];
  if (!store) {
    BALEEN_TRY(store, open_store_(location));
  }
  return store.get();
}

/// `refused`: trying again gives the same answer. Credentials, buckets and disks are mended while a program runs; a
/// damaged block, and a name that something else has, are not.
Result<> Spool::upload(const std::string& folder, std::atomic<uint64_t>& sent, bool& refused) {
  auto finished = read_finished(folder);
  if (!finished) {
    refused = finished.error().code == Code::kInvalid || finished.error().code == Code::kNotFound;
    return std::move(finished).error().in(folder);
  }
  const auto& [record, location] = *finished;
  BALEEN_TRY(store::ObjectStore* const store, store_for(location));

  store::PutOptions options;
  options.cancel = &cancel_;
  options.bandwidth = options_.bandwidth.get();
  options.part_bytes = options_.part_bytes;
  const std::string prefix = location.key_prefix();
  const auto put = [&](const std::string& key, const char* file, const char* type, std::optional<uint32_t> crc,
                       const Result<std::unique_ptr<io::ByteSource>>& source) -> Result<> {
    options.crc32c = crc;
    options.content_type = type;
    const UploadSession session(folder + "/" + file + ".session");
    options.session = session.read();
    options.on_session = [&](const std::string& text) { session.keep(text); };
    options.on_progress = [&sent, before = sent.load()](uint64_t acknowledged) { sent = before + acknowledged; };
    const auto done = source ? store::put_source_once(*store, prefix + key, **source, options)
                             : Result<store::ObjectFacts>(source.error());
    if (done) return {};
    const Code code = done.error().code;
    refused = code == Code::kConflict || code == Code::kInvalid || (!source && code == Code::kNotFound);
    return refused ? Error(done.error()).in(folder) : done.error();
  };
  const index::ObjectRecord &packets = record.packets_object, &items = record.items_object;
  BALEEN_TRY_DO(
      put(packets.key, "packets.pcapng", "application/x-pcapng", packets.crc32c, open_packets(folder, packets.size)));
  BALEEN_TRY_DO(put(items.key, "items.parquet", "application/vnd.apache.parquet", items.crc32c,
                    io::open_source(folder + "/items.parquet")));
  const index::BlockKeys keys = index::block_keys(record.recording, record.first, record.block);
  BALEEN_TRY_DO(
      put(keys.record, "block.json", "application/json", std::nullopt, io::open_source(folder + "/block.json")));
  // Out of the way in one step, then removed: a crash in between leaves no half folder to be uploaded again.
  const std::string done = folder_ + "/done/" + fs::path(folder).filename().string();
  if (::rename(folder.c_str(), done.c_str()) != 0) return errno_error(done, errno);
  std::error_code ignored;  // what is left of it goes with the next start
  fs::remove_all(done, ignored);
  return {};
}

}  // namespace baleen::record
