#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/temporary_folder.h"
#include "index/block.h"
#include "index/fetch.h"
#include "index/item_pruning.h"
#include "store/object_store.h"

namespace baleen::index {

/// What reading has cost.
struct ReadStatistics {
  uint64_t requests = 0, bytes = 0, cached = 0;
  uint64_t lists = 0;  // of the requests: those that stores call writes, or class A
  uint64_t blocks = 0, blocks_indexed = 0, blocks_skipped = 0, rows = 0, matches = 0;
  // Of the blocks skipped: those outside of the time, those in which the filter can match nothing, and those without
  // the streams that are wanted.
  uint64_t skipped_time = 0, skipped_filter = 0, skipped_stream = 0;
  uint64_t row_groups = 0, row_groups_skipped = 0;
};

/// Items objects as local files for DuckDB: whole ones that are checked by their checksum, or files with holes that
/// have what a query needs and a footer that knows nothing else. One thread.
///
/// A folder may be shared by processes: what one of them has in hand is held by a link of its own, so the folder can be
/// brought below its limit at any time, the files used last staying longest.
class ItemsCache {
 public:
  /// `prefix` stands before all keys. An empty `folder`: a temporary one that lasts as long as this.
  ItemsCache(store::ObjectStore& store, std::string prefix, std::string folder, uint64_t limit,
             ReadStatistics& statistics);
  ItemsCache(const ItemsCache&) = delete;
  ItemsCache& operator=(const ItemsCache&) = delete;
  ~ItemsCache();

  /// A file for each object; an empty path when no row of it can match. Files last until release(). Files have at least
  /// `columns`, those that `pruning` asks for, and the time; none: what a scan needs. Files of a store that has files
  /// are taken as they lie when few columns are wanted, or when they are to be `as_they_lie`: their checksum would take
  /// longer than what is asked.
  std::vector<Result<std::string>> local(std::span<const ObjectRecord> objects, const ItemPruning& pruning,
                                         std::span<const std::string> columns = {}, bool as_they_lie = false);
  /// The file is not needed any more: what is not worth keeping of it goes.
  void forget(const std::string& path);
  /// Removes files with holes and what the folder has beyond its limit.
  void release();

 private:
  struct Plan;
  static std::optional<Error> wrong_content(const ObjectRecord& object, const store::FileSum& have);
  std::string whole_path(const ObjectRecord& object) const;
  std::string range_path(const ObjectRecord& object, const ByteRange& range) const;
  bool find_as_it_lies(Plan& plan);
  void find_copies(std::span<Plan> plans, bool unchecked);
  void read_footers(std::span<Plan> plans, const ItemPruning& pruning, std::span<const std::string> columns);
  void plan_ranges(Plan& plan, const ItemPruning& pruning, std::span<const std::string> columns, std::string_view tail);
  void check_local(std::span<Plan> plans);
  void fetch_whole(std::span<Plan> plans);
  void fetch_ranges(std::span<Plan> plans);
  Result<std::string> write_holed(const Plan& plan, std::span<const Result<std::string>> pieces);
  std::vector<Result<std::string>> ranges(const std::vector<std::pair<const ObjectRecord*, ByteRange>>& wanted);
  Result<std::string> keep_whole(const ObjectRecord& object, const std::string& content);
  Result<> write(const std::string& path, std::string_view content);
  std::string held(const std::string& path);
  std::string own_path(std::string_view kind, const std::string& path = {}) const;
  void sweep();
  void trim();

  store::ObjectStore& store_;
  std::string prefix_, folder_;
  bool temporary_ = false;
  TemporaryFolder own_folder_;
  std::optional<Error> no_folder_;  // why there is none
  uint64_t limit_;
  ReadStatistics& statistics_;
  std::vector<std::string> own_;  // files of this cache's own: with holes, or links
  uint64_t forgotten_ = 0;
};

}  // namespace baleen::index
