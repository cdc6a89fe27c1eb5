#include "dissect/cassandra/cassandra.h"

#include <lz4.h>
#include <snappy.h>

#include "dissect/cassandra/cql.h"

namespace baleen::dissect::cassandra {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {9042};
constexpr Field kFields[] = {
    {"request.method", "cassandra_opcode", kString, "The operation: QUERY, PREPARE, EXECUTE, BATCH, STARTUP."},
    {"request.query", "cassandra_query", kString, "The statement."},
    {"request.summary", "cassandra_summary", kString, "The statement, or what stands for it."},
    {"request.consistency", "", kString, "Consistency level: ONE, QUORUM, LOCAL_QUORUM."},
    {"request.values", "", kList, "Bound values, as they were sent."},
    {"request.preparedId", "", kString, "The prepared statement that is executed."},
    {"request.queries", "", kList, "Statements of a batch."},
    {"request.options", "", kMap, "Options of STARTUP."},
    {"request.version", "", kInt, "Version of the protocol."},
    {"request.stream", "", kInt, "Number that the response repeats."},
    {"request.token", "", kBytes, "What the client says to authenticate itself.", true},
    {"response.method", "", kString, "RESULT, ERROR, READY and the like."},
    {"response.status", "cassandra_status", kString, "OK, or the name of the error: SYNTAX_ERROR, UNAVAILABLE."},
    {"response.error", "", kString, "The error message."},
    {"response.errorCode", "", kInt, "Number of the error."},
    {"response.kind", "", kString, "VOID, ROWS, SET_KEYSPACE, PREPARED or SCHEMA_CHANGE."},
    {"response.keyspace", "", kString, "The keyspace of the result."},
    {"response.table", "", kString, "The table of the result."},
    {"response.columns", "", kList, "Names of the columns."},
    {"response.rowCount", "", kInt, "How many rows there are."},
    {"response.rows", "", kList, "The first 100 rows."},
    {"response.token", "", kBytes, "What the server answers to authentication.", true},
    {"response.warnings", "", kList, "The server's warnings."},
};

constexpr size_t kHead = 9;
constexpr uint32_t kMost = 256 << 20;

Probe head_at(Direction d, Bytes b) {
  const bool to_server = d == Direction::kToServer;
  const uint8_t version = b[0] & 0x7F;
  if (((b[0] & 0x80) == 0) != to_server || version < 3 || version > 5) return Probe::kNo;
  if (b.size() >= 2 && (b[1] & 0xE0) != 0) return Probe::kNo;
  if (b.size() < kHead) {
    if (b.size() >= 5 && (opcode_name(b[4]).empty() || is_request(b[4]) != to_server)) return Probe::kNo;
    return Probe::kUnsure;
  }
  const uint32_t size = load_be32(&b[5]);
  const uint8_t opcode = b[4];
  const int16_t stream = static_cast<int16_t>(load_be16(&b[2]));
  if (opcode_name(opcode).empty() || is_request(opcode) != to_server || size > kMost) return Probe::kNo;
  if (stream < 0 && opcode != kEvent) return Probe::kNo;
  if ((opcode == kOptions || opcode == kReady) && size > 64) return Probe::kNo;
  const bool packed = (b[1] & 1) != 0;
  if (to_server && !packed && (b[1] & 4) == 0 && (opcode == kQuery || opcode == kPrepare)) {
    if (b.size() < kHead + 4) return Probe::kUnsure;
    return load_be32(&b[kHead]) + 4 <= size ? Probe::kYes : Probe::kNo;
  }
  return Probe::kYes;
}

}  // namespace

