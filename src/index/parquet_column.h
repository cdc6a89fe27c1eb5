#pragma once

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/item_columns.h"

namespace baleen::index {

/// Compresses pages with zstd, with a checksum that every reader of zstd verifies. One thread.
class PageCompressor {
 public:
  PageCompressor();
  /// Appends the compressed bytes.
  void append(std::string_view plain, std::string& out);

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

/// A row group's column as it lies in the file, for the footer. Offsets count from the chunk's first byte.
struct WrittenColumn {
  uint64_t rows = 0, nulls = 0;
  uint64_t plain_bytes = 0, bytes = 0;  // headers of pages included
  std::optional<uint64_t> dictionary;   // where the dictionary's page is: at the start
  uint64_t data = 0;                    // where the first page of data is
  std::vector<int> encodings;
  std::optional<std::string> lowest, highest;  // plain encoding
  std::string bloom;                           // empty: none
};

/// Takes in one column of a row group and makes pages of it. A column that repeats its values becomes a dictionary and
/// numbers into it; when too few are alike, texts are written plainly and numbers as deltas. Texts that are written
/// plainly are compressed a page at a time, as they come: only what is compressed is kept.
class ColumnBuilder {
 public:
  /// `unique`: nothing is gained by looking for values that are alike. `opaque`: nobody asks for the lowest and
  /// highest.
  ColumnBuilder(ColumnType type, bool nullable, bool unique, bool opaque, PageCompressor& compressor);

  void number(int64_t value);
  void boolean(bool value) { numbers_.push_back(value), present(); }
  /// Parquet's strings are UTF-8: of a text that is not, bytes beyond ASCII become question marks.
  void text(std::string_view value);
  void null();

  /// Appends the pages of what was taken in, and begins anew.
  WrittenColumn finish(std::string& out);

 private:
  /// The distinct values in the order in which they came, plainly encoded or as eight bytes of a number.
  struct Dictionary {
    std::string bytes;
    std::vector<uint32_t> ends;
    std::vector<uint64_t> hashes;
    std::vector<uint32_t> table;  // of places in `ends`, plus one; a power of two, at most half full
    size_t size() const { return ends.size(); }
    std::string_view at(size_t i) const {
      const size_t begin = i == 0 ? 0 : ends[i - 1];
      return std::string_view(bytes).substr(begin, ends[i] - begin);
    }
    std::optional<uint32_t> find(std::string_view value, uint64_t hash) const;
    uint32_t add(std::string_view value, uint64_t hash);
    void clear();
  };

  void present() {
    ++rows_;
    if (nullable_) levels_.push_back(1);
  }
  bool take_alike(std::string_view value);
  void take_plain(std::string_view value);
  void give_up_dictionary();
  void end_page();
  void append_page(std::string_view values, size_t rows, int encoding, std::string& out);
  void append_dictionary(std::string& out);
  void describe_texts(WrittenColumn& column) const;
  void describe_numbers(WrittenColumn& column) const;
  void clear();

  ColumnType type_;
  bool nullable_, unique_, opaque_;
  PageCompressor& compressor_;
  size_t rows_ = 0, nulls_ = 0;
  std::vector<uint32_t> levels_;  // of a nullable column: 1 where there is a value; of the page that is being filled
  bool alike_ = true;             // values go to the dictionary
  Dictionary dictionary_;
  std::vector<uint32_t> indexes_;
  std::vector<int64_t> numbers_;  // without a dictionary
  std::string plain_;             // texts of the page that is being filled
  size_t plain_rows_ = 0;         // NULLs among them
  std::string pages_;             // that are done
  uint64_t plain_bytes_ = 0;      // of pages_ and of what is appended by finish(), before compression
  std::string lowest_, highest_;  // of texts that were written plainly
  bool any_plain_ = false;
  std::string scratch_, values_, mended_;
};

}  // namespace baleen::index
