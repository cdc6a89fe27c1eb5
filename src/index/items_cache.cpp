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
#include <thread>
#include <tuple>

#include "base/crc32c.h"

// DuckDB's C API takes no file system of ours, so ranges reach it as files with holes: the pieces that a query needs
// lie where the object has them, and the footer at the end knows only the row groups that are there. Columns that the
// query does not name are holes, and are not read. Small objects, and those of which most is needed, come whole.

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTail = 64 << 10;         // footers of a block's items are smaller
constexpr uint64_t kWholeBelow = 256 << 10;  // one request for all is sooner done than two for parts
constexpr uint64_t kGap = 128 << 10;         // fewer bytes than that between two ranges cost less than a request
constexpr size_t kAtOnce = 16;

/// What read_parquet() asks for, whatever the filter.
constexpr const char* kCachedColumns[] = {"time", "node", "stream", "item_index", "packets_object", "json"};

std::vector<ByteRange> coalesced(std::vector<ByteRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  std::vector<ByteRange> out;
  for (const ByteRange& r : ranges) {
    if (r.length == 0) continue;
    if (!out.empty() && r.offset <= out.back().offset + out.back().length + kGap) {
      out.back().length = std::max(out.back().length, r.offset + r.length - out.back().offset);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

Result<> put_at(int fd, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error("write to the cache", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

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

Error wrong_content(const ObjectRecord& object, uint64_t size, uint32_t crc) {
  return {Code::kIo, fmt::format("its content is not what its block record says: {} bytes, CRC32C {:08x}; expected {} "
                                 "bytes, {:08x}",
                                 size, crc, object.size, object.crc32c)};
}

}  // namespace

std::vector<Result<std::string>> fetch_all(store::ObjectStore& store, std::span<const Wanted> wanted) {
  std::vector<Result<std::string>> out(wanted.size(), std::string());
  std::atomic<size_t> next{0};
  const auto fetch = [&](const Wanted& w) -> Result<std::string> {
    if (w.length == 0) return store.get(w.key);
    BALEEN_TRY(std::string bytes, store.get_range(w.key, w.offset, w.length));
    if (bytes.size() != w.length)
      return Error{Code::kIo, fmt::format("{} bytes at {} expected, {} found", w.length, w.offset, bytes.size())};
    return bytes;
  };
  const auto work = [&] {
    for (size_t i = next++; i < wanted.size(); i = next++) out[i] = fetch(wanted[i]);
  };
  std::vector<std::jthread> others;
  for (size_t i = 1; i < std::min(kAtOnce, wanted.size()); ++i) others.emplace_back(work);
  work();
  others.clear();
  return out;
}

/// What becomes of one object.
struct ItemsCache::Plan {
  const ObjectRecord* object;
  Result<std::string> path = std::string();
  bool whole = false, nothing = false;  // nothing: no row group can match
  std::vector<ByteRange> ranges{};
  std::string end{};  // the footer that the file gets
  bool settled() const { return !path || !path->empty() || nothing; }
};

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
  const uint32_t crc = crc32c(as_bytes(content));
  if (content.size() != object.size || crc != object.crc32c) return wrong_content(object, content.size(), crc);
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

/// Of a store whose objects are files nothing is copied, when all of it is wanted: its checksum is looked at as it
/// lies.
bool ItemsCache::find_local(Plan& plan) {
  const std::string path = store_.local_path(prefix_ + plan.object->key);
  if (path.empty()) return false;
  ++statistics_.requests;
  const auto have = store::sum_file(path);
  if (!have) {
    plan.path = have.error();
  } else if (have->size != plan.object->size || have->crc32c != plan.object->crc32c) {
    plan.path = wrong_content(*plan.object, have->size, have->crc32c);
  } else {
    statistics_.bytes += have->size;
    plan.path = path;
  }
  return true;
}

/// Of a few columns no checksum can be looked at without reading all of the others.
bool ItemsCache::find_as_it_lies(Plan& plan) {
  if (plan.object->encryption) return false;
  const std::string path = store_.local_path(prefix_ + plan.object->key);
  std::error_code error;
  if (path.empty() || fs::file_size(path, error) != plan.object->size || error) return false;
  ++statistics_.requests;
  plan.path = path;
  return true;
}

/// Items objects never change, so a copy is good as long as its checksum is.
bool ItemsCache::find_whole(Plan& plan) {
  const std::string path = whole_path(*plan.object);
  if (::access(path.c_str(), R_OK) != 0) return false;
  const std::string own = held(path);
  if (own.empty()) return false;
  const auto have = store::sum_file(own);
  if (!have || have->size != plan.object->size || have->crc32c != plan.object->crc32c) return false;
  ++statistics_.cached;
  std::error_code ignored;
  fs::last_write_time(own, fs::file_time_type::clock::now(), ignored);
  plan.path = own;
  return true;
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

void ItemsCache::plan_ranges(Plan& plan, const ItemPruning& pruning, std::span<const std::string> columns,
                             std::string_view tail) {
  const auto footer = ParquetFooter::parse(tail, plan.object->size);
  plan.whole = !footer.has_value();  // damaged or very long: the whole object's checksum tells
  if (!footer) return;
  std::vector<size_t> chosen;
  std::vector<ByteRange> needed;
  uint64_t bytes = 0;
  bool unknown_length = false;
  for (size_t i = 0; i < footer->row_groups().size(); ++i) {
    const RowGroup& group = footer->row_groups()[i];
    ++statistics_.row_groups;
    if (!pruning.may_match(group)) {
      ++statistics_.row_groups_skipped;
      continue;
    }
    chosen.push_back(i);
    const auto need = [&](std::string_view name, bool bloom) {
      const ColumnChunk* column = group.column(name);
      if (column == nullptr) return;
      needed.push_back(column->bytes);
      if (!bloom || column->bloom.offset == 0) return;
      needed.push_back(column->bloom);  // DuckDB looks into it when the column has to equal something
      unknown_length = unknown_length || column->bloom.length == 0;
    };
    if (columns.empty()) {
      for (const char* name : kCachedColumns) need(name, false);
    } else {
      need("time", false);
      for (const std::string& name : columns) need(name, false);
    }
    for (const std::string& name : pruning.columns()) need(name, true);
  }
  plan.nothing = chosen.empty();
  plan.ranges = coalesced(std::move(needed));
  for (const ByteRange& r : plan.ranges) bytes += r.length;
  plan.whole = unknown_length || bytes > plan.object->size / 10 * 9;
  plan.end = footer->with_only(chosen);
}

std::vector<Result<std::string>> ItemsCache::local(std::span<const ObjectRecord> objects, const ItemPruning& pruning,
                                                   std::span<const std::string> columns, bool as_they_lie) {
  std::vector<Result<std::string>> out;
  if (no_folder_) return std::vector<Result<std::string>>(objects.size(), *no_folder_);
  const bool unchecked =
      as_they_lie || (!columns.empty() && std::find(columns.begin(), columns.end(), "json") == columns.end());
  // Groups bound the memory: a block's items are of megabytes.
  for (size_t begin = 0; begin < objects.size(); begin += kAtOnce) {
    std::vector<Plan> plans;
    std::vector<std::pair<const ObjectRecord*, ByteRange>> wanted;
    std::vector<Plan*> owners;
    for (const ObjectRecord& object : objects.subspan(begin, std::min(kAtOnce, objects.size() - begin)))
      plans.push_back({.object = &object});
    for (Plan& plan : plans) {
      if ((unchecked && find_as_it_lies(plan)) || find_whole(plan)) continue;
      // What is encrypted can only be checked and opened whole.
      plan.whole = plan.object->size <= kWholeBelow || plan.object->encryption;
      if (plan.whole) continue;
      wanted.emplace_back(plan.object, ByteRange{plan.object->size - kTail, kTail});
      owners.push_back(&plan);
    }
    auto tails = ranges(wanted);
    for (size_t i = 0; i < tails.size(); ++i) {
      if (tails[i]) {
        plan_ranges(*owners[i], pruning, columns, *tails[i]);
      } else {
        owners[i]->path = std::move(tails[i]).error();
      }
    }
    std::vector<Wanted> wholes;
    std::vector<Plan*> whole_plans, holed_plans;
    wanted.clear();
    for (Plan& plan : plans) {
      if (plan.settled()) continue;
      if (plan.whole && find_local(plan)) continue;
      if (plan.whole) {
        wholes.push_back({prefix_ + plan.object->key});
        whole_plans.push_back(&plan);
        continue;
      }
      holed_plans.push_back(&plan);
      for (const ByteRange& range : plan.ranges) wanted.emplace_back(plan.object, range);
    }
    auto contents = fetch_all(store_, wholes);
    for (size_t i = 0; i < contents.size(); ++i) {
      ++statistics_.requests;
      if (contents[i]) statistics_.bytes += contents[i]->size();
      whole_plans[i]->path = contents[i] ? keep_whole(*whole_plans[i]->object, *contents[i]) : std::move(contents[i]);
    }
    auto pieces = ranges(wanted);
    size_t piece = 0;
    for (Plan* plan : holed_plans) {
      const std::string path = own_path("holes");
      own_.push_back(path);
      const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
      Result<> written = fd < 0 ? Result<>(errno_error(path, errno)) : put_at(fd, 0, "PAR1");
      for (const ByteRange& range : plan->ranges) {
        const Result<std::string>& bytes = pieces[piece++];
        if (!bytes) written = bytes.error();
        if (written) written = put_at(fd, range.offset, *bytes);
      }
      if (written) written = put_at(fd, plan->object->size, plan->end);  // behind everything that may be pointed at
      if (fd >= 0) ::close(fd);
      if (written) {
        plan->path = path;
      } else {
        plan->path = std::move(written).error();
      }
    }
    for (Plan& plan : plans) out.push_back(std::move(plan.path));
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
