#include "index/sql.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "index/duckdb.h"
#include "index/item_columns.h"

// What keeps the text harmless: DuckDB is told the very files that it may open before it sees the text, file access is
// switched off for everything else, and the configuration is locked. Of the files that it may open some could be
// written: so only a single statement that reads is taken.

namespace baleen::index {
namespace {

/// The text as DuckDB takes it apart.
class Statements {
 public:
  Statements(duckdb_connection connection, const std::string& text)
      : count_(duckdb_extract_statements(connection, text.c_str(), &statements_)) {}
  ~Statements() { duckdb_destroy_extracted(&statements_); }
  Statements(const Statements&) = delete;
  Statements& operator=(const Statements&) = delete;
  idx_t count() const { return count_; }
  const char* error() const { return duckdb_extract_statements_error(statements_); }
  duckdb_extracted_statements get() const { return statements_; }

 private:
  duckdb_extracted_statements statements_ = nullptr;
  idx_t count_ = 0;
};

const char* sql_type(ColumnType type) {
  switch (type) {
    case ColumnType::kTime: return "TIMESTAMP_NS";
    case ColumnType::kBigint: return "BIGINT";
    case ColumnType::kInteger: return "INTEGER";
    case ColumnType::kBoolean: return "BOOLEAN";
    case ColumnType::kText: return "VARCHAR";
  }
  return "VARCHAR";
}

/// The view's text: one SELECT for each recording, whose name stands in no file.
std::string items_view(std::span<const ItemsFile> files, int64_t since_ns, int64_t until_ns) {
  std::string names, out = "CREATE VIEW items AS SELECT ''::VARCHAR AS recording";
  for (const Column& column : item_columns())
    out += fmt::format(", NULL::{} AS {}", sql_type(column.type), column.name);
  out += " WHERE false";
  for (size_t begin = 0; begin < files.size();) {
    size_t end = begin;
    std::string list;
    for (; end < files.size() && files[end].recording == files[begin].recording; ++end)
      list += (list.empty() ? "" : ", ") + sql_text(files[end].path);
    out += fmt::format(
        " UNION ALL BY NAME SELECT {} AS recording, * FROM read_parquet([{}], union_by_name = true, "
        "hive_partitioning = false)",
        sql_text(files[begin].recording), list);
    std::string where;
    if (since_ns != INT64_MIN) where += fmt::format(" AND time >= make_timestamp_ns({})", since_ns);
    if (until_ns != INT64_MAX) where += fmt::format(" AND time <= make_timestamp_ns({})", until_ns);
    if (!where.empty()) out += " WHERE " + where.substr(5);
    begin = end;
  }
  return out;
}

/// Rows into a table, value by value.
class Table {
 public:
  static Result<std::unique_ptr<Table>> open(duckdb_connection connection, const char* name) {
    auto table = std::unique_ptr<Table>(new Table);
    if (duckdb_appender_create(connection, nullptr, name, &table->appender_) != DuckDBSuccess)
      return Error{Code::kInternal, fmt::format("DuckDB takes no rows of {}", name)};
    return table;
  }
  ~Table() {
    if (appender_ != nullptr) duckdb_appender_destroy(&appender_);
  }
  void text(std::string_view t) { duckdb_append_varchar_length(appender_, t.data(), t.size()); }
  void number(uint64_t n) { duckdb_append_int64(appender_, static_cast<int64_t>(n)); }
  void boolean(bool b) { duckdb_append_bool(appender_, b); }
  void end() { duckdb_appender_end_row(appender_); }
  Result<> close() {
    if (duckdb_appender_close(appender_) == DuckDBSuccess) return {};
    return Error{Code::kInternal, "DuckDB does not take the rows of block records"};
  }

