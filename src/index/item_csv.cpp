#include "index/item_csv.h"

#include <charconv>

#include "base/clock.h"
#include "index/item_columns.h"

namespace baleen::index {
namespace {

class CsvWriter {
 public:
  explicit CsvWriter(std::string& out) : out_(out) {}
  void time(int64_t ns) {
    char buffer[32];
    begin();
    out_.append(buffer, write_rfc3339(timestamp_from_ns(ns), buffer));
  }
  void bigint(int64_t n) {
    char buffer[24];
    begin();
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, n).ptr);
  }
  void integer(int64_t n) { bigint(n); }
  void status(int64_t n) { nullable_bigint(n); }
  void nullable_bigint(int64_t n) { n < 0 ? begin() : bigint(n); }
  void boolean(bool b) {
    begin();
    out_ += b ? "true" : "false";
  }
  void nullable_text(const std::string& t) { text(t); }
  /// RFC 4180 2.6, 2.7: what holds a comma, a quote or an end of line stands in quotes, and quotes in it are doubled.
  void text(const std::string& t) {
    begin();
    if (t.find_first_of(",\"\r\n") == std::string::npos) {
      out_ += t;
      return;
    }
    out_ += '"';
    for (const char c : t) {
      if (c == '"') out_ += '"';
      out_ += c;
    }
    out_ += '"';
  }
  void end() { out_ += "\r\n"; }

 private:
  void begin() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

}  // namespace

void append_csv_header(std::string& out) {
  bool first = true;
  for (const Column& column : item_columns()) {
    if (!first) out += ',';
    first = false;
    out += column.name;
  }
  out += "\r\n";
}

void append_csv(const WholeRow& row, std::string& out) {
  CsvWriter writer(out);
  each_column(row, writer);
  writer.end();
}

}  // namespace baleen::index
