#include "dissect/thrift/walk.h"

namespace baleen::dissect::thrift {

using item::Value;

namespace {

// Types of the compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
enum Type : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
  kUuid = 13
};
constexpr int kMaxValueDepth = 12;

bool is_type(uint8_t t) { return t >= kTrue && t <= kUuid; }

int64_t zigzag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

/// The bytes of the number at `at`: 0 when more are needed, more than ten when it is none.
size_t varint_size(Bytes b, size_t at) {
  for (size_t n = 1; n <= 10; ++n) {
    if (at + n > b.size()) return 0;
    if (b[at + n - 1] < 0x80) return n;
  }
  return 11;
}

}  // namespace

uint64_t read_varint(ByteReader& r) {
  uint64_t v = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const uint8_t b = r.u8();
    if (shift < 64) v |= static_cast<uint64_t>(b & 0x7F) << shift;
    if (b < 0x80) return v;
  }
  r.fail();
  return 0;
}

/// Steps over a value of `type` at at_, or into it. kEnd: that was it.
Steps::Got CompactWalk::enter(uint8_t type, bool in_container, Bytes b) {
  using enum Steps::Got;
  const auto over = [&](size_t n) {
    if (b.size() - at_ < n) return kMore;
    at_ += n;
    return kEnd;
  };
  switch (type) {
    case kTrue:
    case kFalse: return over(in_container ? 1 : 0);  // of a field its type is the value
    case kByte: return over(1);
    case kDouble: return over(8);
    case kUuid: return over(16);
    case kI16:
    case kI32:
    case kI64: {
      const size_t n = varint_size(b, at_);
      return n == 0 ? kMore : n > 10 ? kBad : over(n);
    }
    case kBinary:
    case kMap: {
      const size_t n = varint_size(b, at_);
      if (n == 0 || n > 10) return n == 0 ? kMore : kBad;
      ByteReader r(b.subspan(at_));
      const uint64_t size = read_varint(r);
      if (type == kBinary) return size > kMostBytes ? kBad : over(n + static_cast<size_t>(size));
      if (size > kMostElements) return kBad;
      if (size == 0) return over(n);
      if (b.size() - at_ < n + 1) return kMore;
      const uint8_t types = b[at_ + n];
      if (!is_type(types >> 4) || !is_type(types & 15) || depth_ == kMaxDepth) return kBad;
      at_ += n + 1;
      levels_[depth_++] = {static_cast<uint8_t>(types >> 4), static_cast<uint8_t>(types & 15), true, true,
                           static_cast<uint32_t>(size * 2)};
      return kEnd;
    }
    case kList:
    case kSet: {
      if (b.size() - at_ < 1) return kMore;
      const uint8_t head = b[at_];
      uint64_t size = head >> 4;
      size_t n = 0;
      if (size == 15) {
        n = varint_size(b, at_ + 1);
        if (n == 0 || n > 10) return n == 0 ? kMore : kBad;
        ByteReader r(b.subspan(at_ + 1));
        size = read_varint(r);
      }
      if (size > kMostElements || (size > 0 && (!is_type(head & 15) || depth_ == kMaxDepth))) return kBad;
      at_ += 1 + n;
      if (size > 0) levels_[depth_++] = {static_cast<uint8_t>(head & 15), 0, true, false, static_cast<uint32_t>(size)};
      return kEnd;
    }
    case kStruct:
      if (depth_ == kMaxDepth) return kBad;
      levels_[depth_++] = {.kind = kStruct};
      return kEnd;
    default: return kBad;
  }
}

/// A field's head and what it holds.
Steps::Got CompactWalk::field(Bytes b) {
  using enum Steps::Got;
  if (b.size() - at_ < 1) return kMore;
  const uint8_t head = b[at_], type = head & 15;
  if (type == kStop) {
    if (head != 0) return kBad;
    ++at_;
    --depth_;
    return kEnd;
  }
  if (!is_type(type)) return kBad;
  size_t size = 1;
  if (head >> 4 == 0) {  // the number stands apart
    const size_t n = varint_size(b, at_ + 1);
    if (n == 0 || n > 3) return n == 0 ? kMore : kBad;
    size += n;
  }
  at_ += size;
  const Got got = enter(type, false, b);
  if (got == kMore) at_ -= size;
  return got;
}

Steps::Got CompactWalk::go(Bytes b, size_t head) {
  using enum Steps::Got;
  if (depth_ == 0) {
    levels_[depth_++] = {.kind = kStruct};
    at_ = head;
  }
  while (depth_ > 0) {
    Level& top = levels_[depth_ - 1];
    if (!top.is_container) {
      if (const Got got = field(b); got != kEnd) return got;
      continue;
    }
    if (top.left == 0) {
      --depth_;
      continue;
    }
    const uint8_t type = top.next_type();
    --top.left;
    if (const Got got = enter(type, true, b); got != kEnd) {
      ++top.left;
      return got;
    }
  }
  return kEnd;
}

namespace {

Value read_value(uint8_t type, bool in_container, ByteReader& r, Arena& arena, int depth) {
  switch (type) {
    case kTrue:
    case kFalse: return Value(in_container ? r.u8() == kTrue : type == kTrue);
    case kByte: return Value(static_cast<int64_t>(static_cast<int8_t>(r.u8())));
    case kI16:
    case kI32:
    case kI64: return Value(zigzag(read_varint(r)));
    case kDouble: {  // little end first, unlike all else
      uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits |= static_cast<uint64_t>(r.u8()) << (8 * i);
      double d;
      std::memcpy(&d, &bits, sizeof d);
      return Value(d);
    }
    case kUuid: return Value(hex(r.bytes(16), arena));
    case kBinary: return text_or_bytes(r.text(static_cast<size_t>(read_varint(r))));
    case kStruct: return read_compact_struct(r, arena, depth + 1);
    case kList:
    case kSet: {
      const uint8_t head = r.u8();
      const uint64_t n = head >> 4 == 15 ? read_varint(r) : head >> 4;
      ListOf list(arena);
      if (n > r.remaining() || depth > kMaxValueDepth) return r.fail(), Value();
      for (uint64_t i = 0; i < n && r.ok(); ++i) list.push(read_value(head & 15, true, r, arena, depth + 1));
      return list.build();
    }
    case kMap: {
      const uint64_t n = read_varint(r);
      const uint8_t types = n == 0 ? 0 : r.u8();
      ListOf list(arena);
      if (n > r.remaining() || depth > kMaxValueDepth) return r.fail(), Value();
      for (uint64_t i = 0; i < n && r.ok(); ++i) {
        MapOf pair(arena);
        pair.add("key", read_value(types >> 4, true, r, arena, depth + 1));
        pair.add("value", read_value(types & 15, true, r, arena, depth + 1));
        list.push(pair.build());
      }
      return list.build();
    }
    default: r.fail(); return {};
  }
}

}  // namespace

Value read_compact_struct(ByteReader& r, Arena& arena, int depth) {
  MapOf map(arena);
  if (depth > kMaxValueDepth) return r.fail(), Value();
  int64_t id = 0;
  while (r.ok()) {
    const uint8_t head = r.u8();
    if ((head & 15) == kStop) break;
    id = head >> 4 == 0 ? zigzag(read_varint(r)) : id + (head >> 4);
    const Value v = read_value(head & 15, false, r, arena, depth);
    if (r.ok() && id >= 0) map.add(decimal(static_cast<uint64_t>(id), arena), v);
  }
  return map.build();
}

}  // namespace baleen::dissect::thrift
