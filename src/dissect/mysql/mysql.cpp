// Every packet says its length and its number since the command began, so answers are tied to commands by both: the
// first packet of an answer must carry the number after the command's last. What a packet means depends on the command
// and on what came before it, which is kept in the waiting item's draft. Whether an EOF packet stands between columns
// and rows (CLIENT_DEPRECATE_EOF) shows in the packets, so that connections joined in the middle are read, too.

#include "dissect/mysql/mysql.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "dissect/mysql/wire.h"
#include "dissect/text.h"

namespace baleen::dissect::mysql {

using item::Field;
using item::FieldType;
using item::Item;
using item::Member;
using item::Outcome;
using item::Value;

namespace {

constexpr uint16_t kPorts[] = {3306};
constexpr Field kFields[] = {
    {"request.command", "mysql_command", FieldType::kString,
     "The command, such as COM_QUERY; LOGIN or SSLRequest for the hello."},
    {"request.query", "mysql_query", FieldType::kString, "The SQL text; of an execution that of its statement."},
    {"request.database", "mysql_database", FieldType::kString, "The database in use."},
    {"response.error.message", "mysql_error_message", FieldType::kString, "The error's message."},
    {"response.success", "mysql_success", FieldType::kBool, "It was answered without an error."},
    {"request.statementId", "mysql_statement_id", FieldType::kInt, "The number of the prepared statement."},
    {"response.error.code", "mysql_error_code", FieldType::kInt, "The error's number."},
    {"requestSize", "mysql_request_size", FieldType::kInt, "Bytes of the request's packets."},
    {"responseSize", "mysql_response_size", FieldType::kInt, "Bytes of the answer's packets."},
    {"size", "mysql_total_size", FieldType::kInt, "Bytes of request and answer together."},
    {"request.user", "", FieldType::kString, "The user of the connection."},
    {"request.password", "", FieldType::kBytes, "What the client proves itself with.", true},
    {"request.authentication", "", FieldType::kString, "The authentication plugin of the client."},
    {"request.attributes", "", FieldType::kMap, "The connection's attributes, such as program_name."},
    {"request.parameters", "", FieldType::kList, "Bound parameters of an execution."},
    {"request.fileBytes", "", FieldType::kInt, "Bytes of the file that LOAD DATA LOCAL INFILE sent."},
    {"request.truncated", "", FieldType::kBool, "Not all of the request was kept."},
    {"response.status", "", FieldType::kString, "OK or the error's number."},
    {"response.affectedRows", "", FieldType::kInt, "Rows that were changed."},
    {"response.lastInsertId", "", FieldType::kInt, "The last generated key."},
    {"response.warnings", "", FieldType::kInt, "How many warnings there are."},
    {"response.text", "", FieldType::kString, "The answer of COM_STATISTICS, or the remark of an OK."},
    {"response.columns", "", FieldType::kList, "Names of the columns of the first result."},
    {"response.rowCount", "", FieldType::kInt, "Rows that were sent."},
    {"response.rows", "", FieldType::kList, "The first rows."},
    {"response.results", "", FieldType::kInt, "Results: each an OK, a result set or an error."},
    {"response.parameterCount", "", FieldType::kInt, "Parameters of the statement that was prepared."},
    {"response.columnCount", "", FieldType::kInt, "Columns of the statement that was prepared."},
    {"response.file", "", FieldType::kString, "The file that the server asked for."},
    {"response.error.sqlState", "", FieldType::kString, "The error's SQLSTATE."},
    {"response.serverVersion", "", FieldType::kString, "The server's version."},
    {"response.connectionId", "", FieldType::kInt, "The server's number of the connection."},
    {"response.authentication", "", FieldType::kString, "The authentication plugin of the server."},
};

constexpr uint64_t kConnectWithDb = 0x8, kCompress = 0x20, kProtocol41 = 0x200, kSsl = 0x800, kSecure = 0x8000,
                   kPluginAuth = 0x80000, kAttributes = 0x100000, kLenencAuth = 0x200000, kZstd = 0x4000000,
                   kQueryAttributes = 0x8000000;
constexpr uint16_t kMoreResults = 0x8, kCursorExists = 0x40;
constexpr uint32_t kFull = 0xFFFFFF;
constexpr uint32_t kMaxRows = 20, kMaxColumns = 256, kMaxParameters = 64, kMaxStatements = 256;
constexpr size_t kMaxStatementText = 16 << 10, kMaxStatementBytes = 256 << 10;
constexpr size_t kMaxInner = 4 << 20;

enum Code : uint8_t {
  kQuit = 1,
  kInitDb = 2,
  kQuery = 3,
  kFieldList = 4,
  kStatistics = 9,
  kProcessInfo = 10,
  kChangeUser = 17,
  kBinlogDump = 18,
  kPrepare = 22,
  kExecute = 23,
  kLongData = 24,
  kClose = 25,
  kReset = 26,
  kFetch = 28,
  kBinlogDumpGtid = 30,
  kBulkExecute = 0xFA,
  kLogin = 0xF0,
};

std::string_view command_name(uint8_t code) {
  static constexpr std::string_view kNames[] = {"COM_SLEEP",
                                                "COM_QUIT",
                                                "COM_INIT_DB",
                                                "COM_QUERY",
                                                "COM_FIELD_LIST",
                                                "COM_CREATE_DB",
                                                "COM_DROP_DB",
                                                "COM_REFRESH",
                                                "COM_SHUTDOWN",
                                                "COM_STATISTICS",
                                                "COM_PROCESS_INFO",
                                                "COM_CONNECT",
                                                "COM_PROCESS_KILL",
                                                "COM_DEBUG",
                                                "COM_PING",
                                                "COM_TIME",
                                                "COM_DELAYED_INSERT",
                                                "COM_CHANGE_USER",
                                                "COM_BINLOG_DUMP",
                                                "COM_TABLE_DUMP",
                                                "COM_CONNECT_OUT",
                                                "COM_REGISTER_SLAVE",
                                                "COM_STMT_PREPARE",
                                                "COM_STMT_EXECUTE",
                                                "COM_STMT_SEND_LONG_DATA",
                                                "COM_STMT_CLOSE",
                                                "COM_STMT_RESET",
                                                "COM_SET_OPTION",
                                                "COM_STMT_FETCH",
                                                "COM_DAEMON",
                                                "COM_BINLOG_DUMP_GTID",
                                                "COM_RESET_CONNECTION",
                                                "COM_CLONE",
                                                "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM"};
  if (code < std::size(kNames)) return kNames[code];
  return code == kBulkExecute ? "COM_STMT_BULK_EXECUTE"
         : code == kLogin     ? "LOGIN"
         : code == 0xFE       ? "COM_MULTI"
                              : "UNKNOWN";
}
bool is_command(uint8_t code) { return code <= 33 || code == kBulkExecute || code == 0xFE; }

}  // namespace

/// What is known of an item while it waits. Lives in the item's arena, found through Item::match_key.
struct Draft {
  enum class State : uint8_t { kFirst, kColumns, kRows, kParameters, kPreparedColumns, kFile, kList };
  uint8_t code;
  State state = State::kFirst;
  uint8_t next_sequence = 1;  // of the answer's first packet
  bool failed = false, truncated = false, answered = false, ssl = false, has_statement = false;
  bool first_set = true;       // columns and rows of this set are shown
  bool after_columns = false;  // an EOF may stand before the rows
  uint32_t columns_left = 0, column_count = 0, parameters_left = 0, parameter_count = 0;
  uint32_t row_count = 0, rows_kept = 0, results = 0, types_kept = 0, columns_kept = 0;
  uint32_t statement_id = 0, connection_id = 0;
  uint64_t affected = 0, insert_id = 0, file_bytes = 0;
  uint16_t warnings = 0;
  bool has_ok = false;
  size_t budget = 0;
  std::string_view query, user, database, text, file, version, client_plugin, server_plugin;
  Value parameters, password, attributes, error;
  Value* columns = nullptr;
  Value* rows = nullptr;
  uint16_t* types = nullptr;  // type | unsigned << 8
};

namespace {

Draft& draft(Item* item) { return *reinterpret_cast<Draft*>(item->match_key); }

std::string_view keep(Item* item, std::string_view text) {
  Draft& d = draft(item);
  if (text.size() > d.budget) {
    d.truncated = true;
    text = text.substr(0, d.budget);
  }
  d.budget -= text.size();
  return item->arena.copy(text);
}
Value keep_value(Item* item, std::string_view text) {
  const std::string_view kept = keep(item, text);
  return text_or_bytes(kept, kept.size() < text.size());
}
/// A decoded value whose text still lies in the packet.
Value keep_value(Item* item, const Value& v) {
  return v.type() >= Value::Type::kString ? keep_value(item, v.text()) : v;
}

Value error_value(Bytes body, Arena& arena) {
  ByteReader r(body);
  r.skip(1);
  MapBuilder<3> map;
  map.add("code", unsigned{r.le16()});
  if (r.peek() == '#') {
    r.skip(1);
    map.add("sqlState", arena.copy(r.text(std::min<size_t>(5, r.remaining()))));
  }
  map.add("message", text_or_bytes(arena.copy(as_text(r.rest()).substr(0, 4096)), true));
  return map.build(arena);
}

/// "" or "1064", for status.
Value error_code_text(const Value& error, Arena& arena) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, error["code"].as_int()).ptr;
  return Value(arena.copy(std::string_view(text, static_cast<size_t>(end - text))));
}

