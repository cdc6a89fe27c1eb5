#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "index/duckdb_library.h"
#include "index/sql_text.h"

namespace baleen::index {

/// One in-memory database and a connection to it; closed with it.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(unsigned threads = 1) {
    BALEEN_TRY_DO(load_duckdb());
    auto db = std::unique_ptr<Database>(new Database);
    duckdb_config config = nullptr;
    duckdb_create_config(&config);
    duckdb_set_config(config, "threads", std::to_string(threads).c_str());
    duckdb_set_config(config, "autoinstall_known_extensions", "false");
    duckdb_set_config(config, "autoload_known_extensions", "false");
    // What is read is read once: copies of it cost a fifth more time, and memory until the end.
    duckdb_set_config(config, "enable_external_file_cache", "false");
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

/// A text of a vector's.
inline std::string_view text_at(const duckdb_string_t* strings, idx_t row) {
  const duckdb_string_t& s = strings[row];
  return {duckdb_string_is_inlined(s) ? s.value.inlined.inlined : s.value.pointer.ptr, s.value.inlined.length};
}

}  // namespace baleen::index
