#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "index/block.h"
#include "index/record_index.h"

namespace baleen::index {

/// An items file, and the recording that it is of.
struct ItemsFile {
  std::string recording, path;
};

/// DuckDB over the items of recordings, for SQL that nobody has looked at: it reads these files and no others, changes
/// nothing, and knows no network. One thread.
///
/// Tables: `items` (the columns of item_columns(), and `recording`), `blocks` and `streams` (what block records say).
class ItemSql {
 public:
  /// `since_ns`, `until_ns`: `items` has no others. `temporary`: a folder for what does not fit into memory and for
  /// `result_file`, which copy() writes.
  static Result<std::unique_ptr<ItemSql>> open(std::span<const ItemsFile> files, std::span<const IndexedRecord> blocks,
                                               int64_t since_ns, int64_t until_ns, const std::string& temporary);
  ~ItemSql();

  /// Which columns of `items` DuckDB reads for the text, by its own plan; none: it does not look at `items`. kInvalid
  /// as prepare().
  static Result<std::vector<std::string>> columns_read(const std::string& text);

  /// Checks the text: one statement that reads. kInvalid: what is wrong with it, and where.
  Result<> prepare(const std::string& text);
  /// The columns and rows of what was prepared, all as texts; nothing for NULL. `row` answers false to stop.
  using Cells = std::span<const std::optional<std::string>>;
  Result<> rows(const std::function<void(const std::vector<std::string>& names)>& header,
                const std::function<bool(Cells)>& row);
  /// The same as a file: "csv", "json" (an object a line, with what StrictJson puts right) or "parquet".
  Result<> copy(const std::string& format);
  const std::string& result_file() const;

 private:
  ItemSql();
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether the text may speak of that table: its name stands in it, in any case.
bool sql_names(std::string_view text, std::string_view table);

}  // namespace baleen::index
