#include "dissect/grpc/message.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "base/clock.h"
#include "codec/protobuf.h"
#include "dissect/build.h"

// A message's records are collected, put in the order of its type's fields (most are), and made into members: several
// of one field are a list, a map, a merged message, or only the last of them counts
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins). What does not fit the type goes to "?".

namespace baleen::dissect::grpc {
namespace {

using codec::FieldKind;
using codec::Meaning;
using codec::MessageField;
using codec::MessageType;
using codec::WireField;
using codec::WireReader;
using item::Member;
using item::Value;
using Type = WireField::Type;

constexpr int kMaxDepth = 32;
constexpr size_t kMaxOneofs = 16;  // of one message that are watched
constexpr std::string_view kUnknownFields = "?";

struct Record {
  uint32_t place;  // of the field in its type; kElsewhere and kOverruled come last
  WireField wire;
  Bytes whole;  // with its tag
};
constexpr uint32_t kElsewhere = UINT32_MAX - 1, kOverruled = UINT32_MAX;

Type wire_type(FieldKind kind) {
  switch (kind) {
    case FieldKind::kDouble:
    case FieldKind::kFixed64:
    case FieldKind::kSfixed64: return Type::kFixed64;
    case FieldKind::kFloat:
    case FieldKind::kFixed32:
    case FieldKind::kSfixed32: return Type::kFixed32;
    case FieldKind::kString:
    case FieldKind::kBytes:
    case FieldKind::kMessage: return Type::kBytes;
    case FieldKind::kGroup: return Type::kGroup;
    case FieldKind::kUnknown: return Type::kEndGroup;
    default: return Type::kVarint;
  }
}
bool can_be_packed(FieldKind kind) {
  const Type type = wire_type(kind);
  return type == Type::kVarint || type == Type::kFixed64 || type == Type::kFixed32;
}
bool is_message(const MessageField& field) {
  return (field.kind == FieldKind::kMessage || field.kind == FieldKind::kGroup) && field.message != nullptr;
}

/// Whether the record's wire type is one that the field may have.
bool fits(const MessageField& field, Type type) {
  if (field.kind == FieldKind::kMessage || field.kind == FieldKind::kGroup)
    return field.message != nullptr && (type == Type::kBytes || type == Type::kGroup);
  return type == wire_type(field.kind) || (type == Type::kBytes && field.repeated && can_be_packed(field.kind));
}

/// Records that are being collected, of all messages around the one in hand; a thread's own.
std::vector<Record>& collected() {
  static thread_local std::vector<Record> records;
  return records;
}

class Decoder {
 public:
  Decoder(const Types& types, Budget& budget, Arena& arena) : types_(types), budget_(budget), arena_(arena) {}

  /// Null when the bytes are no message.
  Value message(Bytes bytes, const MessageType& type, int depth) {
    const size_t from = collected().size();
    Value value;
    if (collect(bytes, type, from)) value = meant(type, members(type, from, depth), depth);
    collected().resize(from);
    return value;
  }

 private:
  bool collect(Bytes bytes, const MessageType& type, size_t from);
  static bool skip_group(WireReader& reader, WireField& group);
  void overrule(const MessageType& type, size_t from, uint32_t place);
  Value members(const MessageType& type, size_t from, int depth);
  Value unknown(size_t from, size_t to);
  Value values(const MessageField& field, size_t from, size_t to, int depth);
  Value list(const MessageField& field, size_t from, size_t to, int depth);
  Value map(const MessageField& field, size_t from, size_t to, int depth);
  void unpack(const MessageField& field, Bytes packed, ListOf& out);
  Value value(const MessageField& field, const WireField& wire, int depth);
  Value nested(const MessageType& type, Bytes bytes, int depth);
  Value scalar(const MessageField& field, uint64_t bits);
  Value meant(const MessageType& type, Value plain, int depth);
  Value any(Value plain, int depth);
  Value duration(Value plain);
  Value timestamp(Value plain);
  Value paths(Value plain);
  std::string_view key_text(Value key);
  /// Whether there is budget for another record.
  bool take() {
    if (budget_.records == 0) return budget_.cut = true, false;
    return --budget_.records, true;
  }

