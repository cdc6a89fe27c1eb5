#include "index/parquet.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "index/duckdb.h"
#include "index/item_columns.h"
#include "index/parquet_writer.h"

namespace baleen::index {
namespace {

constexpr std::array kColumns = {
    Column{"time", ColumnType::kTime, false, true},
    Column{"elapsed_us", ColumnType::kBigint},
    Column{"protocol", ColumnType::kText},
    Column{"protocol_abbr", ColumnType::kText},
    Column{"protocol_version", ColumnType::kText},
    Column{"error", ColumnType::kText},
    Column{"src_ip", ColumnType::kText},
    Column{"src_port", ColumnType::kInteger},
    Column{"src_name", ColumnType::kText},
    Column{"src_namespace", ColumnType::kText},
    Column{"src_pod", ColumnType::kText},
    Column{"src_service", ColumnType::kText},
    Column{"src_process", ColumnType::kText},
    Column{"dst_ip", ColumnType::kText},
    Column{"dst_port", ColumnType::kInteger},
    Column{"dst_name", ColumnType::kText},
    Column{"dst_namespace", ColumnType::kText},
    Column{"dst_pod", ColumnType::kText},
    Column{"dst_service", ColumnType::kText},
    Column{"dst_process", ColumnType::kText},
    Column{"node", ColumnType::kText},
    Column{"method", ColumnType::kText},
    Column{"path", ColumnType::kText},
    Column{"host", ColumnType::kText},
    Column{"status", ColumnType::kInteger, true},
    Column{"status_text", ColumnType::kText},
    Column{"request_size", ColumnType::kBigint},
    Column{"response_size", ColumnType::kBigint},
    Column{"stream", ColumnType::kText},
    Column{"item_index", ColumnType::kBigint},
    Column{"item_id", ColumnType::kText, false, true},
    Column{"vlan", ColumnType::kInteger},
    Column{"tls", ColumnType::kBoolean},
    Column{"packets_object", ColumnType::kText, true},
    Column{"packets_offset", ColumnType::kBigint, true},
    Column{"packets_length", ColumnType::kBigint, true},
    Column{"json", ColumnType::kText, false, true, true},
};

/// Hands on the rows of a result of (time_ns BIGINT, stream, json, packets_object, filename VARCHAR); false when `each`
/// said stop.
bool hand_on(duckdb_data_chunk chunk, const std::unordered_map<std::string_view, size_t>& files,
             const std::function<bool(const StoredItem&)>& each) {
  const auto* times = static_cast<const int64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)));
  const auto* streams =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1)));
  const auto* jsons =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2)));
  const auto* objects =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3)));
  const auto* names =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 4)));
  StoredItem item;
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); ++row) {
    item.time_ns = times[row];
    item.stream = text_at(streams, row);
    item.json = text_at(jsons, row);
    item.packets_object = text_at(objects, row);
    const auto file = files.find(text_at(names, row));
    item.file = file == files.end() ? 0 : file->second;
    if (!each(item)) return false;
  }
  return true;
}

}  // namespace

namespace {

Result<> write_rows(const std::string& path, const std::function<bool(WholeRow&)>& next) {
  BALEEN_TRY(const auto writer, ParquetWriter::create(path, kColumns));
  WholeRow row;  // used again and again: its strings keep their room
  while (next(row)) {
    each_column(std::as_const(row), *writer);
    BALEEN_TRY_DO(writer->end_row());
  }
  return writer->finish();
}

}  // namespace

Result<> write_parquet(const std::string& path, const NextRow& next, std::span<const StreamPlace> places,
                       const std::string& packets_key) {
  std::unordered_map<std::string_view, const StreamPlace*> by_stream;
  for (const StreamPlace& place : places) by_stream.emplace(place.stream, &place);
  return write_rows(path, [&](WholeRow& row) {
    if (!next(row)) return false;
    if (const auto place = by_stream.find(row.stream); place != by_stream.end()) {
      row.packets_object = packets_key;
      row.packets_offset = static_cast<int64_t>(place->second->offset);
      row.packets_length = static_cast<int64_t>(place->second->length);
    } else {
      row.packets_object.clear();
      row.packets_offset = row.packets_length = -1;
    }
    return true;
  });
}

Result<> write_parquet(const std::string& path, const std::function<bool(WholeRow&)>& next) {
  return write_rows(path, next);
}

