#pragma once

#include <span>
#include <string>
#include <vector>

#include "index/block.h"
#include "index/parquet_footer.h"
#include "kfl/pushdown.h"

namespace baleen::index {

/// What every item that a query matches must fulfil, asked of blocks, of row groups and of DuckDB. It may let through
/// what does not match, as the filter looks at each item again; it never drops what does. Any thread.
class ItemPruning {
 public:
  ItemPruning(const kfl::Filter& filter, Timestamp since, Timestamp until);

  bool may_match(const BlockRecord& block) const;
  bool may_match(const RowGroup& group) const;

  /// The columns that condition() asks for.
  const std::vector<std::string>& columns() const { return columns_; }
  /// SQL over the items' columns; empty when there is none.
  const std::string& condition() const { return condition_; }
  /// What of it these columns can answer.
  std::string condition_on(std::span<const std::string> columns) const;

 private:
  std::vector<kfl::Conjunct> conjuncts_;
  Timestamp since_, until_;
  std::vector<std::string> columns_;
  std::string condition_;
  struct Part {
    std::string condition;
    std::vector<std::string> columns;
  };
  std::vector<Part> parts_;  // of it, without what asks for the item's JSON
};

}  // namespace baleen::index
