// The messages are described by texts (apis.cpp) that this file turns into tables of fields once:
//
//   fields = field { " " field }
//   field  = ["*"] name ( ":" type | "[" fields "]" | "(" fields ")" ) ["@" versions] ["%" tag]
//
// `*` marks a topic for the summary, `!` in its place a secret, [] a list of structures, () one structure. A type is
// one of b i8 i16 i32 i64 u16 uuid f64 s y (bytes) r (records) sub asg (a
// consumer's subscription or assignment, within bytes), and "[]" before it makes it a list. Versions are "3",
// "3+" or "3-5". Whether a length is compact follows from the message's version being flexible; whether a string may be
// null needs no description: a reader sees it.

#include "dissect/kafka/schema.h"

#include <charconv>
#include <memory>
#include <vector>

#include "base/check.h"
#include "dissect/build.h"
#include "dissect/kafka/apis.h"
#include "dissect/kafka/records.h"

namespace baleen::dissect::kafka {

using item::Value;

namespace {

/// Turns one text into nodes; the nodes of structures stay in `kept`.
class SchemaText {
 public:
  SchemaText(std::string_view text, std::vector<std::unique_ptr<Node[]>>& kept) : text_(text), kept_(kept) {}

  std::span<const Node> fields(char end) {
    std::vector<Node> out;
    for (;;) {
      while (peek() == ' ') ++at_;
      if (peek() == end) break;
      out.push_back(field());
    }
    if (end != '\0') ++at_;
    if (out.empty()) return {};
    kept_.push_back(std::make_unique<Node[]>(out.size()));
    std::copy(out.begin(), out.end(), kept_.back().get());
    return {kept_.back().get(), out.size()};
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  std::string_view word(std::string_view stop) {
    const size_t from = at_;
    while (at_ < text_.size() && stop.find(text_[at_]) == std::string_view::npos) ++at_;
    BALEEN_CHECK(at_ > from);
    return text_.substr(from, at_ - from);
  }
  int16_t number() {
    int16_t n = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), n);
    BALEEN_CHECK(error == std::errc());
    at_ = static_cast<size_t>(end - text_.data());
    return n;
  }
  Node field() {
    Node n;
    if (peek() == '*') n.is_topic = true, ++at_;
    if (peek() == '!') n.is_secret = true, ++at_;
    n.name = word(":[(@% ");
    n.is_error = n.name == "errorCode";
    const char open = peek();
    ++at_;
    if (open == ':') {
      if (peek() == '[') n.is_array = true, at_ += 2;
      n.type = type(word(" @%])"));
    } else {
      n.is_array = open == '[';
      n.fields = fields(open == '[' ? ']' : ')');
    }
    if (peek() == '@') {
      ++at_;
      n.first_version = n.last_version = number();
      if (peek() == '+')
        n.last_version = INT16_MAX, ++at_;
      else if (peek() == '-')
        ++at_, n.last_version = number();
    }
    if (peek() == '%') ++at_, n.tag = number();
    return n;
  }
  static Type type(std::string_view t) {
    constexpr std::string_view kNames[] = {"b",   "i8", "i16", "i32", "i64", "u16", "uuid",
                                           "f64", "s",  "y",   "r",   "sub", "asg"};
    for (size_t i = 0; i < std::size(kNames); ++i)
      if (kNames[i] == t) return static_cast<Type>(i);
    BALEEN_CHECK(false);
    return Type::kBool;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<std::unique_ptr<Node[]>>& kept_;
};

struct Table {
  std::vector<std::unique_ptr<Node[]>> nodes;
  std::vector<Api> apis;
  Api consumer;

  Table() {
    const ApiText& own = consumer_protocol();
    consumer = {own.key, own.name, own.last_version, own.flexible_from};
    consumer.request = SchemaText(own.request, nodes).fields('\0');
    consumer.response = SchemaText(own.response, nodes).fields('\0');
    for (const ApiText& t : api_texts()) {
      if (apis.size() <= static_cast<size_t>(t.key)) apis.resize(static_cast<size_t>(t.key) + 1);
      Api& api = apis[static_cast<size_t>(t.key)];
      api = {t.key, t.name, t.last_version, t.flexible_from};
      api.is_described = t.is_described;
      api.request = SchemaText(t.request, nodes).fields('\0');
      api.response = SchemaText(t.response, nodes).fields('\0');
    }
  }
};

const Table& table() {
  static const Table built;
  return built;
}

constexpr int kMaxDepth = 12;

/// A length or count: compact ones are one more than they mean, zero is null.
int64_t length(ByteReader& r, bool flexible, bool wide) {
  if (flexible) {
    const uint64_t n = varint(r);
    return n > UINT32_MAX ? (r.fail(), -1) : static_cast<int64_t>(n) - 1;
  }
  return wide ? static_cast<int32_t>(r.be32()) : static_cast<int16_t>(r.be16());
}

struct Decoding {
  int version;
  bool flexible;
  size_t cap;
  Arena& arena;
  Findings& findings;
  Growing<std::string_view, 8> topics;
  bool secret = false;