Result<> read_parquet(const ParquetQuery& query, const std::function<bool(const StoredItem&)>& each) {
  if (query.files.empty()) return {};
  BALEEN_TRY(const auto db, Database::open());
  std::string files;
  std::unordered_map<std::string_view, size_t> numbers;
  for (const std::string& file : query.files) {
    files += (files.empty() ? "" : ", ") + sql_text(file);
    numbers.emplace(file, numbers.size());
  }
  std::string where = fmt::format("epoch_ns(time) >= {} AND epoch_ns(time) <= {}",
                                  query.since_ns == INT64_MIN ? INT64_MIN + 1 : query.since_ns, query.until_ns);
  if (!query.condition.empty()) where += " AND (" + query.condition + ")";
  const std::string sql = fmt::format(
      "SELECT epoch_ns(time), stream, json, coalesce(packets_object, ''), filename "
      "FROM read_parquet([{}], union_by_name = true, filename = true) WHERE {} ORDER BY time, node, "
      "stream, item_index",
      files, where);
  duckdb_result result;
  if (duckdb_query(db->connection(), sql.c_str(), &result) != DuckDBSuccess) {
    const char* message = duckdb_result_error(&result);
    Error error{Code::kIo, message != nullptr ? message : "DuckDB cannot read the items"};
    duckdb_destroy_result(&result);
    return error;
  }
  bool go_on = true;
  while (go_on) {
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk == nullptr) break;
    go_on = hand_on(chunk, numbers, each);
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_destroy_result(&result);
  return {};
}

Result<> count_rows(const ParquetQuery& query, std::span<const std::string> columns, const EachGroup& each) {
  if (query.files.empty()) return {};
  BALEEN_TRY(const auto db, Database::open(std::clamp(std::thread::hardware_concurrency(), 1u, 8u)));
  std::string files, texts, where = "true";
  for (const std::string& file : query.files) files += (files.empty() ? "" : ", ") + sql_text(file);
  for (const std::string& column : columns) texts += column + "::VARCHAR, ";
  if (query.since_ns != INT64_MIN) where += fmt::format(" AND time >= make_timestamp_ns({})", query.since_ns);
  if (query.until_ns != INT64_MAX) where += fmt::format(" AND time <= make_timestamp_ns({})", query.until_ns);
  if (!query.condition.empty()) where += " AND (" + query.condition + ")";
  const std::string sql = fmt::format("SELECT {}count(*)::BIGINT FROM read_parquet([{}]) WHERE {} GROUP BY {}", texts,
                                      files, where, fmt::join(columns, ", "));
  duckdb_result result;
  const bool ok = duckdb_query(db->connection(), sql.c_str(), &result) == DuckDBSuccess;
  Result<> outcome;
  if (!ok) {
    const char* message = duckdb_result_error(&result);
    outcome = Error{Code::kIo, message != nullptr ? message : "DuckDB cannot read the items"};
  }
  std::vector<std::optional<std::string>> values(columns.size());
  while (duckdb_data_chunk chunk = ok ? duckdb_fetch_chunk(result) : nullptr) {
    const auto* counts =
        static_cast<const int64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, columns.size())));
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); ++row) {
      for (size_t i = 0; i < values.size(); ++i) {
        const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        uint64_t* const validity = duckdb_vector_get_validity(vector);
        values[i].reset();
        if (validity == nullptr || duckdb_validity_row_is_valid(validity, row))
          values[i] = text_at(static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector)), row);
      }
      each(values, static_cast<uint64_t>(counts[row]));
    }
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_destroy_result(&result);
  return outcome;
}

struct ParquetReader::State {
  JsonTest test;  // outlives the database, which calls it
  std::unique_ptr<Database> db;
};

namespace {

/// Asks the test within DuckDB: what does not pass is never copied out of its vectors.
void test_rows(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const auto& test = *static_cast<const JsonTest*>(duckdb_scalar_function_get_extra_info(info));
  const auto* jsons =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0)));
  auto* passed = static_cast<bool*>(duckdb_vector_get_data(output));
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); ++row) passed[row] = test(text_at(jsons, row));
}

Result<> add_test_function(Database& db, JsonTest& test) {
  duckdb_scalar_function function = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(function, "is_wanted");
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type truth = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
  duckdb_scalar_function_add_parameter(function, text);
  duckdb_scalar_function_set_return_type(function, truth);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&truth);
  duckdb_scalar_function_set_extra_info(function, &test, nullptr);
  duckdb_scalar_function_set_function(function, test_rows);
  const bool ok = duckdb_register_scalar_function(db.connection(), function) == DuckDBSuccess;
  duckdb_destroy_scalar_function(&function);
  if (!ok) return Error{Code::kInternal, "DuckDB takes no scalar function"};
  return {};
}

}  // namespace

namespace {

/// What follows the columns that every scan reads: all of them, with numbers as BIGINT.
std::string all_columns() {
  std::string out;
  for (const Column& column : kColumns) {
    switch (column.type) {
      case ColumnType::kTime: out += fmt::format(", epoch_ns({})", column.name); break;
      case ColumnType::kBigint:
      case ColumnType::kInteger:
        out += column.nullable ? fmt::format(", coalesce({}::BIGINT, -1)", column.name)
                               : fmt::format(", {}::BIGINT", column.name);
        break;
      case ColumnType::kBoolean: out += fmt::format(", {}", column.name); break;
      case ColumnType::kText: out += fmt::format(", coalesce({}, '')", column.name); break;
    }
  }
  return out;
}

/// Reads those into a row.
class RowFiller {
 public:
  RowFiller(duckdb_data_chunk chunk, idx_t row) : chunk_(chunk), row_(row) {}
  void time(int64_t& n) { bigint(n); }
  void bigint(int64_t& n) { n = static_cast<const int64_t*>(next())[row_]; }
  void integer(int64_t& n) { bigint(n); }
  void status(int64_t& n) { bigint(n); }
  void nullable_bigint(int64_t& n) { bigint(n); }
  void boolean(bool& b) { b = static_cast<const bool*>(next())[row_]; }
  void text(std::string& t) { t = text_at(static_cast<const duckdb_string_t*>(next()), row_); }
  void nullable_text(std::string& t) { text(t); }