Value request_payload(Item* item, std::string_view user, std::string_view database) {
  Draft& d = draft(item);
  Arena& a = item->arena;
  MapBuilder<12> map;
  map.add("command", d.ssl ? std::string_view("SSLRequest") : command_name(d.code));
  if (!d.query.empty() || d.code == kQuery) map.add("query", text_or_bytes(d.query, true));
  if (d.has_statement) map.add("statementId", d.statement_id);
  if (!(d.user.empty() && user.empty())) map.add("user", d.user.empty() ? Value(a.copy(user)) : text_or_bytes(d.user));
  if (!(d.database.empty() && database.empty()))
    map.add("database", d.database.empty() ? Value(a.copy(database)) : text_or_bytes(d.database));
  if (!d.client_plugin.empty()) map.add("authentication", text_or_bytes(d.client_plugin));
  if (!d.password.is_null()) map.add("password", d.password);
  if (!d.attributes.is_null()) map.add("attributes", d.attributes);
  if (!d.parameters.is_null()) map.add("parameters", d.parameters);
  if (d.file_bytes != 0) map.add("fileBytes", d.file_bytes);
  if (d.truncated) map.add("truncated", true);
  return map.build(a);
}

Value response_payload(Item* item) {
  Draft& d = draft(item);
  MapBuilder<18> map;
  map.add("success", !d.failed);
  map.add("status", d.failed ? error_code_text(d.error, item->arena) : Value("OK"));
  if (d.results != 0) map.add("results", d.results);
  if (d.has_ok) {
    map.add("affectedRows", d.affected);
    map.add("lastInsertId", d.insert_id);
  }
  if (d.warnings != 0) map.add("warnings", unsigned{d.warnings});
  if (!d.text.empty()) map.add("text", text_or_bytes(d.text, true));
  if (d.code == kPrepare && d.has_statement) {
    map.add("parameterCount", d.parameter_count);
    map.add("columnCount", d.column_count);
  }
  if (d.columns_kept != 0) map.add("columns", Value::list({d.columns, d.columns_kept}));
  if (d.columns_kept != 0 || d.row_count != 0) map.add("rowCount", d.row_count);
  if (d.rows_kept != 0) map.add("rows", Value::list({d.rows, d.rows_kept}));
  if (!d.file.empty()) map.add("file", text_or_bytes(d.file, true));
  if (!d.error.is_null()) map.add("error", d.error);
  if (!d.version.empty()) {
    map.add("serverVersion", text_or_bytes(d.version));
    map.add("connectionId", d.connection_id);
    if (!d.server_plugin.empty()) map.add("authentication", text_or_bytes(d.server_plugin));
  }
  return map.build(item->arena);
}

