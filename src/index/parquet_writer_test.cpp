#include "index/parquet_writer.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>

#include "index/duckdb.h"

namespace baleen::index {
namespace {

namespace fs = std::filesystem;
using Cell = std::optional<std::string>;

/// A reader that is not ours: rows of a query as texts.
std::vector<std::vector<Cell>> ask(const std::string& sql) {
  duckdb_database database = nullptr;
  duckdb_connection connection = nullptr;
  duckdb_result result;
  EXPECT_EQ(::duckdb_open(nullptr, &database), DuckDBSuccess);
  EXPECT_EQ(::duckdb_connect(database, &connection), DuckDBSuccess);
  EXPECT_EQ(::duckdb_query(connection, sql.c_str(), &result), DuckDBSuccess) << sql << ::duckdb_result_error(&result);
  std::vector<std::vector<Cell>> rows(::duckdb_row_count(&result));
  for (idx_t r = 0; r < rows.size(); ++r)
    for (idx_t c = 0; c < ::duckdb_column_count(&result); ++c) {
      char* const text = ::duckdb_value_varchar(&result, c, r);
      rows[r].push_back(text == nullptr ? Cell() : Cell(text));
      ::duckdb_free(text);
    }
  ::duckdb_destroy_result(&result);
  ::duckdb_disconnect(&connection);
  ::duckdb_close(&database);
  return rows;
}

/// How a column's values are made: of a row's number, or nothing.
struct Made {
  Column column;
  std::function<std::optional<int64_t>(size_t)> number;
  std::function<Cell(size_t)> text;
};

class ParquetWriterTest : public testing::Test {
 protected:
  ParquetWriterTest() {
    std::string pattern = (fs::temp_directory_path() / "baleen-writer-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    file_ = folder_ + "/items.parquet";
  }
  ~ParquetWriterTest() override { fs::remove_all(folder_); }

  /// Writes the rows, and holds every cell that DuckDB reads to what was made.
  void round_trip(const std::vector<Made>& made, size_t rows) {
    std::vector<Column> columns;
    for (const Made& m : made) columns.push_back(m.column);
    auto writer = ParquetWriter::create(file_, columns);
    ASSERT_TRUE(writer) << writer.error().message;
    for (size_t row = 0; row < rows; ++row) {
      for (const Made& m : made) put(**writer, m, row);
      ASSERT_TRUE((*writer)->end_row());
    }
    ASSERT_TRUE((*writer)->finish());
    std::string select;
    for (const Made& m : made)
      select += fmt::format(fmt::runtime(m.column.type == ColumnType::kTime ? "{}epoch_ns({})" : "{}{}"),
                            select.empty() ? "" : ", ", m.column.name);
    const auto read = ask(fmt::format("SELECT {} FROM '{}'", select, file_));
    ASSERT_EQ(read.size(), rows);
    for (size_t row = 0; row < rows; ++row)
      for (size_t c = 0; c < made.size(); ++c)
        ASSERT_EQ(read[row][c], wanted(made[c], row)) << made[c].column.name << " of row " << row;
  }
  static void put(ParquetWriter& writer, const Made& m, size_t row) {
    if (m.text) {
      const Cell cell = m.text(row);
      m.column.nullable ? writer.nullable_text(cell.value_or("")) : writer.text(*cell);
      return;
    }
    const auto n = m.number(row);
    switch (m.column.type) {
      case ColumnType::kTime: return writer.time(*n);
      case ColumnType::kBoolean: return writer.boolean(*n != 0);
      case ColumnType::kInteger: return m.column.nullable ? writer.status(n.value_or(-1)) : writer.integer(*n);
      default: return m.column.nullable ? writer.nullable_bigint(n.value_or(-1)) : writer.bigint(*n);
    }
  }
  static Cell wanted(const Made& m, size_t row) {
    if (m.text) return m.text(row);
    const auto n = m.number(row);
    if (!n) return std::nullopt;
    return m.column.type == ColumnType::kBoolean ? (*n != 0 ? "true" : "false") : std::to_string(*n);
  }

  std::string folder_, file_;
};

/// Numbers and texts of every habit: alike, in runs, all different, first alike and then not, absent, extreme.
std::vector<Made> every_habit() {
  const auto mixed = [](size_t row) { return static_cast<int64_t>(std::mt19937_64(row)()); };
  return {
      {{"time", ColumnType::kTime, false, true},
       [](size_t r) { return 1'795'461'296'123'456'789 + int64_t(r) * 977; },
       {}},
      {{"back", ColumnType::kTime, false, true},
       [](size_t r) { return 1'000'000'000'000 - int64_t(r * r % 9973); },
       {}},
      {{"same", ColumnType::kBigint}, [](size_t) { return -7; }, {}},
      {{"wild", ColumnType::kBigint}, mixed, {}},
      {{"edges", ColumnType::kBigint, false, true}, [](size_t r) { return r % 2 == 0 ? INT64_MIN : INT64_MAX; }, {}},
      {{"edges32", ColumnType::kInteger, false, true},
       [](size_t r) { return int64_t{r % 2 == 0 ? INT32_MIN : INT32_MAX}; },
       {}},
      {{"wild32", ColumnType::kInteger}, [mixed](size_t r) { return int64_t{static_cast<int32_t>(mixed(r))}; }, {}},
      {{"ports", ColumnType::kInteger}, [](size_t r) { return int64_t(r % 3 == 0 ? 443 : 32'768 + r % 700); }, {}},
      {{"runs", ColumnType::kInteger}, [](size_t r) { return int64_t(r / 37 % 5); }, {}},
      {{"status", ColumnType::kInteger, true},
       [](size_t r) { return r % 5 == 0 ? std::optional<int64_t>() : 200 + int64_t(r % 3); },
       {}},
      {{"lengths", ColumnType::kBigint, true},
       [](size_t r) { return r % 7 < 3 ? std::optional<int64_t>() : int64_t(r) * 1'000'003; },
       {}},
      {{"never", ColumnType::kBigint, true}, [](size_t) { return std::optional<int64_t>(); }, {}},
      {{"flag", ColumnType::kBoolean}, [](size_t r) { return int64_t(r % 11 == 0); }, {}},
      {{"method", ColumnType::kText}, {}, [](size_t r) { return Cell(r % 4 == 0 ? "POST" : "GET"); }},
      {{"nothing", ColumnType::kText}, {}, [](size_t) { return Cell(""); }},
      {{"id", ColumnType::kText, false, true}, {}, [](size_t r) { return Cell(fmt::format("node-{}", r)); }},
      {{"differs", ColumnType::kText}, {}, [](size_t r) { return Cell(fmt::format("/path/{}", r)); }},
      {{"later", ColumnType::kText}, {}, [](size_t r) { return Cell(r < 900 ? "alike" : fmt::format("other {}", r)); }},
      {{"absent", ColumnType::kText, true},
       {},
       [](size_t r) { return r % 3 == 0 ? Cell() : Cell(fmt::format("v{}", r)); }},
      {{"none", ColumnType::kText, true}, {}, [](size_t) { return Cell(); }},
      {{"json", ColumnType::kText, false, true, true},
       {},
       [](size_t r) { return Cell(fmt::format("{{\"n\":{},\"b\":\"{}\"}}", r, std::string(r % 997, 'x'))); }},
  };
}

TEST_F(ParquetWriterTest, EveryHabitComesBack) {
  for (const size_t rows : {size_t{1}, size_t{7}, size_t{8}, size_t{129}, size_t{1025}, size_t{5'000}}) {
    SCOPED_TRACE(rows);
    round_trip(every_habit(), rows);
  }
}

/// Rows with long texts make smaller row groups, and texts longer than a page are one.
TEST_F(ParquetWriterTest, LongTextsMakeSmallGroups) {
  round_trip(
      {{{"n", ColumnType::kBigint}, [](size_t r) { return int64_t(r); }, {}},
       {{"json", ColumnType::kText, false, true, true},
        {},
        [](size_t r) { return Cell(std::string(r == 3 ? 5 << 20 : 700'000, 'a' + char(r % 26))); }},
       {{"stream", ColumnType::kText}, {}, [](size_t r) { return Cell(std::string(300'000, 'a' + char(r % 26))); }}},
      100);
  const auto groups =
      ask(fmt::format("SELECT max(row_group_id) + 1, min(row_group_num_rows) FROM parquet_metadata('{}')", file_));
  EXPECT_EQ(groups[0][0], "4") << "of 32 MiB of texts each";
}

/// What readers skip by: the lowest and the highest, the NULLs, and Bloom filters that never say no to what is there.
TEST_F(ParquetWriterTest, StatisticsAndBloomFiltersAreRight) {
  round_trip(every_habit(), 5'000);
  const auto facts = [&](const std::string& column) {
    return ask(
        fmt::format("SELECT stats_min_value, stats_max_value, stats_null_count FROM parquet_metadata('{}') WHERE "
                    "path_in_schema = '{}'",
                    file_, column))[0];
  };
  EXPECT_EQ(facts("edges"), (std::vector<Cell>{std::to_string(INT64_MIN), std::to_string(INT64_MAX), "0"}));
  EXPECT_EQ(facts("ports"), (std::vector<Cell>{"443", "33467", "0"}));
  EXPECT_EQ(facts("status"), (std::vector<Cell>{"200", "202", "1000"}));
  EXPECT_EQ(facts("method"), (std::vector<Cell>{"GET", "POST", "0"}));
  EXPECT_EQ(facts("later"), (std::vector<Cell>{"alike", "other 999", "0"}));
  EXPECT_EQ(facts("id"), (std::vector<Cell>{"node-0", "node-999", "0"}));
  EXPECT_EQ(facts("none"), (std::vector<Cell>{std::nullopt, std::nullopt, "5000"}));
  EXPECT_EQ(facts("json")[0], std::nullopt) << "nobody asks for it";
  const auto excluded = [&](const std::string& column, const std::string& value) {
    return *ask(fmt::format("SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe('{}', '{}', {})", file_,
                            column, value))[0][0] == "true";
  };
  EXPECT_FALSE(excluded("method", "'GET'"));
  EXPECT_TRUE(excluded("method", "'DELETE'"));
  int wrongly = 0;
  for (int port = 32'768; port < 33'468; port += 70)
    EXPECT_FALSE(excluded("ports", std::to_string(port) + "::INTEGER")) << port;
  for (int port = 1'000; port < 1'050; ++port) wrongly += !excluded("ports", std::to_string(port) + "::INTEGER");
  EXPECT_LE(wrongly, 5) << "of fifty that are not there";
}

/// Large Bloom filters do not wait in memory for the footer: row groups follow them.
TEST_F(ParquetWriterTest, BloomFiltersBetweenRowGroups) {
  std::vector<Made> made;
  for (const char* name : {"a", "b", "c", "d", "e", "f"})
    made.push_back({{name, ColumnType::kBigint}, [](size_t r) { return int64_t(r / 3 % 10'000); }, {}});
  round_trip(made, 125'000);
  const auto places = ask(fmt::format(
      "SELECT min(bloom_filter_offset) < max(data_page_offset), count(bloom_filter_offset) FROM parquet_metadata('{}')",
      file_));
  EXPECT_EQ(places[0], (std::vector<Cell>{"true", "30"}));
  EXPECT_EQ(ask(fmt::format("SELECT bool_or(bloom_filter_excludes) FROM parquet_bloom_probe('{}', 'd', 9999::BIGINT) "
                            "WHERE row_group_id < 4",
                            file_))[0][0],
            "false");
}

TEST_F(ParquetWriterTest, AFullDiskIsAnError) {
  const std::vector<Column> columns = {{"json", ColumnType::kText, false, true, true}};
  auto writer = ParquetWriter::create("/dev/full", columns);
  EXPECT_FALSE(writer);
  EXPECT_NE(writer.error().message.find("No space left"), std::string::npos) << writer.error().message;
}

/// Columns are in the file, page for page, what every reader of zstd checks.
TEST_F(ParquetWriterTest, DamagedPagesAreNoticed) {
  round_trip({{{"json", ColumnType::kText, false, true, true},
               {},
               [](size_t r) { return Cell(fmt::format("{}", r * 7919)); }}},
             2'000);
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(file_) / 2));
  file.put('\x5a');
  file.close();
  duckdb_database database = nullptr;
  duckdb_connection connection = nullptr;
  duckdb_result result;
  ASSERT_EQ(::duckdb_open(nullptr, &database), DuckDBSuccess);
  ASSERT_EQ(::duckdb_connect(database, &connection), DuckDBSuccess);
  EXPECT_NE(::duckdb_query(connection, fmt::format("SELECT max(json) FROM '{}'", file_).c_str(), &result),
            DuckDBSuccess);
  ::duckdb_destroy_result(&result);
  ::duckdb_disconnect(&connection);
  ::duckdb_close(&database);
}

}  // namespace
}  // namespace baleen::index
