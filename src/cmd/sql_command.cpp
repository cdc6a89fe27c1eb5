#include "cmd/sql_command.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cmd/byte_sink.h"
#include "cmd/commands.h"
#include "cmd/printing.h"
#include "cmd/query_source.h"
#include "index/sql.h"
#include "index/strict_json.h"

namespace baleen::cmd {
namespace {

struct SqlOptions {
  SourceOptions source;
  std::string text, output = "table", to;
  bool explain = false;
};

/// Rows as a table whose columns are as wide as what the first rows hold.
class SqlTable {
 public:
  explicit SqlTable(ByteSink& sink) : sink_(sink) {}
  void header(const std::vector<std::string>& names) {
    for (const std::string& name : names) widths_.push_back(std::min(name.size(), kWidest));
    rows_.push_back({names.begin(), names.end()});
  }
  bool row(index::ItemSql::Cells cells) {
    std::vector<std::string> shown;
    for (const auto& cell : cells) shown.push_back(cell ? plain(*cell) : "NULL");
    if (measuring_) {
      for (size_t i = 0; i < shown.size(); ++i) widths_[i] = std::min(std::max(widths_[i], shown[i].size()), kWidest);
      rows_.push_back(std::move(shown));
      if (rows_.size() > kMeasured) print();
    } else {
      line(shown);
    }
    return !sink_.closed();
  }
  void print() {
    for (const auto& row : rows_) line(row);
    rows_.clear();
    measuring_ = false;
  }

 private:
  static constexpr size_t kWidest = 60, kMeasured = 1000;

  /// Terminal control characters in captured text must not reach the terminal.
  static std::string plain(std::string text) {
    for (char& c : text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '.';
    return text;
  }
  void line(const std::vector<std::string>& cells) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      out += last ? cells[i] : fmt::format("{:<{}}  ", cells[i], widths_[i]);
    }
    sink_.write(out + "\n");
  }

  ByteSink& sink_;
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
  bool measuring_ = true;
};

Result<> print(index::ItemSql& sql, const std::string& output, ByteSink& sink) {
  if (output == "table") {
    SqlTable table(sink);
    BALEEN_TRY_DO(sql.rows([&](const std::vector<std::string>& names) { table.header(names); },
                           [&](index::ItemSql::Cells cells) { return table.row(cells); }));
    table.print();
    return sink.flush();
  }
  BALEEN_TRY_DO(sql.copy(output == "ndjson" ? "json" : output));
  std::ifstream in(sql.result_file(), std::ios::binary);
  std::string piece(1 << 20, '\0');
  index::StrictJson json;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    const std::string_view read = std::string_view(piece).substr(0, static_cast<size_t>(in.gcount()));
    sink.write(output == "ndjson" ? json.next(read) : read);
  }
  sink.write(json.finish());
  return sink.flush();
}

Result<> answer(SqlOptions& options, QuerySource& source, const index::ReadQuery& query) {
  BALEEN_TRY(ByteSink sink, ByteSink::open(options.to));
  bool running = false;  // the statement is right
  const auto ask = [&](bool verify) -> Result<> {
    TemporaryFolder folder;
    BALEEN_TRY(const std::string temporary, folder.path());
    BALEEN_TRY(const auto sql, source.reader().sql(query, options.text, temporary, verify));
    BALEEN_TRY_DO(sql->prepare(options.text));
    running = true;
    return print(*sql, options.output, sink);
  };
  auto outcome = ask(false);
  // DuckDB does not say which file is damaged, nor that one is: which can be read is looked at then.
  if (outcome || !running || sink.begun()) return outcome;
  const size_t problems = source.reader().problems().size();
  auto again = ask(true);
  return source.reader().problems().size() > problems ? std::move(again) : std::move(outcome);
}

int run(SqlOptions& options) {
  if (options.text == "-") options.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (options.output == "parquet" && options.to.empty() && ::isatty(STDOUT_FILENO) == 1)
    return failed({Code::kInvalid, "Parquet does not belong on a terminal: write it to a file with --to"});
  SourceQuery wanted;
  const auto everything = compile_filter("");
  wanted.query.filter = *everything;
  if (const auto read = QuerySource::read_options(options.source, wanted.query); !read) return failed(read.error());
  auto source = QuerySource::open(options.source, wanted);
  if (!source) return failed(source.error());
  const auto outcome = answer(options, **source, wanted.query);
  if (options.explain) (*source)->explain();
  const bool left_out = (*source)->complain();
  if (!outcome) return failed(outcome.error());
  return left_out ? exit_code::kIncomplete : exit_code::kOk;
}

}  // namespace

void add_sql_command(CLI::App& app, int& code) {
  auto options = std::make_shared<SqlOptions>();
  CLI::App* sql = app.add_subcommand("sql", "Ask recordings or captures by SQL");
  sql->footer(
      "Hands items to DuckDB: table items (columns as in the Parquet files, and recording), blocks and streams (what "
      "block "
      "records say).\n'DESCRIBE items' lists the columns; the whole item is in json, as in json->>'$.request.path'. It "
      "only "
      "reads, and only what --from\nnames. --recording, --since and --until spare reading blocks.\n\nExamples:\n"
      "  baleen sql --from gs://bucket/prefix --since 1d \"select host, path, count(*) n, max(elapsed_us) slowest from "
      "items "
      "where status >= 500 group by all order by n desc limit 20\"\n"
      "  baleen sql --from trace.pcapng \"select protocol, count(*) from items group by 1\" -o csv\n"
      "  baleen sql --from ./bucket - < question.sql");
  options->source.add_to(*sql);
  sql->add_option("SQL", options->text, "one statement that reads, or '-' for standard input")->required();
  sql->add_option("-o,--output", options->output, "table, ndjson, csv or parquet")
      ->check(CLI::IsMember({"table", "ndjson", "csv", "parquet"}))
      ->capture_default_str();
  sql->add_option("--to", options->to, "write to this file, not to standard output")->option_text("FILE");
  sql->add_flag("--explain", options->explain,
                "say on standard error what was read: requests, bytes, blocks skipped and why, estimated cost");
  sql->callback([options, &code] { code = run(*options); });
}

}  // namespace baleen::cmd