  const Types& types_;
  Budget& budget_;
  Arena& arena_;
};

/// Reads to the end of the group that was just begun, whose content becomes `group.bytes`.
bool Decoder::skip_group(WireReader& reader, WireField& group) {
  const Bytes begin = reader.rest();
  uint32_t open[kMaxDepth] = {group.number};
  int depth = 1;
  for (WireField f;;) {
    const size_t left = reader.rest().size();
    if (!reader.next(f)) return false;
    if (f.type == Type::kGroup) {
      if (depth == kMaxDepth) return false;
      open[depth++] = f.number;
    } else if (f.type == Type::kEndGroup) {
      if (open[--depth] != f.number) return false;
      if (depth == 0) return group.bytes = begin.first(begin.size() - left), true;
    }
  }
}

/// Of the fields of one oneof the last one stands.
void Decoder::overrule(const MessageType& type, size_t from, uint32_t place) {
  const uint32_t oneof = type.fields[place].oneof;
  auto& records = collected();
  size_t looked_at = 0;
  for (size_t i = records.size(); i-- > from && looked_at < kMaxOneofs; ++looked_at) {
    Record& r = records[i];
    if (r.place < type.fields.size() && r.place != place && type.fields[r.place].oneof == oneof) r.place = kOverruled;
  }
}

bool Decoder::collect(Bytes bytes, const MessageType& type, size_t from) {
  auto& records = collected();
  WireReader reader(bytes);
  bool sorted = true;
  for (WireField f;;) {
    const Bytes before = reader.rest();
    if (!reader.next(f)) break;
    if (f.type == Type::kEndGroup || (f.type == Type::kGroup && !skip_group(reader, f))) return false;
    if (!take()) continue;
    const MessageField* const field = type.find(f.number);
    const bool known = field != nullptr && fits(*field, f.type);
    const auto place = known ? static_cast<uint32_t>(field - type.fields.data()) : kElsewhere;
    if (known && field->oneof != 0) overrule(type, from, place);
    sorted &= records.size() == from || records.back().place <= place;
    records.push_back({place, f, before.first(before.size() - reader.rest().size())});
  }
  // Stable, and without memory of its own: `whole` grows with the order on the wire.
  if (!sorted || std::any_of(records.begin() + static_cast<ptrdiff_t>(from), records.end(),
                             [](const Record& r) { return r.place == kOverruled; }))
    std::sort(records.begin() + static_cast<ptrdiff_t>(from), records.end(), [](const Record& a, const Record& b) {
      return a.place != b.place ? a.place < b.place : a.whole.data() < b.whole.data();
    });
  return reader.ok();
}

Value Decoder::members(const MessageType& type, size_t from, int depth) {
  const size_t end = collected().size();
  MapOf map(arena_);
  for (size_t i = from, next; i < end; i = next) {
    const uint32_t place = collected()[i].place;
    for (next = i + 1; next < end && collected()[next].place == place;) ++next;
    if (place == kOverruled) break;
    if (place != kElsewhere) {
      const MessageField& field = type.fields[place];
      map.add(arena_.copy(field.name), values(field, i, next, depth));
    } else if (!type.name.ends_with("DescriptorProto")) {  // of these the known types are excerpts
      map.add(kUnknownFields, unknown(i, next));
    }
  }
  return map.build();
}

Value Decoder::unknown(size_t from, size_t to) {
  ListOf list(arena_);
  for (size_t i = from; i < to; ++i)
    for (const Value& record : wire_message(collected()[i].whole, budget_, arena_).elements()) list.push(record);
  return list.build();
}

Value Decoder::values(const MessageField& field, size_t from, size_t to, int depth) {
  if (field.repeated) {
    const bool entries = is_message(field) && field.message->meaning == Meaning::kMapEntry;
    return entries ? map(field, from, to, depth) : list(field, from, to, depth);
  }
  if (!is_message(field) || to - from == 1) return value(field, collected()[to - 1].wire, depth);
  // Messages of one field merge, which is what their bytes in a row mean.
  size_t size = 0;
  for (size_t i = from; i < to; ++i) size += collected()[i].wire.bytes.size();
  auto* const merged = static_cast<uint8_t*>(arena_.allocate(size + 1, 1));
  uint8_t* at = merged;
  for (size_t i = from; i < to; ++i) {
    const Bytes part = collected()[i].wire.bytes;
    at = std::copy(part.begin(), part.end(), at);
  }
  return nested(*field.message, {merged, size}, depth);
}

Value Decoder::list(const MessageField& field, size_t from, size_t to, int depth) {
  ListOf list(arena_);
  for (size_t i = from; i < to; ++i) {
    const WireField wire = collected()[i].wire;
    if (wire.type == Type::kBytes && can_be_packed(field.kind)) {
      unpack(field, wire.bytes, list);
    } else {
      list.push(value(field, wire, depth));
    }
  }
  budget_.cut |= list.seen() > list.size();
  return list.build();
}

void Decoder::unpack(const MessageField& field, Bytes packed, ListOf& out) {
  const Type type = wire_type(field.kind);
  while (!packed.empty() && take()) {
    uint64_t bits = 0;
    if (type == Type::kVarint) {
      if (!codec::read_varint(packed, bits)) break;
    } else {
      const size_t size = type == Type::kFixed64 ? 8 : 4;
      if (packed.size() < size) break;
      bits = size == 8 ? load_le64(packed.data()) : load_le32(packed.data());
      packed = packed.subspan(size);
    }
    out.push(scalar(field, bits));
  }
}

std::string_view Decoder::key_text(Value key) {
  if (key.is_string()) return key.text();
  if (key.type() == Value::Type::kBool) return key.as_bool() ? "true" : "false";
  const int64_t n = key.as_int();
  const std::string_view digits = decimal(n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n), arena_);
  return n < 0 ? join({"-", digits}, arena_) : digits;
}

Value Decoder::map(const MessageField& field, size_t from, size_t to, int depth) {
  MapOf map(arena_);
  for (size_t i = from; i < to; ++i) {
    const Value entry = nested(*field.message, Bytes(collected()[i].wire.bytes), depth);
    const Value* const key = entry.find("key");
    const MessageField* const type = field.message->find(1);
    // Where it is left out it is the type's zero.
    const bool text = type != nullptr && type->kind == FieldKind::kString;
    const bool flag = type != nullptr && type->kind == FieldKind::kBool;
    map.add(key != nullptr ? key_text(*key) : text ? "" : flag ? "false" : "0", entry["value"]);
  }
  budget_.cut |= map.seen() > map.size();
  return map.build();
}

Value Decoder::value(const MessageField& field, const WireField& wire, int depth) {
  if (is_message(field)) return nested(*field.message, wire.bytes, depth);
  if (field.kind == FieldKind::kString) return text_or_bytes(as_text(wire.bytes));
  if (field.kind == FieldKind::kBytes) return Value::bytes(wire.bytes);
  if (wire.type != Type::kBytes) return scalar(field, wire.value);
  return {};
}

Value Decoder::nested(const MessageType& type, Bytes bytes, int depth) {
  if (depth >= kMaxDepth) return budget_.cut = true, Value::bytes(bytes);
  const Value v = message(bytes, type, depth + 1);
  // A value of JSON's null is one, too.
  return v.is_null() && type.meaning != Meaning::kValue ? Value::bytes(bytes) : v;
}

Value real(double number, Arena&) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return number;
}

