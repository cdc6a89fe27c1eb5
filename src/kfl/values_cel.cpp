#include "kfl/values_cel.h"

#include <cmath>

#include "kfl/limits.h"

namespace baleen::kfl {
namespace {

using Int128 = __int128;

Order order_of(auto a, auto b) { return a < b ? Order::kLess : a > b ? Order::kGreater : Order::kEqual; }

Order order_real(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return Order::kUnordered;
  return order_of(a, b);
}

/// An integer against a double: as doubles, unless the double is beyond the integer's range (so the specification's
/// tests).
Order order_mixed(Int128 a, double b, bool natural) {
  if (std::isnan(b)) return Order::kUnordered;
  if (b > (natural ? 18446744073709551616.0 : 9223372036854775808.0)) return Order::kLess;
  if (b < (natural ? 0 : -9223372036854775808.0)) return Order::kGreater;
  return order_of(static_cast<double>(a), b);
}

Int128 wide(const Datum& d) { return d.is(Kind::kInt) ? Int128{d.integer} : Int128{d.natural}; }

Order order_numbers(const Datum& a, const Datum& b) {
  const bool real_a = a.is(Kind::kDouble), real_b = b.is(Kind::kDouble);
  if (real_a && real_b) return order_real(a.real, b.real);
  if (!real_a && !real_b) return order_of(wide(a), wide(b));
  if (!real_a) return order_mixed(wide(a), b.real, a.is(Kind::kUint));
  const Order turned = order_mixed(wide(b), a.real, b.is(Kind::kUint));
  return turned == Order::kLess ? Order::kGreater : turned == Order::kGreater ? Order::kLess : turned;
}

bool is_time(const Datum& d) { return d.is(Kind::kTimestamp) || d.is(Kind::kDuration); }

bool equal_lists(const Datum& a, const Datum& b, int64_t& work) {
  if (a.size != b.size) return false;
  for (size_t i = 0; i < a.size; ++i)
    if (!equal_cel(a.element(i), b.element(i), work)) return false;
  return true;
}

bool equal_maps(const Datum& a, const Datum& b, int64_t& work) {
  if (a.size != b.size) return false;
  for (size_t i = 0; i < a.size; ++i) {
    Datum other;
    if (!find_key(b, a.key(i), other, work) || !equal_cel(a.value(i), other, work)) return false;
  }
  return true;
}

Datum integers(Op op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case Op::kAdd: return __builtin_add_overflow(a, b, &r) ? overflow() : Datum::of(r);
    case Op::kSubtract: return __builtin_sub_overflow(a, b, &r) ? overflow() : Datum::of(r);
    case Op::kMultiply: return __builtin_mul_overflow(a, b, &r) ? overflow() : Datum::of(r);
    default: break;
  }
  if (b == 0) return Datum::error(op == Op::kDivide ? "division by zero" : "modulus by zero");
  if (a == INT64_MIN && b == -1) return overflow();
  return Datum::of(op == Op::kDivide ? a / b : a % b);
}

Datum naturals(Op op, uint64_t a, uint64_t b) {
  uint64_t r = 0;
  switch (op) {
    case Op::kAdd: return __builtin_add_overflow(a, b, &r) ? overflow() : Datum::of(r);
    case Op::kSubtract: return __builtin_sub_overflow(a, b, &r) ? overflow() : Datum::of(r);
    case Op::kMultiply: return __builtin_mul_overflow(a, b, &r) ? overflow() : Datum::of(r);
    default: break;
  }
  if (b == 0) return Datum::error(op == Op::kDivide ? "division by zero" : "modulus by zero");
  return Datum::of(op == Op::kDivide ? a / b : a % b);
}

Datum reals(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Datum::of(a + b);
    case Op::kSubtract: return Datum::of(a - b);
    case Op::kMultiply: return Datum::of(a * b);
    case Op::kDivide: return Datum::of(a / b);
    default: return Datum::error(kNoOverload);
  }
}

