#include "codec/protobuf.h"
#include "dissect/build.h"
#include "dissect/grpc/message.h"

// Without its descriptor a message says numbers and four wire types. Bytes may be a string, a nested message, packed
// numbers or anything: they are a string when all of it can be printed, else a message when they parse as one, else
// text with control characters when it is that, else bytes.

namespace baleen::dissect::grpc {
namespace {

using codec::WireField;
using codec::WireReader;
using item::Member;
using item::Value;
using Type = WireField::Type;

constexpr int kMaxDepth = 16;
constexpr size_t kMaxRecords = 1024;  // of a message with all that is nested in it; the rest is left out

class Tree {
 public:
  Tree(Budget& budget, Arena& arena) : budget_(budget), arena_(arena) {}

  /// Nothing when the bytes are no message.
  Value message(Bytes bytes, int depth) {
    if (!is_message(bytes)) return {};
    WireReader reader(bytes);
    return records(reader, 0, depth);
  }

 private:
  /// Whether the records, groups included, end where the bytes end. Nothing is built for what does not.
  static bool is_message(Bytes bytes) {
    WireReader reader(bytes);
    uint32_t open[kMaxDepth];
    int depth = 0;
    for (WireField f; reader.next(f);) {
      if (f.type == Type::kGroup) {
        if (depth == kMaxDepth) return false;
        open[depth++] = f.number;
      } else if (f.type == Type::kEndGroup && (depth == 0 || open[--depth] != f.number)) {
        return false;
      }
    }
    return reader.ok() && depth == 0;
  }

  Value records(WireReader& reader, uint32_t group, int depth) {
    ListOf list(arena_);
    for (WireField f; reader.next(f);) {
      if (f.type == Type::kEndGroup) break;
      if (++count_ > kMaxRecords || budget_.records == 0) {
        budget_.cut = true;
        while (reader.next(f)) {
        }
        break;
      }
      --budget_.records;
      list.push(value(f, reader, depth));
    }
    return list.build();
  }

  Value value(const WireField& f, WireReader& reader, int depth) {
    std::string_view type = "varint";
    Value v(static_cast<int64_t>(f.value));
    switch (f.type) {
      case Type::kVarint: break;
      case Type::kFixed64: type = "fixed64"; break;
      case Type::kFixed32: type = "fixed32"; break;
      case Type::kGroup:
        type = "group";
        v = records(reader, f.number, depth);
        break;
      default: v = content(f.bytes, type, depth);
    }
    const auto members = arena_.array<Member>(3);
    members[0] = {"number", f.number};
    members[1] = {"type", type};
    members[2] = {"value", v};
    return Value::map(members);
  }

  Value content(Bytes bytes, std::string_view& type, int depth) {
    const std::string_view text = as_text(bytes);
    type = "string";
    const bool readable = is_text(text);
    if (readable && std::none_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20; }))
      return text;
    if (depth < kMaxDepth && count_ < kMaxRecords) {
      if (const Value nested = message(bytes, depth + 1); !nested.is_null()) {
        type = "message";
        return nested;
      }
    }
    if (readable) return text;
    type = "bytes";
    return Value::bytes(bytes);
  }

  Budget& budget_;
  Arena& arena_;
  size_t count_ = 0;
};

}  // namespace

Value wire_message(Bytes bytes, Budget& budget, Arena& arena) { return Tree(budget, arena).message(bytes, 0); }

}  // namespace baleen::dissect::grpc
