#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "index/parquet.h"
#include "index/position.h"
#include "kfl/kfl.h"

namespace baleen::index {

/// The blocks that a scan reads, numbered from 0 in order of their first time. Called on the scanning thread only.
class ScanBlocks {
 public:
  virtual ~ScanBlocks() = default;
  virtual size_t count() const = 0;
  virtual Timestamp first(size_t block) const = 0;
  /// What orders rows of the same time.
  virtual std::string_view node(size_t block) const = 0;
  /// Its name, which orders rows that are alike in everything else.
  virtual std::string_view name(size_t) const { return {}; }
  /// A file with the items of each of the blocks from `begin` to before `end`; an empty path: there is nothing to read.
  virtual Result<std::vector<std::string>> fetch(size_t begin, size_t end) = 0;
  /// The block's file was read, or is not needed any more.
  virtual void done(size_t block) = 0;
  /// The block's file cannot be read, or not to its end. An error ends the scan.
  virtual Result<> failed(size_t block, Error error) = 0;
};

struct ScanQuery {
  kfl::Filter filter;
  int64_t since_ns = INT64_MIN, until_ns = INT64_MAX;
  std::string condition;            // see ParquetQuery
  unsigned threads = 0;             // that read and filter; 0: as many as the machine has, 8 at most
  bool whole_rows = false;          // items come with all columns
  const Position* after = nullptr;  // only what comes behind it
};

struct ScanCounters {
  uint64_t rows = 0, matches = 0;
};

/// Hands on the rows that match, in order of time, node, stream, index and block over all blocks; `each` answers false
/// to stop.
///
/// Each block's rows lie in order, so they are merged as they are read: a block is opened when the rows before its
/// first time have been handed on, and what is in memory is bounded by the blocks that overlap. Reading and filtering
/// is done by several threads, a block by one at a time; `each` is called on the caller's.
Result<> scan_items(const ScanQuery& query, ScanBlocks& blocks,
                    const std::function<bool(const StoredItem&, size_t block)>& each, ScanCounters& counters);

}  // namespace baleen::index