Datum times(Op op, const Datum& a, const Datum& b) {
  const Int128 x = nanoseconds(a), y = nanoseconds(b);
  const bool stamp_a = a.is(Kind::kTimestamp), stamp_b = b.is(Kind::kTimestamp);
  if (op == Op::kAdd && !(stamp_a && stamp_b)) return stamp_a || stamp_b ? make_timestamp(x + y) : make_duration(x + y);
  if (op != Op::kSubtract || (!stamp_a && stamp_b)) return Datum::error(kNoOverload);
  if (stamp_a && stamp_b) {
    // A difference is a duration in 64 bits of nanoseconds, as Go's, which is what the specification asks for.
    return x - y > INT64_MAX || x - y < INT64_MIN ? overflow() : make_duration(x - y);
  }
  return stamp_a ? make_timestamp(x - y) : make_duration(x - y);
}

bool room_for(Context& c, size_t bytes) { return c.arena.footprint() + bytes <= kMaxMade; }

Datum concatenated(const Datum& a, const Datum& b, Context& c) {
  const size_t size = size_t{a.size} + b.size;
  if (!room_for(c, size)) return Datum::error(kOutOfMemory);
  char* out = static_cast<char*>(c.arena.allocate(size, 1));
  if (a.size != 0) std::memcpy(out, a.chars, a.size);
  if (b.size != 0) std::memcpy(out + a.size, b.chars, b.size);
  return Datum::text({out, size}, a.kind);
}

Datum joined(const Datum& a, const Datum& b, Context& c) {
  const size_t size = size_t{a.size} + b.size;
  if ((c.work -= static_cast<int64_t>(size)) < 0) return Datum::error(kOutOfWork);
  if (!room_for(c, size * sizeof(Datum))) return Datum::error(kOutOfMemory);
  const auto out = c.arena.array<Datum>(size);
  for (size_t i = 0; i < a.size; ++i) out[i] = a.element(i);
  for (size_t i = 0; i < b.size; ++i) out[a.size + i] = b.element(i);
  return Datum::of(std::span<const Datum>(out));
}

}  // namespace

Datum overflow() { return Datum::error("the result is out of range"); }

Int128 nanoseconds(const Datum& d) { return Int128{d.integer} * 1'000'000'000 + d.nanos(); }

Datum make_timestamp(Int128 ns) {
  constexpr Int128 kSecond = 1'000'000'000;
  Int128 seconds = ns / kSecond, rest = ns % kSecond;
  if (rest < 0) rest += kSecond, --seconds;
  if (seconds < -62135596800 || seconds > 253402300799) return overflow();  // years 1 to 9999
  return Datum::timestamp(static_cast<int64_t>(seconds), static_cast<int32_t>(rest));
}

Datum make_duration(Int128 ns) {
  constexpr Int128 kSecond = 1'000'000'000;
  const Int128 seconds = ns / kSecond;
  if (seconds > 315576000000 || seconds < -315576000000) return overflow();
  return Datum::duration(static_cast<int64_t>(seconds), static_cast<int32_t>(ns % kSecond));
}

bool equal_cel(const Datum& a, const Datum& b, int64_t& work) {
  if (--work < 0) return false;
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == Order::kEqual;
  if (a.is_list() && b.is_list()) return equal_lists(a, b, work);
  if (a.is_map() && b.is_map()) return equal_maps(a, b, work);
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kNull: return true;
    case Kind::kBool: return a.boolean == b.boolean;
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kType: return a.text() == b.text();
    case Kind::kTimestamp:
    case Kind::kDuration: return a.integer == b.integer && a.size == b.size;
    case Kind::kOptional:
      if (a.inner == nullptr || b.inner == nullptr) return a.inner == b.inner;
      return equal_cel(*a.inner, *b.inner, work);
    default: return false;
  }
}

Order order_cel(const Datum& a, const Datum& b) {
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.kind != b.kind) return Order::kWrong;
  switch (a.kind) {
    case Kind::kBool: return order_of(a.boolean, b.boolean);
    case Kind::kString:
    case Kind::kBytes: return order_of(a.text().compare(b.text()), 0);
    case Kind::kTimestamp:
    case Kind::kDuration: return order_of(nanoseconds(a), nanoseconds(b));
    default: return Order::kWrong;
  }
}