Value Decoder::scalar(const MessageField& field, uint64_t bits) {
  const auto zigzag = [](uint64_t n) { return static_cast<int64_t>(n >> 1 ^ (~(n & 1) + 1)); };
  switch (field.kind) {
    case FieldKind::kDouble: return real(std::bit_cast<double>(bits), arena_);
    case FieldKind::kFloat: {
      const auto number = std::bit_cast<float>(static_cast<uint32_t>(bits));
      if (!std::isfinite(number)) return real(number, arena_);
      char digits[32];  // 0.1f is 0.1, and not 0.10000000149011612
      const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
      double shown = number;
      std::from_chars(digits, end, shown);
      return shown;
    }
    case FieldKind::kInt32:
    case FieldKind::kSfixed32: return int64_t{static_cast<int32_t>(bits)};
    case FieldKind::kSint32: return int64_t{static_cast<int32_t>(zigzag(bits & UINT32_MAX))};
    case FieldKind::kSint64: return zigzag(bits);
    case FieldKind::kUint32:
    case FieldKind::kFixed32: return int64_t{static_cast<uint32_t>(bits)};
    case FieldKind::kUint64:
    case FieldKind::kFixed64:
      return bits > INT64_MAX ? Value(decimal(bits, arena_)) : Value(static_cast<int64_t>(bits));
    case FieldKind::kBool: return bits != 0;
    case FieldKind::kEnum: {
      const auto number = static_cast<int32_t>(bits);
      const std::string_view name = field.enumeration != nullptr ? field.enumeration->find(number) : std::string_view();
      return name.empty() ? Value(int64_t{number}) : Value(arena_.copy(name));
    }
    default: return static_cast<int64_t>(bits);
  }
}

