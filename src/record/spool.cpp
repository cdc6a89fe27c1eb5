#include "record/spool.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/log.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error(path, errno);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

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

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::string& folder, OpenStore open_store,
                                           const SpoolOptions& options) {
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
  for (const std::string& ready : folders_in(folder + "/ready")) spool->waiting_[ready].bytes = folder_bytes(ready);
  spool->random_.seed(static_cast<unsigned>(to_ns(now())) ^ static_cast<unsigned>(::getpid()));
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
  const uint64_t bytes = folder_bytes(open_folder);
  {
    // Moved and noted in one step: at no moment does it count twice, or lie there uncounted.
    const std::lock_guard lock(mutex_);
    if (::rename(open_folder.c_str(), target.c_str()) != 0) return errno_error(target, errno);
    waiting_[target].bytes = bytes;
    changed_.notify_all();
  }
  const UniqueFd parent(::open((folder_ + "/ready").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return errno_error(folder_, errno);
  return {};
}

void Spool::start() {
  thread_ = std::thread([this] { run(); });
}

void Spool::stop(Duration patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::min<Duration>(patience, std::chrono::hours(24 * 365)),
                      [this] { return to_try() == 0; });
    cancel_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

SpoolProgress Spool::progress() const {
  const std::lock_guard lock(mutex_);
  SpoolProgress progress = progress_;
  progress.waiting_blocks = waiting_.size();
  for (const auto& [folder, block] : waiting_) {
    progress.waiting_bytes += block.bytes;
    progress.refused_blocks += block.refused ? 1 : 0;
  }
  return progress;
}

/// REQUIRES: the mutex is held.
uint64_t Spool::to_try() const {
  return static_cast<uint64_t>(
      std::count_if(waiting_.begin(), waiting_.end(), [](const auto& entry) { return !entry.second.refused; }));
}

void Spool::run() {
  Duration pause{0};
  bool idle = true, hurried = false;
  while (true) {
    if (idle) wait_for_work();
    const bool all = !cancel_ && try_all();
    std::unique_lock lock(mutex_);
    idle = to_try() == 0;
    if (cancel_ || (stopping_ && idle)) return;
    if (all) {
      pause = Duration{0};
      continue;
    }
    // Exponential, with jitter: nodes that lost a bucket together do not come back in the same second. Whoever wants
    // to stop gets a try at once, and then from the first pause on.
    pause = std::clamp<Duration>(pause * 2, options_.first_pause, options_.longest_pause);
    const Duration half = pause / 2;
    changed_.wait_for(lock, half + random_part(half), [&] { return cancel_ || (stopping_ && !hurried); });
    if (stopping_ && !std::exchange(hurried, true)) pause = Duration{0};
  }
}

Duration Spool::random_part(Duration whole) {
  return Duration(static_cast<int64_t>(static_cast<double>(whole.count()) * static_cast<double>(random_()) /
                                       static_cast<double>(std::minstd_rand::max())));
}

/// Until there is something to upload, or the end.
void Spool::wait_for_work() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || to_try() != 0; });
  changed_.wait_for(lock, random_part(options_.spread), [this] { return stopping_; });
}

/// False when one failed that is to be tried again.
bool Spool::try_all() {
  std::vector<std::string> folders;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [folder, block] : waiting_)
      if (!block.refused) folders.push_back(folder);
  }
  bool all = true;
  for (const std::string& folder : folders) {
    if (cancel_) return false;
    bool refused = false;
    const Result<> outcome = upload(folder, refused);
    note(folder, outcome, refused);
    all = all && (outcome || refused);
  }
  return all;
}

void Spool::note(const std::string& folder, const Result<>& outcome, bool refused) {
  const std::lock_guard lock(mutex_);
  const auto block = waiting_.find(folder);
  if (outcome) {
    ++progress_.uploaded_blocks;
    progress_.uploaded_bytes += block->second.bytes;
    waiting_.erase(block);
  } else {
    ++progress_.failed_tries;
    block->second.refused = refused;
    const std::string& message = outcome.error().message;
    if (progress_.last_error != message)
      log::warning("upload: {}; it is kept and tried again{}", message, refused ? " at the next start" : "");
    progress_.last_error = message;
  }
  changed_.notify_all();
}

Result<store::ObjectStore*> Spool::store_for(const store::Location& location) {
  auto& store = stores_[location.scheme + "://" + (location.bucket.empty() ? location.prefix : location.bucket)];
  if (!store) {
    BALEEN_TRY(store, open_store_(location));
  }
  return store.get();
}

/// `refused`: trying again gives the same answer. Credentials, buckets and disks are mended while a program runs; a
/// damaged block, and a name that something else has, are not.
Result<> Spool::upload(const std::string& folder, bool& refused) {
  auto finished = read_finished(folder);
  if (!finished) {
    refused = finished.error().code == Code::kInvalid || finished.error().code == Code::kNotFound;
    return std::move(finished).error().in(folder);
  }
  const auto& [record, location] = *finished;
  BALEEN_TRY(store::ObjectStore* const store, store_for(location));

  store::PutOptions options;
  options.cancel = &cancel_;
  const std::string prefix = location.key_prefix();
  const auto put = [&](const std::string& key, const char* file, const char* type,
                       std::optional<uint32_t> crc) -> Result<> {
    options.crc32c = crc;
    options.content_type = type;
    const UploadSession session(folder + "/" + file + ".session");
    options.session = session.read();
    options.on_session = [&](const std::string& text) { session.keep(text); };
    const auto done = store::put_file_once(*store, prefix + key, folder + "/" + file, options);
    if (done) return {};
    refused = done.error().code == Code::kConflict || done.error().code == Code::kInvalid;
    return done.error();
  };
  const index::ObjectRecord &packets = record.packets_object, &items = record.items_object;
  BALEEN_TRY_DO(put(packets.key, "packets.pcapng", "application/x-pcapng", packets.crc32c));
  BALEEN_TRY_DO(put(items.key, "items.parquet", "application/vnd.apache.parquet", items.crc32c));
  const index::BlockKeys keys = index::block_keys(record.recording, record.first, record.block);
  BALEEN_TRY_DO(put(keys.record, "block.json", "application/json", std::nullopt));
  // Out of the way in one step, then removed: a crash in between leaves no half folder to be uploaded again.
  const std::string done = folder_ + "/done/" + fs::path(folder).filename().string();
  if (::rename(folder.c_str(), done.c_str()) != 0) return errno_error(done, errno);
  std::error_code ignored;  // what is left of it goes with the next start
  fs::remove_all(done, ignored);
  return {};
}

}  // namespace baleen::record
