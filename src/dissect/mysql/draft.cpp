#include "dissect/mysql/draft.h"

#include <algorithm>
#include <charconv>

#include "dissect/build.h"
#include "dissect/drafts.h"
#include "dissect/mysql/wire.h"
#include "dissect/text.h"

namespace baleen::dissect::mysql {

using item::Item;
using item::Value;

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

Draft& draft(Item* item) { return draft_of<Draft>(item); }
std::string_view keep(Item* item, std::string_view text) { return keep_within<Draft>(item, text); }
Value keep_value(Item* item, std::string_view text) { return keep_value_within<Draft>(item, text); }
/// A decoded value whose text still lies in the packet.
static Value keep_value(Item* item, const Value& v) {
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

namespace {

/// "" or "1064", for status.
Value error_code_text(const Value& error, Arena& arena) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, error["code"].as_int()).ptr;
  return Value(arena.copy(std::string_view(text, static_cast<size_t>(end - text))));
}
}  // namespace

Value request_payload(Item* item, std::string_view user, std::string_view database) {
  Draft& d = draft(item);
  Arena& a = item->arena;
  MapBuilder<14> map;
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
  if (d.bulk_rows != 0) map.add("parameterRows", d.bulk_rows);
  if (d.file_bytes != 0) map.add("fileBytes", d.file_bytes);
  if (d.truncated) map.add("truncated", true);
  return map.build(a);
}

