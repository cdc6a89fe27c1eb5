#include "item/json.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "item/flow_id.h"

// The item's JSON has the reference's shape (section 5.1). One function makes each top-level member; as_value() calls
// all of them, member() one, and JSON text is printed from the tree: so a filter over a live item, a script's lazy
// getter and a filter over stored JSON cannot disagree.

namespace baleen::item {
namespace {

class MapBuilder {
 public:
  MapBuilder(Arena& arena, size_t capacity) : members_(arena.array<Member>(capacity)) {}
  void add(std::string_view name, Value value) { members_[used_++] = {name, value}; }
  Value done() const { return Value::map(members_.first(used_)); }

 private:
  std::span<Member> members_;
  size_t used_ = 0;
};

std::string_view number_text(uint64_t n, Arena& arena) {
  char buffer[20];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, n).ptr;
  return arena.copy(std::string_view(buffer, static_cast<size_t>(end - buffer)));
}

std::string_view address_text(const net::IpAddress& ip, Arena& arena) {
  char buffer[46];
  return arena.copy(std::string_view(buffer, net::write_address(ip, buffer)));
}

Value stream_value(const Item& item, Arena& arena) {
  char buffer[32];
  return arena.copy(std::string_view(buffer, write_stream_name(item.stream, item.stream_kind, buffer)));
}

std::string_view join(Arena& arena, std::initializer_list<std::string_view> parts) {
  size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  char* out = static_cast<char*>(arena.allocate(size, 1));
  char* at = out;
  for (std::string_view part : parts) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {out, size};
}

std::string_view worker_of(const Item& item) {
  return item.origin != nullptr ? item.origin->worker : std::string_view();
}

Value id_value(const Item& item, Arena& arena) {
  return join(arena, {worker_of(item), "/", stream_value(item, arena).text(), "-", number_text(item.index, arena)});
}

Value entry_file_value(const Item& item, Arena& arena) {
  const std::string_view stream = stream_value(item, arena).text();
  const std::string_view stem = stream.substr(0, stream.size() - 5);  // ".pcap"
  return join(arena, {stem, "_pcap-", number_text(item.index, arena), "_entry.json"});
}

Value node_value(const Item& item, Arena& arena) {
  MapBuilder map(arena, 2);
  map.add("ip", item.origin != nullptr ? item.origin->node_ip : std::string_view());
  map.add("name", item.origin != nullptr ? item.origin->node_name : std::string_view());
  return map.done();
}

Value protocol_value(const Protocol& p, Arena& arena) {
  MapBuilder map(arena, 13);
  map.add("name", p.name);
  map.add("version", p.version);
  map.add("abbr", p.abbreviation);
  map.add("longName", p.long_name);
  map.add("macro", p.macro);
  map.add("backgroundColor", p.background);
  map.add("foregroundColor", p.foreground);
  map.add("fontSize", Value(int{p.font_size}));
  map.add("referenceLink", p.reference);
  const auto ports = arena.array<Value>(p.ports.size());
  for (size_t i = 0; i < ports.size(); ++i) ports[i] = number_text(p.ports[i], arena);
  map.add("ports", Value::list(ports));
  map.add("layer4", p.layer4);
  map.add("layer3", p.layer3);
  map.add("priority", Value(int{p.priority}));
  return map.done();
}

std::string_view resolution_name(ResolvedBy by) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "none", "ip", "ip-and-port", "dns", "http-header", "cgroup-id", "container-id", "syscall", "sidecar-proxy"};
  return kNames[static_cast<size_t>(by)];
}

Value endpoint_value(const ResolvedEndpoint& e, Arena& arena) {
  MapBuilder map(arena, 13);
  map.add("ip", address_text(e.address.ip, arena));
  map.add("port", number_text(e.address.port, arena));
  map.add("name", e.name);
  map.add("namespace", e.name_space);
  map.add("pod", e.pod_object);
  map.add("endpointSlice", e.endpoint_slice);
  map.add("service", e.service_object);
  map.add("node", e.node);
  map.add("cgroupId", Value(e.cgroup_id));
  map.add("containerId", e.container_id);
  map.add("processId", Value(e.process_id));
  map.add("processName", e.process);
  map.add("resolutionMechanism", resolution_name(e.by));
  return map.done();
}

