#include "index/parquet.h"

#include <duckdb.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>
#include <unordered_map>

#include "base/check.h"

namespace baleen::index {
namespace {

/// One in-memory database and a connection to it; closed with it.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(unsigned threads = 1) {
    auto db = std::unique_ptr<Database>(new Database);
    duckdb_config config = nullptr;
    duckdb_create_config(&config);
    duckdb_set_config(config, "threads", std::to_string(threads).c_str());
    duckdb_set_config(config, "autoinstall_known_extensions", "false");
    duckdb_set_config(config, "autoload_known_extensions", "false");
    char* message = nullptr;
    const bool ok = duckdb_open_ext(nullptr, &db->database_, config, &message) == DuckDBSuccess;
    duckdb_destroy_config(&config);
    Error error{Code::kInternal, message != nullptr ? message : "DuckDB does not open"};
    if (message != nullptr) duckdb_free(message);
    if (!ok || duckdb_connect(db->database_, &db->connection_) != DuckDBSuccess) return error;
    return db;
  }
  duckdb_database database() const { return database_; }
  ~Database() {
    if (connection_ != nullptr) duckdb_disconnect(&connection_);
    if (database_ != nullptr) duckdb_close(&database_);
  }

  Result<> run(const std::string& sql) {
    duckdb_result result;
    const bool ok = duckdb_query(connection_, sql.c_str(), &result) == DuckDBSuccess;
    const char* message = ok ? nullptr : duckdb_result_error(&result);
    Result<> outcome = ok ? Result<>() : Result<>(Error{Code::kIo, message != nullptr ? message : "DuckDB failed"});
    duckdb_destroy_result(&result);
    return outcome;
  }
  duckdb_connection connection() const { return connection_; }

 private:
  Database() = default;
  duckdb_database database_ = nullptr;
  duckdb_connection connection_ = nullptr;
};

std::string sql_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

enum class ColumnType : uint8_t { kTime, kBigint, kInteger, kBoolean, kText };

struct Column {
  const char* name;
  ColumnType type;
};

/// In the order in which put_row() writes them.
constexpr std::array kColumns = {
    Column{"time", ColumnType::kTime},
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
    Column{"status", ColumnType::kInteger},
    Column{"status_text", ColumnType::kText},
    Column{"request_size", ColumnType::kBigint},
    Column{"response_size", ColumnType::kBigint},
    Column{"stream", ColumnType::kText},
    Column{"item_index", ColumnType::kBigint},
    Column{"item_id", ColumnType::kText},
    Column{"vlan", ColumnType::kInteger},
    Column{"tls", ColumnType::kBoolean},
    Column{"packets_object", ColumnType::kText},
    Column{"packets_offset", ColumnType::kBigint},
    Column{"packets_length", ColumnType::kBigint},
    Column{"json", ColumnType::kText},
};

/// Writes one row of a chunk, column after column.
class RowWriter {
 public:
  explicit RowWriter(std::span<const duckdb_vector> vectors) : vectors_(vectors) {}
  void begin(idx_t row) {
    row_ = row;
    column_ = 0;
  }
  template <class T>
  void number(T value) {
    static_cast<T*>(duckdb_vector_get_data(vectors_[column_++]))[row_] = value;
  }
  /// Parquet strings are UTF-8: bytes that are not become question marks.
  void text(std::string_view value) {
    if (simdjson::validate_utf8(value.data(), value.size()))
      return duckdb_vector_assign_string_element_len(vectors_[column_++], row_, value.data(), value.size());
    mended_.assign(value);
    for (char& c : mended_)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    duckdb_vector_assign_string_element_len(vectors_[column_++], row_, mended_.data(), mended_.size());
  }
  void null() {
    const duckdb_vector vector = vectors_[column_++];
    duckdb_vector_ensure_validity_writable(vector);
    duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row_);
  }
  bool whole() const { return column_ == vectors_.size(); }

 private:
  std::span<const duckdb_vector> vectors_;
  idx_t row_ = 0;
  size_t column_ = 0;
  std::string mended_;
};

void put_row(RowWriter& w, const ItemRow& r, const StreamPlace* place, const std::string& packets_key) {
  w.number(r.time_ns);
  w.number(r.elapsed_us);
  for (const std::string* t : {&r.protocol, &r.abbreviation, &r.version, &r.error, &r.src_ip}) w.text(*t);
  w.number(static_cast<int32_t>(r.src_port));
  for (const std::string* t : {&r.src_name, &r.src_namespace, &r.src_pod, &r.src_service, &r.src_process, &r.dst_ip})
    w.text(*t);
  w.number(static_cast<int32_t>(r.dst_port));
  for (const std::string* t : {&r.dst_name, &r.dst_namespace, &r.dst_pod, &r.dst_service, &r.dst_process, &r.node,
                               &r.method, &r.path, &r.host})
    w.text(*t);
  if (r.status >= 0 && r.status <= INT32_MAX) {
    w.number(static_cast<int32_t>(r.status));
  } else {
    w.null();
  }
  w.text(r.status_text);
  w.number(r.request_size);
  w.number(r.response_size);
  w.text(r.stream);
  w.number(r.index);
  w.text(r.id);
  w.number(static_cast<int32_t>(r.vlan));
  w.number(r.tls);
  if (place != nullptr) {
    w.text(packets_key);
    w.number(static_cast<int64_t>(place->offset));
    w.number(static_cast<int64_t>(place->length));
  } else {
    for (int i = 0; i < 3; ++i) w.null();
  }
  w.text(r.json);
  BALEEN_CHECK(w.whole());
}