/// Column definition 41: catalog, schema, table, org_table, name, org_name, then fixed fields. MariaDB may put extended
/// metadata between, which only moves the fixed fields, so those are read from the end.
void read_column(Item* item, Bytes body) {
  Draft& d = draft(item);
  if (!d.first_set) return;
  if (d.columns == nullptr) {
    const uint32_t n = std::min(d.columns_left, kMaxColumns);
    d.columns = item->arena.array<Value>(n).data();
    d.types = item->arena.array<uint16_t>(n).data();
    d.types_kept = n;  // room
  }
  if (d.columns_kept >= d.types_kept) return;
  ByteReader r(body);
  for (int i = 0; i < 4; ++i) lenenc_text(r);
  const std::string_view name = lenenc_text(r);
  uint16_t type = 0xFD;
  if (body.size() >= 13) {  // ... 0x0c charset(2) length(4) type(1) flags(2) decimals(1) filler(2)
    const uint8_t* fixed = body.data() + body.size() - 12;
    if (body[body.size() - 13] == 0x0C)
      type = static_cast<uint16_t>(fixed[6] | ((load_le16(fixed + 7) & 0x20) != 0 ? 0x100 : 0));
  }
  d.types[d.columns_kept] = type;
  d.columns[d.columns_kept++] = keep_value(item, name);
}

void read_row(Item* item, Bytes body) {
  Draft& d = draft(item);
  ++d.row_count;
  if (!d.first_set || d.rows_kept >= kMaxRows || d.columns_kept == 0) return;
  const uint32_t n = d.columns_kept;
  auto row = item->arena.array<Value>(n);
  ByteReader r(body);
  const bool binary = d.code == kExecute || d.code == kFetch;
  if (binary) {
    r.skip(1);
    const Bytes nulls = r.bytes((d.column_count + 9) / 8);
    for (uint32_t i = 0; i < n && r.ok() && !nulls.empty(); ++i) {
      if ((nulls[(i + 2) / 8] >> ((i + 2) % 8) & 1) != 0) continue;
      if (r.remaining() == 0) break;
      const Value v = binary_value(r, static_cast<uint8_t>(d.types[i]), (d.types[i] & 0x100) != 0, item->arena);
      if (r.ok()) row[i] = keep_value(item, v);
    }
  } else {
    for (uint32_t i = 0; i < n && r.remaining() > 0; ++i) {
      if (r.peek() == 0xFB) {
        r.skip(1);
        continue;
      }
      const std::string_view text = lenenc_text(r);
      if (!r.ok()) break;
      row[i] = keep_value(item, text);
    }
  }
  if (d.rows == nullptr) d.rows = item->arena.array<Value>(kMaxRows).data();
  d.rows[d.rows_kept++] = Value::list(row);
}

