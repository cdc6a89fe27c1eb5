#include "index/parquet.h"

#include <duckdb.h>
#include <fmt/core.h>

#include <memory>
#include <unordered_map>

namespace baleen::index {
namespace {

/// One in-memory database and a connection to it; closed with it.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open() {
    auto db = std::unique_ptr<Database>(new Database);
    duckdb_config config = nullptr;
    duckdb_create_config(&config);
    duckdb_set_config(config, "threads", "1");
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

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

constexpr const char* kTable =
    "CREATE TABLE items (time_ns BIGINT, elapsed_us BIGINT, protocol VARCHAR, protocol_abbr VARCHAR, protocol_version "
    "VARCHAR, error VARCHAR, "
    "src_ip VARCHAR, src_port INTEGER, src_name VARCHAR, src_namespace VARCHAR, src_pod VARCHAR, src_service VARCHAR, "
    "src_process VARCHAR, "
    "dst_ip VARCHAR, dst_port INTEGER, dst_name VARCHAR, dst_namespace VARCHAR, dst_pod VARCHAR, dst_service VARCHAR, "
    "dst_process VARCHAR, "
    "node VARCHAR, method VARCHAR, path VARCHAR, host VARCHAR, status INTEGER, status_text VARCHAR, request_size "
    "BIGINT, response_size BIGINT, "
    "stream VARCHAR, item_index BIGINT, item_id VARCHAR, vlan INTEGER, tls BOOLEAN, packets_object VARCHAR, "
    "packets_offset BIGINT, "
    "packets_length BIGINT, json VARCHAR)";

/// Text columns of rows are valid UTF-8 or mended: Parquet strings are UTF-8.
void append_text(duckdb_appender appender, const std::string& text) {
  if (duckdb_append_varchar_length(appender, text.data(), text.size()) == DuckDBSuccess) return;
  std::string mended;
  for (const char c : text) mended += static_cast<unsigned char>(c) < 0x80 ? c : '?';
  duckdb_append_varchar_length(appender, mended.data(), mended.size());
}

void append_row(duckdb_appender a, const ItemRow& r, const StreamPlace* place, const std::string& packets_key) {
  const auto text = [a](const std::string& t) { append_text(a, t); };
  const auto number = [a](int64_t n) { duckdb_append_int64(a, n); };
  number(r.time_ns);
  number(r.elapsed_us);
  for (const std::string* t : {&r.protocol, &r.abbreviation, &r.version, &r.error, &r.src_ip}) text(*t);
  duckdb_append_int32(a, static_cast<int32_t>(r.src_port));
  for (const std::string* t : {&r.src_name, &r.src_namespace, &r.src_pod, &r.src_service, &r.src_process, &r.dst_ip})
    text(*t);
  duckdb_append_int32(a, static_cast<int32_t>(r.dst_port));
  for (const std::string* t : {&r.dst_name, &r.dst_namespace, &r.dst_pod, &r.dst_service, &r.dst_process, &r.node,
                               &r.method, &r.path, &r.host})
    text(*t);
  if (r.status >= 0 && r.status <= INT32_MAX) {
    duckdb_append_int32(a, static_cast<int32_t>(r.status));
  } else {
    duckdb_append_null(a);
  }
  text(r.status_text);
  number(r.request_size);
  number(r.response_size);
  text(r.stream);
  number(r.index);
  text(r.id);
  duckdb_append_int32(a, static_cast<int32_t>(r.vlan));
  duckdb_append_bool(a, r.tls);
  if (place != nullptr) {
    text(packets_key);
    number(static_cast<int64_t>(place->offset));
    number(static_cast<int64_t>(place->length));
  } else {
    for (int i = 0; i < 3; ++i) duckdb_append_null(a);
  }
  text(r.json);
  duckdb_appender_end_row(a);
}

Result<> fill(Database& db, std::span<const ItemRow> rows, std::span<const StreamPlace> places,
              const std::string& packets_key) {
  std::unordered_map<std::string_view, const StreamPlace*> by_stream;
  for (const StreamPlace& place : places) by_stream.emplace(place.stream, &place);
  duckdb_appender appender = nullptr;
  if (duckdb_appender_create(db.connection(), nullptr, "items", &appender) != DuckDBSuccess)
    return Error{Code::kInternal, "DuckDB gives no appender"};
  for (const ItemRow& row : rows) {
    const auto place = by_stream.find(row.stream);
    append_row(appender, row, place == by_stream.end() ? nullptr : place->second, packets_key);
  }
  const bool ok = duckdb_appender_close(appender) == DuckDBSuccess;
  const char* message = ok ? nullptr : duckdb_appender_error(appender);
  Result<> outcome =
      ok ? Result<>() : Result<>(Error{Code::kIo, message != nullptr ? message : "DuckDB does not take the rows"});
  duckdb_appender_destroy(&appender);
  return outcome;
}

std::string_view text_at(const duckdb_string_t* strings, idx_t row) {
  const duckdb_string_t& s = strings[row];
  return {duckdb_string_is_inlined(s) ? s.value.inlined.inlined : s.value.pointer.ptr, s.value.inlined.length};
}

/// Hands on the rows of a result of (time_ns BIGINT, stream, json, packets_object VARCHAR); false when `each` said
/// stop.
bool hand_on(duckdb_data_chunk chunk, const std::function<bool(const StoredItem&)>& each) {
  const auto* times = static_cast<const int64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)));
  const auto* streams =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1)));
  const auto* jsons =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2)));
  const auto* objects =
      static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3)));
  StoredItem item;
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); ++row) {
    item.time_ns = times[row];
    item.stream = text_at(streams, row);
    item.json = text_at(jsons, row);
    item.packets_object = text_at(objects, row);
    if (!each(item)) return false;
  }
  return true;
}

}  // namespace

Result<> write_parquet(const std::string& path, std::span<const ItemRow> rows, std::span<const StreamPlace> places,
                       const std::string& packets_key) {
  BALEEN_TRY(const auto db, Database::open());
  BALEEN_TRY_DO(db->run(kTable));
  BALEEN_TRY_DO(fill(*db, rows, places, packets_key));
  return db->run(
      fmt::format("COPY (SELECT make_timestamp_ns(time_ns) AS time, * EXCLUDE (time_ns) FROM items ORDER BY time_ns, "
                  "stream, item_index) TO {} "
                  "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30720)",
                  quoted(path)));
}

Result<> read_parquet(const ParquetQuery& query, const std::function<bool(const StoredItem&)>& each) {
  if (query.files.empty()) return {};
  BALEEN_TRY(const auto db, Database::open());
  std::string files;
  for (const std::string& file : query.files) files += (files.empty() ? "" : ", ") + quoted(file);
  std::string where = fmt::format("epoch_ns(time) >= {} AND epoch_ns(time) <= {}",
                                  query.since_ns == INT64_MIN ? INT64_MIN + 1 : query.since_ns, query.until_ns);
  if (!query.condition.empty()) where += " AND (" + query.condition + ")";
  const std::string sql = fmt::format(
      "SELECT epoch_ns(time), stream, json, coalesce(packets_object, '') FROM read_parquet([{}], union_by_name = true) "
      "WHERE {} ORDER BY time, node, "
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
    go_on = hand_on(chunk, each);
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_destroy_result(&result);
  return {};
}

}  // namespace baleen::index
