// Mysql: what the server says.

#include <algorithm>

#include "dissect/mysql/draft.h"
#include "dissect/mysql/mysql.h"
#include "dissect/mysql/wire.h"

namespace baleen::dissect::mysql {

using item::Item;
using item::Outcome;

namespace {

constexpr uint16_t kMoreResults = 0x8, kCursorExists = 0x40;

/// EOF, or the OK that took its place: rows never begin so, unless they fill their packet.
bool is_end(Bytes body, uint64_t length) { return !body.empty() && body[0] == 0xFE && length < kFull; }

}  // namespace

/// One packet of the answer to the oldest command.
void Mysql::answer(Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* t = waiting_.front();
  Draft& d = draft(t);
  if (!d.answered) {
    if (sides_[1].sequence != d.next_sequence) return;  // of a command before our time
    d.answered = true;
    t->response.time = in.time;
  }
  t->response.size += size;
  using State = Draft::State;
  if (is_error(body)) {
    if (body.size() >= 3 && load_le16(&body[1]) == 0xFFFF) return;  // MariaDB reports progress
    d.failed = true;
    ++d.results;
    d.error = error_value(body, t->arena);
    return finish_front(out);
  }
  switch (d.state) {
    case State::kFirst: return first_answer(d, t, body, out);
    case State::kColumns:
      read_column(t, body);
      if (--d.columns_left == 0) {
        d.state = State::kRows;
        d.after_columns = true;
      }
      return;
    case State::kRows: {
      const bool eof = is_end(body, size - 4);
      if (d.after_columns) {
        d.after_columns = false;
        if (eof && size - 4 == 5) {  // EOF between columns and rows
          if ((load_le16(&body[3]) & kCursorExists) != 0) end_of_result(d, load_le16(&body[3]), out);
          return;
        }
      }
      if (!eof) return read_row(t, body);
      uint16_t status = 0;
      if (size - 4 == 5) {
        d.warnings = load_le16(&body[1]);
        status = load_le16(&body[3]);
      } else {
        ByteReader r(body);
        r.skip(1);
        lenenc(r);
        lenenc(r);
        status = r.le16();
        d.warnings = r.le16();
        if (r.ok()) read_tail_of_ok(t, r, status);
      }
      return end_of_result(d, status, out);
    }
    case State::kParameters:
    case State::kPreparedColumns: return prepared(d, t, body, out);
    case State::kList:
      if (is_end(body, size - 4)) {
        ++d.results;
        return finish_front(out);
      }
      ++d.row_count;
      return;
    case State::kFile: return;
  }
}

/// The first packet of a result: OK, a wish for a file, or the number of columns.
void Mysql::first_answer(Draft& d, Item* t, Bytes body, Output& out) {
  if (body.empty()) return finish_front(out);
  if (d.code == kStatistics) {
    d.text = keep(t, as_text(body));
    ++d.results;
    return finish_front(out);
  }
  if (d.code == kBinlogDump || d.code == kBinlogDumpGtid) {
    streaming_ = true;  // events follow for as long as the replica lives
    ++d.results;
    return finish_front(out);
  }
  if (d.code == kPrepare && body[0] == 0 && body.size() >= 9) {
    d.statement_id = load_le32(&body[1]);
    d.has_statement = true;
    d.column_count = load_le16(&body[5]);
    d.parameter_count = load_le16(&body[7]);
    remember(d.statement_id, static_cast<uint16_t>(d.parameter_count), d.query);
    ++d.results;
    d.parameters_left = d.parameter_count;
    d.columns_left = d.column_count;
    d.state = d.parameters_left != 0 ? Draft::State::kParameters : Draft::State::kPreparedColumns;
    if (d.parameters_left + d.columns_left == 0) finish_front(out);
    return;
  }
  if (body[0] == 0xFE) {
    if (d.code == kChangeUser && body.size() > 1) {  // another plugin: the dance begins anew
      login_ = waiting_.pop();
      phase_ = Phase::kAuthentication;
      return;
    }
    ++d.results;  // COM_SET_OPTION and others end in EOF
    return finish_front(out);
  }
  if (body[0] == 0) {
    uint16_t status = 0;
    read_ok(t, body, status);
    return end_of_result(d, status, out);
  }
  if (body[0] == 0xFB) {
    d.file = keep(t, as_text(body.subspan(1)).substr(0, 1024));
    d.state = Draft::State::kFile;
    return;
  }
  ByteReader r(body);
  const uint64_t n = lenenc(r);
  const bool no_metadata = r.remaining() == 1 && r.peek() == 0;  // MariaDB: the client knows them already
  if (!r.ok() || n == 0 || n > 4096 || r.remaining() > 1) {
    out.count(Counter::kMalformed);
    d.failed = true;
    t->error_message = "neither OK nor error nor a number of columns";
    Item* item = waiting_.pop();
    item->outcome = Outcome::kDissection;
    return finish(item, out);
  }
  d.columns_left = static_cast<uint32_t>(n);
  if (d.columns == nullptr)
    d.column_count = d.columns_left;
  else
    d.first_set = false;
  d.state = no_metadata ? Draft::State::kRows : Draft::State::kColumns;
  d.after_columns = no_metadata;
}

/// Definitions of parameters and columns behind the answer of COM_STMT_PREPARE, each list ended by EOF or by its
/// number.
void Mysql::prepared(Draft& d, Item* t, Bytes body, Output& out) {
  const bool eof = is_end(body, body.size()) && body.size() <= 9;
  if (d.state == Draft::State::kParameters) {
    if (!eof && d.parameters_left > 0) {
      --d.parameters_left;
      if (d.parameters_left == 0 && d.columns_left == 0 && (capabilities_ & offered_ & 0x1000000) != 0)
        finish_front(out);
      return;
    }
    d.state = Draft::State::kPreparedColumns;
    if (eof) {
      if (d.columns_left == 0) finish_front(out);
      return;
    }
  }
  if (!eof && d.columns_left > 0) {
    read_column(t, body);
    --d.columns_left;
    if (d.columns_left == 0 && (capabilities_ & offered_ & 0x1000000) != 0) finish_front(out);
    return;
  }
  finish_front(out);
}

void Mysql::end_of_result(Draft& d, uint16_t status, Output& out) {
  ++d.results;
  if ((status & kMoreResults) == 0) return finish_front(out);
  d.state = Draft::State::kFirst;
  if (d.columns != nullptr) d.first_set = false;
}

}  // namespace baleen::dissect::mysql
