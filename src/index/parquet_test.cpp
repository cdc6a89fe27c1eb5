#include "index/parquet.h"

#include <duckdb.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

/// In memory where that is possible: nothing here tests a disk.
fs::path scratch() { return ::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path(); }

constexpr int64_t kTime = 1'795'461'296'123'456'789;

class ParquetTest : public testing::Test {
 protected:
  ParquetTest() {
    std::string pattern = (scratch() / "baleen-parquet-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ParquetTest() override { fs::remove_all(folder_); }
  std::string operator/(const std::string& name) const { return folder_ + "/" + name; }

  static Result<> write(const std::string& path, const std::vector<ItemRow>& rows,
                        const std::vector<StreamPlace>& places = {}) {
    auto next = rows.begin();
    return write_parquet(
        path, [&](ItemRow& row) { return next != rows.end() && (row = *next++, true); }, places, "packets/x.pcapng");
  }

  /// What DuckDB itself, as anybody would call it, says.
  static std::vector<std::vector<std::string>> ask(const std::string& sql) {
    duckdb_database database = nullptr;
    duckdb_connection connection = nullptr;
    duckdb_result result;
    EXPECT_EQ(::duckdb_open(nullptr, &database), DuckDBSuccess);
    EXPECT_EQ(::duckdb_connect(database, &connection), DuckDBSuccess);
    EXPECT_EQ(::duckdb_query(connection, sql.c_str(), &result), DuckDBSuccess) << ::duckdb_result_error(&result);
    std::vector<std::vector<std::string>> rows(::duckdb_row_count(&result));
    for (idx_t r = 0; r < rows.size(); ++r)
      for (idx_t c = 0; c < ::duckdb_column_count(&result); ++c) {
        char* const text = ::duckdb_value_varchar(&result, c, r);
        rows[r].emplace_back(text != nullptr ? text : "NULL");
        ::duckdb_free(text);
      }
    ::duckdb_destroy_result(&result);
    ::duckdb_disconnect(&connection);
    ::duckdb_close(&database);
    return rows;
  }

  std::string folder_;
};

ItemRow row_at(int64_t n) {
  ItemRow r;
  r.time_ns = kTime + n * 1'000'003;
  r.elapsed_us = n * 7;
  r.request_size = n;
  r.response_size = int64_t{1} << 40;
  r.index = n;
  r.src_port = 40000 + n % 1000;
  r.dst_port = 80;
  r.status = n % 5 == 0 ? -1 : 200 + n % 5;
  r.vlan = n % 4095;
  r.tls = n % 2 == 0;
  const auto text = [n](const char* what) { return std::string(what) + "-" + std::to_string(n); };
  r.id = text("id"), r.stream = text("stream"), r.node = text("node"), r.protocol = "http", r.abbreviation = "HTTP";
  r.version = "1.1", r.error = n % 7 == 0 ? "it's broken" : "", r.src_ip = "10.0.0.1", r.src_name = text("src");
  r.src_namespace = text("sns"), r.src_pod = text("spod"), r.src_service = text("ssvc"), r.src_process = text("sproc");
  r.dst_ip = "fd00::1", r.dst_name = text("dst"), r.dst_namespace = text("dns"), r.dst_pod = text("dpod");
  r.dst_service = text("dsvc"), r.dst_process = text("dproc"), r.method = "GET", r.path = "/ü/" + std::to_string(n);
  r.host = text("host"), r.status_text = std::to_string(r.status), r.json = "{\"n\":" + std::to_string(n) + "}";
  return r;
}

TEST_F(ParquetTest, DuckDBReadsWhatWasWritten) {
  std::vector<ItemRow> rows;
  for (int64_t n = 0; n < 3000; ++n) rows.push_back(row_at(n));
  const std::vector<StreamPlace> places = {{"stream-1", 1000, 500, 3}, {"stream-2", 1500, 70, 1}};
  const auto written = write(*this / "a.parquet", rows, places);
  ASSERT_TRUE(written) << written.error().message;
  const auto read = ask(
      "SELECT epoch_ns(time), elapsed_us, protocol, protocol_abbr, protocol_version, error, src_ip, src_port, "
      "src_name, "
      "src_namespace, src_pod, src_service, src_process, dst_ip, dst_port, dst_name, dst_namespace, dst_pod, "
      "dst_service, dst_process, node, method, path, host, status, status_text, request_size, response_size, stream, "
      "item_index, item_id, vlan, tls, packets_object, packets_offset, packets_length, json FROM '" +
      *this / "a.parquet" + "'");
  ASSERT_EQ(read.size(), rows.size());
  for (size_t n = 0; n < rows.size(); ++n) {
    const ItemRow& r = rows[n];
    const auto number = [](int64_t value) { return std::to_string(value); };
    const bool has_packets = n == 1 || n == 2;
    const StreamPlace place = has_packets ? places[n - 1] : StreamPlace{};
    const std::vector<std::string> expected = {number(r.time_ns),
                                               number(r.elapsed_us),
                                               r.protocol,
                                               r.abbreviation,
                                               r.version,
                                               r.error,
                                               r.src_ip,
                                               number(r.src_port),
                                               r.src_name,
                                               r.src_namespace,
                                               r.src_pod,
                                               r.src_service,
                                               r.src_process,
                                               r.dst_ip,
                                               number(r.dst_port),
                                               r.dst_name,
                                               r.dst_namespace,
                                               r.dst_pod,
                                               r.dst_service,
                                               r.dst_process,
                                               r.node,
                                               r.method,
                                               r.path,
                                               r.host,
                                               r.status < 0 ? "NULL" : number(r.status),
                                               r.status_text,
                                               number(r.request_size),
                                               number(r.response_size),
                                               r.stream,
                                               number(r.index),
                                               r.id,
                                               number(r.vlan),
                                               r.tls ? "true" : "false",
                                               has_packets ? "packets/x.pcapng" : "NULL",
                                               has_packets ? std::to_string(place.offset) : "NULL",
                                               has_packets ? std::to_string(place.length) : "NULL",
                                               r.json};
    ASSERT_EQ(read[n], expected) << n;
  }
  EXPECT_EQ(ask("SELECT count(*) FROM (DESCRIBE SELECT * FROM '" + *this / "a.parquet" + "')")[0][0], "37")
      << "every column is compared above";
}

TEST_F(ParquetTest, WeReadWhatWasWritten) {
  std::vector<ItemRow> rows;
  for (int64_t n = 0; n < 3000; ++n) rows.push_back(row_at(n));
  ASSERT_TRUE(write(*this / "a.parquet", {rows.begin(), rows.begin() + 1500}, {{"stream-1", 0, 9, 1}}));
  ASSERT_TRUE(write(*this / "b'.parquet", {rows.begin() + 1500, rows.end()}));
  size_t n = 0;
  ParquetQuery query;
  query.files = {*this / "b'.parquet", *this / "a.parquet"};
  const auto read = read_parquet(query, [&](const StoredItem& item) {
    EXPECT_EQ(item.time_ns, rows[n].time_ns);
    EXPECT_EQ(item.stream, rows[n].stream);
    EXPECT_EQ(item.json, rows[n].json);
    EXPECT_EQ(item.packets_object, n == 1 ? "packets/x.pcapng" : "");
    EXPECT_EQ(item.file, n < 1500 ? 1u : 0u);
    ++n;
    return true;
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(n, rows.size()) << "in time order over both files";
}

TEST_F(ParquetTest, TimeAndConditionChooseRowsAndEachMayStop) {
  std::vector<ItemRow> rows;
  for (int64_t n = 0; n < 100; ++n) rows.push_back(row_at(n));
  ASSERT_TRUE(write(*this / "a.parquet", rows));
  const auto count = [&](int64_t since, int64_t until, const std::string& condition, uint64_t stop_after = 1000) {
    uint64_t found = 0;
    EXPECT_TRUE(read_parquet({{*this / "a.parquet"}, since, until, condition},
                             [&](const StoredItem&) { return ++found < stop_after; }));
    return found;
  };
  EXPECT_EQ(count(INT64_MIN, INT64_MAX, ""), 100u);
  EXPECT_EQ(count(rows[10].time_ns, rows[19].time_ns, ""), 10u) << "both ends belong to it";
  EXPECT_EQ(count(rows[10].time_ns + 1, rows[19].time_ns - 1, ""), 8u);
  EXPECT_EQ(count(INT64_MIN, INT64_MAX, "status IS NULL"), 20u);
  EXPECT_EQ(count(INT64_MIN, INT64_MAX, "", 7), 7u);
}

TEST_F(ParquetTest, NoRowsAndNoFiles) {
  ASSERT_TRUE(write(*this / "a.parquet", {}));
  EXPECT_EQ(ask("SELECT count(*) FROM '" + *this / "a.parquet" + "'")[0][0], "0");
  uint64_t found = 0;
  EXPECT_TRUE(
      read_parquet({{*this / "a.parquet"}, INT64_MIN, INT64_MAX, ""}, [&](const StoredItem&) { return ++found; }));
  EXPECT_TRUE(read_parquet({}, [&](const StoredItem&) { return ++found; }));
  EXPECT_EQ(found, 0u);
}

TEST_F(ParquetTest, BytesThatAreNoTextAndNumbersThatDoNotFit) {
  ItemRow r = row_at(1);
  r.path = "a\xff\xfe";
  r.host = std::string("nul \0 inside", 12);
  r.status = int64_t{1} << 40;
  ASSERT_TRUE(write(*this / "a.parquet", {r}));
  const auto read = ask("SELECT path, length(host), status FROM '" + *this / "a.parquet" + "'");
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0], (std::vector<std::string>{"a??", "12", "NULL"}));
}

TEST_F(ParquetTest, RowGroupsStatisticsAndCompressionAreThere) {
  std::vector<ItemRow> rows;
  for (int64_t n = 0; n < 70'000; ++n) rows.push_back(row_at(n));
  ASSERT_TRUE(write(*this / "a.parquet", rows));
  const auto groups =
      ask("SELECT row_group_num_rows, stats_min_value IS NOT NULL, compression, bloom_filter_offset IS NOT NULL "
          "FROM parquet_metadata('" +
          *this / "a.parquet" + "') WHERE path_in_schema = 'time' ORDER BY row_group_id");
  ASSERT_GE(groups.size(), 3u);
  EXPECT_EQ(groups[0], (std::vector<std::string>{"30720", "true", "ZSTD", groups[0][3]}));
  const auto blooms = ask("SELECT count(*) FROM parquet_metadata('" + *this / "a.parquet" +
                          "') WHERE path_in_schema IN ('src_ip', 'method') AND bloom_filter_offset IS NOT NULL");
  EXPECT_NE(blooms[0][0], "0") << "columns that repeat their values have bloom filters";
}

TEST_F(ParquetTest, DamagedFilesAreErrors) {
  std::vector<ItemRow> rows;
  for (int64_t n = 0; n < 50; ++n) rows.push_back(row_at(n));
  ASSERT_TRUE(write(*this / "whole.parquet", rows));
  std::ifstream in(*this / "whole.parquet", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (const size_t cut : {size_t{0}, size_t{4}, whole.size() / 2, whole.size() - 8, whole.size() - 1}) {
    std::ofstream(*this / "cut.parquet", std::ios::binary | std::ios::trunc) << whole.substr(0, cut);
    const auto read =
        read_parquet({{*this / "cut.parquet"}, INT64_MIN, INT64_MAX, ""}, [](const StoredItem&) { return true; });
    ASSERT_FALSE(read) << cut;
    EXPECT_NE(read.error().message.find("cut.parquet"), std::string::npos) << read.error().message;
  }
  const auto missing =
      read_parquet({{*this / "none.parquet"}, INT64_MIN, INT64_MAX, ""}, [](const StoredItem&) { return true; });
  EXPECT_FALSE(missing);
  EXPECT_FALSE(write(*this / "no/such/folder/a.parquet", rows));
}

}  // namespace
}  // namespace baleen::index