Value error_value(const Item& item, Arena& arena) {
  std::string_view type, message = item.error_message;
  switch (item.outcome) {
    case Outcome::kPaired:
    case Outcome::kSingle: return {};
    case Outcome::kNoResponse:
      type = "pair-not-found";
      if (message.empty()) message = "no response was seen";
      break;
    case Outcome::kNoRequest:
      type = "pair-not-found";
      if (message.empty()) message = "no request was seen";
      break;
    case Outcome::kDissection: type = "dissection"; break;
    case Outcome::kConnection: type = "connection"; break;
    case Outcome::kTimeout: type = "timeout"; break;
  }
  MapBuilder map(arena, 2);
  map.add("type", type);
  map.add("msg", message);
  return map.done();
}

std::string_view source_name(CaptureSource source) {
  static constexpr std::array<std::string_view, 4> kNames = {"unspecified", "af_packet", "ebpf", "ebpf_tls"};
  return kNames[static_cast<size_t>(source)];
}

Value capture_value(const Item& item, Arena& arena) {
  MapBuilder map(arena, 4);
  const bool ebpf = item.source == CaptureSource::kEbpf || item.source == CaptureSource::kEbpfTls;
  map.add("backend", ebpf ? "ebpf" : item.source == CaptureSource::kAfPacket ? "af_packet" : "");
  map.add("source", source_name(item.source));
  if (item.vlan != 0) {
    MapBuilder vlan(arena, 2);
    vlan.add("id", Value(int{item.vlan}));
    vlan.add("dot1q", Value(true));
    map.add("vlan", vlan.done());
  }
  if (!item.proxy_head.is_null()) map.add("proxyProtocol", item.proxy_head);
  return map.done();
}

Value start_time_value(const Item& item, Arena& arena) {
  char buffer[32];
  return arena.copy(std::string_view(buffer, write_rfc3339(item.time(), buffer)));
}

Value payload_of(const Message& message) { return message.present ? message.payload : Value(); }

struct TopLevel {
  std::string_view name;
  Value (*make)(const Item&, Arena&);
};

// In the order in which they print.
constexpr TopLevel kTopLevel[] = {
    {"id", id_value},
    {"index", [](const Item& i, Arena&) { return Value(i.index); }},
    {"stream", stream_value},
    {"conn_id", [](const Item& i, Arena&) { return Value(i.stream); }},
    {"flow_id", [](const Item& i, Arena&) { return Value(flow_id(i)); }},
    {"worker", [](const Item& i, Arena&) { return Value(worker_of(i)); }},
    {"node", node_value},
    {"protocol",
     [](const Item& i, Arena& a) { return i.protocol != nullptr ? protocol_value(*i.protocol, a) : Value(); }},
    {"tls", [](const Item& i, Arena&) { return Value(i.tls); }},
    {"src", [](const Item& i, Arena& a) { return endpoint_value(i.client, a); }},
    {"dst", [](const Item& i, Arena& a) { return endpoint_value(i.server, a); }},
    {"timestamp", [](const Item& i, Arena&) { return Value(to_ms(i.time())); }},
    {"startTime", start_time_value},
    {"elapsedTime", [](const Item& i, Arena&) { return Value(int64_t{i.elapsed().count() / 1000}); }},
    {"request", [](const Item& i, Arena&) { return payload_of(i.request); }},
    {"response", [](const Item& i, Arena&) { return payload_of(i.response); }},
    {"data", [](const Item& i, Arena&) { return payload_of(i.data); }},
    {"requestSize", [](const Item& i, Arena&) { return Value(i.request.size); }},
    {"responseSize", [](const Item& i, Arena&) { return Value(i.response.size); }},
    {"size", [](const Item& i, Arena&) { return Value(i.request.size + i.response.size + i.data.size); }},
    {"passed", [](const Item&, Arena&) { return Value(false); }},
    {"failed", [](const Item&, Arena&) { return Value(false); }},
    {"error", error_value},
    {"entryFile", entry_file_value},
    {"record", [](const Item& i, Arena&) { return Value(i.record); }},
    {"capture", capture_value},
    {"captureSource", [](const Item& i, Arena&) { return Value(static_cast<int>(i.source)); }},
    {"duplicate", [](const Item&, Arena&) { return Value(false); }},
};

// ---- printing ----

bool is_continuation(uint8_t c) { return (c & 0xC0) == 0x80; }

/// Length of the well-formed UTF-8 sequence at `p` (RFC 3629), zero when there is none.
size_t utf8_sequence(const uint8_t* p, size_t n) {
  const uint8_t c = p[0];
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return n >= 2 && is_continuation(p[1]) ? 2 : 0;
  if ((c & 0xF0) == 0xE0) {
    if (n < 3 || !is_continuation(p[1]) || !is_continuation(p[2])) return 0;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F)) return 0;  // over-long, surrogates
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (n < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3])) return 0;
    if ((c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x80; ++c) plain[static_cast<size_t>(c)] = c != '"' && c != '\\' && c != 0x7F;
  return plain;
}
constexpr auto kPlain = make_plain();

