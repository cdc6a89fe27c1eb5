#include "dissect/thrift/thrift.h"

namespace baleen::dissect::thrift {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {9090};
constexpr Field kFields[] = {
    {"request.method", "thrift_method", kString, "Name of the method that is called."},
    {"request.type", "", kString, "call or oneway."},
    {"request.service", "", kString, "The service, where one connection has several."},
    {"request.protocol", "", kString, "binary or compact, with the transport: framed, buffered or header."},
    {"request.sequence", "", kInt, "Number that the reply repeats."},
    {"request.arguments", "", kMap, "Arguments by their field numbers."},
    {"response.type", "", kString, "reply or exception."},
    {"response.status", "thrift_status", kString, "OK, exception, or declared exception."},
    {"response.result", "", kMap, "Result by field numbers: 0 is success, the others are declared exceptions."},
    {"response.error", "", kString, "Message of an application exception."},
    {"response.errorType", "", kString, "Its kind: unknown method, internal error."},
};

constexpr std::string_view kKinds[] = {"", "call", "reply", "exception", "oneway"};
// TApplicationException
constexpr Name kExceptions[] = {{0, "unknown"},           {1, "unknown method"},          {2, "invalid message type"},
                                {3, "wrong method name"}, {4, "bad sequence id"},         {5, "missing result"},
                                {6, "internal error"},    {7, "protocol error"},          {8, "invalid transform"},
                                {9, "invalid protocol"},  {10, "unsupported client type"}};
constexpr uint32_t kMost = 64 << 20;
constexpr size_t kMaxName = 256;

struct Head {
  bool ok = false, framed = false, compact = false;
  bool header = false;  // with THeader's transport
  bool more = false;    // not all of it is there
  uint8_t kind = 0;
  uint32_t frame = 0, sequence = 0;
  std::string_view name;
  size_t size = 0;  // where the structure begins
};

bool is_name(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == ':';
  });
}

Head read_head(Bytes b) {
  Head h;
  h.more = true;
  if (b.empty()) return h;
  ByteReader r(b);
  if (b[0] < 0x80) {
    h.framed = true;
    h.frame = r.be32();
    if (r.ok() && (h.frame < 8 || h.frame > kMost)) return h.more = false, h;
    if (b[0] > 3) return h.more = false, h;
  }
  if (r.remaining() < 2) return h;
  // THeader (doc/specs/HeaderFormat.md): magic, flags, sequence, size of the header in words; protocol, transforms.
  if (h.framed && r.peek() == 0x0F) {
    h.header = true;
    const uint16_t magic = r.be16();
    if (magic != 0x0FFF || h.frame < 14) return h.more = false, h;
    r.skip(6);
    const size_t size = size_t{r.be16()} * 4;
    ByteReader header(r.bytes(size));
    if (!r.ok()) return size + 10 > h.frame ? (h.more = false, h) : h;
    const uint64_t protocol = read_varint(header), transforms = read_varint(header);
    if (!header.ok() || (protocol != 0 && protocol != 2) || transforms != 0) return h.more = false, h;
    if (r.remaining() < 2) return h;
  }
  const uint8_t first = r.u8(), second = r.u8();
  if (first == 0x80 && second == 0x01) {
    const uint8_t zero = r.u8();
    h.kind = r.u8();
    const uint32_t n = r.be32();
    if (!r.ok()) return h;
    if (zero != 0 || h.kind < 1 || h.kind > 4 || n > kMaxName) return h.more = false, h;
    h.name = r.text(n);
    h.sequence = r.be32();
  } else if (first == 0x82 && (second & 0x1F) == 1) {
    h.compact = true;
    h.kind = second >> 5;
    if (h.kind < 1 || h.kind > 4) return h.more = false, h;
    h.sequence = static_cast<uint32_t>(read_varint(r));
    const uint64_t n = read_varint(r);
    if (!r.ok()) return b.size() > 40 ? (h.more = false, h) : h;
    if (n > kMaxName) return h.more = false, h;
    h.name = r.text(static_cast<size_t>(n));
  } else {
    return h.more = false, h;
  }
  if (!r.ok()) return h;
  h.more = false;
  h.ok = is_name(h.name);
  h.size = r.position();
  if (h.framed && h.size > size_t{h.frame} + 4) h.ok = false;
  return h;
}

}  // namespace

