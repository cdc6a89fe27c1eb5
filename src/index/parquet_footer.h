#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace baleen::index {

struct ByteRange {
  uint64_t offset = 0, length = 0;
  bool operator==(const ByteRange&) const = default;
};

/// A column of a row group: where it lies in the file, and between which values, in Parquet's plain encoding.
struct ColumnChunk {
  std::string name;  // parts joined by "."
  ByteRange bytes;   // its pages, the dictionary's among them
  ByteRange bloom;   // length 0: none
  std::optional<std::string> lowest, highest;
};

struct RowGroup {
  uint64_t rows = 0;
  std::vector<ColumnChunk> columns;
  size_t begin = 0, end = 0;  // its bytes in the footer
  const ColumnChunk* column(std::string_view name) const;
};

/// What stands at a Parquet file's end (Thrift compact protocol, parquet.thrift FileMetaData), as far as a reader must
/// know it to fetch only what it needs.
class ParquetFooter {
 public:
  /// From the last bytes of a file of `file_size` bytes. kInvalid when that is no footer, or they are too few.
  static Result<ParquetFooter> parse(std::string_view tail, uint64_t file_size);
  /// How many bytes at the file's end the footer takes, from the last eight of them; zero when that is no Parquet file.
  static uint64_t size_at_end(std::string_view tail);

  const std::vector<RowGroup>& row_groups() const { return row_groups_; }
  /// A file's end (footer, its length, magic) that knows only these row groups; ascending numbers.
  std::string with_only(std::span<const size_t> chosen) const;

 private:
  std::string text_;
  size_t rows_begin_ = 0, rows_end_ = 0;      // the number of rows of the whole file
  size_t groups_begin_ = 0, groups_end_ = 0;  // the list of row groups
  std::vector<RowGroup> row_groups_;
};

}  // namespace baleen::index