 private:
  Table() = default;
  duckdb_appender appender_ = nullptr;
};

Result<> add_blocks(Database& db, std::span<const IndexedRecord> blocks) {
  // Times go in as numbers: an appender takes no TIMESTAMP_NS.
  BALEEN_TRY_DO(
      db.run("CREATE TABLE block_rows(recording VARCHAR, block VARCHAR, node VARCHAR, cluster VARCHAR, run VARCHAR, "
             "filter VARCHAR, first_ns BIGINT, last_ns BIGINT, items BIGINT, packets BIGINT, streams BIGINT, "
             "items_object VARCHAR, items_bytes BIGINT, packets_object VARCHAR, packets_bytes BIGINT, encrypted "
             "BOOLEAN)"));
  BALEEN_TRY_DO(
      db.run("CREATE TABLE streams(recording VARCHAR, block VARCHAR, node VARCHAR, run VARCHAR, stream VARCHAR, "
             "packets_object VARCHAR, packets_offset BIGINT, packets_length BIGINT, packets BIGINT)"));
  BALEEN_TRY_DO(
      db.run("CREATE VIEW blocks AS SELECT * EXCLUDE (first_ns, last_ns), make_timestamp_ns(first_ns) AS first_time, "
             "make_timestamp_ns(last_ns) AS last_time FROM block_rows"));
  BALEEN_TRY(const auto rows, Table::open(db.connection(), "block_rows"));
  BALEEN_TRY(const auto streams, Table::open(db.connection(), "streams"));
  for (const IndexedRecord& known : blocks) {
    const BlockRecord& b = known.record;
    uint64_t count = b.streams.size();
    if (!known.whole)
      for (const auto& [first, last] : known.streams) count += last - first + 1;
    for (const std::string* t : {&b.recording, &b.block, &b.node, &b.cluster, &b.run, &b.filter}) rows->text(*t);
    for (const int64_t n : {to_ns(b.first), to_ns(b.last)}) rows->number(static_cast<uint64_t>(n));
    for (const uint64_t n : {b.items, b.packets, count}) rows->number(n);
    rows->text(b.items_object.key);
    rows->number(b.items_object.size);
    rows->text(b.packets_object.key);
    rows->number(b.packets_object.size);
    rows->boolean(!b.encryption.wrapped_key.empty());
    rows->end();
    for (const StreamPlace& place : b.streams) {
      for (const std::string* t : {&b.recording, &b.block, &b.node, &b.run, &place.stream, &b.packets_object.key})
        streams->text(*t);
      for (const uint64_t n : {place.offset, place.length, place.packets}) streams->number(n);
      streams->end();
    }
  }
  BALEEN_TRY_DO(rows->close());
  return streams->close();
}

Result<> lock_up(Database& db, std::span<const ItemsFile> files, const std::string& temporary,
                 const std::string& result_file) {
  std::string allowed = sql_text(result_file);
  for (const ItemsFile& file : files) allowed += ", " + sql_text(file.path);
  if (!temporary.empty()) BALEEN_TRY_DO(db.run("SET temp_directory = " + sql_text(temporary + "/spill")));
  BALEEN_TRY_DO(db.run(fmt::format("SET allowed_paths = [{}]", allowed)));
  BALEEN_TRY_DO(db.run("SET enable_external_access = false"));
  return db.run("SET lock_configuration = true");
}

/// Takes one statement that reads; kInvalid says what is wrong with the text, and where.
Result<> check_text(Database& db, const std::string& text) {
  const auto wrong = [](std::string_view message) { return Error{Code::kInvalid, std::string(message)}; };
  const Statements statements(db.connection(), text);
  if (statements.count() == 0) {
    const char* message = statements.error();
    return wrong(message != nullptr && *message != '\0' ? message : "there is no statement");
  }
  if (statements.count() != 1) return wrong("one statement is taken, and there are several");
  duckdb_prepared_statement prepared = nullptr;
  const bool ok = duckdb_prepare_extracted_statement(db.connection(), statements.get(), 0, &prepared) == DuckDBSuccess;
  const char* message = ok ? nullptr : duckdb_prepare_error(prepared);
  const std::string why = message != nullptr ? message : "DuckDB does not understand it";
  const auto type = ok ? duckdb_prepared_statement_type(prepared) : DUCKDB_STATEMENT_TYPE_INVALID;
  const idx_t parameters = ok ? duckdb_nparams(prepared) : 0;
  duckdb_destroy_prepare(&prepared);
  if (!ok) return wrong(why);
  if (type != DUCKDB_STATEMENT_TYPE_SELECT)
    return wrong("only statements that read are taken: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE");
  if (parameters != 0) return wrong("parameters ('?', '$1') have no values here");
  return {};
}

// To learn what a text reads, it is planned over a table function that has the columns and no rows, and no statistics
// by which the plan could become another than that over files.

constexpr const char* kPlanned = "PLANNED_ITEMS";

void bind_planned(duckdb_bind_info info) {
  const auto add = [info](const char* name, duckdb_type of) {
    duckdb_logical_type type = duckdb_create_logical_type(of);
    duckdb_bind_add_result_column(info, name, type);
    duckdb_destroy_logical_type(&type);
  };
  add("recording", DUCKDB_TYPE_VARCHAR);  // a column, too: what is constant would be planned away
  for (const Column& column : item_columns()) {
    const duckdb_type of = column.type == ColumnType::kTime      ? DUCKDB_TYPE_TIMESTAMP_NS
                           : column.type == ColumnType::kBigint  ? DUCKDB_TYPE_BIGINT
                           : column.type == ColumnType::kInteger ? DUCKDB_TYPE_INTEGER
                           : column.type == ColumnType::kBoolean ? DUCKDB_TYPE_BOOLEAN
                                                                 : DUCKDB_TYPE_VARCHAR;
    add(column.name, of);
  }
}

Result<> add_planned(Database& db) {
  duckdb_table_function function = duckdb_create_table_function();
  duckdb_table_function_set_name(function, kPlanned);
  duckdb_table_function_set_bind(function, bind_planned);
  duckdb_table_function_set_init(function, [](duckdb_init_info) {});
  duckdb_table_function_set_function(
      function, [](duckdb_function_info, duckdb_data_chunk chunk) { duckdb_data_chunk_set_size(chunk, 0); });
  duckdb_table_function_supports_projection_pushdown(function, true);
  const bool ok = duckdb_register_table_function(db.connection(), function) == DuckDBSuccess;
  duckdb_destroy_table_function(&function);
  if (!ok) return Error{Code::kInternal, "DuckDB takes no table function"};
  return db.run(fmt::format("CREATE VIEW items AS SELECT * FROM {}()", kPlanned));
}

using nlohmann::json;

/// Adds what the scans of `items` in a plan read; false when the plan has another form than is known.
bool add_columns(const json& node, std::set<std::string>& out) {
  if (node.is_array())
    return std::all_of(node.begin(), node.end(), [&](const json& one) { return add_columns(one, out); });
  if (!node.is_object()) return false;
  const json info = node.value("extra_info", json::object());
  if (node.value("name", "") == kPlanned) {
    const auto read = info.find("Projections");
    if (read == info.end()) return false;
    const json names = read->is_array() ? *read : json::array({*read});
    for (const json& name : names) {
      if (!name.is_string()) return false;
      // Of rows whose recording alone matters there must be some column.
      out.insert(name == "recording" ? "time" : name.get<std::string>());
    }
  }
  return add_columns(node.value("children", json::array()), out);
}

/// The plan as JSON; nothing when DuckDB explains no such statement.
std::optional<std::string> plan_of(Database& db, const std::string& text) {
  duckdb_result result;
  std::optional<std::string> out;
  if (duckdb_query(db.connection(), ("EXPLAIN (FORMAT json)\n" + text).c_str(), &result) == DuckDBSuccess) {
    if (duckdb_data_chunk chunk = duckdb_fetch_chunk(result); chunk != nullptr) {
      if (duckdb_data_chunk_get_size(chunk) != 0)
        out = text_at(
            static_cast<const duckdb_string_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1))), 0);
      duckdb_destroy_data_chunk(&chunk);
    }
  }
  duckdb_destroy_result(&result);
  return out;
}

