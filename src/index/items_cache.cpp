#include "index/items_cache.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <tuple>

#include "base/crc32c.h"

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> file_content(const std::string& path, uint64_t size) {
  std::error_code absent;
  if (fs::file_size(path, absent) != size || absent) return std::nullopt;
  std::string out(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(out.data(), static_cast<std::streamsize>(size))) return std::nullopt;
  fs::last_write_time(path, fs::file_time_type::clock::now(), absent);
  return out;
}

/// A second name for a file, or a copy where the file system has no links. False: there is nothing at `path`, or no
/// room.
bool same_file(const std::string& path, const std::string& other) {
  if (::link(path.c_str(), other.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  std::error_code failed;
  return fs::copy_file(path, other, failed) && !failed;
}

}  // namespace

ItemsCache::ItemsCache(store::ObjectStore& store, std::string prefix, std::string folder, uint64_t limit,
                       ReadStatistics& statistics)
    : store_(store), prefix_(std::move(prefix)), folder_(std::move(folder)), limit_(limit), statistics_(statistics) {
  if (folder_.empty()) {
    auto own = own_folder_.path();
    if (own) {
      folder_ = *std::move(own);
    } else {
      no_folder_ = std::move(own).error();
    }
    temporary_ = true;
  } else {
    std::error_code ignored;
    // Items are as secret as the recordings that they come from.
    if (fs::create_directories(folder_, ignored)) fs::permissions(folder_, fs::perms::owner_all, ignored);
    sweep();
  }
}

ItemsCache::~ItemsCache() { release(); }

std::optional<Error> ItemsCache::wrong_content(const ObjectRecord& object, const store::FileSum& have) {
  if (have.size == object.size && have.crc32c == object.crc32c) return std::nullopt;
  return Error{Code::kIo, fmt::format("its content is not what its block record says: {} bytes, CRC32C {:08x}; "
                                      "expected {} bytes, {:08x}",
                                      have.size, have.crc32c, object.size, object.crc32c)};
}

std::string ItemsCache::whole_path(const ObjectRecord& object) const {
  return (fs::path(folder_) /
          fmt::format("{:08x}-{}-{}", object.crc32c, object.size, fs::path(object.key).filename().string()))
      .string();
}

/// The range's name has the object's checksum and its own: a torn copy is not taken for it.
std::string ItemsCache::range_path(const ObjectRecord& object, const ByteRange& range) const {
  return fmt::format("{}.{}+{}", whole_path(object), range.offset, range.length);
}

/// Other processes may use the same folder: names appear whole or not at all.
Result<> ItemsCache::write(const std::string& path, std::string_view content) {
  const std::string temporary = own_path("part", path);
  std::ofstream out(temporary, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  std::error_code failed;
  if (out) fs::rename(temporary, path, failed);
  if (out && !failed) return {};
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return Error{Code::kIo, fmt::format("{}: cannot be written: is the disk full?", path)};
}

/// In hand before it is anyone's: another process may remove the name that all share as soon as it is there.
Result<std::string> ItemsCache::keep_whole(const ObjectRecord& object, const std::string& content) {
  const store::FileSum sum{content.size(), crc32c(as_bytes(content))};
  if (auto wrong = wrong_content(object, sum)) return *std::move(wrong);
  const std::string path = whole_path(object);
  if (temporary_) {
    BALEEN_TRY_DO(write(path, content));
    return path;
  }
  const std::string own = own_path("held");
  BALEEN_TRY_DO(write(own, content));
  own_.push_back(own);
  const std::string shared = own_path("part", path);
  std::error_code ignored;
  if (same_file(own, shared)) fs::rename(shared, path, ignored);  // a cache that is full only costs time
  return own;
}

/// Another process may remove the file at any time, but not this link to it. Empty: it is not there any more.
std::string ItemsCache::held(const std::string& path) {
  if (temporary_) return path;
  const std::string own = own_path("held");
  if (!same_file(path, own)) return {};
  own_.push_back(own);
  return own;
}

/// A name that no other cache makes, of this process or another one.
std::string ItemsCache::own_path(std::string_view kind, const std::string& path) const {
  static std::atomic<uint64_t> made{0};
  const uint64_t number = ++made;
  if (kind == "part") return fmt::format("{}.{}.{}.part", path, ::getpid(), number);
  return (fs::path(folder_) / fmt::format("{}-{}-{}.parquet", kind, ::getpid(), number)).string();
}

/// Removes what processes have left behind that died.
void ItemsCache::sweep() {
  std::error_code ignored;
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    struct stat facts;
    if (::lstat(entry.path().c_str(), &facts) != 0) continue;
    if (name.ends_with(".part")) {
      if (entry.last_write_time(ignored) < old && !ignored) fs::remove(entry.path(), ignored);
      continue;
    }
    int process = 0;
    if (std::sscanf(name.c_str(), "holes-%d-", &process) != 1 && std::sscanf(name.c_str(), "held-%d-", &process) != 1)
      continue;
    // Numbers of processes mean nothing to another container: what is young stays. A link's age is when it was made.
    const bool young = facts.st_ctim.tv_sec + 3600 > ::time(nullptr);
    if (!young && ::kill(process, 0) != 0 && errno == ESRCH) fs::remove(entry.path(), ignored);
  }
}

/// Ranges from the cache where it has them (each followed by its checksum), from the store otherwise.
std::vector<Result<std::string>> ItemsCache::ranges(
    const std::vector<std::pair<const ObjectRecord*, ByteRange>>& wanted) {
  std::vector<Result<std::string>> out(wanted.size(), std::string());
  std::vector<Wanted> missing;
  std::vector<size_t> places;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto& [object, range] = wanted[i];
    auto copy = temporary_ ? std::nullopt : file_content(range_path(*object, range), range.length + 4);
    if (copy) {
      const uint32_t kept = load_le32(reinterpret_cast<const uint8_t*>(copy->data() + range.length));
      copy->resize(range.length);
      if (crc32c(as_bytes(*copy)) != kept) copy.reset();
    }
    if (copy) {
      ++statistics_.cached;
      out[i] = *std::move(copy);
    } else {
      missing.push_back({prefix_ + object->key, range.offset, range.length});
      places.push_back(i);
    }
  }
  auto fetched = fetch_all(store_, missing);
  for (size_t i = 0; i < fetched.size(); ++i) {
    ++statistics_.requests;
    const auto& [object, range] = wanted[places[i]];
    if (fetched[i]) {
      statistics_.bytes += fetched[i]->size();
      if (!temporary_) {
        std::string kept = *fetched[i];
        const uint32_t crc = crc32c(as_bytes(kept));
        for (int shift = 0; shift < 32; shift += 8) kept += static_cast<char>(crc >> shift & 0xff);
        static_cast<void>(write(range_path(*object, range), kept));  // a cache that is full only costs time
      }
    }
    out[places[i]] = std::move(fetched[i]);
  }
  return out;
}

