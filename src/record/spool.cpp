#include "record/spool.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
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

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::string& folder, OpenStore open_store) {
  std::error_code failed;
  for (const char* part : {"/open", "/ready", "/done"}) {
    fs::create_directories(folder + part, failed);
    if (failed) return Error{Code::kIo, fmt::format("spool {}: {}", folder, failed.message())};
  }
  std::unique_ptr<Spool> spool(new Spool(folder, std::move(open_store)));
  const std::string path = folder + "/lock";
  spool->lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!spool->lock_) return errno_error(path, errno);
  if (::flock(spool->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Code::kConflict,
                 fmt::format("another process uses the data folder {}: stop it, or choose another with dataDir",
                             fs::path(folder).parent_path().string())};
  for (const std::string& done : folders_in(folder + "/done")) fs::remove_all(done, failed);
  spool->measure();
  return spool;
}

Spool::~Spool() { stop(Duration{0}); }

std::string Spool::new_folder() {
  return fmt::format("{}/open/{}-{}-{:06}", folder_, to_ns(now()), ::getpid(), next_folder_++);
}

std::vector<std::string> Spool::left_open() const { return folders_in(folder_ + "/open"); }

Result<> Spool::ready(const std::string& open_folder) {
  const std::string target = folder_ + "/ready/" + fs::path(open_folder).filename().string();
  if (::rename(open_folder.c_str(), target.c_str()) != 0) return errno_error(target, errno);
  const UniqueFd parent(::open((folder_ + "/ready").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return errno_error(folder_, errno);
  const std::lock_guard lock(mutex_);
  ++progress_.waiting_blocks;
  progress_.waiting_bytes += folder_bytes(target);
  idle_ = false;
  changed_.notify_all();
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
    changed_.wait_for(lock, patience, [this] { return idle_; });
    cancel_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

SpoolProgress Spool::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

std::vector<std::string> Spool::waiting() const { return folders_in(folder_ + "/ready"); }

void Spool::measure() {
  for (const std::string& folder : waiting()) {
    ++progress_.waiting_blocks;
    progress_.waiting_bytes += folder_bytes(folder);
  }
}

void Spool::run() {
  std::minstd_rand random(static_cast<unsigned>(to_ns(now())) ^ static_cast<unsigned>(::getpid()));
  Duration pause{0};
  while (true) {
    const auto folders = waiting();
    bool failed = false;
    for (const std::string& folder : folders) {
      if (cancel_) break;
      const uint64_t bytes = folder_bytes(folder);
      const Result<> outcome = upload(folder);
      const std::lock_guard lock(mutex_);
      if (outcome) {
        --progress_.waiting_blocks;
        progress_.waiting_bytes -= std::min(bytes, progress_.waiting_bytes);
        ++progress_.uploaded_blocks;
        progress_.uploaded_bytes += bytes;
        pause = Duration{0};
        continue;
      }
      failed = true;
      ++progress_.failed_tries;
      if (outcome.error().code == Code::kConflict) ++progress_.refused_blocks;
      if (progress_.last_error != outcome.error().message)
        log::warning("upload: {}; it is kept and tried again", outcome.error().message);
      progress_.last_error = outcome.error().message;
    }
    std::unique_lock lock(mutex_);
    if (cancel_) return;
    if (!failed && progress_.waiting_blocks == 0) {
      idle_ = true;
      changed_.notify_all();
      if (stopping_) return;
      changed_.wait(lock, [this] { return stopping_ || !idle_; });
      idle_ = false;
      continue;
    }
    if (!failed) continue;
    // Exponential, with jitter: nodes that lost a bucket together do not come back in the same second.
    pause = std::clamp<Duration>(pause * 2, std::chrono::seconds(1), std::chrono::minutes(2));
    const Duration jittered =
        pause / 2 +
        Duration(static_cast<int64_t>(static_cast<double>(pause.count()) / 2 * random() / std::minstd_rand::max()));
    changed_.wait_for(lock, jittered, [this] { return cancel_.load(); });
    if (cancel_) return;
  }
}

Result<store::ObjectStore*> Spool::store_for(const store::Location& location) {
  auto& store = stores_[location.scheme + "://" + (location.bucket.empty() ? location.prefix : location.bucket)];
  if (!store) {
    BALEEN_TRY(store, open_store_(location));
  }
  return store.get();
}

Result<> Spool::upload(const std::string& folder) {
  BALEEN_TRY(const std::string text, read_text(folder + "/block.json"));
  BALEEN_TRY(const index::BlockRecord record, index::BlockRecord::from_json(text));
  BALEEN_TRY(const std::string owner, read_text(folder + "/owner.json"));
  const auto j = nlohmann::json::parse(owner, nullptr, false);
  if (!j.is_object() || !j.contains("destination"))
    return Error{Code::kInvalid, folder + "/owner.json names no destination"};
  BALEEN_TRY(const store::Location location, store::Location::parse(j["destination"].get<std::string>()));
  BALEEN_TRY(store::ObjectStore* const store, store_for(location));

  store::PutOptions options;
  options.cancel = &cancel_;
  const std::string prefix = location.key_prefix();
  const auto put = [&](const index::ObjectRecord& object, const char* file, const char* type) -> Result<> {
    options.crc32c = object.crc32c;
    options.content_type = type;
    BALEEN_TRY_DO(store::put_file_once(*store, prefix + object.key, folder + "/" + file, options));
    return {};
  };
  BALEEN_TRY_DO(put(record.packets_object, "packets.pcapng", "application/x-pcapng"));
  BALEEN_TRY_DO(put(record.items_object, "items.parquet", "application/vnd.apache.parquet"));
  options.crc32c.reset();
  options.content_type = "application/json";
  const index::BlockKeys keys = index::block_keys(record.recording, record.first, record.block);
  BALEEN_TRY_DO(store::put_file_once(*store, prefix + keys.record, folder + "/block.json", options));
  // Out of the way in one step, then removed: a crash in between leaves no half folder to be uploaded again.
  const std::string done = folder_ + "/done/" + fs::path(folder).filename().string();
  if (::rename(folder.c_str(), done.c_str()) != 0) return errno_error(done, errno);
  std::error_code failed;
  fs::remove_all(done, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", folder, failed.message())};
  return {};
}

}  // namespace baleen::record
