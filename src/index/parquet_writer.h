#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "index/parquet_column.h"

namespace baleen::index {

/// Writes the items table as a Parquet file (parquet-format 2.10: zstd pages, dictionaries, deltas, statistics, Bloom
/// filters), a row group at a time; memory is bounded by a row group's compressed texts and its other columns. One
/// thread.
///
/// A row is all columns in their order; the names of the calls are those of each_column() in item_columns.h.
class ParquetWriter {
 public:
  static Result<std::unique_ptr<ParquetWriter>> create(const std::string& path, std::span<const Column> columns);

  void time(int64_t ns) { next().number(ns); }
  void bigint(int64_t n) { next().number(n); }
  void integer(int64_t n) { next().number(static_cast<int32_t>(n)); }
  void boolean(bool b) { next().boolean(b); }
  void text(std::string_view value) {
    group_bytes_ += value.size();
    next().text(value);
  }
  void status(int64_t n) { n >= 0 && n <= INT32_MAX ? next().number(n) : next().null(); }
  void nullable_bigint(int64_t n) { n >= 0 ? next().number(n) : next().null(); }
  void nullable_text(std::string_view value) { value.empty() ? next().null() : text(value); }
  Result<> end_row();

  /// The footer. Without it there is no Parquet file.
  Result<> finish();

 private:
  struct Group {
    std::vector<WrittenColumn> columns;                 // without their Bloom filters once these are written
    std::vector<std::pair<uint64_t, uint64_t>> blooms;  // offset and length
    uint64_t rows = 0, offset = 0;
  };
  ParquetWriter(std::string path, UniqueFd fd, std::span<const Column> columns);
  ColumnBuilder& next() { return builders_[column_++]; }
  Result<> end_group();
  Result<> write_blooms();
  Result<> write(std::string_view bytes);
  std::string footer() const;

  std::string path_;
  UniqueFd fd_;
  std::span<const Column> columns_;
  PageCompressor compressor_;
  std::vector<ColumnBuilder> builders_;
  size_t column_ = 0;                  // of the row that is being taken in
  size_t rows_ = 0, group_bytes_ = 0;  // of the row group; bytes of texts
  uint64_t offset_ = 0, all_rows_ = 0;
  std::vector<Group> groups_;
  size_t with_blooms_ = 0, bloom_bytes_ = 0;  // groups whose Bloom filters are written; bytes of those that are not
  std::string buffer_;
};

}  // namespace baleen::index