void ItemsCache::release() {
  std::error_code ignored;
  for (const std::string& path : own_) fs::remove(path, ignored);
  own_.clear();
  trim();
}

void ItemsCache::forget(const std::string& path) {
  std::error_code ignored;
  if (const auto holed = std::find(own_.begin(), own_.end(), path); holed != own_.end()) {
    own_.erase(holed);
    fs::remove(path, ignored);
  } else if (temporary_ && path.starts_with(folder_ + "/")) {
    fs::remove(path, ignored);
  }
  if (++forgotten_ % 64 == 0) trim();  // a long scan would keep all that it reads
}

void ItemsCache::trim() {
  if (temporary_) return;
  std::error_code ignored;
  std::vector<std::tuple<fs::file_time_type, fs::path, uint64_t>> files;
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("holes-") || name.starts_with("held-") || name.ends_with(".part")) continue;  // in use
    std::error_code gone;
    const uint64_t size = entry.file_size(gone);
    const auto used = entry.last_write_time(gone);
    if (gone) continue;
    files.emplace_back(used, entry.path(), size);
    bytes += size;
  }
  std::sort(files.begin(), files.end());
  for (auto file = files.begin(); file != files.end() && bytes > limit_; ++file) {
    bytes -= std::get<uint64_t>(*file);
    fs::remove(std::get<fs::path>(*file), ignored);
  }
}

}  // namespace baleen::index