Datum arithmetic(Op op, const Datum& a, const Datum& b, Context& c) {
  if (a.is(Kind::kInt) && b.is(Kind::kInt)) return integers(op, a.integer, b.integer);
  if (a.is(Kind::kUint) && b.is(Kind::kUint)) return naturals(op, a.natural, b.natural);
  if (a.is(Kind::kDouble) && b.is(Kind::kDouble)) return reals(op, a.real, b.real);
  if (is_time(a) && is_time(b)) return times(op, a, b);
  if (op != Op::kAdd) return Datum::error(kNoOverload);
  if (a.kind == b.kind && (a.is(Kind::kString) || a.is(Kind::kBytes))) return concatenated(a, b, c);
  if (a.is_list() && b.is_list()) return joined(a, b, c);
  return Datum::error(kNoOverload);
}

Datum negate(const Datum& a) {
  if (a.is(Kind::kInt)) return a.integer == INT64_MIN ? overflow() : Datum::of(-a.integer);
  if (a.is(Kind::kDouble)) return Datum::of(-a.real);
  return Datum::error(kNoOverload);
}

bool find_key(const Datum& map, const Datum& key, Datum& value, int64_t& work) {
  if (map.is(Kind::kItemMap)) {
    if (!key.is(Kind::kString)) return false;
    const item::Value* v = item::Value::map({map.members, map.size}, map.fold_case).find(key.text());
    if (v == nullptr) return false;
    value = Datum::of(*v);
    return true;
  }
  for (size_t i = 0; i < map.size; ++i) {
    if (!equal_cel(map.entries[i].key, key, work)) continue;
    value = map.entries[i].value;
    return true;
  }
  return false;
}

Datum contains(const Datum& element, const Datum& container, int64_t& work) {
  if (container.is_list()) {
    for (size_t i = 0; i < container.size; ++i)
      if (equal_cel(container.element(i), element, work)) return Datum::of(true);
    return work < 0 ? Datum::error(kOutOfWork) : Datum::of(false);
  }
  if (!container.is_map()) return Datum::error(kNoOverload);
  Datum ignored;
  return Datum::of(find_key(container, element, ignored, work));
}

Datum index(const Datum& container, const Datum& key, Context& c) {
  if (container.is_map()) {
    Datum value;
    if (!key.is_number() && !key.is(Kind::kString) && !key.is(Kind::kBool)) return Datum::error(kNoOverload);
    return find_key(container, key, value, c.work) ? value : Datum::error(kNoKey);
  }
  if (!container.is_list()) return Datum::error(kNoOverload);
  Int128 at;
  if (key.is(Kind::kInt) || key.is(Kind::kUint))
    at = wide(key);
  else if (key.is(Kind::kDouble) && key.real == std::trunc(key.real) && std::abs(key.real) < 9e18)
    at = static_cast<Int128>(key.real);
  else
    return Datum::error(key.is(Kind::kDouble) ? "the index is no whole number" : kNoOverload);
  if (at < 0 || at >= container.size) return Datum::error("the index is out of range");
  return container.element(static_cast<size_t>(at));
}

std::string_view type_name(const Datum& d) {
  switch (d.kind) {
    case Kind::kNull: return "null_type";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kUint: return "uint";
    case Kind::kDouble: return "double";
    case Kind::kString: return "string";
    case Kind::kBytes: return "bytes";
    case Kind::kList:
    case Kind::kItemList: return "list";
    case Kind::kMap:
    case Kind::kItemMap: return "map";
    case Kind::kTimestamp: return "google.protobuf.Timestamp";
    case Kind::kDuration: return "google.protobuf.Duration";
    case Kind::kType: return "type";
    case Kind::kOptional: return "optional_type";
    default: return "";
  }
}

bool is_zero(const Datum& d) {
  switch (d.kind) {
    case Kind::kNull: return true;
    case Kind::kBool: return !d.boolean;
    case Kind::kInt:
    case Kind::kUint: return d.natural == 0;
    case Kind::kDouble: return d.real == 0;
    case Kind::kDuration:
    case Kind::kTimestamp: return d.integer == 0 && d.size == 0;
    case Kind::kOptional: return d.inner == nullptr;
    case Kind::kType: return false;
    default: return d.size == 0;
  }
}

Datum made_text(std::string_view text, Context& c, Kind kind) {
  if (!room_for(c, text.size())) return Datum::error(kOutOfMemory);
  return Datum::text(c.arena.copy(text), kind);
}

}  // namespace baleen::kfl