/// Parameters behind their null bitmap; with query attributes each has a name.
void read_parameters(Item* item, ByteReader& r, size_t n, bool named) {
  if (n == 0) return;
  const Bytes nulls = r.bytes((n + 7) / 8);
  if (r.u8() != 1 || !r.ok()) return;  // types were sent with an earlier execution
  const size_t shown = std::min<size_t>(n, kMaxParameters);
  uint16_t types[kMaxParameters];
  for (size_t i = 0; i < n && r.ok(); ++i) {
    const uint16_t type = r.le16();
    if (i < shown) types[i] = type;
    if (named) lenenc_text(r);
  }
  if (!r.ok()) return;
  auto list = item->arena.array<Value>(shown);
  for (size_t i = 0; i < shown; ++i) {
    if ((nulls[i / 8] >> (i % 8) & 1) != 0 || r.remaining() == 0) continue;
    const Value v = binary_value(r, static_cast<uint8_t>(types[i]), (types[i] & 0x8000) != 0, item->arena);
    if (!r.ok()) break;
    list[i] = keep_value(item, v);
  }
  draft(item).parameters = Value::list(list);
}

bool is_error(Bytes body) { return !body.empty() && body[0] == 0xFF; }
/// EOF, or the OK that took its place: rows never begin so, unless they fill their packet.
bool is_end(Bytes body, uint64_t length) { return !body.empty() && body[0] == 0xFE && length < kFull; }

void read_ok(Item* item, Bytes body, uint16_t& status) {
  Draft& d = draft(item);
  ByteReader r(body);
  r.skip(1);
  const uint64_t affected = lenenc(r), insert_id = lenenc(r);
  status = r.le16();
  d.warnings = r.le16();
  if (!r.ok()) return;
  if (!d.has_ok) {
    d.affected = affected;
    d.insert_id = insert_id;
    if (r.remaining() > 0) {
      std::string_view text = as_text(r.rest());  // with session tracking length-encoded, before plain
      if (text.size() > 1 && static_cast<uint8_t>(text[0]) == text.size() - 1) text.remove_prefix(1);
      if (is_text(text) && static_cast<uint8_t>(text[0]) >= 32) d.text = keep(item, text.substr(0, 512));
    }
  }
  d.has_ok = true;
}

}  // namespace

const item::Protocol Mysql::kProtocol = {
    .name = "mysql",
    .version = "4.1",
    .abbreviation = "MYSQL",
    .long_name = "MySQL Client/Server Protocol",
    .macro = "mysql",
    .reference = "https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html",
    .background = "#00758f",
    .foreground = "#ffffff",
    .font_size = 11,
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.query",
    .status_path = "response.status",
};

Mysql::Names& Mysql::names() {
  if (names_ == nullptr) names_ = std::make_unique<Names>();
  return *names_;
}

const Mysql::Statement* Mysql::statement(uint32_t id) const {
  if (names_ != nullptr)
    for (auto s = names_->statements.rbegin(); s != names_->statements.rend(); ++s)
      if (s->id == id) return &*s;
  return nullptr;
}

void Mysql::remember(uint32_t id, uint16_t parameters, std::string_view query) {
  forget(id);
  Names& n = names();
  query = query.substr(0, kMaxStatementText);
  n.bytes += query.size();
  n.statements.push_back({id, parameters, std::string(query)});
  while (n.statements.size() > kMaxStatements || n.bytes > kMaxStatementBytes) {
    n.bytes -= n.statements.front().query.size();
    n.statements.erase(n.statements.begin());
  }
}

void Mysql::forget(uint32_t id) {
  if (names_ == nullptr) return;
  for (auto s = names_->statements.begin(); s != names_->statements.end(); ++s)
    if (s->id == id) {
      names_->bytes -= s->query.size();
      names_->statements.erase(s);
      return;
    }
}

Item* Mysql::new_item(uint8_t code, const Input& in, Output& out) {
  Item* item = out.begin(kProtocol);
  Draft* d = item->arena.make<Draft>(Draft{.code = code});
  d->budget = out.settings().body_cap;
  item->match_key = reinterpret_cast<uint64_t>(d);
  item->request.time = in.time;
  return item;
}

