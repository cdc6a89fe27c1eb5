#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cmd/byte_sink.h"
#include "index/parquet.h"
#include "item/value.h"
#include "kfl/kfl.h"

namespace baleen::cmd {

/// What a query's items are written as.
enum class ItemFormat { kTable, kNdjson, kJson, kCsv, kParquet, kHar, kCurl };

/// Writes the items that a query hands out, one after the other, with what its filter cuts out of them. One thread.
class QueryOutput {
 public:
  /// Borrows the filter and the sink. `to`: where the sink writes, for a format that is no stream of bytes.
  static Result<std::unique_ptr<QueryOutput>> open(ItemFormat format, const kfl::Filter& filter, ByteSink& sink);
  virtual ~QueryOutput() = default;
  /// False when nothing more need be made.
  bool add(const index::StoredItem& item);
  /// What was added has left, as far as the format allows it.
  virtual Result<> flush() { return sink_.flush(); }
  /// Writes the end.
  virtual Result<> finish() { return flush(); }
  /// Whether the format needs all columns of the items.
  static bool wants_columns(ItemFormat format) { return format == ItemFormat::kCsv || format == ItemFormat::kParquet; }
  uint64_t written() const { return written_; }
  /// Items that the format has no form for.
  uint64_t left_out() const { return left_out_; }

 protected:
  QueryOutput(const kfl::Filter& filter, ByteSink& sink) : filter_(filter), sink_(sink) {}
  /// An item as it is to be shown; `json` is its text. The row is there when columns are wanted.
  virtual void write(std::string_view json, const item::Value& tree, const index::StoredItem& item) = 0;
  /// Whether write() looks at the tree.
  virtual bool wants_tree() const { return false; }

  const kfl::Filter& filter_;
  ByteSink& sink_;
  uint64_t written_ = 0, left_out_ = 0;
};

/// Columns of an item that say what a filter has cut out of its record get what the record says now.
void redact_columns(index::ItemRow& row, const item::Value& before, const item::Value& after);

}  // namespace baleen::cmd