// ---- types that everybody knows ----

Value Decoder::timestamp(Value plain) {
  const int64_t seconds = plain["seconds"].as_int(), nanos = plain["nanos"].as_int();
  constexpr int64_t kMost = INT64_MAX / 1'000'000'000 - 1;
  if (seconds < -kMost || seconds > kMost || nanos < 0 || nanos > 999'999'999) return plain;
  char* const text = static_cast<char*>(arena_.allocate(40, 1));
  return std::string_view(text, write_rfc3339(timestamp_from_ns(seconds * 1'000'000'000 + nanos), text));
}

Value Decoder::duration(Value plain) {
  const int64_t seconds = plain["seconds"].as_int(), nanos = plain["nanos"].as_int();
  const bool negative = seconds < 0 || nanos < 0;
  if (nanos <= -1'000'000'000 || nanos >= 1'000'000'000 || (negative && (seconds > 0 || nanos > 0))) return plain;
  const auto size = [](int64_t n) { return n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n); };
  std::string_view fraction;
  if (nanos != 0) {
    fraction = decimal(1'000'000'000 + size(nanos), arena_).substr(1);
    while (fraction.ends_with("000")) fraction.remove_suffix(3);
  }
  return join({negative ? "-" : "", decimal(size(seconds), arena_), fraction.empty() ? "" : ".", fraction, "s"},
              arena_);
}

Value Decoder::paths(Value plain) {
  const auto parts = plain["paths"].elements();
  size_t size = 0;
  for (const Value& v : parts) size += v.text().size() + 1;
  char* const text = static_cast<char*>(arena_.allocate(size + 1, 1));
  char* at = text;
  for (const Value& v : parts) {
    if (at != text) *at++ = ',';
    at = std::copy(v.text().begin(), v.text().end(), at);
  }
  return text_or_bytes({text, static_cast<size_t>(at - text)});
}

Value Decoder::any(Value plain, int depth) {
  const std::string_view url = plain["type_url"].text();
  const Bytes bytes = as_bytes(plain["value"].text());
  MapOf map(arena_);
  map.add("@type", plain["type_url"]);
  const MessageType* const type = types_.message(url.substr(url.rfind('/') + 1));
  if (type == nullptr) {
    if (const Value records = wire_message(bytes, budget_, arena_); !records.is_null()) {
      if (records.size() > 0) map.add(kUnknownFields, records);
    } else {
      map.add("value", Value::bytes(bytes));
    }
    return map.build();
  }
  const Value content = nested(*type, bytes, depth);
  if (!content.is_map() || type->meaning != Meaning::kPlain) {
    map.add("value", content);
  } else {
    for (const Member& m : content.members()) map.add(m.name, m.value);
  }
  return map.build();
}

Value Decoder::meant(const MessageType& type, Value plain, int depth) {
  switch (type.meaning) {
    case Meaning::kPlain:
    case Meaning::kMapEntry: return plain;
    case Meaning::kTimestamp: return timestamp(plain);
    case Meaning::kDuration: return duration(plain);
    case Meaning::kFieldMask: return paths(plain);
    case Meaning::kAny: return any(plain, depth);
    case Meaning::kStruct: return plain["fields"].is_map() ? plain["fields"] : Value::map({});
    case Meaning::kListValue: return plain["values"].is_list() ? plain["values"] : Value::list({});
    case Meaning::kValue:
      return plain.members().empty() || plain.find("null_value") != nullptr ? Value() : plain.members()[0].value;
    case Meaning::kWrapper: {
      if (const Value* const v = plain.find("value"); v != nullptr) return *v;
      const MessageField* const field = type.find(1);
      if (field == nullptr) return plain;
      return field->kind == FieldKind::kString || field->kind == FieldKind::kBytes ? value(*field, {}, depth)
                                                                                   : scalar(*field, 0);
    }
  }
  return plain;
}

}  // namespace

Value decode_message(Bytes bytes, const MessageType& type, const Types& types, Budget& budget, Arena& arena) {
  return Decoder(types, budget, arena).message(bytes, type, 0);
}

}  // namespace baleen::dissect::grpc