void Mysql::finish(Item* item, Output& out) {
  Draft& d = draft(item);
  item->request.present = item->request.size != 0;
  if (item->request.present) {
    item->request.payload = request_payload(item, names_ ? names_->user : std::string_view(),
                                            names_ ? names_->database : std::string_view());
  }
  const bool silent = d.code == kQuit || d.code == kLongData || d.code == kClose;
  if (item->response.size != 0) {
    item->response.payload = response_payload(item);
    item->response.present = true;
  } else if (!silent) {
    item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  }
  if (!item->request.present) {
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  out.finish(item);
}

void Mysql::finish_front(Output& out) {
  Item* item = waiting_.pop();
  Draft& d = draft(item);
  if (!d.failed) {
    if (d.code == kInitDb) names().database.assign(d.query.substr(0, 256));
    if (d.code == kQuery && d.query.size() > 4 && d.query.size() < 256 &&
        (d.query.substr(0, 4) == "use " || d.query.substr(0, 4) == "USE ")) {
      std::string_view name = d.query.substr(4);
      while (!name.empty() && (name.back() == ';' || name.back() == ' ' || name.back() == '`')) name.remove_suffix(1);
      while (!name.empty() && (name.front() == '`' || name.front() == ' ')) name.remove_prefix(1);
      names().database.assign(name);
    }
  }
  finish(item, out);
}

Step Mysql::dissect(const Input& in, Output& out) {
  if (in.bytes.empty()) return Step::need();
  if (streaming_ && in.direction == Direction::kToClient) return Step::done();
  return compression_ == Compression::kNone || phase_ != Phase::kCommand ? packets(in, out) : compressed(in, out);
}

/// One packet: length (3), number (1), body. The body of huge ones is seen in front only.
Step Mysql::packets(const Input& in, Output& out) {
  Side& side = sides_[static_cast<int>(in.direction)];
  if (side.skip != 0) return Step::skip(std::exchange(side.skip, 0));
  if (in.bytes.size() < 4) return Step::need(4);
  const uint32_t length = load_le32(in.bytes.data()) & kFull;
  const uint8_t sequence = in.bytes[3];
  const uint64_t size = uint64_t{length} + 4;
  const bool continues = side.more;
  Item* t = waiting_.front();
  // What nobody will see is not waited for: the rest of packets longer than 16 MB, files, rows beyond those shown.
  bool unseen = continues;
  if (in.direction == Direction::kToServer)
    unseen = unseen || (phase_ == Phase::kCommand && sequence != 0);
  else if (t != nullptr && phase_ == Phase::kCommand && length != 0) {
    const Draft& d = draft(t);
    if (d.state == Draft::State::kRows && !d.after_columns && (d.rows_kept >= kMaxRows || !d.first_set)) {
      if (in.bytes.size() < 5) return Step::need(5);
      unseen = unseen || (in.bytes[4] != 0xFE && in.bytes[4] != 0xFF) || (in.bytes[4] == 0xFE && length == kFull);
    }
  }
  if (unseen) {
    side.sequence = sequence;
    side.more = length == kFull;
    if (t != nullptr) {
      Draft& d = draft(t);
      if (in.direction == Direction::kToServer) {
        t->request.size += size;
        if (!continues && d.state == Draft::State::kFile) {
          d.file_bytes += length;
          if (length == 0) d.state = Draft::State::kFirst;
        }
        d.next_sequence = static_cast<uint8_t>(sequence + 1);
      } else {
        t->response.size += size;
        if (!continues) ++d.row_count;
      }
    }
    return Step::skip(size);
  }
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(size, std::max<size_t>(out.settings().header_cap, 64)));
  if (in.bytes.size() < wanted) return Step::need(wanted);
  side.sequence = sequence;
  side.more = length == kFull;
  return packet(in, in.bytes.subspan(4, wanted - 4), size, wanted, out);
}

Step Mysql::packet(const Input& in, Bytes body, uint64_t size, uint64_t wanted, Output& out) {
  const bool client = in.direction == Direction::kToServer;
  Side& side = sides_[static_cast<int>(in.direction)];
  if (wanted < size) {
    out.count(Counter::kBodyCapped);
    side.skip = size - wanted;
  }
  const auto lost = [&] {
    gap(in.direction, 0, out);
    side.skip = 0;
    lost_here_[client ? 0 : 1] = true;
    return Step::lost();
  };
  if (client) {
    // A hello: the client's first packet has the number after the server's greeting (or after its SSLRequest).
    if (phase_ != Phase::kCommand || (login_ == nullptr && side.sequence != 0)) {
      if (phase_ == Phase::kAuthentication) {
        if (login_ == nullptr) return lost();
        Draft& d = draft(login_);
        login_->request.size += size;
        if (d.password.is_null() || d.password.size() == 0)
          d.password = keep_value(login_, as_text(body).substr(0, 1024));
        return Step::took(wanted);
      }
      return handshake_response(body, size, wanted, in, out);
    }
    if (body.empty() || !is_command(body[0])) return lost();
    command(body, size, in, out);
    return Step::took(wanted);
  }
  if (waiting_.empty() && login_ == nullptr && phase_ == Phase::kCommand) {
    if (side.sequence == 0 && body.size() > 20 && body[0] == 10) {
      greeting(body, size, in, out);
    } else if (side.sequence == 0 && is_error(body)) {  // "Host is blocked": an error instead of a greeting
      login_ = new_item(kLogin, in, out);
      authentication(body, size, in, out);
    }
    return Step::took(wanted);  // an answer whose command was before our time
  }
  if (phase_ == Phase::kAuthentication)
    authentication(body, size, in, out);
  else if (!waiting_.empty())
    answer(body, size, in, out);
  return Step::took(wanted);
}

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
void Mysql::greeting(Bytes body, uint64_t size, const Input& in, Output& out) {
  login_ = new_item(kLogin, in, out);
  Draft& d = draft(login_);
  ByteReader r(body);
  r.skip(1);
  d.version = keep(login_, c_text(r).substr(0, 128));
  d.connection_id = r.le32();
  r.skip(9);
  offered_ = r.le16();
  r.skip(3);
  offered_ |= uint64_t{r.le16()} << 16;
  r.skip(1 + 6);
  offered_ |= uint64_t{r.le32()} << 32;  // MariaDB's extended capabilities, else filler
  if ((offered_ & kSecure) != 0) c_text(r);
  if ((offered_ & kPluginAuth) != 0 && r.remaining() > 0) d.server_plugin = keep(login_, c_text(r).substr(0, 64));
  login_->response.time = in.time;
  login_->response.size = size;
  phase_ = Phase::kGreeting;
}

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html
Step Mysql::handshake_response(Bytes body, uint64_t size, uint64_t wanted, const Input& in, Output& out) {
  if (login_ == nullptr) login_ = new_item(kLogin, in, out);
  Item* item = login_;
  Draft& d = draft(item);
  item->request.time = in.time;
  item->request.size += size;
  ByteReader r(body);
  capabilities_ = r.le16();
  if ((capabilities_ & kProtocol41) == 0) {  // before 4.1: max packet (3), user
    r.skip(3);
    d.user = keep(item, c_text(r).substr(0, 256));
  } else {
    capabilities_ |= uint64_t{r.le16()} << 16;
    r.skip(4 + 1 + 23);
    if (!r.ok()) {
      gap(in.direction, 0, out);
      lost_here_[0] = true;
      return Step::lost();
    }
    if ((capabilities_ & kSsl) != 0 && r.remaining() == 0) {
      d.ssl = true;
      finish(std::exchange(login_, nullptr), out);
      return Step::switch_to("tls", wanted);
    }
    d.user = keep(item, c_text(r).substr(0, 256));
    const size_t n = (capabilities_ & kLenencAuth) != 0
                         ? static_cast<size_t>(std::min<uint64_t>(lenenc(r), r.remaining()))
                     : (capabilities_ & kSecure) != 0 ? std::min<size_t>(r.u8(), r.remaining())
                                                      : c_text(r).size();
    if ((capabilities_ & (kLenencAuth | kSecure)) != 0) d.password = keep_value(item, r.text(n).substr(0, 1024));
    if ((capabilities_ & kConnectWithDb) != 0 && r.remaining() > 0) d.database = keep(item, c_text(r).substr(0, 256));
    if ((capabilities_ & kPluginAuth) != 0 && r.remaining() > 0) d.client_plugin = keep(item, c_text(r).substr(0, 64));
    if ((capabilities_ & kAttributes) != 0 && r.remaining() > 0) {
      ByteReader pairs(as_bytes(lenenc_text(r)));
      MapBuilder<16> map;
      while (pairs.remaining() > 0 && pairs.ok()) {
        const std::string_view name = keep(item, lenenc_text(pairs));
        map.add(name, keep_value(item, lenenc_text(pairs)));
      }
      d.attributes = map.build(item->arena);
    }
  }
  names().user.assign(d.user);
  names().database.assign(d.database);
  phase_ = Phase::kAuthentication;
  return Step::took(wanted);
}

