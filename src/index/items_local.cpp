#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/unique_fd.h"
#include "index/items_cache.h"

// DuckDB's C API takes no file system of ours, so ranges reach it as files with holes: the pieces that a query needs
// lie where the object has them, and the footer at the end knows only the row groups that are there. Columns that the
// query does not name are holes, and are not read. Small objects, and those of which most is needed, come whole.

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTail = 64 << 10;         // footers of a block's items are smaller
constexpr uint64_t kWholeBelow = 256 << 10;  // one request for all is sooner done than two for parts
constexpr uint64_t kGap = 128 << 10;         // fewer bytes than that between two ranges cost less than a request
constexpr size_t kObjectsAtOnce = 16;        // objects: bounds the memory, a block's items are of megabytes

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

}  // namespace

/// What becomes of one object.
struct ItemsCache::Plan {
  const ObjectRecord* object;
  Result<std::string> path = std::string();
  bool whole = false, nothing = false;  // nothing: no row group can match
  std::vector<ByteRange> ranges{};
  std::string end{};  // the footer that the file gets
  bool settled() const { return !path || !path->empty() || nothing; }
};

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

/// What is there already. Items objects never change, so a copy is good as long as its checksum is.
void ItemsCache::find_copies(std::span<Plan> plans, bool unchecked) {
  std::vector<std::string> paths;
  std::vector<Plan*> owners;
  for (Plan& plan : plans) {
    if (unchecked && find_as_it_lies(plan)) continue;
    // What is encrypted can only be checked and opened whole.
    plan.whole = plan.object->size <= kWholeBelow || plan.object->encryption;
    const std::string path = whole_path(*plan.object);
    if (::access(path.c_str(), R_OK) != 0) continue;
    std::string own = held(path);
    if (own.empty()) continue;
    paths.push_back(std::move(own));
    owners.push_back(&plan);
  }
  const auto sums = sum_all(paths);
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!sums[i] || wrong_content(*owners[i]->object, *sums[i])) continue;
    ++statistics_.cached;
    std::error_code ignored;
    fs::last_write_time(paths[i], fs::file_time_type::clock::now(), ignored);
    owners[i]->path = paths[i];
  }
}

/// Of what is not small: which ranges are needed, if it is not nearly all.
void ItemsCache::read_footers(std::span<Plan> plans, const ItemPruning& pruning, std::span<const std::string> columns) {
  std::vector<std::pair<const ObjectRecord*, ByteRange>> wanted;
  std::vector<Plan*> owners;
  for (Plan& plan : plans) {
    if (plan.settled() || plan.whole) continue;
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

/// Of a store whose objects are files nothing is copied, when all of it is wanted: its checksum is looked at as it
/// lies.
void ItemsCache::check_local(std::span<Plan> plans) {
  std::vector<std::string> paths;
  std::vector<Plan*> owners;
  for (Plan& plan : plans) {
    if (plan.settled() || !plan.whole) continue;
    std::string path = store_.local_path(prefix_ + plan.object->key);
    if (path.empty()) continue;
    paths.push_back(std::move(path));
    owners.push_back(&plan);
  }
  const auto sums = sum_all(paths);
  for (size_t i = 0; i < sums.size(); ++i) {
    ++statistics_.requests;
    if (!sums[i]) {
      owners[i]->path = sums[i].error();
    } else if (auto wrong = wrong_content(*owners[i]->object, *sums[i])) {
      owners[i]->path = *std::move(wrong);
    } else {
      statistics_.bytes += sums[i]->size;
      owners[i]->path = paths[i];
    }
  }
}

void ItemsCache::fetch_whole(std::span<Plan> plans) {
  std::vector<Wanted> wanted;
  std::vector<Plan*> owners;
  for (Plan& plan : plans) {
    if (plan.settled() || !plan.whole) continue;
    wanted.push_back({prefix_ + plan.object->key});
    owners.push_back(&plan);
  }
  auto contents = fetch_all(store_, wanted);
  for (size_t i = 0; i < contents.size(); ++i) {
    ++statistics_.requests;
    if (contents[i]) statistics_.bytes += contents[i]->size();
    owners[i]->path = contents[i] ? keep_whole(*owners[i]->object, *contents[i]) : std::move(contents[i]);
  }
}

void ItemsCache::fetch_ranges(std::span<Plan> plans) {
  std::vector<std::pair<const ObjectRecord*, ByteRange>> wanted;
  std::vector<Plan*> owners;
  for (Plan& plan : plans) {
    if (plan.settled()) continue;
    owners.push_back(&plan);
    for (const ByteRange& range : plan.ranges) wanted.emplace_back(plan.object, range);
  }
  const auto pieces = ranges(wanted);
  size_t first = 0;
  for (Plan* plan : owners) {
    plan->path = write_holed(*plan, std::span(pieces).subspan(first, plan->ranges.size()));
    first += plan->ranges.size();
  }
}

/// The pieces where the object has them, and the footer behind everything that may be pointed at.
Result<std::string> ItemsCache::write_holed(const Plan& plan, std::span<const Result<std::string>> pieces) {
  std::string path = own_path("holes");
  own_.push_back(path);
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  if (!fd) return errno_error(path, errno);
  BALEEN_TRY_DO(put_at(fd.get(), 0, "PAR1"));
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i]) return pieces[i].error();
    BALEEN_TRY_DO(put_at(fd.get(), plan.ranges[i].offset, *pieces[i]));
  }
  BALEEN_TRY_DO(put_at(fd.get(), plan.object->size, plan.end));
  return path;
}

std::vector<Result<std::string>> ItemsCache::local(std::span<const ObjectRecord> objects, const ItemPruning& pruning,
                                                   std::span<const std::string> columns, bool as_they_lie) {
  if (no_folder_) return std::vector<Result<std::string>>(objects.size(), *no_folder_);
  const bool unchecked =
      as_they_lie || (!columns.empty() && std::find(columns.begin(), columns.end(), "json") == columns.end());
  std::vector<Result<std::string>> out;
  for (size_t begin = 0; begin < objects.size(); begin += kObjectsAtOnce) {
    std::vector<Plan> plans;
    for (const ObjectRecord& object : objects.subspan(begin, std::min(kObjectsAtOnce, objects.size() - begin)))
      plans.push_back({.object = &object});
    find_copies(plans, unchecked);
    read_footers(plans, pruning, columns);
    check_local(plans);
    fetch_whole(plans);
    fetch_ranges(plans);
    for (Plan& plan : plans) out.push_back(std::move(plan.path));
  }
  return out;
}

}  // namespace baleen::index
