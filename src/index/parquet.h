#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "index/block.h"
#include "index/item_row.h"

namespace baleen::index {

/// A row with what only rows of a block have: where its stream's packets lie.
struct WholeRow : ItemRow {
  std::string packets_object;                        // key below the prefix; empty: there are none
  int64_t packets_offset = -1, packets_length = -1;  // bytes of the object
};

/// Fills in the next row; false when there is none. The row is the same object each time: every field is to be set.
using NextRow = std::function<bool(ItemRow&)>;

/// Writes rows in the order in which they come (by time, for statistics to be of use) as a Parquet file (zstd,
/// statistics, bloom filters) that DuckDB, BigQuery, ClickHouse and Spark read as it lies. Memory is bounded by a row
/// group. `places` tells where each stream's packets are; `packets_key` names their object.
Result<> write_parquet(const std::string& path, const NextRow& next, std::span<const StreamPlace> places,
                       const std::string& packets_key);
/// The same of rows that say themselves where their packets are.
Result<> write_parquet(const std::string& path, const std::function<bool(WholeRow&)>& next);

/// What is read back of a row.
struct StoredItem {
  int64_t time_ns = 0;
  std::string stream, json;
  std::string packets_object;       // key of the object that has its stream's packets; empty when there are none
  size_t file = 0;                  // which of the query's files has it
  int64_t index = 0;                // within its stream
  std::string_view node, block;     // of the block that has it: valid for the call
  std::shared_ptr<WholeRow> row{};  // all columns, when they were asked for
};

struct ParquetQuery {
  std::vector<std::string> files;
  int64_t since_ns = INT64_MIN, until_ns = INT64_MAX;
  std::string condition;  // SQL over the columns, or empty; from trusted code only
};

/// What a row of an items file holds, as far as readers ask for it. Views last as long as the call that hands them out.
struct RowView {
  int64_t time_ns = 0, index = 0;
  std::string_view stream, json, packets_object;
  WholeRow* row = nullptr;  // all columns, when they were asked for; may be moved from
};

/// The rows of one items file, in the file's order, some at a time. One thread at a time.
class ParquetRows {
 public:
  ~ParquetRows();
  /// Hands out the next rows; false when there were none left.
  Result<bool> next(const std::function<void(const RowView&)>& each);

 private:
  friend class ParquetReader;
  struct State;
  explicit ParquetRows(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Whether a row is wanted, by its JSON. Called on the threads that read, many at a time.
using JsonTest = std::function<bool(std::string_view json)>;

/// Opens items files. Its files may be read by different threads at a time; it outlives them.
class ParquetReader {
 public:
  /// Its files hand out only rows that pass `test`.
  static Result<std::unique_ptr<ParquetReader>> open(JsonTest test);
  ~ParquetReader();
  /// Rows with a time from `since_ns` to `until_ns` that fulfil `condition` (see ParquetQuery); with all columns when
  /// they are to be `whole`.
  Result<std::unique_ptr<ParquetRows>> rows(const std::string& file, int64_t since_ns, int64_t until_ns,
                                            const std::string& condition, bool whole = false);

 private:
  ParquetReader();
  struct State;
  std::unique_ptr<State> state_;
};

/// How many rows of the files there are of each combination of the columns' values, as texts (nothing for NULL).
using EachGroup = std::function<void(std::span<const std::optional<std::string>> values, uint64_t rows)>;
Result<> count_rows(const ParquetQuery& query, std::span<const std::string> columns, const EachGroup& each);

/// All rows of files in order of time, sorted in memory: for few. `each` answers false to stop.
Result<> read_parquet(const ParquetQuery& query, const std::function<bool(const StoredItem&)>& each);

}  // namespace baleen::index