/// Without the semicolon, for a text that stands in brackets.
std::string without_end(std::string text) {
  while (!text.empty() && (std::isspace(static_cast<unsigned char>(text.back())) != 0 || text.back() == ';'))
    text.pop_back();
  return text;
}

}  // namespace

struct ItemSql::State {
  std::unique_ptr<Database> db;
  std::string result_file;
};

ItemSql::ItemSql() : state_(std::make_unique<State>()) {}
ItemSql::~ItemSql() = default;
const std::string& ItemSql::result_file() const { return state_->result_file; }

Result<std::unique_ptr<ItemSql>> ItemSql::open(std::span<const ItemsFile> files, std::span<const IndexedRecord> blocks,
                                               int64_t since_ns, int64_t until_ns, const std::string& temporary) {
  std::unique_ptr<ItemSql> sql(new ItemSql);
  BALEEN_TRY(sql->state_->db, Database::open(std::clamp(std::thread::hardware_concurrency(), 1u, 16u)));
  sql->state_->result_file = temporary + "/result";
  Database& db = *sql->state_->db;
  BALEEN_TRY_DO(db.run(items_view(files, since_ns, until_ns)));
  BALEEN_TRY_DO(add_blocks(db, blocks));
  BALEEN_TRY_DO(lock_up(db, files, temporary, sql->state_->result_file));
  return sql;
}

