#include "dissect/postgresql/draft.h"

#include <algorithm>

#include "dissect/build.h"
#include "dissect/drafts.h"
#include "dissect/text.h"

namespace baleen::dissect::postgresql {

using item::Item;
using item::Value;

namespace {

constexpr uint32_t kMaxColumns = 256;  // shown per row
constexpr uint32_t kMaxParameters = 64;

std::string_view frontend_name(char t) {
  switch (t) {
    case 'Q': return "Query";
    case 'P': return "Parse";
    case 'B': return "Bind";
    case 'D': return "Describe";
    case 'E': return "Execute";
    case 'C': return "Close";
    case 'F': return "FunctionCall";
    case '0': return "StartupMessage";
    case 's': return "SSLRequest";
    case 'g': return "GSSENCRequest";
    default: return "";
  }
}

/// The first word of a statement, behind white space, comments and brackets, in upper case.
std::string_view first_word(std::string_view sql, Arena& arena) {
  for (;;) {
    const size_t at = sql.find_first_not_of(" \t\r\n(;");
    if (at == std::string_view::npos) return {};
    sql.remove_prefix(at);
    const std::string_view end = sql.starts_with("--") ? "\n" : sql.starts_with("/*") ? "*/" : "";
    if (end.empty()) break;
    const size_t stop = sql.find(end, 2);
    if (stop == std::string_view::npos) return {};
    sql.remove_prefix(stop + end.size());
  }
  size_t n = 0;
  while (n < sql.size() && n < 32 && ((sql[n] | 0x20) >= 'a' && (sql[n] | 0x20) <= 'z')) ++n;
  char* word = static_cast<char*>(arena.allocate(n, 1));
  for (size_t i = 0; i < n; ++i) word[i] = static_cast<char>(sql[i] >= 'a' ? sql[i] - 32 : sql[i]);
  return {word, n};
}

/// "INSERT 0 1" -> "INSERT", "CREATE TABLE" stays.
std::string_view without_numbers(std::string_view tag) {
  while (!tag.empty() && (tag.back() == ' ' || (tag.back() >= '0' && tag.back() <= '9'))) tag.remove_suffix(1);
  return tag;
}

}  // namespace

std::string_view c_string(ByteReader& r) {
  const size_t left = r.remaining();
  if (left == 0) return r.fail(), std::string_view();
  ByteReader ahead = r;
  const Bytes rest = ahead.rest();
  const void* end = std::memchr(rest.data(), 0, rest.size());
  if (end == nullptr) return as_text(r.rest());  // cut off: what there is
  const std::string_view text = r.text(static_cast<size_t>(static_cast<const uint8_t*>(end) - rest.data()));
  r.skip(1);
  return text;
}

Draft& draft(Item* item) { return draft_of<Draft>(item); }
std::string_view keep(Item* item, std::string_view text) { return keep_within<Draft>(item, text); }
Value keep_value(Item* item, std::string_view text) { return keep_value_within<Draft>(item, text); }

Value request_payload(Item* item, std::string_view user, std::string_view database) {
  Draft& d = draft(item);
  Arena& a = item->arena;
  MapBuilder<14> map;
  map.add("type", frontend_name(d.kind));
  std::string_view command = frontend_name(d.kind);
  if (d.kind == 'Q' || d.kind == 'E' || !d.query.empty()) {
    std::string_view tag = without_numbers(d.tag);
    if (tag.empty()) tag = first_word(d.query, a);
    if (!tag.empty()) command = tag;
  }
  map.add("command", command);
  if (d.kind == 'Q' || !d.query.empty()) map.add("query", text_or_bytes(d.query, true));
  if (!user.empty()) map.add("user", a.copy(user));
  if (!database.empty()) map.add("database", a.copy(database));
  if (!d.statement.empty()) map.add("statement", d.statement);
  if (!d.portal.empty()) map.add("portal", d.portal);
  if (d.version != 0) map.add("protocolVersion", version_text(d.version, a));
  if (!d.parameters.is_null()) map.add("parameters", d.parameters);
  if (d.max_rows != 0) map.add("maxRows", d.max_rows);
  if (d.op_count > 1) {
    auto list = a.array<Value>(d.op_count);
    for (size_t i = 0; i < d.op_count; ++i) list[i] = Value(frontend_name(d.ops[i]));
    map.add("messages", Value::list(list));
  }
  if (!d.password.is_null()) map.add("password", d.password);
  if (d.copy_in != 0) map.add("copyBytes", d.copy_in);
  if (d.truncated) map.add("truncated", true);
  return map.build(a);
}

Value response_payload(Item* item) {
  Draft& d = draft(item);
  MapBuilder<20> map;
  if (!d.accepted.is_null()) map.add("accepted", d.accepted);
  map.add("success", !d.failed);
  map.add("status", d.failed ? d.error["code"] : Value("OK"));
  if (!d.tag.empty()) map.add("tag", d.tag);
  if (d.tag_count > 1) map.add("tags", Value::list({d.tags, d.tag_count}));
  if (d.completions != 0) map.add("completions", d.completions);
  if (!d.columns.is_null()) map.add("columns", d.columns);
  if (d.row_count != 0 || !d.columns.is_null()) map.add("rowCount", d.row_count);
  if (d.rows_kept != 0) map.add("rows", Value::list({d.rows, d.rows_kept}));
  if (d.copy_out != 0) map.add("copyBytes", d.copy_out);
  if (d.suspended) map.add("suspended", true);
  if (d.notice_count != 0) map.add("notices", Value::list({d.notices, std::min(d.notice_count, kMaxNotices)}));
  if (!d.error.is_null()) map.add("error", d.error);
  if (d.transaction != 0)
    map.add("transaction", d.transaction == 'I' ? "idle" : d.transaction == 'T' ? "active" : "failed");
  if (!d.authentication.empty()) map.add("authentication", d.authentication);
  if (d.parameter_count != 0) map.add("parameters", Value::map({d.settings, d.parameter_count}));
  if (d.negotiated != 0) {
    map.add("protocolVersion", version_text(d.negotiated, item->arena));
    map.add("unsupportedOptions", d.unsupported);
  }
  if (!d.secret_key.is_null()) {
    map.add("processId", d.process_id);
    map.add(d.secret_key.is_number() ? "secretKey" : "secretKeyBytes", d.secret_key);
  }
  return map.build(item->arena);
}
Value error_fields(Bytes body, Arena& arena) {
  ByteReader r(body);
  MapBuilder<12> map;
  std::string_view severity;
  while (r.remaining() > 1) {
    const char code = static_cast<char>(r.u8());
    if (code == 0) break;
    const std::string_view text = c_string(r).substr(0, 4096);
    const char* name = nullptr;
    switch (code) {
      case 'S': severity = severity.empty() ? text : severity; break;
      case 'V': severity = text; break;
      case 'C': name = "code"; break;
      case 'M': name = "message"; break;
      case 'D': name = "detail"; break;
      case 'H': name = "hint"; break;
      case 'P': name = "position"; break;
      case 'W': name = "where"; break;
      case 's': name = "schema"; break;
      case 't': name = "table"; break;
      case 'c': name = "column"; break;
      case 'n': name = "constraint"; break;
      default: break;
    }
    if (name != nullptr) map.add(name, text_or_bytes(arena.copy(text), true));
  }
  map.add("severity", arena.copy(severity));
  return map.build(arena);
}

std::string_view authentication_name(uint32_t code) {
  switch (code) {
    case 2: return "kerberos";
    case 3: return "password";
    case 5: return "md5";
    case 7: return "gss";
    case 9: return "sspi";
    case 10: return "sasl";
    default: return "";
  }
}

std::string_view version_text(uint32_t version, Arena& arena) {
  return join({decimal(version >> 16, arena), ".", decimal(version & 0xFFFF, arena)}, arena);
}

Value cancel_key(Bytes key, Arena& arena) {
  if (key.size() == 4) return Value(static_cast<int64_t>(static_cast<int32_t>(load_be32(key.data()))));
  return Value::bytes(arena.copy(key.first(std::min(key.size(), kMaxKey))));
}

void read_negotiation(Item* item, Bytes body) {
  Draft& d = draft(item);
  ByteReader r(body);
  const uint32_t newest = r.be32();
  d.negotiated = newest >> 16 == 0 ? 3u << 16 | newest : newest;  // documented as the minor version; sent as a whole
  ListOf options(item->arena);
  for (uint32_t n = std::min(r.be32(), kMaxOptions); n > 0 && r.remaining() > 1; --n)
    options.push(keep_value(item, c_string(r)));
  d.unsupported = options.build();
}

void read_columns(Item* item, Bytes body) {
  Draft& d = draft(item);
  if (!d.columns.is_null()) return;
  ByteReader r(body);
  const uint32_t n = std::min<uint32_t>(r.be16(), kMaxColumns);
  auto list = item->arena.array<Value>(std::min<size_t>(n, body.size() / 19 + 1));
  size_t i = 0;
  for (; i < list.size() && r.remaining() > 18; ++i) {
    list[i] = keep_value(item, c_string(r));
    r.skip(18);
  }
  d.columns = Value::list(list.subspan(0, i));
}

void read_row(Item* item, Bytes body) {
  Draft& d = draft(item);
  ByteReader r(body);
  const uint32_t n = std::min<uint32_t>(r.be16(), kMaxColumns);
  auto row = item->arena.array<Value>(std::min<size_t>(n, body.size() / 4 + 1));
  size_t i = 0;
  for (; i < row.size() && r.remaining() >= 4; ++i) {
    const auto size = static_cast<int32_t>(r.be32());
    if (size < 0) continue;
    const std::string_view text = r.text(static_cast<size_t>(size));
    if (!r.ok()) break;
    row[i] = keep_value(item, text);
  }
  if (d.rows == nullptr) d.rows = item->arena.array<Value>(kMaxRows).data();
  d.rows[d.rows_kept++] = Value::list(row.subspan(0, i));
}

void read_bind(Item* item, ByteReader& r) {
  const uint32_t formats = r.be16();
  const uint16_t first = formats != 0 && r.remaining() >= 2 ? [&] {
    ByteReader p = r;
    return p.be16();
  }()
                                                            : uint16_t{0};
  (void)first;  // text or binary shows in the bytes
  r.skip(2 * formats);
  const uint32_t n = r.be16();
  if (!r.ok() || n == 0) return;
  auto list = item->arena.array<Value>(std::min(n, kMaxParameters));
  size_t i = 0;
  for (; i < list.size() && r.remaining() >= 4; ++i) {
    const auto size = static_cast<int32_t>(r.be32());
    if (size < 0) continue;
    const std::string_view text = r.text(std::min<size_t>(static_cast<size_t>(size), r.remaining()));
    list[i] = keep_value(item, text);
  }
  if (n > kMaxParameters) draft(item).truncated = true;
  draft(item).parameters = Value::list(list.subspan(0, i));
}

}  // namespace baleen::dissect::postgresql