const item::Protocol Thrift::kProtocol = {
    .name = "thrift",
    .version = "1",
    .abbreviation = "THRIFT",
    .long_name = "Apache Thrift",
    .macro = "thrift",
    .reference = "https://github.com/apache/thrift/tree/master/doc/specs",
    .background = "#6d4c41",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.method",
    .status_path = "response.status",
};

Probe Thrift::begins(Direction d, Bytes b) {
  const Head h = read_head(b);
  if (h.more) return Probe::kUnsure;
  if (!h.ok) return Probe::kNo;
  const bool asks = h.kind == 1 || h.kind == 4;
  return asks == (d == Direction::kToServer) ? Probe::kYes : Probe::kNo;
}

Probe Thrift::probe(const Input& in) { return begins(in.direction, in.bytes); }

Measure Thrift::measure(Direction d, Bytes b) {
  const Head h = read_head(b);
  if (h.more) return Measure::need(b.size() + 1);
  if (!h.ok) return Measure::bad();
  if (h.framed) return Measure::frame(uint64_t{h.frame} + 4);
  const auto find_end = [&](auto& walk) {
    const Walk::Got got = walk.go(b, h.size);
    const size_t size = walk.size();
    if (got == Walk::Got::kMore) return Measure::need(b.size() + 1);
    walk.reset();
    return got == Walk::Got::kEnd ? Measure::frame(size) : Measure::bad();
  };
  return h.compact ? find_end(compact_[static_cast<size_t>(d)]) : find_end(walk_[static_cast<size_t>(d)]);
}

Step Thrift::message(const Frame& frame, Output& out) {
  const Head seen = read_head(frame.bytes);
  if (!seen.ok) return Step::lost();
  const bool asks = seen.kind == 1 || seen.kind == 4;
  if (asks != frame.to_server()) return Step::lost();
  // Where a service's name is put in front, the answer has only the method's.
  const auto wanted = [&](const Item* i) {
    const std::string_view asked = i->request.payload["method"].text();
    return i->match_key == seen.sequence && asked.ends_with(seen.name) &&
           (asked.size() == seen.name.size() || asked[asked.size() - seen.name.size() - 1] == ':');
  };
  Item* item = asks                       ? out.begin(kProtocol)
               : waiting_.empty()         ? nullptr
               : wanted(waiting_.front()) ? waiting_.pop()
                                          : waiting_.take_after_front(wanted);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  const Head h = read_head(b);
  ByteReader r(b.subspan(h.size));
  MapOf map(arena);
  map.add("method", h.name);
  map.add("type", kKinds[h.kind]);
  if (const size_t colon = h.name.find(':'); colon != std::string_view::npos)  // TMultiplexedProtocol
    map.add("service", h.name.substr(0, colon));
  map.add("protocol", join({h.compact ? "compact " : "binary ", h.header   ? "header"
                                                                : h.framed ? "framed"
                                                                           : "buffered"},
                           arena));
  map.add("sequence", static_cast<int64_t>(static_cast<int32_t>(h.sequence)));
  const Value fields = h.compact ? read_compact_struct(r, arena) : read_struct(r, arena);
  map.add(asks ? "arguments" : "result", fields);
  if (h.kind == 3) {
    map.add("error", fields["1"]);
    map.add("errorType", name_in(kExceptions, static_cast<uint32_t>(fields["2"].as_int())));
  }
  if (!r.ok() && !frame.cut) mark_malformed(item, "malformed structure", out);
  // Field 0 is what the method returns; any other is an exception that it declares.
  const bool declared = h.kind == 2 && !fields.members().empty() && fields.members()[0].name != "0";
  if (!asks) map.add("status", h.kind == 3 ? "exception" : declared ? "declared exception" : "OK");
  if (frame.cut) map.add("truncated", true);
  set(asks ? item->request : item->response, map.build(), frame);
  if (h.kind == 1) {
    waiting_.push(item, out);
    item->match_key = h.sequence;
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::thrift