Result<std::vector<std::string>> ItemSql::columns_read(const std::string& text) {
  BALEEN_TRY(const auto db, Database::open());
  BALEEN_TRY_DO(add_planned(*db));
  BALEEN_TRY_DO(add_blocks(*db, {}));
  BALEEN_TRY_DO(lock_up(*db, {}, {}, "/dev/null"));
  BALEEN_TRY_DO(check_text(*db, text));
  std::set<std::string> found;
  auto plan = plan_of(*db, text);
  if (!plan) plan = plan_of(*db, "FROM (\n" + without_end(text) + "\n)");
  if (plan && add_columns(json::parse(*plan, nullptr, false), found))
    return std::vector<std::string>(found.begin(), found.end());
  std::vector<std::string> all;
  for (const Column& column : item_columns()) all.emplace_back(column.name);
  return all;
}

Result<> ItemSql::prepare(const std::string& text) {
  Database& db = *state_->db;
  BALEEN_TRY_DO(check_text(db, text));
  // A view takes the text as it is, with its comments and semicolon; DESCRIBE and its like stand only in brackets.
  if (db.run("CREATE OR REPLACE TEMP VIEW asked AS\n" + text)) return {};
  const auto viewed = db.run("CREATE OR REPLACE TEMP VIEW asked AS FROM (\n" + without_end(text) + "\n)");
  return viewed ? viewed : Result<>(Error{Code::kInvalid, viewed.error().message});
}

Result<> ItemSql::rows(const std::function<void(const std::vector<std::string>& names)>& header,
                       const std::function<bool(Cells)>& row) {
  duckdb_result result;
  Result<> outcome;
  const bool ok =
      duckdb_query(state_->db->connection(), "SELECT COLUMNS(*)::VARCHAR FROM asked", &result) == DuckDBSuccess;
  if (!ok) {
    const char* message = duckdb_result_error(&result);
    outcome = Error{Code::kInvalid, message != nullptr ? message : "DuckDB failed"};
  }
  const idx_t columns = ok ? duckdb_column_count(&result) : 0;
  std::vector<std::string> names;
  for (idx_t i = 0; i < columns; ++i) names.emplace_back(duckdb_column_name(&result, i));
  if (ok) header(names);
  std::vector<std::optional<std::string>> cells(columns);
  bool go_on = ok;
  while (duckdb_data_chunk chunk = go_on ? duckdb_fetch_chunk(result) : nullptr) {
    for (idx_t r = 0; go_on && r < duckdb_data_chunk_get_size(chunk); ++r) {
      for (idx_t i = 0; i < columns; ++i) {
        const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        uint64_t* const validity = duckdb_vector_get_validity(vector);
        cells[i].reset();
        if (validity == nullptr || duckdb_validity_row_is_valid(validity, r))
          cells[i] = text_at(static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector)), r);
      }
      go_on = row(cells);
    }
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_destroy_result(&result);
  return outcome;
}

Result<> ItemSql::copy(const std::string& format) {
  const char* options = format == "csv"       ? "FORMAT csv, HEADER"
                        : format == "parquet" ? "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"
                                              : "FORMAT json";
  const auto copied =
      state_->db->run(fmt::format("COPY (FROM asked) TO {} ({})", sql_text(state_->result_file), options));
  return copied ? copied : Result<>(Error{Code::kInvalid, copied.error().message});
}

bool sql_names(std::string_view text, std::string_view table) {
  const auto lower = [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); };
  const auto same = [&](char a, char b) { return lower(a) == lower(b); };
  return std::search(text.begin(), text.end(), table.begin(), table.end(), same) != text.end();
}

}  // namespace baleen::index
