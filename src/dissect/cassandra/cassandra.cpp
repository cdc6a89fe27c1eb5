#include "dissect/cassandra/cassandra.h"

#include <lz4.h>
#include <snappy.h>

#include "dissect/cassandra/cql.h"
#include "dissect/cassandra/frame.h"

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
    {"request.credentials", "", kMap, "User name and password (version 1).", true},
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
constexpr size_t kOldHead = 8;  // of versions 1 and 2, whose stream numbers are one byte
constexpr uint32_t kMost = 256 << 20;

/// The head of an envelope.
struct Head {
  size_t size;
  uint8_t version, flags, opcode;
  int16_t stream;
  uint32_t length;
};
size_t head_size(uint8_t first) { return (first & 0x7F) < 3 ? kOldHead : kHead; }
/// REQUIRES: head_size() bytes.
Head read_head(Bytes b) {
  const auto version = static_cast<uint8_t>(b[0] & 0x7F);
  if (version < 3) return {kOldHead, version, b[1], b[3], static_cast<int8_t>(b[2]), load_be32(&b[4])};
  return {kHead, version, b[1], b[4], static_cast<int16_t>(load_be16(&b[2])), load_be32(&b[5])};
}
/// Whether a version has this operation.
bool knows(uint8_t version, uint8_t opcode) {
  if (opcode == kCredentials) return version == 1;
  return !opcode_name(opcode).empty() && (version > 1 || opcode < kBatch);
}

/// A map whose first name is in upper case; SOCKS 5 begins alike.
Probe startup_at(const Head& head, Bytes b) {
  if ((head.flags & 1) != 0 || head.length < 8 || head.length > 65536) return Probe::kNo;
  if (b.size() < head.size + 5) return Probe::kUnsure;
  const uint32_t options = load_be16(&b[head.size]), name = load_be16(&b[head.size + 2]);
  const uint8_t first = b[head.size + 4];
  return options > 0 && options <= 64 && name > 0 && name + 4 <= head.length && first >= 'A' && first <= 'Z'
             ? Probe::kYes
             : Probe::kNo;
}

/// Versions 1 and 2 have so little of a head that only bodies which prove themselves count.
Probe old_body_at(const Head& head, Bytes b) {
  const Bytes body = b.subspan(head.size);
  const bool packed = (head.flags & 1) != 0;
  switch (head.opcode) {
    case kStartup: return startup_at(head, b);
    case kOptions:
    case kReady: return head.length == 0 && head.flags == 0 ? Probe::kYes : Probe::kNo;
    case kQuery:
    case kPrepare: {
      if (packed || head.length < 5) return Probe::kNo;
      if (body.size() < 5) return Probe::kUnsure;
      const uint64_t size = load_be32(body.data()) + uint64_t{4};
      const bool fits = head.opcode == kPrepare ? size == head.length
                        : head.version == 1     ? size + 2 == head.length
                                                : size + 3 <= head.length;
      return fits && (body[4] >= 0x20 || body[4] == '\n' || body[4] == '\t') && body[4] < 0x7F ? Probe::kYes
                                                                                               : Probe::kNo;
    }
    case kResult: {
      if (packed || head.flags != 0 || head.length < 4) return Probe::kNo;
      if (body.size() < 4) return Probe::kUnsure;
      const uint32_t kind = load_be32(body.data());
      return kind >= 1 && kind <= 5 && (kind == 1) == (head.length == 4) ? Probe::kYes : Probe::kNo;
    }
    case kError: {
      if (packed || head.flags != 0 || head.length < 6) return Probe::kNo;
      if (body.size() < 6) return Probe::kUnsure;
      return load_be32(body.data()) <= 0x2500 && load_be16(&body[4]) + 6u <= head.length ? Probe::kYes : Probe::kNo;
    }
    default: return Probe::kNo;
  }
}