/// Rows on their way into DuckDB as a table function of one run: a chunk at a time, never all of them in memory.
struct RowSource {
  const NextRow* next;
  std::unordered_map<std::string_view, const StreamPlace*> places;
  const std::string* packets_key;
  ItemRow row;  // used again and again: its strings keep their room
  bool over = false;
};

duckdb_type duckdb_type_of(ColumnType type) {
  switch (type) {
    case ColumnType::kTime: return DUCKDB_TYPE_TIMESTAMP_NS;
    case ColumnType::kBigint: return DUCKDB_TYPE_BIGINT;
    case ColumnType::kInteger: return DUCKDB_TYPE_INTEGER;
    case ColumnType::kBoolean: return DUCKDB_TYPE_BOOLEAN;
    case ColumnType::kText: return DUCKDB_TYPE_VARCHAR;
  }
  return DUCKDB_TYPE_INVALID;
}

void bind_rows(duckdb_bind_info info) {
  for (const Column& column : kColumns) {
    duckdb_logical_type type = duckdb_create_logical_type(duckdb_type_of(column.type));
    duckdb_bind_add_result_column(info, column.name, type);
    duckdb_destroy_logical_type(&type);
  }
}

void next_rows(duckdb_function_info info, duckdb_data_chunk chunk) {
  auto* source = static_cast<RowSource*>(duckdb_function_get_extra_info(info));
  std::array<duckdb_vector, kColumns.size()> vectors;
  for (size_t i = 0; i < vectors.size(); ++i) vectors[i] = duckdb_data_chunk_get_vector(chunk, i);
  RowWriter writer(vectors);
  idx_t n = 0;
  for (; n < duckdb_vector_size() && !source->over; ++n) {
    if (!(*source->next)(source->row)) {
      source->over = true;
      break;
    }
    const auto place = source->places.find(source->row.stream);
    writer.begin(n);
    put_row(writer, source->row, place == source->places.end() ? nullptr : place->second, *source->packets_key);
  }
  duckdb_data_chunk_set_size(chunk, n);
}

Result<> add_rows_function(Database& db, RowSource& source) {
  duckdb_table_function function = duckdb_create_table_function();
  duckdb_table_function_set_name(function, "rows_to_write");
  duckdb_table_function_set_extra_info(function, &source, nullptr);
  duckdb_table_function_set_bind(function, bind_rows);
  duckdb_table_function_set_init(function, [](duckdb_init_info info) { duckdb_init_set_max_threads(info, 1); });
  duckdb_table_function_set_function(function, next_rows);
  const bool ok = duckdb_register_table_function(db.connection(), function) == DuckDBSuccess;
  duckdb_destroy_table_function(&function);
  if (!ok) return Error{Code::kInternal, "DuckDB takes no table function"};
  return {};
}

std::string_view text_at(const duckdb_string_t* strings, idx_t row) {
  const duckdb_string_t& s = strings[row];
  return {duckdb_string_is_inlined(s) ? s.value.inlined.inlined : s.value.pointer.ptr, s.value.inlined.length};
}

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

Result<> write_parquet(const std::string& path, const NextRow& next, std::span<const StreamPlace> places,
                       const std::string& packets_key) {
  RowSource source{&next, {}, &packets_key, {}};
  for (const StreamPlace& place : places) source.places.emplace(place.stream, &place);
  BALEEN_TRY(const auto db, Database::open());
  BALEEN_TRY_DO(add_rows_function(*db, source));
  return db->run(
      fmt::format("COPY (SELECT * FROM rows_to_write()) TO {} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30720, "
                  "USE_TMP_FILE false)",
                  sql_text(path)));
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
                                                         const std::string& condition) {
  std::string where;
  const auto add = [&where](const std::string& text) { where += (where.empty() ? "" : " AND ") + text; };
  if (since_ns != INT64_MIN) add(fmt::format("time >= make_timestamp_ns({})", since_ns));
  if (until_ns != INT64_MAX) add(fmt::format("time <= make_timestamp_ns({})", until_ns));
  if (!condition.empty()) add("(" + condition + ")");
  add("is_wanted(json)");
  const std::string sql = fmt::format(
      "SELECT epoch_ns(time), item_index, stream, json, coalesce(packets_object, '') FROM read_parquet({}) WHERE {}",
      sql_text(file), where);
  auto state = std::make_unique<ParquetRows::State>();
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
  for (idx_t row = 0; row < rows; ++row)
    each({times[row], indexes[row], text_at(streams, row), text_at(jsons, row), text_at(objects, row)});
  duckdb_destroy_data_chunk(&chunk);
  return rows != 0;
}

}  // namespace baleen::index