void Mysql::authentication(Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* item = login_;
  if (item == nullptr) return;
  Draft& d = draft(item);
  if (item->response.size == 0) item->response.time = in.time;
  item->response.size += size;
  if (body.empty()) return;
  if (body[0] == 0xFE && body.size() > 1) {  // switch: plugin, data
    ByteReader r(body.subspan(1));
    d.client_plugin = keep(item, c_text(r).substr(0, 64));
    d.password = Value();
  } else if (body[0] == 0 || is_error(body)) {
    ++d.results;
    uint16_t status = 0;
    if (body[0] == 0) {
      read_ok(item, body, status);
      if ((capabilities_ & kZstd) != 0 && (offered_ == 0 || (offered_ & kZstd) != 0)) compression_ = Compression::kZstd;
      if ((capabilities_ & kCompress) != 0 && (offered_ == 0 || (offered_ & kCompress) != 0))
        compression_ = Compression::kZlib;
    } else {
      d.failed = true;
      d.error = error_value(body, item->arena);
    }
    phase_ = Phase::kCommand;
    finish(std::exchange(login_, nullptr), out);
  }
}

void Mysql::command(Bytes body, uint64_t size, const Input& in, Output& out) {
  const uint8_t code = body[0];
  if (Item* front = waiting_.front(); front != nullptr) {
    // Whether EOF packets end the lists of a prepared statement is unknown when the hello was not seen. When its
    // lists are complete and the client goes on, they do not.
    const Draft& f = draft(front);
    if (f.code == kPrepare && f.answered && f.results != 0 && f.parameters_left + f.columns_left == 0)
      finish_front(out);
  }
  Item* item = new_item(code, in, out);
  Draft& d = draft(item);
  item->request.size = size;
  ByteReader r(body.subspan(1));
  if (sides_[0].more || sides_[0].skip != 0) d.truncated = true;
  switch (code) {
    case kQuery: {
      // Attributes go before the text when the client announced them; "0 attributes, 1 set" shows by itself.
      const bool none = r.remaining() >= 2 && body[1] == 0 && body[2] == 1;
      if (none) {
        r.skip(2);
      } else if ((capabilities_ & kQueryAttributes) != 0 && (offered_ == 0 || (offered_ & kQueryAttributes) != 0)) {
        const uint64_t n = lenenc(r);
        lenenc(r);
        read_parameters(item, r, static_cast<size_t>(std::min<uint64_t>(n, 65535)), true);
      }
      d.query = keep(item, as_text(r.rest()));
      break;
    }
    case kPrepare:
    case kInitDb:
    case 5:
    case 6:
    case kFieldList: d.query = keep(item, c_text(r)); break;
    case kExecute:
    case kLongData:
    case kClose:
    case kReset:
    case kFetch:
    case kBulkExecute: {
      d.statement_id = r.le32();
      d.has_statement = true;
      const Statement* s = statement(d.statement_id);
      if (s != nullptr) d.query = keep(item, s->query);
      if (code == kExecute) {
        const uint8_t flags = r.u8();
        r.skip(4);
        size_t n = s != nullptr ? s->parameters : 0;
        const bool named = (capabilities_ & kQueryAttributes) != 0 && (offered_ & kQueryAttributes) != 0 &&
                           (n > 0 || (flags & 8) != 0);
        if (named && (flags & 8) != 0) n = static_cast<size_t>(std::min<uint64_t>(lenenc(r), 65535));
        read_parameters(item, r, n, named);
      }
      if (code == kClose) forget(d.statement_id);
      break;
    }
    case kChangeUser:
      d.user = keep(item, c_text(r).substr(0, 256));
      d.password = keep_value(item, r.text(std::min<size_t>(r.u8(), r.remaining())));
      d.database = keep(item, c_text(r).substr(0, 256));
      names().user.assign(d.user);
      names().database.assign(d.database);
      break;
    default: break;
  }
  if (code == kQuit || code == kLongData || code == kClose) return finish(item, out);  // these have no answer
  if (code == kFetch) d.state = Draft::State::kRows;
  if (code == kFieldList) d.state = Draft::State::kList;
  waiting_.push(item, out);
}

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

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html
Step Mysql::compressed(const Input& in, Output& out) {
  Side& side = sides_[static_cast<int>(in.direction)];
  if (side.skip != 0) return Step::skip(std::exchange(side.skip, 0));
  if (in.bytes.size() < 7) return Step::need(7);
  const uint32_t length = load_le32(in.bytes.data()) & kFull;
  const uint32_t plain = load_le32(&in.bytes[3]) >> 8;
  const uint64_t size = uint64_t{length} + 7;
  if (size > out.settings().header_cap || plain > kMaxInner) {
    out.count(Counter::kMessageTooLong);
    gap(in.direction, 0, out);
    return Step::skip(size);
  }
  if (in.bytes.size() < size) return Step::need(size);
  if (inner_ == nullptr) inner_ = std::make_unique<Inner>();
  auto& buffer = inner_->plain[static_cast<int>(in.direction)];
  const size_t before = buffer.size();
  const uint8_t* from = in.bytes.data() + 7;
  bool good = before + std::max(plain, length) <= 2 * kMaxInner;
  if (good && plain == 0) {
    buffer.insert(buffer.end(), from, from + length);
  } else if (good) {
    buffer.resize(before + plain);
    if (compression_ == Compression::kZstd) {
      good = ZSTD_decompress(buffer.data() + before, plain, from, length) == plain;
    } else {
      uLongf n = plain;
      good = uncompress(buffer.data() + before, &n, from, length) == Z_OK && n == plain;
    }
  }
  if (!good) {
    out.count(Counter::kDecodeFailed);
    buffer.clear();
    gap(in.direction, 0, out);
    return Step::took(size);
  }
  if (!inner_packets(in, out)) {
    buffer.clear();
    return Step::took(size);  // the frames go on, whatever was in this one
  }
  return Step::took(size);
}