Value response_payload(Item* item) {
  Draft& d = draft(item);
  MapBuilder<20> map;
  map.add("success", !d.failed);
  map.add("status", d.failed ? error_code_text(d.error, item->arena) : Value("OK"));
  if (d.results != 0) map.add("results", d.results);
  if (d.has_ok) {
    map.add("affectedRows", d.affected);
    map.add("lastInsertId", d.insert_id);
  }
  if (d.warnings != 0) map.add("warnings", unsigned{d.warnings});
  if (!d.text.empty()) map.add("text", text_or_bytes(d.text, true));
  if (!d.session.is_null()) map.add("session", d.session);
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

void read_parameters(Item* item, ByteReader& r, size_t n, bool named, std::vector<uint16_t>* known) {
  if (n == 0) return;
  const Bytes nulls = r.bytes((n + 7) / 8);
  const bool sent = r.u8() == 1;
  if (!r.ok()) return;
  const size_t shown = std::min<size_t>(n, kMaxParameters);
  uint16_t types[kMaxParameters];
  if (sent) {
    for (size_t i = 0; i < n && r.ok(); ++i) {
      const uint16_t type = r.le16();
      if (i < shown) types[i] = type;
      if (named) lenenc_text(r);
    }
    if (!r.ok()) return;
    if (known != nullptr) known->assign(types, types + shown);
  } else {
    if (known == nullptr || known->size() != shown) return;
    std::copy(known->begin(), known->end(), types);
  }
  auto list = item->arena.array<Value>(shown);
  for (size_t i = 0; i < shown; ++i) {
    if ((nulls[i / 8] >> (i % 8) & 1) != 0 || r.remaining() == 0) continue;
    const Value v = binary_value(r, static_cast<uint8_t>(types[i]), (types[i] & 0x8000) != 0, item->arena);
    if (!r.ok()) break;
    list[i] = keep_value(item, v);
  }
  draft(item).parameters = Value::list(list);
}

namespace {

constexpr size_t kMaxVariables = 64;  // of a session that are shown

/// Steps over what binary_value() reads.
void skip_binary(ByteReader& r, uint8_t type) {
  switch (type) {
    case 1: return r.skip(1);
    case 2:
    case 13: return r.skip(2);
    case 3:
    case 4:
    case 9: return r.skip(4);
    case 5:
    case 8: return r.skip(8);
    case 6: return;
    case 7:
    case 10:
    case 11:
    case 12: return r.skip(r.u8());
    default: return r.skip(static_cast<size_t>(std::min<uint64_t>(lenenc(r), SIZE_MAX)));
  }
}

/// One parameter of a bulk execution, behind its indicator.
Value bulk_value(Item* item, ByteReader& r, uint16_t type) {
  constexpr std::string_view kIndicators[] = {"", "null", "default", "ignore"};
  const uint8_t indicator = r.u8();
  if (indicator > 3) return r.fail(), Value();
  if (indicator == 0)
    return keep_value(item, binary_value(r, static_cast<uint8_t>(type), (type & 0x8000) != 0, item->arena));
  if (indicator == 1) return {};
  MapBuilder<1> map;
  map.add("indicator", kIndicators[indicator]);
  return map.build(item->arena);
}

/// One change of the session's state by its type (enum_session_state_type of the server's sources).
void add_change(Item* item, uint8_t type, ByteReader r, MapOf& map, MapOf& variables) {
  switch (type) {
    case 0:  // system variables: MariaDB puts several into one
      while (r.remaining() > 0 && variables.size() < kMaxVariables) {
        const std::string_view name = keep(item, lenenc_text(r));
        const Value value = keep_value(item, lenenc_text(r));
        if (!r.ok()) return;
        if (is_text(name)) variables.add(name, value);
      }
      return;
    case 1: {
      const std::string_view schema = keep(item, lenenc_text(r).substr(0, 256));
      if (!r.ok()) return;
      draft(item).schema = schema;
      return map.add("schema", text_or_bytes(schema));
    }
    case 2: return map.add("stateChanged", lenenc_text(r) == "1");
    case 3: r.skip(1); return map.add("gtids", keep_value(item, lenenc_text(r)));  // behind their encoding, 0
    case 4: return map.add("transactionCharacteristics", keep_value(item, lenenc_text(r)));
    case 5: return map.add("transactionState", keep_value(item, lenenc_text(r)));
    default: return;
  }
}

Value session_value(Item* item, ByteReader r) {
  MapOf map(item->arena), variables(item->arena);
  for (int i = 0; i < 256 && r.remaining() > 0; ++i) {
    const uint8_t type = r.u8();
    const std::string_view change = lenenc_text(r);
    if (!r.ok()) break;
    add_change(item, type, ByteReader(as_bytes(change)), map, variables);
  }
  if (!variables.empty()) map.add("variables", variables.build());
  return map.build();
}

}  // namespace

void read_bulk(Item* item, ByteReader& r, size_t n, std::vector<uint16_t>& known) {
  constexpr uint16_t kSendsTypes = 128;
  const bool sent = (r.le16() & kSendsTypes) != 0;
  if (!r.ok() || n == 0 || (sent && r.remaining() < n * 2)) return;
  std::vector<uint16_t> types = sent ? std::vector<uint16_t>(n) : known;
  if (sent) {
    for (uint16_t& type : types) type = r.le16();
    known.assign(types.begin(), types.begin() + static_cast<ptrdiff_t>(std::min<size_t>(n, kMaxParameters)));
  }
  if (types.size() != n) return;  // they were sent before our time, or there are more than are kept
  Draft& d = draft(item);
  const auto rows = item->arena.array<Value>(kMaxRows);
  const size_t shown = std::min<size_t>(n, kMaxParameters);
  size_t kept = 0;
  for (; r.remaining() > 0; ++d.bulk_rows) {
    const bool keeps = kept < kMaxRows;
    const auto row = item->arena.array<Value>(keeps ? shown : 0);
    for (size_t i = 0; i < n && r.ok(); ++i) {
      if (keeps && i < shown) {
        row[i] = bulk_value(item, r, types[i]);
      } else if (r.u8() == 0) {
        skip_binary(r, static_cast<uint8_t>(types[i]));
      }
    }
    if (!r.ok()) break;  // the packet was cut
    if (keeps) rows[kept++] = Value::list(row);
  }
  d.parameters = Value::list(rows.first(kept));
}

void read_tail_of_ok(Item* item, ByteReader& r, uint16_t status) {
  if (r.remaining() == 0) return;
  Draft& d = draft(item);
  const std::string_view rest = as_text(r.rest());
  std::string_view text = rest;
  ByteReader tracked(as_bytes(rest));
  if (const std::string_view remark = lenenc_text(tracked); (status & kStateChanged) != 0 && tracked.ok()) {
    ByteReader changes = tracked;
    const uint64_t size = lenenc(changes);
    if (changes.ok() && size == changes.remaining()) {
      text = remark;
      d.session = session_value(item, changes);
    }
  }
  // Without changes the remark is length-encoded or, from older servers, plain.
  if (text.data() == rest.data() && text.size() > 1 && static_cast<uint8_t>(text[0]) == text.size() - 1)
    text.remove_prefix(1);
  if (d.text.empty() && !text.empty() && is_text(text) && static_cast<uint8_t>(text[0]) >= 32)
    d.text = keep(item, text.substr(0, 512));
}

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
  }
  d.has_ok = true;
  read_tail_of_ok(item, r, status);
}

}  // namespace baleen::dissect::mysql