Probe head_at(Direction d, Bytes b) {
  const bool to_server = d == Direction::kToServer;
  const auto version = static_cast<uint8_t>(b[0] & 0x7F);
  if (((b[0] & 0x80) == 0) != to_server || version < 1 || version > 5) return Probe::kNo;
  if (b.size() >= 2 && (b[1] & (version < 3 ? 0xFC : 0xE0)) != 0) return Probe::kNo;
  const size_t opcode_at = version < 3 ? 3 : 4;
  if (b.size() > opcode_at && (!knows(version, b[opcode_at]) || is_request(b[opcode_at]) != to_server))
    return Probe::kNo;
  if (b.size() < head_size(b[0])) return Probe::kUnsure;
  const Head head = read_head(b);
  if (head.length > kMost || (head.stream < 0 && head.opcode != kEvent)) return Probe::kNo;
  if (version < 3) return old_body_at(head, b);
  if ((head.opcode == kOptions || head.opcode == kReady) && head.length > 64) return Probe::kNo;
  if (head.opcode == kStartup) return startup_at(head, b);
  if (to_server && (head.flags & 5) == 0 && (head.opcode == kQuery || head.opcode == kPrepare)) {
    if (b.size() < kHead + 4) return Probe::kUnsure;
    return load_be32(&b[kHead]) + uint64_t{4} <= head.length ? Probe::kYes : Probe::kNo;
  }
  return Probe::kYes;
}

/// Whether whole envelopes in a frame stand here; what is only a part of one says too little.
Probe frame_at(Direction d, Bytes b) {
  if (b.size() < kMostFrameHead) return Probe::kUnsure;
  for (const bool compressed : {false, true}) {
    const FrameHead head = frame_head(b, compressed);
    if (head.size == 0 || !head.whole || head.payload < kHead) continue;
    // LZ4's first sequence is a token, perhaps more of its length, and literals: the version is the first.
    if (b.size() < head.size + 2) return Probe::kUnsure;
    const size_t at = head.size + (head.plain == 0 ? 0 : b[head.size] >> 4 == 15 ? 2 : 1);
    if (b.size() <= at) return Probe::kUnsure;
    if (b[at] == (d == Direction::kToServer ? 5 : 0x85)) return Probe::kYes;
  }
  return Probe::kNo;
}