void append_escape(uint8_t c, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

void append_string(std::string_view text, std::string& out) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const size_t n = text.size();
  out += '"';
  size_t at = 0;
  while (at < n) {
    const size_t start = at;
    while (at < n && kPlain[p[at]]) ++at;
    out.append(text.data() + start, at - start);
    if (at == n) break;
    if (p[at] < 0x80) {
      append_escape(p[at++], out);
    } else if (const size_t length = utf8_sequence(p + at, n - at); length != 0) {
      out.append(text.data() + at, length);
      at += length;
    } else {
      out += "\xEF\xBF\xBD";  // U+FFFD
      ++at;
    }
  }
  out += '"';
}

void append_base64(std::string_view bytes, std::string& out) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  out += '"';
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    const uint32_t v = uint32_t{p[i]} << 16 | (have > 1 ? uint32_t{p[i + 1]} << 8 : 0) | (have > 2 ? p[i + 2] : 0);
    out += kAlphabet[v >> 18];
    out += kAlphabet[v >> 12 & 63];
    out += have > 1 ? kAlphabet[v >> 6 & 63] : '=';
    out += have > 2 ? kAlphabet[v & 63] : '=';
  }
  out += '"';
}

void append_double(double d, std::string& out) {
  if (!std::isfinite(d)) {
    out += "null";  // JSON has no other word for it
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, d).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";  // stays a double when read again
}

void append_int(int64_t n, std::string& out) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, n).ptr);
}

// ---- parsing ----

constexpr int kMaxDepth = 64;

}  // namespace

JsonFields::JsonFields(std::span<const std::string> paths) {
  for (const std::string& path : paths) {
    Node* at = &root_;
    std::string_view rest = std::string_view(path).substr(0, path.find('['));
    while (!rest.empty() && !at->whole) {
      const std::string_view name = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      auto member = std::find_if(at->members.begin(), at->members.end(), [&](const Node& n) { return n.name == name; });
      if (member == at->members.end()) member = at->members.insert(member, Node{std::string(name), false, {}});
      at = &*member;
    }
    at->whole = true;
  }
}

/// Makes values of simdjson's; `wanted` is null below what is wanted whole.
class TreeBuilder {
 public:
  using Wanted = const JsonFields::Node*;
  explicit TreeBuilder(Arena& arena) : arena_(arena) {}

  static Wanted of(const JsonFields& fields) { return below(&fields.root_); }

  std::optional<Value> build(simdjson::dom::element e, bool fold_case, int depth, Wanted wanted) {
    using Type = simdjson::dom::element_type;
    if (depth > kMaxDepth) return std::nullopt;
    switch (e.type()) {
      case Type::NULL_VALUE: return Value();
      case Type::BOOL: return Value(e.get_bool().value_unsafe());
      case Type::INT64: return Value(int64_t{e.get_int64().value_unsafe()});
      case Type::UINT64: return Value(static_cast<double>(e.get_uint64().value_unsafe()));  // beyond int64
      case Type::DOUBLE: return Value(e.get_double().value_unsafe());
      case Type::STRING: return Value(arena_.copy(e.get_string().value_unsafe()));
      case Type::ARRAY: return build_list(e.get_array().value_unsafe(), depth);
      case Type::OBJECT: return build_map(e.get_object().value_unsafe(), fold_case, depth, wanted);
    }
    return std::nullopt;
  }

 private:
  static Wanted below(Wanted node) { return node->whole ? nullptr : node; }
  static Wanted member_of(Wanted node, std::string_view name) {
    for (const JsonFields::Node& member : node->members)
      if (member.name == name) return &member;
    return nullptr;
  }

  std::optional<Value> build_list(simdjson::dom::array array, int depth) {
    size_t n = 0;  // array.size() saturates, so count
    for ([[maybe_unused]] auto e : array) ++n;
    const auto elements = arena_.array<Value>(n);
    size_t at = 0;
    for (auto e : array) {
      const auto v = build(e, false, depth + 1, nullptr);
      if (!v) return std::nullopt;
      elements[at++] = *v;
    }
    return Value::list(elements);
  }