/// Takes what packets the decompressed bytes make; false when they make none.
bool Mysql::inner_packets(const Input& frame, Output& out) {
  auto& buffer = inner_->plain[static_cast<int>(frame.direction)];
  uint64_t& skip = inner_->skip[static_cast<int>(frame.direction)];
  size_t at = 0;
  bool good = true;
  while (at < buffer.size()) {
    const size_t over = static_cast<size_t>(std::min<uint64_t>(skip, buffer.size() - at));
    at += over;
    skip -= over;
    if (at == buffer.size()) break;
    const Step step = packets({frame.direction, {buffer.data() + at, buffer.size() - at}, frame.time, false}, out);
    if (step.kind == Step::Kind::kTook) {
      at += step.bytes;
    } else if (step.kind == Step::Kind::kSkip) {
      skip = step.bytes;
    } else {
      good = step.kind == Step::Kind::kNeed;
      break;
    }
  }
  buffer.erase(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(at));
  if (buffer.empty()) std::vector<uint8_t>().swap(buffer);
  return good;
}

void Mysql::give_up(Output& out) {
  while (Item* item = waiting_.pop()) finish(item, out);
  if (login_ != nullptr) finish(std::exchange(login_, nullptr), out);
  phase_ = Phase::kCommand;
}

bool Mysql::gap(Direction direction, uint64_t, Output& out) {
  give_up(out);
  sides_[static_cast<int>(direction)] = Side();
  if (inner_ != nullptr) {
    inner_->plain[static_cast<int>(direction)].clear();
    inner_->skip[static_cast<int>(direction)] = 0;
  }
  return false;
}

void Mysql::expire(Timestamp before, Output& out) {
  if (!waiting_.empty() && waiting_.front()->time() < before) give_up(out);
}