/// An envelope alone or in a frame.
Probe either_at(Direction d, Bytes b) {
  const Probe bare = head_at(d, b), framed = frame_at(d, b);
  if (bare == Probe::kYes || framed == Probe::kYes) return Probe::kYes;
  return bare == Probe::kUnsure || framed == Probe::kUnsure ? Probe::kUnsure : Probe::kNo;
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

Probe Cassandra::probe(const Input& in) {
  return in.bytes.empty() ? Probe::kUnsure : either_at(in.direction, in.bytes);
}
Probe Cassandra::begins(Direction d, Bytes b) const {
  switch (framing_) {
    case Framing::kUnknown: return either_at(d, b);
    case Framing::kNone: return head_at(d, b);
    default: {
      if (b.size() < kMostFrameHead) return Probe::kUnsure;
      return frame_head(b, framing_ == Framing::kCompressedFrames).size != 0 ? Probe::kYes : Probe::kNo;
    }
  }
}

Step Cassandra::dissect(const Input& in, Output& out) {
  if (in.bytes.empty()) return Step::need();
  if (framing_ == Framing::kUnknown) {
    if (in.bytes.size() < kMostFrameHead && !in.end_of_stream) return Step::need(kMostFrameHead);
    framing_ = in.bytes.size() < kMostFrameHead        ? Framing::kNone
               : frame_head(in.bytes, false).size != 0 ? Framing::kFrames
               : frame_head(in.bytes, true).size != 0  ? Framing::kCompressedFrames
                                                       : Framing::kNone;
    if (framing_ == Framing::kCompressedFrames) compression_ = Compression::kLz4;
  }
  return framing_ == Framing::kNone ? Framed::dissect(in, out) : frame(in, out);
}

/// One frame of version 5.
Step Cassandra::frame(const Input& in, Output& out) {
  if (in.bytes.size() < kMostFrameHead) return Step::need(kMostFrameHead);
  const FrameHead head = frame_head(in.bytes, framing_ == Framing::kCompressedFrames);
  if (head.size == 0) return Step::lost();
  const size_t size = head.size + head.payload + kFrameTail;
  if (in.bytes.size() < size) return Step::need(size);
  Bytes payload = in.bytes.subspan(head.size, head.payload);
  std::vector<uint8_t> plain(head.plain);
  if (head.plain != 0) {
    const int n =
        LZ4_decompress_safe(reinterpret_cast<const char*>(payload.data()), reinterpret_cast<char*>(plain.data()),
                            static_cast<int>(payload.size()), static_cast<int>(plain.size()));
    if (n != static_cast<int>(plain.size())) {
      out.count(Counter::kDecodeFailed);
      return Step::took(size);
    }
    payload = plain;
  }
  head.whole ? whole_envelopes(in.direction, payload, in.time, out) : part(in.direction, payload, in.time, out);
  return Step::took(size);
}

void Cassandra::whole_envelopes(Direction direction, Bytes bytes, Timestamp time, Output& out) {
  parts_[static_cast<size_t>(direction)].reset();
  while (!bytes.empty()) {
    const Step step = Framed::dissect({direction, bytes, time, false}, out);
    if (step.kind != Step::Kind::kTook) return out.count(Counter::kMalformed);
    bytes = bytes.subspan(static_cast<size_t>(step.bytes));
  }
}

void Cassandra::part(Direction direction, Bytes bytes, Timestamp time, Output& out) {
  std::unique_ptr<Parts>& parts = parts_[static_cast<size_t>(direction)];
  if (parts == nullptr) {
    if (head_at(direction, bytes) == Probe::kNo) return out.count(Counter::kMalformed);  // its front was lost
    parts = std::make_unique<Parts>();
    parts->time = time;
  }
  const size_t room = out.settings().header_cap - std::min(out.settings().header_cap, parts->kept.size());
  const Bytes kept = bytes.first(std::min(bytes.size(), room));
  parts->kept.insert(parts->kept.end(), kept.begin(), kept.end());
  parts->seen += bytes.size();
  if (parts->kept.size() < kHead) return;
  const uint64_t size = kHead + uint64_t{load_be32(&parts->kept[5])};
  if (parts->seen < size) return;
  const std::unique_ptr<Parts> whole = std::move(parts);
  const bool cut = whole->kept.size() < size;
  if (message({direction, whole->kept, size, whole->time, cut, false}, out).kind != Step::Kind::kTook)
    out.count(Counter::kMalformed);
}

void Cassandra::forget(Direction direction, Output&) { parts_[static_cast<size_t>(direction)].reset(); }

Measure Cassandra::measure(Direction, Bytes b) const {
  if ((b[0] & 0x7F) < 1 || (b[0] & 0x7F) > 5) return Measure::bad();
  if (b.size() < head_size(b[0])) return Measure::need(head_size(b[0]));
  const Head head = read_head(b);
  return head.length > kMost || !knows(head.version, head.opcode) ? Measure::bad()
                                                                  : Measure::frame(head.size + uint64_t{head.length});
}

/// The body without compression, in the arena; empty when it cannot be had.
Bytes Cassandra::body_of(const Frame& frame, Arena& arena, Output& out) const {
  const Bytes body = arena.copy(frame.bytes).subspan(head_size(frame.bytes[0]));
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
  if (frame.bytes.empty() || frame.bytes.size() < head_size(frame.bytes[0])) return Step::lost();
  const Head head = read_head(frame.bytes);
  const uint8_t version = head.version, flags = head.flags, opcode = head.opcode;
  const auto stream = static_cast<uint16_t>(head.stream);
  const bool asks = is_request(opcode), event = opcode == kEvent;
  if (asks != frame.to_server()) return Step::lost();
  Item* item = asks || event ? out.begin(kProtocol) : waiting_.take(stream);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  MapOf map(arena);
  map.add("method", opcode_name(opcode));
  map.add("version", static_cast<int64_t>(version));
  map.add("stream", static_cast<int64_t>(head.stream));
  const Bytes body = body_of(frame, arena, out);
  const bool readable = !body.empty() || frame.size == head.size;
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
    // From version 5 on, what follows the start comes in frames (native_protocol_v5 2.2).
    if (version >= 5 && (opcode == kReady || opcode == kAuthenticate))
      framing_ = compression_ == Compression::kNone ? Framing::kFrames : Framing::kCompressedFrames;
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::cassandra