  std::optional<Value> build_map(simdjson::dom::object object, bool fold_case, int depth, Wanted wanted) {
    if (fold_case) wanted = nullptr;  // a name that is wanted may be written otherwise
    size_t n = 0;
    for (auto field : object) n += wanted == nullptr || member_of(wanted, field.key) != nullptr ? 1 : 0;
    const auto members = arena_.array<Member>(n);
    size_t at = 0;
    for (auto field : object) {
      const Wanted member = wanted != nullptr ? member_of(wanted, field.key) : nullptr;
      if (wanted != nullptr && member == nullptr) continue;
      const bool folds = field.key == "headers" || field.key == "trailers";
      const auto v = build(field.value, folds, depth + 1, member != nullptr ? below(member) : nullptr);
      if (!v) return std::nullopt;
      members[at++] = {arena_.copy(field.key), *v};
    }
    return Value::map(members, fold_case);
  }

  Arena& arena_;
};

size_t write_stream_name(uint64_t stream, StreamKind kind, char* out) {
  char digits[20];
  const size_t n = static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, stream).ptr - digits);
  const size_t zeros = n < 12 ? 12 - n : 0;
  std::memset(out, '0', zeros);
  std::memcpy(out + zeros, digits, n);
  static constexpr std::array<std::string_view, 4> kEndings = {".pcap", "_udp.pcap", "_tls.pcap", "_dns.pcap"};
  const std::string_view ending = kEndings[static_cast<size_t>(kind)];
  std::memcpy(out + zeros + n, ending.data(), ending.size());
  return zeros + n + ending.size();
}

std::string stream_name(const Item& item) {
  char buffer[32];
  return std::string(buffer, write_stream_name(item.stream, item.stream_kind, buffer));
}

Value as_value(const Item& item, Arena& arena) {
  MapBuilder map(arena, std::size(kTopLevel));
  for (const TopLevel& top : kTopLevel) map.add(top.name, top.make(item, arena));
  return map.done();
}

Value member(const Item& item, std::string_view name, Arena& arena) {
  for (const TopLevel& top : kTopLevel)
    if (top.name == name) return top.make(item, arena);
  return {};
}

void append_json(const Value& value, std::string& out) {
  switch (value.type()) {
    case Value::Type::kNull: out += "null"; return;
    case Value::Type::kBool: out += value.as_bool() ? "true" : "false"; return;
    case Value::Type::kInt: append_int(value.as_int(), out); return;
    case Value::Type::kDouble: append_double(value.as_double(), out); return;
    case Value::Type::kString: append_string(value.text(), out); return;
    case Value::Type::kBytes: append_base64(value.text(), out); return;
    case Value::Type::kList: {
      char separator = '[';
      for (const Value& element : value.elements()) {
        out += std::exchange(separator, ',');
        append_json(element, out);
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case Value::Type::kMap: {
      char separator = '{';
      for (const Member& m : value.members()) {
        out += std::exchange(separator, ',');
        append_string(m.name, out);
        out += ':';
        append_json(m.value, out);
      }
      out += separator == '{' ? "{}" : "}";
      return;
    }
  }
}

void append_json(const Item& item, std::string_view record, std::string& out) {
  Arena scratch;
  MapBuilder map(scratch, std::size(kTopLevel));
  for (const TopLevel& top : kTopLevel)
    map.add(top.name, top.name == "record" ? Value(record) : top.make(item, scratch));
  append_json(map.done(), out);
}

void append_json(const Item& item, std::string& out) {
  Arena scratch;
  append_json(as_value(item, scratch), out);
}

namespace {

/// Parses into memory that lasts until this thread parses again.
std::optional<simdjson::dom::element> parse_dom(std::string_view text) {
  // simdjson reads beyond the end; a padded copy in memory that stays calls no malloc in the steady state.
  thread_local simdjson::dom::parser parser;
  thread_local std::vector<char> padded;
  if (padded.size() < text.size() + simdjson::SIMDJSON_PADDING)
    padded.resize(text.size() * 2 + simdjson::SIMDJSON_PADDING);
  std::copy(text.begin(), text.end(), padded.begin());
  simdjson::dom::element root;
  if (parser.parse(padded.data(), text.size(), false).get(root) != simdjson::SUCCESS) return std::nullopt;
  return root;
}

}  // namespace

std::optional<Value> parse_json(std::string_view text, Arena& arena) {
  const auto root = parse_dom(text);
  return root ? TreeBuilder(arena).build(*root, false, 0, nullptr) : std::nullopt;
}

std::optional<Value> parse_json(std::string_view text, Arena& arena, const JsonFields& fields) {
  const auto root = parse_dom(text);
  return root ? TreeBuilder(arena).build(*root, false, 0, TreeBuilder::of(fields)) : std::nullopt;
}

}  // namespace baleen::item
