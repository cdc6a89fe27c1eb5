#include "index/parquet_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "index/thrift_writer.h"

namespace baleen::index {
namespace {

constexpr std::string_view kMagic = "PAR1";
constexpr size_t kGroupRows = 30'720;        // a multiple of DuckDB's vectors
constexpr size_t kGroupBytes = 32 << 20;     // of texts: rows with long ones make smaller groups
constexpr size_t kBloomBytes = 256 << 10;    // that are kept at most until they are written
constexpr int kOptional = 1, kRequired = 0;  // parquet.thrift FieldRepetitionType
constexpr int kUtf8 = 0, kZstd = 6;          // ConvertedType, CompressionCodec

int physical_type(ColumnType type) {  // parquet.thrift Type
  switch (type) {
    case ColumnType::kBoolean: return 0;
    case ColumnType::kInteger: return 1;
    case ColumnType::kTime:
    case ColumnType::kBigint: return 2;
    case ColumnType::kText: return 6;
  }
  return 6;
}

void write_schema(const Column& column, ThriftWriter& t) {
  t.begin();
  t.i32(1, physical_type(column.type));
  t.i32(3, column.nullable ? kOptional : kRequired);
  t.binary(4, column.name);
  if (column.type == ColumnType::kText) {
    t.i32(6, kUtf8);
    t.begin_struct(10);
    t.empty_struct(1);  // STRING
    t.end();
  } else if (column.type == ColumnType::kTime) {
    t.begin_struct(10);
    t.begin_struct(8);  // TIMESTAMP
    t.boolean(1, false);
    t.begin_struct(2);
    t.empty_struct(3);  // NANOS
    t.end();
    t.end();
    t.end();
  }
  t.end();
}

void write_statistics(const WrittenColumn& column, ThriftWriter& t) {
  t.begin_struct(12);
  t.i64(3, static_cast<int64_t>(column.nulls));
  if (column.lowest) {
    t.binary(5, *column.highest);
    t.binary(6, *column.lowest);
  }
  t.end();
}

void write_column(const Column& column, const WrittenColumn& written, uint64_t offset,
                  std::pair<uint64_t, uint64_t> bloom, ThriftWriter& t) {
  t.begin();
  t.i64(2, static_cast<int64_t>(offset));
  t.begin_struct(3);
  t.i32(1, physical_type(column.type));
  t.list(2, ThriftWriter::Of::kI32, written.encodings.size());
  for (const int encoding : written.encodings) t.i32(encoding);
  t.list(3, ThriftWriter::Of::kBinary, 1);
  t.text(column.name);
  t.i32(4, kZstd);
  t.i64(5, static_cast<int64_t>(written.rows));
  t.i64(6, static_cast<int64_t>(written.plain_bytes));
  t.i64(7, static_cast<int64_t>(written.bytes));
  t.i64(9, static_cast<int64_t>(offset + written.data));
  if (written.dictionary) t.i64(11, static_cast<int64_t>(offset + *written.dictionary));
  write_statistics(written, t);
  if (bloom.second != 0) {
    t.i64(14, static_cast<int64_t>(bloom.first));
    t.i32(15, static_cast<int64_t>(bloom.second));
  }
  t.end();
  t.end();
}

}  // namespace

Result<std::unique_ptr<ParquetWriter>> ParquetWriter::create(const std::string& path, std::span<const Column> columns) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return errno_error("create " + path, errno);
  std::unique_ptr<ParquetWriter> writer(new ParquetWriter(path, std::move(fd), columns));
  BALEEN_TRY_DO(writer->write(kMagic));
  return writer;
}

ParquetWriter::ParquetWriter(std::string path, UniqueFd fd, std::span<const Column> columns)
    : path_(std::move(path)), fd_(std::move(fd)), columns_(columns) {
  builders_.reserve(columns.size());
  for (const Column& column : columns)
    builders_.emplace_back(column.type, column.nullable, column.unique, column.opaque, compressor_);
}

Result<> ParquetWriter::write(std::string_view bytes) {
  offset_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error("write " + path_, n == 0 ? EIO : errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> ParquetWriter::end_row() {
  BALEEN_CHECK(column_ == builders_.size());
  column_ = 0;
  ++rows_;
  return rows_ < kGroupRows && group_bytes_ < kGroupBytes ? Result<>() : end_group();
}

Result<> ParquetWriter::end_group() {
  Group group;
  group.rows = rows_;
  group.offset = offset_;
  for (ColumnBuilder& builder : builders_) {
    buffer_.clear();
    group.columns.push_back(builder.finish(buffer_));
    BALEEN_TRY_DO(write(buffer_));
  }
  all_rows_ += rows_;
  rows_ = group_bytes_ = 0;
  for (const WrittenColumn& column : group.columns) bloom_bytes_ += column.bloom.size();
  groups_.push_back(std::move(group));
  return bloom_bytes_ < kBloomBytes ? Result<>() : write_blooms();
}

/// Many together, and the last beside the footer: whoever reads that has them, too.
Result<> ParquetWriter::write_blooms() {
  for (; with_blooms_ < groups_.size(); ++with_blooms_) {
    Group& group = groups_[with_blooms_];
    for (WrittenColumn& column : group.columns) {
      const std::string bloom = std::exchange(column.bloom, {});
      group.blooms.emplace_back(offset_, bloom.size());
      BALEEN_TRY_DO(write(bloom));
    }
  }
  bloom_bytes_ = 0;
  return {};
}

std::string ParquetWriter::footer() const {
  std::string out;
  ThriftWriter t(out);
  t.begin();
  t.i32(1, 2);
  t.list(2, ThriftWriter::Of::kStruct, columns_.size() + 1);
  t.begin();
  t.binary(4, "items");
  t.i32(5, static_cast<int64_t>(columns_.size()));
  t.end();
  for (const Column& column : columns_) write_schema(column, t);
  t.i64(3, static_cast<int64_t>(all_rows_));
  t.list(4, ThriftWriter::Of::kStruct, groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    t.begin();
    t.list(1, ThriftWriter::Of::kStruct, columns_.size());
    uint64_t offset = group.offset, plain = 0;
    for (size_t i = 0; i < columns_.size(); ++i) {
      write_column(columns_[i], group.columns[i], offset, group.blooms[i], t);
      offset += group.columns[i].bytes;
      plain += group.columns[i].plain_bytes;
    }
    t.i64(2, static_cast<int64_t>(plain));
    t.i64(3, static_cast<int64_t>(group.rows));
    t.i64(5, static_cast<int64_t>(group.offset));
    t.i64(6, static_cast<int64_t>(offset - group.offset));
    if (g <= INT16_MAX) t.i16(7, static_cast<int64_t>(g));
    t.end();
  }
  t.binary(6, "baleen version " BALEEN_VERSION);
  t.list(7, ThriftWriter::Of::kStruct, columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    t.begin();
    t.empty_struct(1);  // TYPE_ORDER
    t.end();
  }
  t.end();
  return out;
}

Result<> ParquetWriter::finish() {
  if (rows_ != 0) BALEEN_TRY_DO(end_group());
  BALEEN_TRY_DO(write_blooms());
  std::string end = footer();
  const size_t size = end.size();
  for (int bit = 0; bit < 32; bit += 8) end += static_cast<char>(size >> bit);
  end += kMagic;
  return write(end);
}

}  // namespace baleen::index