const item::Protocol Cassandra::kProtocol = {
    .name = "cassandra",
    .version = "4",
    .abbreviation = "CQL",
    .long_name = "Cassandra Query Language Binary Protocol",
    .macro = "cassandra",
    .reference = "https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec",
    .background = "#1287b1",
    .foreground = "#ffffff",
    .priority = 9,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Cassandra::probe(const Input& in) { return in.bytes.empty() ? Probe::kUnsure : head_at(in.direction, in.bytes); }
Probe Cassandra::begins(Direction d, Bytes b) { return head_at(d, b); }

Measure Cassandra::measure(Direction, Bytes b) const {
  if ((b[0] & 0x7F) < 3 || (b[0] & 0x7F) > 5) return Measure::bad();
  if (b.size() < kHead) return Measure::need(kHead);
  const uint32_t size = load_be32(&b[5]);
  return size > kMost || opcode_name(b[4]).empty() ? Measure::bad() : Measure::frame(kHead + uint64_t{size});
}

/// The body without compression, in the arena; empty when it cannot be had.
Bytes Cassandra::body_of(const Frame& frame, Arena& arena, Output& out) const {
  const Bytes body = arena.copy(frame.bytes).subspan(kHead);
  if ((frame.bytes[1] & 1) == 0 || frame.cut) return body;
  const size_t cap = out.settings().body_cap;
  const char* const from = reinterpret_cast<const char*>(body.data());
  size_t size = 0;
  if (compression_ == Compression::kSnappy && snappy::GetUncompressedLength(from, body.size(), &size) && size <= cap) {
    char* const to = static_cast<char*>(arena.allocate(size + 1, 1));
    if (snappy::RawUncompress(from, body.size(), to)) return {reinterpret_cast<uint8_t*>(to), size};
  }
  if (compression_ == Compression::kLz4 && body.size() > 4 && (size = load_be32(body.data())) <= cap) {
    char* const to = static_cast<char*>(arena.allocate(size + 1, 1));
    const int n = LZ4_decompress_safe(from + 4, to, static_cast<int>(body.size() - 4), static_cast<int>(size));
    if (n >= 0) return {reinterpret_cast<uint8_t*>(to), static_cast<size_t>(n)};
  }
  out.count(Counter::kDecodeFailed);
  return {};
}

Step Cassandra::message(const Frame& frame, Output& out) {
  if (frame.bytes.size() < kHead) return Step::lost();
  const uint8_t version = frame.bytes[0] & 0x7F, flags = frame.bytes[1], opcode = frame.bytes[4];
  const uint16_t stream = load_be16(&frame.bytes[2]);
  const bool asks = is_request(opcode), event = opcode == kEvent;
  if (asks != frame.to_server()) return Step::lost();
  Item* item = asks || event ? out.begin(kProtocol) : waiting_.take(stream);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  MapOf map(arena);
  map.add("method", opcode_name(opcode));
  map.add("version", static_cast<int64_t>(version));
  map.add("stream", static_cast<int64_t>(static_cast<int16_t>(stream)));
  const Bytes body = body_of(frame, arena, out);
  const bool readable = !body.empty() || frame.size == kHead;
  const bool whole = readable ? describe(opcode, version, flags, body, map, arena) : true;
  if (!readable) map.add("undecodable", true);
  if (frame.cut) map.add("truncated", true);
  const Value payload = map.build();
  if (asks && opcode == kStartup) {
    const std::string_view wanted = payload["options"]["COMPRESSION"].text();
    compression_ = same_word(wanted, "lz4")      ? Compression::kLz4
                   : same_word(wanted, "snappy") ? Compression::kSnappy
                                                 : Compression::kNone;
  }
  set(asks ? item->request : event ? item->data : item->response, payload, frame);
  if (!whole && !frame.cut) mark_malformed(item, "malformed body", out);
  if (asks) {
    waiting_.push(stream, item, out);
  } else if (event) {
    finish_single(item, out);
  } else {
    // From version 5 on, what follows the start is cut into segments of its own (native_protocol_v5 2.2).
    const bool segments = version >= 5 && (opcode == kReady || opcode == kAuthenticate);
    out.finish(item);
    if (segments) return Step::done();
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::cassandra