void Mysql::close(bool, Output& out) { give_up(out); }

namespace {

bool starts_with_sql(std::string_view text) {
  size_t n = 0;
  char word[10];
  while (n < text.size() && n < 9 && (text[n] | 0x20) >= 'a' && (text[n] | 0x20) <= 'z') {
    word[n] = static_cast<char>(text[n] | 0x20);
    ++n;
  }
  const std::string_view w(word, n);
  for (const std::string_view known :
       {"select",   "insert", "update", "delete", "set",     "show",     "begin",  "commit",
        "rollback", "create", "drop",   "alter",  "replace", "call",     "use",    "with",
        "explain",  "load",   "start",  "lock",   "unlock",  "truncate", "grant",  "analyze",
        "describe", "desc",   "flush",  "kill",   "do",      "prepare",  "execute"})
    if (w == known) return true;
  return text.starts_with("/*") || text.starts_with("--");
}

Probe probe_client(Bytes b) {
  if (b.size() < 5) return b.size() == 4 && b[3] > 2 ? Probe::kNo : Probe::kUnsure;
  const uint32_t length = load_le32(b.data()) & kFull;
  if (length == 0) return Probe::kNo;
  if (b[3] == 0) {  // a command, in the middle of a connection
    if (b[4] == kQuery || b[4] == kPrepare) {
      size_t at = 5;
      if (b.size() < 7 && b.size() < size_t{length} + 4) return Probe::kUnsure;
      if (b.size() > 6 && b[5] == 0 && b[6] == 1) at = 7;
      if (length + 4 <= at) return Probe::kNo;
      const size_t window =
          std::min<size_t>(length + 4 - at, 24);  // judged by no more than this, however much is there
      if (b.size() < at + window) return Probe::kUnsure;
      const std::string_view text = as_text(b.subspan(at, window));
      return starts_with_sql(text) && is_text(text, true) ? Probe::kYes : Probe::kNo;
    }
    return Probe::kNo;
  }
  // A hello: capabilities, packet limit, character set and 23 bytes of nothing (the last 4 MariaDB's).
  if (b[3] > 2 || length < 32 || length > 4096) return Probe::kNo;
  if (b.size() < 13 + 19) return Probe::kUnsure;
  if ((load_le32(&b[4]) & kProtocol41) == 0) return Probe::kNo;
  return std::all_of(&b[13], &b[13] + 19, [](uint8_t x) { return x == 0; }) ? Probe::kYes : Probe::kNo;
}

Probe probe_server(Bytes b) {
  if (b.size() < 6) return b.size() >= 4 && b[3] > 1 ? Probe::kNo : Probe::kUnsure;
  const uint32_t length = load_le32(b.data()) & kFull;
  if (b[3] == 0 && b[4] == 10) {  // greeting: protocol 10, version, connection, salt, 0
    if (length < 20 || length > 1024 || b[5] < '0' || b[5] > '9') return Probe::kNo;
    size_t at = 5;
    while (at < b.size() && at < 5 + 128 && b[at] >= 32 && b[at] < 127) ++at;
    if (at == b.size()) return at < 5 + 128 ? Probe::kUnsure : Probe::kNo;
    if (b[at] != 0) return Probe::kNo;
    if (b.size() <= at + 13) return Probe::kUnsure;
    return b[at + 13] == 0 ? Probe::kYes : Probe::kNo;
  }
  if (b[3] != 1) return Probe::kNo;
  if (length == 7 && b[4] == 0)
    return b.size() < 11 ? Probe::kUnsure : b[8] == 0 && (b[7] & ~0x1F) == 0 ? Probe::kYes : Probe::kNo;
  if (length == 1 || (length == 2 && b[4] != 0)) {  // a number of columns, then "def"
    const size_t next = 4 + length;
    if (b.size() < next + 8) return Probe::kUnsure;
    return b[next + 3] == 2 && std::memcmp(&b[next + 4], "\3def", 4) == 0 ? Probe::kYes : Probe::kNo;
  }
  if (b[4] == 0xFF && length > 9) return b.size() < 8 ? Probe::kUnsure : b[7] == '#' ? Probe::kYes : Probe::kNo;
  return Probe::kNo;
}

}  // namespace

Probe Mysql::probe(const Input& in) {
  if (in.bytes.empty()) return Probe::kUnsure;
  return in.direction == Direction::kToServer ? probe_client(in.bytes) : probe_server(in.bytes);
}

Resync Mysql::resync(const Input& in) {
  const size_t size = in.bytes.size();
  bool& lost_here = lost_here_[static_cast<int>(in.direction)];
  for (size_t at = std::exchange(lost_here, false) ? 1 : 0; at < size; ++at) {
    constexpr size_t kView = 256;  // the same judgement however much is there
    const Bytes view = in.bytes.subspan(at, std::min(size - at, kView));
    const Probe p = probe(Input{in.direction, view, in.time, in.end_of_stream});
    if (p == Probe::kYes) return {at, true};
    if (p == Probe::kUnsure && size - at < kView) return {at, false};
  }
  return {size, false};
}

}  // namespace baleen::dissect::mysql