 private:
  const void* next() { return duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk_, column_++)); }
  duckdb_data_chunk chunk_;
  idx_t row_, column_ = 5;
};

}  // namespace

std::span<const Column> item_columns() { return kColumns; }

ParquetReader::ParquetReader() : state_(std::make_unique<State>()) {}
ParquetReader::~ParquetReader() = default;

Result<std::unique_ptr<ParquetReader>> ParquetReader::open(JsonTest test) {
  std::unique_ptr<ParquetReader> reader(new ParquetReader);
  reader->state_->test = std::move(test);
  BALEEN_TRY(reader->state_->db, Database::open());
  BALEEN_TRY_DO(add_test_function(*reader->state_->db, reader->state_->test));
  return reader;
}

/// A connection of its own, so that files may be read by different threads: DuckDB's work is done by whoever asks.
struct ParquetRows::State {
  duckdb_connection connection = nullptr;
  duckdb_prepared_statement statement = nullptr;
  duckdb_pending_result pending = nullptr;
  duckdb_result result{};
  bool executed = false;
  bool whole = false;  // rows have all columns
  WholeRow row;
  ~State() {
    if (executed) duckdb_destroy_result(&result);
    if (pending != nullptr) duckdb_destroy_pending(&pending);
    if (statement != nullptr) duckdb_destroy_prepare(&statement);
    if (connection != nullptr) duckdb_disconnect(&connection);
  }
};

ParquetRows::ParquetRows(std::unique_ptr<State> state) : state_(std::move(state)) {}
ParquetRows::~ParquetRows() = default;

Result<std::unique_ptr<ParquetRows>> ParquetReader::rows(const std::string& file, int64_t since_ns, int64_t until_ns,
                                                         const std::string& condition, bool whole) {
  std::string where;
  const auto add = [&where](const std::string& text) { where += (where.empty() ? "" : " AND ") + text; };
  if (since_ns != INT64_MIN) add(fmt::format("time >= make_timestamp_ns({})", since_ns));
  if (until_ns != INT64_MAX) add(fmt::format("time <= make_timestamp_ns({})", until_ns));
  if (!condition.empty()) add("(" + condition + ")");
  add("is_wanted(json)");
  const std::string sql = fmt::format(
      "SELECT epoch_ns(time), item_index, stream, json, coalesce(packets_object, ''){} FROM read_parquet({}) WHERE {}",
      whole ? all_columns() : "", sql_text(file), where);
  auto state = std::make_unique<ParquetRows::State>();
  state->whole = whole;
  const auto failed = [](const char* message) {
    return Error{Code::kIo, message != nullptr ? message : "DuckDB cannot read the items"};
  };
  if (duckdb_connect(state_->db->database(), &state->connection) != DuckDBSuccess) return failed(nullptr);
  if (duckdb_prepare(state->connection, sql.c_str(), &state->statement) != DuckDBSuccess)
    return failed(duckdb_prepare_error(state->statement));
  if (duckdb_pending_prepared_streaming(state->statement, &state->pending) != DuckDBSuccess)
    return failed(duckdb_pending_error(state->pending));
  state->executed = true;  // a result with the error, when it fails
  if (duckdb_execute_pending(state->pending, &state->result) != DuckDBSuccess)
    return failed(duckdb_result_error(&state->result));
  return std::unique_ptr<ParquetRows>(new ParquetRows(std::move(state)));
}

Result<bool> ParquetRows::next(const std::function<void(const RowView&)>& each) {
  duckdb_data_chunk chunk = duckdb_fetch_chunk(state_->result);
  if (chunk == nullptr) {
    if (const char* message = duckdb_result_error(&state_->result); message != nullptr && *message != '\0')
      return Error{Code::kIo, message};
    return false;
  }
  const auto data = [chunk](idx_t column) {
    return duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
  };
  const auto *times = static_cast<const int64_t*>(data(0)), *indexes = static_cast<const int64_t*>(data(1));
  const auto* streams = static_cast<const duckdb_string_t*>(data(2));
  const auto* jsons = static_cast<const duckdb_string_t*>(data(3));
  const auto* objects = static_cast<const duckdb_string_t*>(data(4));
  const idx_t rows = duckdb_data_chunk_get_size(chunk);
  for (idx_t row = 0; row < rows; ++row) {
    if (state_->whole) {
      RowFiller filler(chunk, row);
      each_column(state_->row, filler);
    }
    each({times[row], indexes[row], text_at(streams, row), text_at(jsons, row), text_at(objects, row),
          state_->whole ? &state_->row : nullptr});
  }
  duckdb_destroy_data_chunk(&chunk);
  return rows != 0;
}

}  // namespace baleen::index