  void topic(std::string_view name) {
    for (const std::string_view seen : topics.kept())
      if (seen == name) return;
    if (topics.size() < 64) topics.push(name);
  }

  Value scalar(const Node& n, ByteReader& r) {
    switch (n.type) {
      case Type::kBool: return Value(r.u8() != 0);
      case Type::kInt8: return Value(static_cast<int64_t>(static_cast<int8_t>(r.u8())));
      case Type::kInt16: {
        const int v = static_cast<int16_t>(r.be16());
        if (n.is_error && v != 0 && findings.error == 0) findings.error = v;
        if (n.name == "acks" && v == 0 && r.ok()) findings.no_answer = true;
        return Value(v);
      }
      case Type::kInt32: return Value(static_cast<int64_t>(static_cast<int32_t>(r.be32())));
      case Type::kInt64: return Value(static_cast<int64_t>(r.be64()));
      case Type::kUint16: return Value(static_cast<int64_t>(r.be16()));
      case Type::kUuid: {
        const std::string_view id = uuid(r.bytes(16));
        if (n.is_topic && !id.empty()) topic(id);
        return Value(id);
      }
      case Type::kDouble: {
        const uint64_t bits = r.be64();
        double d;
        std::memcpy(&d, &bits, sizeof d);
        return Value(d);
      }
      case Type::kString: {
        const int64_t size = length(r, flexible, false);
        if (size < 0) return {};
        const std::string_view text = r.text(static_cast<size_t>(size));
        if (n.is_topic && r.ok()) topic(text);
        return text_or_bytes(text);
      }
      case Type::kBytes: {
        const int64_t size = length(r, flexible, true);
        return size < 0 ? Value() : text_or_bytes(r.text(static_cast<size_t>(size)));
      }
      case Type::kRecords: return records(r);
      case Type::kSubscription: return embedded(table().consumer.request, r);
      case Type::kAssignment: return embedded(table().consumer.response, r);
      case Type::kStruct: break;
    }
    return {};
  }

  std::string_view uuid(Bytes id) {
    if (id.size() != 16) return {};
    const std::string_view h = hex(id, arena);
    return join({h.substr(0, 8), "-", h.substr(8, 4), "-", h.substr(12, 4), "-", h.substr(16, 4), "-", h.substr(20)},
                arena);
  }

  /// A part of the records is worth showing when the message was cut.
  Value records(ByteReader& r) {
    const int64_t size = length(r, flexible, true);
    if (size < 0) return {};
    const size_t here = std::min(static_cast<size_t>(size), r.remaining());
    const Value v = decode_records(r.bytes(here), cap, arena);
    if (here < static_cast<size_t>(size)) r.fail();
    return v;
  }

  /// Bytes that are a consumer's, when they read as such from end to end; those of other kinds of groups (Kafka
  /// Connect's, Streams') stay bytes. A newer version may have more behind the fields of the last one that is known.
  Value embedded(std::span<const Node> fields, ByteReader& r) {
    const int64_t size = length(r, flexible, true);
    if (size < 0) return {};
    const Bytes bytes = r.bytes(static_cast<size_t>(size));
    ByteReader inner(bytes);
    const int its_version = inner.be16(), last = table().consumer.last_version;
    if (!inner.ok() || its_version > last + 4) return text_or_bytes(as_text(bytes));
    ByteReader whole = inner;
    if (!fits(fields, std::min(its_version, last), false, whole) && !(its_version > last && whole.ok()))
      return text_or_bytes(as_text(bytes));
    Decoding d{std::min(its_version, last), false, cap, arena, findings, Growing<std::string_view, 8>(arena)};
    MapOf map(arena);
    map.add("version", its_version);
    for (const item::Member& m : d.structure(fields, inner, 0).members()) map.push(m);
    return map.build();
  }

  Value one(const Node& n, ByteReader& r, int depth) {
    return n.type == Type::kStruct ? structure(n.fields, r, depth + 1) : scalar(n, r);
  }

  Value field(const Node& n, ByteReader& r, int depth) {
    if (!n.is_array) {
      // A nullable structure begins with a byte that says whether it is there; only the cursor of
      // DescribeTopicPartitions is one.
      if (n.type == Type::kStruct && (n.name == "cursor" || n.name == "nextCursor"))
        if (static_cast<int8_t>(r.u8()) < 0) return {};
      return one(n, r, depth);
    }
    const int64_t count = length(r, flexible, true);
    if (count < 0) return {};
    if (static_cast<uint64_t>(count) > r.remaining()) return r.fail(), Value();
    ListOf list(arena);
    for (int64_t i = 0; i < count && r.ok(); ++i) {
      const Value v = one(n, r, depth);
      if (!v.is_null() || r.ok()) list.push(v);
    }
    return list.build();
  }

