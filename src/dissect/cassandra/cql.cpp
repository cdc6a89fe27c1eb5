// https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec, and those of versions 1, 2, 3 and 5
// beside it.

#include "dissect/cassandra/cql.h"

namespace baleen::dissect::cassandra {

using item::Value;

namespace {

constexpr size_t kMaxRows = 100;
constexpr int kMaxTypeDepth = 8;

constexpr std::string_view kConsistencies[] = {"ANY",    "ONE",          "TWO",          "THREE",
                                               "QUORUM", "ALL",          "LOCAL_QUORUM", "EACH_QUORUM",
                                               "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"};
constexpr Name kOpcodes[] = {
    {kError, "ERROR"},
    {kStartup, "STARTUP"},
    {kReady, "READY"},
    {kAuthenticate, "AUTHENTICATE"},
    {kCredentials, "CREDENTIALS"},
    {kOptions, "OPTIONS"},
    {kSupported, "SUPPORTED"},
    {kQuery, "QUERY"},
    {kResult, "RESULT"},
    {kPrepare, "PREPARE"},
    {kExecute, "EXECUTE"},
    {kRegister, "REGISTER"},
    {kEvent, "EVENT"},
    {kBatch, "BATCH"},
    {kAuthChallenge, "AUTH_CHALLENGE"},
    {kAuthResponse, "AUTH_RESPONSE"},
    {kAuthSuccess, "AUTH_SUCCESS"},
};
constexpr Name kErrors[] = {
    {0x0000, "SERVER_ERROR"},   {0x000A, "PROTOCOL_ERROR"},   {0x0100, "BAD_CREDENTIALS"},  {0x1000, "UNAVAILABLE"},
    {0x1001, "OVERLOADED"},     {0x1002, "IS_BOOTSTRAPPING"}, {0x1003, "TRUNCATE_ERROR"},   {0x1100, "WRITE_TIMEOUT"},
    {0x1200, "READ_TIMEOUT"},   {0x1300, "READ_FAILURE"},     {0x1400, "FUNCTION_FAILURE"}, {0x1500, "WRITE_FAILURE"},
    {0x2000, "SYNTAX_ERROR"},   {0x2100, "UNAUTHORIZED"},     {0x2200, "INVALID"},          {0x2300, "CONFIG_ERROR"},
    {0x2400, "ALREADY_EXISTS"}, {0x2500, "UNPREPARED"},
};

enum ColumnType : uint16_t {
  kCustom = 0x00,
  kAscii = 0x01,
  kBigint = 0x02,
  kBoolean = 0x04,
  kCounter = 0x05,
  kDouble = 0x07,
  kFloat = 0x08,
  kInt = 0x09,
  kTimestamp = 0x0B,
  kUuid = 0x0C,
  kVarchar = 0x0D,
  kVarint = 0x0E,
  kTimeuuid = 0x0F,
  kInet = 0x10,
  kSmallint = 0x13,
  kTinyint = 0x14,
  kList = 0x20,
  kMap = 0x21,
  kSet = 0x22,
  kUdt = 0x30,
  kTuple = 0x31
};

std::string_view string(ByteReader& r) { return r.text(r.be16()); }
std::string_view long_string(ByteReader& r) { return r.text(r.be32()); }
/// [bytes]: negative lengths are null (-1) or not set (-2).
Bytes bytes(ByteReader& r, bool& null) {
  const int32_t n = static_cast<int32_t>(r.be32());
  null = n < 0;
  return n < 0 ? Bytes{} : r.bytes(static_cast<size_t>(n));
}

std::string_view consistency(ByteReader& r) {
  const uint16_t n = r.be16();
  return n < std::size(kConsistencies) ? kConsistencies[n] : std::string_view("UNKNOWN");
}

Value string_map(ByteReader& r, Arena& arena) {
  MapOf map(arena);
  const uint16_t n = r.be16();
  for (unsigned i = 0; i < n && r.ok(); ++i) {
    const std::string_view name = string(r);
    const std::string_view value = string(r);
    if (r.ok() && is_text(name)) map.add(name, text_or_bytes(value));
  }
  return map.build();
}

Value string_list(ByteReader& r, Arena& arena) {
  ListOf list(arena);
  const uint16_t n = r.be16();
  for (unsigned i = 0; i < n && r.ok(); ++i) {
    const std::string_view s = string(r);
    if (r.ok()) list.push(text_or_bytes(s));
  }
  return list.build();
}

/// Parameters of QUERY and EXECUTE (4.1.4). In version 1 an execution's values stand before the consistency, and a
/// query has none (its 4.1.4 and 4.1.6).
void parameters(ByteReader& r, uint8_t version, bool executes, MapOf& out, Arena& arena) {
  if (version == 1) {
    ListOf list(arena);
    const uint16_t n = executes ? r.be16() : uint16_t{0};
    for (unsigned i = 0; i < n && r.ok(); ++i) {
      bool null = false;
      const Bytes v = bytes(r, null);
      list.push(null ? Value() : text_or_bytes(as_text(v)));
    }
    out.add("consistency", consistency(r));
    if (n > 0) out.add("values", list.build());
    return;
  }
  out.add("consistency", consistency(r));
  const uint32_t flags = version >= 5 ? r.be32() : r.u8();
  if ((flags & 0x01) != 0) {
    const uint16_t n = r.be16();
    const bool named = (flags & 0x40) != 0;
    ListOf list(arena);
    MapOf map(arena);
    for (unsigned i = 0; i < n && r.ok(); ++i) {
      const std::string_view name = named ? string(r) : std::string_view();
      bool null = false;
      const Bytes v = bytes(r, null);
      const Value value = null ? Value() : text_or_bytes(as_text(v));
      if (named && is_text(name))
        map.add(name, value);
      else
        list.push(value);
    }
    out.add("values", named ? map.build() : list.build());
  }
  if ((flags & 0x04) != 0) out.add("pageSize", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
  if ((flags & 0x08) != 0) {
    bool null = false;
    bytes(r, null);
    out.add("paged", true);
  }
  if ((flags & 0x10) != 0) out.add("serialConsistency", consistency(r));
  if ((flags & 0x20) != 0) out.add("timestamp", static_cast<int64_t>(r.be64()));
  if (version >= 5 && (flags & 0x80) != 0) out.add("keyspace", text_or_bytes(string(r)));
}

/// The type of a column; what is nested is passed over.
uint16_t column_type(ByteReader& r, int depth) {
  const uint16_t type = r.be16();
  if (depth > kMaxTypeDepth) return r.fail(), type;
  switch (type) {
    case kCustom: string(r); break;
    case kList:
    case kSet: column_type(r, depth + 1); break;
    case kMap:
      column_type(r, depth + 1);
      column_type(r, depth + 1);
      break;
    case kUdt: {
      string(r);
      string(r);
      const uint16_t n = r.be16();
      for (unsigned i = 0; i < n && r.ok(); ++i) {
        string(r);
        column_type(r, depth + 1);
      }
      break;
    }
    case kTuple: {
      const uint16_t n = r.be16();
      for (unsigned i = 0; i < n && r.ok(); ++i) column_type(r, depth + 1);
      break;
    }
    default: break;
  }
  return type;
}

Value cell(uint16_t type, Bytes b, Arena& arena) {
  const auto sized = [&](size_t n) { return b.size() == n; };
  switch (type) {
    case kAscii:
    case kVarchar: return text_or_bytes(as_text(b));
    case kBoolean: return sized(1) ? Value(b[0] != 0) : Value::bytes(b);
    case kTinyint: return sized(1) ? Value(static_cast<int64_t>(static_cast<int8_t>(b[0]))) : Value::bytes(b);
    case kSmallint:
      return sized(2) ? Value(static_cast<int64_t>(static_cast<int16_t>(load_be16(b.data())))) : Value::bytes(b);
    case kInt:
      return sized(4) ? Value(static_cast<int64_t>(static_cast<int32_t>(load_be32(b.data())))) : Value::bytes(b);
    case kBigint:
    case kCounter:
    case kTimestamp: return sized(8) ? Value(static_cast<int64_t>(load_be64(b.data()))) : Value::bytes(b);
    case kDouble: {
      if (!sized(8)) return Value::bytes(b);
      const uint64_t bits = load_be64(b.data());
      double d;
      std::memcpy(&d, &bits, sizeof d);
      return Value(d);
    }
    case kFloat: {
      if (!sized(4)) return Value::bytes(b);
      const uint32_t bits = load_be32(b.data());
      float f;
      std::memcpy(&f, &bits, sizeof f);
      return Value(static_cast<double>(f));
    }
    case kUuid:
    case kTimeuuid: {
      if (!sized(16)) return Value::bytes(b);
      const std::string_view h = hex(b, arena);
      return Value(join(
          {h.substr(0, 8), "-", h.substr(8, 4), "-", h.substr(12, 4), "-", h.substr(16, 4), "-", h.substr(20)}, arena));
    }
    case kInet: return Value(address_text(b, arena));
    default: return Value::bytes(b);
  }
}

struct Columns {
  std::span<std::string_view> names;
  std::span<uint16_t> types;
  std::string_view keyspace, table;
};

/// <metadata> of rows and prepared statements (4.2.5.2, 4.2.5.4).
Columns metadata(ByteReader& r, uint8_t version, bool prepared, MapOf& out, Arena& arena) {
  Columns c;
  const uint32_t flags = r.be32();
  const uint32_t count = r.be32();
  if (prepared && version >= 4) {
    const uint32_t keys = r.be32();
    r.skip(std::min<uint64_t>(uint64_t{keys} * 2, r.remaining() + 1));
  }
  bool null = false;
  if ((flags & 0x02) != 0) {
    bytes(r, null);
    out.add("hasMorePages", true);
  }
  if ((flags & 0x08) != 0) r.skip(r.be16());  // new metadata identifier of version 5
  if ((flags & 0x04) != 0 || count > r.remaining()) return c;
  const bool global = (flags & 0x01) != 0;
  if (global) {
    c.keyspace = string(r);
    c.table = string(r);
  }
  c.names = arena.array<std::string_view>(std::min<size_t>(count, 4096));
  c.types = arena.array<uint16_t>(c.names.size());
  ListOf names(arena);
  for (size_t i = 0; i < c.names.size() && r.ok(); ++i) {
    if (!global) {
      c.keyspace = string(r);
      c.table = string(r);
    }
    c.names[i] = string(r);
    c.types[i] = column_type(r, 0);
    if (r.ok()) names.push(text_or_bytes(c.names[i]));
  }
  if (!c.keyspace.empty()) out.add("keyspace", text_or_bytes(c.keyspace));
  if (!c.table.empty()) out.add("table", text_or_bytes(c.table));
  out.add("columns", names.build());
  return c;
}

void rows(ByteReader& r, uint8_t version, MapOf& out, Arena& arena) {
  const Columns c = metadata(r, version, false, out, arena);
  const uint32_t count = r.be32();
  out.add("rowCount", static_cast<int64_t>(count));
  ListOf list(arena);
  for (uint32_t i = 0; i < count && i < kMaxRows && r.ok() && !c.names.empty(); ++i) {
    MapOf row(arena);
    for (size_t k = 0; k < c.names.size() && r.ok(); ++k) {
      bool null = false;
      const Bytes b = bytes(r, null);
      if (r.ok() && is_text(c.names[k])) row.add(c.names[k], null ? Value() : cell(c.types[k], b, arena));
    }
    if (r.ok()) list.push(row.build());
  }
  out.add("rows", list.build());
}

/// Before version 3: keyspace and table, which is empty when the keyspace itself changed.
void schema_change(ByteReader& r, uint8_t version, MapOf& out) {
  out.add("change", text_or_bytes(string(r)));
  if (version < 3) {
    const std::string_view keyspace = string(r), table = string(r);
    out.add("target", table.empty() ? "KEYSPACE" : "TABLE");
    out.add("keyspace", text_or_bytes(keyspace));
    if (!table.empty()) out.add("name", text_or_bytes(table));
    return;
  }
  const std::string_view target = string(r);
  out.add("target", text_or_bytes(target));
  out.add("keyspace", text_or_bytes(string(r)));
  if (target != "KEYSPACE" && !r.at_end()) out.add("name", text_or_bytes(string(r)));
}

void result(ByteReader& r, uint8_t version, MapOf& out, Arena& arena) {
  constexpr std::string_view kKinds[] = {"", "VOID", "ROWS", "SET_KEYSPACE", "PREPARED", "SCHEMA_CHANGE"};
  const uint32_t kind = r.be32();
  out.add("kind", kind < std::size(kKinds) ? kKinds[kind] : "");
  switch (kind) {
    case 2: rows(r, version, out, arena); break;
    case 3: out.add("keyspace", text_or_bytes(string(r))); break;
    case 4: {
      out.add("preparedId", hex(r.bytes(r.be16()), arena));
      if (version >= 5) r.skip(r.be16());
      metadata(r, version, true, out, arena);
      break;
    }
    case 5: schema_change(r, version, out); break;
    default: break;
  }
}

void batch(ByteReader& r, uint8_t version, MapOf& out, Arena& arena) {
  constexpr std::string_view kKinds[] = {"LOGGED", "UNLOGGED", "COUNTER"};
  const uint8_t kind = r.u8();
  out.add("batchType", kind < std::size(kKinds) ? kKinds[kind] : "");
  const uint16_t n = r.be16();
  ListOf list(arena);
  Value first = "BATCH";
  for (unsigned i = 0; i < n && r.ok(); ++i) {
    const bool prepared = r.u8() != 0;
    const Value query = prepared ? Value(hex(r.bytes(r.be16()), arena)) : text_or_bytes(long_string(r));
    const uint16_t values = r.be16();
    for (unsigned v = 0; v < values && r.ok(); ++v) {
      bool null = false;
      bytes(r, null);
    }
    if (!r.ok()) break;
    if (i == 0 && !prepared) first = query;
    MapOf one(arena);
    one.add(prepared ? "preparedId" : "query", query);
    one.add("valueCount", static_cast<int64_t>(values));
    list.push(one.build());
  }
  out.add("queries", list.build());
  out.add("consistency", consistency(r));
  if (version >= 3) {
    const uint32_t flags = version >= 5 ? r.be32() : r.u8();
    if ((flags & 0x10) != 0) out.add("serialConsistency", consistency(r));
    if ((flags & 0x20) != 0) out.add("timestamp", static_cast<int64_t>(r.be64()));
  }
  out.add("summary", first);
}

}  // namespace

std::string_view opcode_name(uint8_t opcode) { return name_in(kOpcodes, opcode); }
bool is_request(uint8_t opcode) {
  switch (opcode) {
    case kStartup:
    case kCredentials:
    case kOptions:
    case kQuery:
    case kPrepare:
    case kExecute:
    case kRegister:
    case kBatch:
    case kAuthResponse: return true;
    default: return false;
  }
}

bool describe(uint8_t opcode, uint8_t version, uint8_t flags, Bytes body, MapOf& out, Arena& arena) {
  ByteReader r(body);
  const bool asks = is_request(opcode);
  if (!asks && (flags & 0x02) != 0) r.skip(16);  // tracing
  if (!asks && (flags & 0x08) != 0) out.add("warnings", string_list(r, arena));
  if ((flags & 0x04) != 0) {  // custom payload
    const uint16_t n = r.be16();
    for (unsigned i = 0; i < n && r.ok(); ++i) {
      bool null = false;
      string(r);
      bytes(r, null);
    }
  }
  switch (opcode) {
    case kError: {
      const uint32_t code = r.be32();
      const std::string_view name = name_in(kErrors, code);
      out.add("errorCode", static_cast<int64_t>(code));
      out.add("status", name.empty() ? decimal(code, arena) : name);
      out.add("error", text_or_bytes(string(r)));
      break;
    }
    case kStartup: {
      const Value options = string_map(r, arena);
      out.add("options", options);
      out.add("summary", options["CQL_VERSION"]);
      break;
    }
    case kCredentials: out.add("credentials", string_map(r, arena)); break;
    case kAuthenticate: out.add("authenticator", text_or_bytes(string(r))); break;
    case kSupported: {
      MapOf map(arena);
      const uint16_t n = r.be16();
      for (unsigned i = 0; i < n && r.ok(); ++i) {
        const std::string_view name = string(r);
        const Value list = string_list(r, arena);
        if (r.ok() && is_text(name)) map.add(name, list);
      }
      out.add("options", map.build());
      break;
    }
    case kQuery:
    case kPrepare: {
      const Value query = text_or_bytes(long_string(r));
      out.add("query", query);
      if (opcode == kQuery) parameters(r, version, false, out, arena);
      out.add("summary", query);
      break;
    }
    case kExecute: {
      const std::string_view id = hex(r.bytes(r.be16()), arena);
      out.add("preparedId", id);
      if (version >= 5) r.skip(r.be16());
      parameters(r, version, true, out, arena);
      out.add("summary", id);
      break;
    }
    case kBatch: batch(r, version, out, arena); break;
    case kRegister: {
      const Value events = string_list(r, arena);
      out.add("events", events);
      if (events.size() > 0) out.add("summary", events.elements()[0]);
      break;
    }
    case kEvent: {
      const std::string_view type = string(r);
      out.add("event", text_or_bytes(type));
      if (type == "SCHEMA_CHANGE") {
        schema_change(r, version, out);
      } else {
        out.add("change", text_or_bytes(string(r)));
        out.add("node", address_text(r.bytes(r.u8()), arena));
        out.add("port", static_cast<int64_t>(r.be32()));
      }
      out.add("summary", text_or_bytes(type));
      break;
    }
    case kAuthResponse:
    case kAuthChallenge:
    case kAuthSuccess: {
      bool null = false;
      const Bytes token = bytes(r, null);
      if (!null) out.add("token", Value::bytes(token));
      break;
    }
    case kResult: result(r, version, out, arena); break;
    default: break;
  }
  if (!asks && opcode != kError && opcode != kEvent) out.add("status", "OK");
  return r.ok();
}

}  // namespace baleen::dissect::cassandra
