#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "index/block.h"
#include "index/item_row.h"

namespace baleen::index {

/// Fills in the next row; false when there is none. The row is the same object each time: every field is to be set.
using NextRow = std::function<bool(ItemRow&)>;

/// Writes rows in the order in which they come (by time, for statistics to be of use) as a Parquet file (zstd,
/// statistics, bloom filters) that DuckDB, BigQuery, ClickHouse and Spark read as it lies. Memory is bounded by a row
/// group. `places` tells where each stream's packets are; `packets_key` names their object.
Result<> write_parquet(const std::string& path, const NextRow& next, std::span<const StreamPlace> places,
                       const std::string& packets_key);

/// What is read back of a row.
struct StoredItem {
  int64_t time_ns = 0;
  std::string stream, json;
  std::string packets_object;  // key of the object that has its stream's packets; empty when there are none
  size_t file = 0;             // which of the query's files has it
};

struct ParquetQuery {
  std::vector<std::string> files;
  int64_t since_ns = INT64_MIN, until_ns = INT64_MAX;
  std::string condition;  // SQL over the columns, or empty; from trusted code only
};

/// Rows in time order over all files; `each` answers false to stop.
Result<> read_parquet(const ParquetQuery& query, const std::function<bool(const StoredItem&)>& each);

}  // namespace baleen::index