  Value structure(std::span<const Node> fields, ByteReader& r, int depth) {
    MapOf map(arena);
    if (depth > kMaxDepth) return r.fail(), Value();
    for (const Node& n : fields) {
      if (n.tag >= 0 || version < n.first_version || version > n.last_version) continue;
      if (!r.ok()) break;
      const Value v = field(n, r, depth);
      if (r.ok() || v.is_list() || v.is_map()) map.add(n.name, v);
    }
    if (flexible && r.ok()) {
      const uint64_t tags = varint(r);
      for (uint64_t i = 0; i < tags && r.ok(); ++i) {
        const uint64_t tag = varint(r), size = varint(r);
        ByteReader inner(r.bytes(static_cast<size_t>(std::min<uint64_t>(size, SIZE_MAX))));
        for (const Node& n : fields)
          if (n.tag >= 0 && static_cast<uint64_t>(n.tag) == tag && version >= n.first_version && r.ok())
            map.add(n.name, field(n, inner, depth));
      }
    }
    return map.build();
  }
};

/// The same walk without making values.
struct Fitting {
  int version;
  bool flexible;

  void one(const Node& n, ByteReader& r, int depth) {
    switch (n.type) {
      case Type::kBool:
        if (r.u8() > 1) r.fail();
        return;
      case Type::kInt8: return r.skip(1);
      case Type::kInt16:
      case Type::kUint16: return r.skip(2);
      case Type::kInt32: return r.skip(4);
      case Type::kInt64:
      case Type::kDouble: return r.skip(8);
      case Type::kUuid: return r.skip(16);
      case Type::kString:
      case Type::kBytes:
      case Type::kRecords:
      case Type::kSubscription:
      case Type::kAssignment: {
        const int64_t size = length(r, flexible, n.type != Type::kString);
        if (size < -1) return r.fail();
        if (size > 0) r.skip(static_cast<size_t>(size));
        return;
      }
      case Type::kStruct: return structure(n.fields, r, depth + 1);
    }
  }
  void structure(std::span<const Node> fields, ByteReader& r, int depth) {
    if (depth > kMaxDepth) return r.fail();
    for (const Node& n : fields) {
      if (n.tag >= 0 || version < n.first_version || version > n.last_version || !r.ok()) continue;
      if (!n.is_array) {
        if (n.name == "cursor" && static_cast<int8_t>(r.u8()) < 0) continue;
        one(n, r, depth);
        continue;
      }
      const int64_t count = length(r, flexible, true);
      if (count < -1 || count > static_cast<int64_t>(r.remaining())) return r.fail();
      for (int64_t i = 0; i < count && r.ok(); ++i) one(n, r, depth);
    }
    if (flexible) skip_tags(r);
  }
};

}  // namespace

uint64_t varint(ByteReader& r) {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const uint8_t b = r.u8();
    v |= uint64_t{b & 0x7Fu} << shift;
    if (b < 0x80) return v;
  }
  r.fail();
  return 0;
}

int64_t signed_varint(ByteReader& r) {
  const uint64_t v = varint(r);
  return static_cast<int64_t>(v >> 1 ^ (~(v & 1) + 1));
}

void skip_tags(ByteReader& r) {
  const uint64_t tags = varint(r);
  for (uint64_t i = 0; i < tags && r.ok(); ++i) {
    varint(r);
    const uint64_t size = varint(r);
    r.skip(static_cast<size_t>(size));
  }
}

const Api* find_api(int key) {
  const std::vector<Api>& apis = table().apis;
  if (key < 0 || static_cast<size_t>(key) >= apis.size()) return nullptr;
  const Api& api = apis[static_cast<size_t>(key)];
  return api.key < 0 ? nullptr : &api;
}

Value decode(std::span<const Node> fields, int version, bool flexible, ByteReader& reader, size_t cap, Arena& arena,
             Findings& findings) {
  Decoding d{version, flexible, cap, arena, findings, Growing<std::string_view, 8>(arena)};
  const Value v = d.structure(fields, reader, 0);
  findings.ok = reader.ok();
  if (d.topics.size() == 1) {
    findings.summary = d.topics.kept()[0];
  } else if (!d.topics.empty()) {
    size_t size = 0;
    for (const auto t : d.topics.kept()) size += t.size() + 1;
    char* const out = static_cast<char*>(arena.allocate(size, 1));
    char* at = out;
    for (const auto t : d.topics.kept()) {
      if (at != out) *at++ = ',';
      at = std::copy(t.begin(), t.end(), at);
    }
    findings.summary = {out, static_cast<size_t>(at - out)};
  }
  return v;
}

bool fits(std::span<const Node> fields, int version, bool flexible, ByteReader& reader) {
  Fitting{version, flexible}.structure(fields, reader, 0);
  return reader.ok() && reader.at_end();
}

}  // namespace baleen::dissect::kafka
