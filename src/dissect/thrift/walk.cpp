#include "dissect/thrift/walk.h"

namespace baleen::dissect::thrift {

using item::Value;

namespace {

// Types of the binary protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md).
enum Type : uint8_t {
  kStop = 0,
  kBool = 2,
  kByte = 3,
  kDouble = 4,
  kI16 = 6,
  kI32 = 8,
  kI64 = 10,
  kString = 11,
  kStruct = 12,
  kMap = 13,
  kSet = 14,
  kList = 15,
  kUuid = 16
};

/// Bytes of a value of fixed size; 0: it has none.
size_t fixed(uint8_t type) {
  switch (type) {
    case kBool:
    case kByte: return 1;
    case kI16: return 2;
    case kI32: return 4;
    case kI64:
    case kDouble: return 8;
    case kUuid: return 16;
    default: return 0;
  }
}
bool is_type(uint8_t t) { return fixed(t) != 0 || (t >= kString && t <= kList); }

}  // namespace

/// Steps over a value of `type` at at_, or into it. False: it is no value, or (`more`) not all of it is there.
bool Walk::enter(uint8_t type, Bytes b, bool& more) {
  const size_t left = b.size() - at_;
  more = false;
  if (const size_t n = fixed(type); n != 0) {
    more = left < n;
    if (!more) at_ += n;
    return !more;
  }
  if (type == kStruct) {
    if (depth_ == kMaxDepth) return false;
    levels_[depth_++] = {.kind = kStruct};
    return true;
  }
  const size_t head = type == kString ? 4 : type == kMap ? 6 : 5;
  if (left < head) {
    more = true;
    return false;
  }
  const uint8_t* const p = &b[at_];
  if (type == kString) {
    const uint32_t n = load_be32(p);
    if (n > kMostBytes) return false;
    more = left < 4 + size_t{n};
    if (!more) at_ += 4 + size_t{n};
    return !more;
  }
  const uint32_t n = load_be32(p + head - 4);
  if (n > kMostElements || depth_ == kMaxDepth) return false;
  if (n > 0 && (!is_type(p[0]) || (type == kMap && !is_type(p[1])))) return false;
  at_ += head;
  if (n > 0) levels_[depth_++] = {p[0], type == kMap ? p[1] : uint8_t{0}, true, type == kMap, type == kMap ? n * 2 : n};
  return true;
}

Steps::Got Walk::go(Bytes b, size_t head) {
  if (depth_ == 0) {
    levels_[depth_++] = {.kind = kStruct};
    at_ = head;
  }
  while (depth_ > 0) {
    Level& top = levels_[depth_ - 1];
    bool more = false;
    if (top.is_container) {
      if (top.left == 0) {
        --depth_;
        continue;
      }
      const uint8_t type = top.next_type();
      --top.left;
      if (enter(type, b, more)) continue;
      ++top.left;
      return more ? Got::kMore : Got::kBad;
    }
    if (b.size() - at_ < 1) return Got::kMore;
    const uint8_t type = b[at_];
    if (type == kStop) {
      ++at_;
      --depth_;
      continue;
    }
    if (!is_type(type)) return Got::kBad;
    if (b.size() - at_ < 3) return Got::kMore;
    at_ += 3;
    if (enter(type, b, more)) continue;
    at_ -= 3;
    return more ? Got::kMore : Got::kBad;
  }
  return Got::kEnd;
}

namespace {

Value read_value(uint8_t type, ByteReader& r, Arena& arena, int depth) {
  switch (type) {
    case kBool: return Value(r.u8() != 0);
    case kByte: return Value(static_cast<int64_t>(static_cast<int8_t>(r.u8())));
    case kI16: return Value(static_cast<int64_t>(static_cast<int16_t>(r.be16())));
    case kI32: return Value(static_cast<int64_t>(static_cast<int32_t>(r.be32())));
    case kI64: return Value(static_cast<int64_t>(r.be64()));
    case kDouble: {
      const uint64_t bits = r.be64();
      double d;
      std::memcpy(&d, &bits, sizeof d);
      return Value(d);
    }
    case kUuid: return Value(hex(r.bytes(16), arena));
    case kString: return text_or_bytes(r.text(r.be32()));
    case kStruct: return read_struct(r, arena, depth + 1);
    case kSet:
    case kList: {
      const uint8_t of = r.u8();
      const uint32_t n = r.be32();
      ListOf list(arena);
      if (n > r.remaining() || depth > 12) return r.fail(), Value();
      for (uint32_t i = 0; i < n && r.ok(); ++i) list.push(read_value(of, r, arena, depth + 1));
      return list.build();
    }
    case kMap: {
      const uint8_t keys = r.u8(), values = r.u8();
      const uint32_t n = r.be32();
      ListOf list(arena);
      if (n > r.remaining() || depth > 12) return r.fail(), Value();
      for (uint32_t i = 0; i < n && r.ok(); ++i) {
        MapOf pair(arena);
        pair.add("key", read_value(keys, r, arena, depth + 1));
        pair.add("value", read_value(values, r, arena, depth + 1));
        list.push(pair.build());
      }
      return list.build();
    }
    default: r.fail(); return {};
  }
}

}  // namespace

Value read_struct(ByteReader& r, Arena& arena, int depth) {
  MapOf map(arena);
  if (depth > 12) return r.fail(), Value();
  while (r.ok()) {
    const uint8_t type = r.u8();
    if (type == kStop) break;
    const uint16_t id = r.be16();
    const Value v = read_value(type, r, arena, depth);
    if (r.ok()) map.add(decimal(id, arena), v);
  }
  return map.build();
}

}  // namespace baleen::dissect::thrift
