#include "index/parquet_column.h"

#define XXH_INLINE_ALL
#include <simdjson.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "index/bloom_filter.h"
#include "index/parquet_encoding.h"
#include "index/thrift_writer.h"

namespace baleen::index {
namespace {

constexpr int kLevel = 1;                     // of zstd: three times as fast as 3, a twentieth larger
constexpr size_t kPage = 1 << 20;             // of texts
constexpr size_t kDictionaryBytes = 1 << 20;  // at most
constexpr size_t kLookAgain = 1024;           // distinct values after which more than half of all is too many
constexpr size_t kLongestBound = 256;         // lowest and highest texts that are told
constexpr int kPlain = 0, kRle = 3, kDelta = 5, kRleDictionary = 8;  // parquet.thrift Encoding
constexpr int kDataPage = 0, kDictionaryPage = 2;                    // PageType

uint64_t hash_of(std::string_view bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

void append_le32(size_t value, std::string& out) {
  for (int bit = 0; bit < 32; bit += 8) out += static_cast<char>(value >> bit);
}

std::string_view bytes_of(const int64_t& value, bool narrow) {
  return {reinterpret_cast<const char*>(&value), narrow ? 4u : 8u};  // little-endian, as we are
}

int64_t number_in(std::string_view bytes) {
  if (bytes.size() == 4) {
    int32_t value;
    std::memcpy(&value, bytes.data(), 4);
    return value;
  }
  int64_t value;
  std::memcpy(&value, bytes.data(), 8);
  return value;
}

void append_page_header(int type, size_t plain, size_t compressed, size_t values, int encoding, std::string& out) {
  ThriftWriter t(out);
  t.begin();
  t.i32(1, type);
  t.i32(2, static_cast<int64_t>(plain));
  t.i32(3, static_cast<int64_t>(compressed));
  t.begin_struct(type == kDataPage ? 5 : 7);
  t.i32(1, static_cast<int64_t>(values));
  t.i32(2, encoding);
  if (type == kDataPage) {
    t.i32(3, kRle);  // of levels
    t.i32(4, kRle);
  }
  t.end();
  t.end();
}

}  // namespace

PageCompressor::PageCompressor() : context_(ZSTD_createCCtx()) {
  BALEEN_CHECK(context_ != nullptr);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

void PageCompressor::append(std::string_view plain, std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + ZSTD_compressBound(plain.size()));
  const size_t size =
      ZSTD_compress2(context_.get(), out.data() + begin, out.size() - begin, plain.data(), plain.size());
  BALEEN_CHECK(ZSTD_isError(size) == 0);  // there is room for the worst case
  out.resize(begin + size);
}

std::optional<uint32_t> ColumnBuilder::Dictionary::find(std::string_view value, uint64_t hash) const {
  if (table.empty()) return std::nullopt;
  for (size_t slot = hash;; ++slot) {
    const uint32_t entry = table[slot & (table.size() - 1)];
    if (entry == 0) return std::nullopt;
    if (hashes[entry - 1] == hash && at(entry - 1) == value) return entry - 1;
  }
}

uint32_t ColumnBuilder::Dictionary::add(std::string_view value, uint64_t hash) {
  const auto place = [this](uint64_t h, size_t entry) {
    size_t slot = h;
    while (table[slot & (table.size() - 1)] != 0) ++slot;
    table[slot & (table.size() - 1)] = static_cast<uint32_t>(entry + 1);
  };
  bytes += value;
  ends.push_back(static_cast<uint32_t>(bytes.size()));
  hashes.push_back(hash);
  if (size() * 2 > table.size()) {
    table.assign(std::max<size_t>(64, table.size() * 2), 0);
    for (size_t i = 0; i < size(); ++i) place(hashes[i], i);
  } else {
    place(hash, size() - 1);
  }
  return static_cast<uint32_t>(size() - 1);
}

void ColumnBuilder::Dictionary::clear() {
  bytes.clear();
  ends.clear();
  hashes.clear();
  std::fill(table.begin(), table.end(), 0);
}

ColumnBuilder::ColumnBuilder(ColumnType type, bool nullable, bool unique, bool opaque, PageCompressor& compressor)
    : type_(type), nullable_(nullable), unique_(unique), opaque_(opaque), compressor_(compressor) {
  clear();
}

void ColumnBuilder::clear() {
  rows_ = nulls_ = plain_rows_ = 0;
  plain_bytes_ = 0;
  alike_ = !unique_ && type_ != ColumnType::kBoolean;
  any_plain_ = false;
  dictionary_.clear();
  indexes_.clear();
  numbers_.clear();
  levels_.clear();
  plain_.clear();
  pages_.clear();
}

/// False: the value is not in the dictionary, and not taken.
bool ColumnBuilder::take_alike(std::string_view value) {
  if (!indexes_.empty() && dictionary_.at(indexes_.back()) == value) {
    indexes_.push_back(indexes_.back());
    return true;
  }
  const auto known = dictionary_.find(value, hash_of(value));
  if (known) indexes_.push_back(*known);
  return known.has_value();
}

void ColumnBuilder::number(int64_t value) {
  const bool narrow = type_ == ColumnType::kInteger;
  if (alike_ && !take_alike(bytes_of(value, narrow))) {
    if (dictionary_.size() >= kLookAgain && dictionary_.size() * 2 > indexes_.size()) give_up_dictionary();
    if (alike_) {
      const std::string_view bytes = bytes_of(value, narrow);
      indexes_.push_back(dictionary_.add(bytes, hash_of(bytes)));
    }
  }
  if (!alike_) numbers_.push_back(value);
  present();
}

void ColumnBuilder::text(std::string_view value) {
  if (alike_ && take_alike(value)) return present();
  if (!simdjson::validate_utf8(value.data(), value.size())) {
    mended_.assign(value);
    for (char& c : mended_)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    value = mended_;
    if (alike_ && take_alike(value)) return present();
  }
  if (alike_ && (dictionary_.bytes.size() + value.size() > kDictionaryBytes ||
                 (dictionary_.size() >= kLookAgain && dictionary_.size() * 2 > indexes_.size())))
    give_up_dictionary();
  if (alike_) {
    indexes_.push_back(dictionary_.add(value, hash_of(value)));
    return present();
  }
  if (nullable_) levels_.push_back(1);
  ++rows_;
  take_plain(value);
}

void ColumnBuilder::null() {
  BALEEN_CHECK(nullable_);
  levels_.push_back(0);
  ++rows_;
  ++nulls_;
  if (!alike_ && type_ == ColumnType::kText) ++plain_rows_;
}

/// The row is counted already.
void ColumnBuilder::take_plain(std::string_view value) {
  if (!opaque_) {
    if (!any_plain_ || value < lowest_) lowest_.assign(value);
    if (!any_plain_ || value > highest_) highest_.assign(value);
    any_plain_ = true;
  }
  append_le32(value.size(), plain_);
  plain_ += value;
  ++plain_rows_;
  if (plain_.size() >= kPage) end_page();
}

/// What was taken in so far is written as what follows.
void ColumnBuilder::give_up_dictionary() {
  alike_ = false;
  if (type_ != ColumnType::kText) {
    for (const uint32_t index : indexes_) numbers_.push_back(number_in(dictionary_.at(index)));
  } else {
    const std::vector<uint32_t> levels = std::move(levels_);
    levels_.clear();
    size_t next = 0;
    for (size_t row = 0; row < rows_; ++row) {
      const bool there = !nullable_ || levels[row] != 0;
      if (nullable_) levels_.push_back(there);
      if (there) {
        take_plain(dictionary_.at(indexes_[next++]));
      } else {
        ++plain_rows_;
      }
    }
  }
  indexes_.clear();
  dictionary_.clear();
}

void ColumnBuilder::end_page() {
  append_page(plain_, plain_rows_, kPlain, pages_);
  plain_.clear();
  levels_.clear();
  plain_rows_ = 0;
}

/// Levels, then the values, compressed together.
void ColumnBuilder::append_page(std::string_view values, size_t rows, int encoding, std::string& out) {
  values_.clear();
  if (nullable_) {
    values_.append(4, '\0');
    append_hybrid(levels_, 1, values_);
    const auto size = static_cast<uint32_t>(values_.size() - 4);
    std::memcpy(values_.data(), &size, 4);
    values_ += values;
    values = values_;
  }
  std::string compressed;
  compressor_.append(values, compressed);
  const size_t begin = out.size();
  append_page_header(kDataPage, values.size(), compressed.size(), rows, encoding, out);
  plain_bytes_ += out.size() - begin + values.size();
  out += compressed;
}

void ColumnBuilder::append_dictionary(std::string& out) {
  scratch_.clear();
  for (size_t i = 0; i < dictionary_.size(); ++i) {
    const std::string_view value = dictionary_.at(i);
    if (type_ == ColumnType::kText) append_le32(value.size(), scratch_);
    scratch_ += value;
  }
  std::string compressed;
  compressor_.append(scratch_, compressed);
  const size_t begin = out.size();
  append_page_header(kDictionaryPage, scratch_.size(), compressed.size(), dictionary_.size(), kPlain, out);
  plain_bytes_ += out.size() - begin + scratch_.size();
  out += compressed;
}

void ColumnBuilder::describe_texts(WrittenColumn& column) const {
  if (opaque_ || rows_ == nulls_) return;
  std::string_view lowest = lowest_, highest = highest_;
  if (alike_) {
    lowest = highest = dictionary_.at(0);
    for (size_t i = 1; i < dictionary_.size(); ++i) {
      lowest = std::min(lowest, dictionary_.at(i));
      highest = std::max(highest, dictionary_.at(i));
    }
  }
  if (lowest.size() > kLongestBound || highest.size() > kLongestBound) return;
  column.lowest.emplace(lowest);
  column.highest.emplace(highest);
}

void ColumnBuilder::describe_numbers(WrittenColumn& column) const {
  if (rows_ == nulls_) return;
  int64_t lowest = INT64_MAX, highest = INT64_MIN;
  const auto see = [&](int64_t value) { lowest = std::min(lowest, value), highest = std::max(highest, value); };
  for (const int64_t value : numbers_) see(value);
  for (size_t i = 0; i < dictionary_.size(); ++i) see(number_in(dictionary_.at(i)));
  if (type_ == ColumnType::kBoolean) {
    column.lowest.emplace(1, static_cast<char>(lowest));
    column.highest.emplace(1, static_cast<char>(highest));
  } else {
    column.lowest.emplace(bytes_of(lowest, type_ == ColumnType::kInteger));
    column.highest.emplace(bytes_of(highest, type_ == ColumnType::kInteger));
  }
}

WrittenColumn ColumnBuilder::finish(std::string& out) {
  WrittenColumn column;
  const size_t begin = out.size();
  column.rows = rows_;
  column.nulls = nulls_;
  const bool texts = type_ == ColumnType::kText;
  texts ? describe_texts(column) : describe_numbers(column);
  scratch_.clear();
  if (alike_ && dictionary_.size() != 0) {
    append_dictionary(out);
    column.dictionary = 0;
    column.data = out.size() - begin;
    column.encodings = {kPlain, kRle, kRleDictionary};
    const unsigned width = std::max(1u, bits_of(dictionary_.size() - 1));
    scratch_.assign(1, static_cast<char>(width));
    append_hybrid(indexes_, width, scratch_);
    append_page(scratch_, rows_, kRleDictionary, out);
    append_bloom_filter(dictionary_.hashes, column.bloom);
  } else if (rows_ == nulls_) {
    append_page({}, rows_, kPlain, out);
    column.encodings = {kPlain, kRle};
  } else if (texts) {
    if (plain_rows_ != 0) end_page();
    out += pages_;
    column.encodings = {kPlain, kRle};
  } else if (type_ == ColumnType::kBoolean) {
    for (size_t i = 0; i < numbers_.size(); i += 8) {
      unsigned byte = 0;
      for (size_t bit = 0; bit < 8 && i + bit < numbers_.size(); ++bit)
        byte |= static_cast<unsigned>(numbers_[i + bit]) << bit;
      scratch_ += static_cast<char>(byte);
    }
    append_page(scratch_, rows_, kPlain, out);
    column.encodings = {kPlain, kRle};
  } else {
    append_delta(numbers_, type_ == ColumnType::kInteger, scratch_);
    append_page(scratch_, rows_, kDelta, out);
    column.encodings = {kRle, kDelta};
  }
  column.bytes = out.size() - begin;
  column.plain_bytes = plain_bytes_;
  clear();
  return column;
}

}  // namespace baleen::index
