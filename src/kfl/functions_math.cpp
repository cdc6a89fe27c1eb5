#include <cmath>

#include "kfl/functions.h"
#include "kfl/values_cel.h"

namespace baleen::kfl {
namespace {

using Args = std::span<const Datum>;

Datum wrong() { return Datum::error(kNoOverload); }

Datum extreme(Args a, Context&, Order better) {
  if (a.empty()) return wrong();
  const bool list = a.size() == 1 && a[0].is_list();
  const size_t n = list ? a[0].size : a.size();
  if (n == 0) return Datum::error("the list is empty");
  Datum best;
  for (size_t i = 0; i < n; ++i) {
    const Datum d = list ? a[0].element(i) : a[i];
    if (!d.is_number()) return wrong();
    if (i == 0 || order_cel(d, best) == better) best = d;
  }
  return best;
}
Datum greatest(Args a, Context& c) { return extreme(a, c, Order::kGreater); }
Datum least(Args a, Context& c) { return extreme(a, c, Order::kLess); }

template <double (*kF)(double)>
Datum real(Args a, Context&) {
  return a.size() == 1 && a[0].is(Kind::kDouble) ? Datum::of(kF(a[0].real)) : wrong();
}
double up(double d) { return std::ceil(d); }
double down(double d) { return std::floor(d); }
double nearest(double d) { return std::round(d); }
double cut(double d) { return std::trunc(d); }

Datum absolute(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kUint)) return a[0];
  if (a[0].is(Kind::kDouble)) return Datum::of(std::abs(a[0].real));
  if (!a[0].is(Kind::kInt)) return wrong();
  return a[0].integer == INT64_MIN ? overflow() : Datum::of(std::abs(a[0].integer));
}

Datum sign_of(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kUint)) return Datum::of(uint64_t{a[0].natural != 0});
  if (a[0].is(Kind::kInt)) return Datum::of(int64_t{(a[0].integer > 0) - (a[0].integer < 0)});
  if (!a[0].is(Kind::kDouble)) return wrong();
  const double d = a[0].real;
  return Datum::of(std::isnan(d) ? d : static_cast<double>((d > 0) - (d < 0)));
}

Datum square_root(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kDouble)) return Datum::of(std::sqrt(a[0].real));
  if (a[0].is(Kind::kInt)) return Datum::of(std::sqrt(static_cast<double>(a[0].integer)));
  if (a[0].is(Kind::kUint)) return Datum::of(std::sqrt(static_cast<double>(a[0].natural)));
  return wrong();
}

template <bool (*kF)(double)>
Datum test(Args a, Context&) {
  return a.size() == 1 && a[0].is(Kind::kDouble) ? Datum::of(kF(a[0].real)) : wrong();
}
bool is_nan(double d) { return std::isnan(d); }
bool is_infinite(double d) { return std::isinf(d); }
bool is_finite(double d) { return std::isfinite(d); }

template <uint64_t (*kF)(uint64_t, uint64_t)>
Datum bits(Args a, Context&) {
  if (a.size() != 2 || a[0].kind != a[1].kind) return wrong();
  if (a[0].is(Kind::kUint)) return Datum::of(kF(a[0].natural, a[1].natural));
  return a[0].is(Kind::kInt) ? Datum::of(static_cast<int64_t>(kF(a[0].natural, a[1].natural))) : wrong();
}
uint64_t both(uint64_t a, uint64_t b) { return a & b; }
uint64_t either(uint64_t a, uint64_t b) { return a | b; }
uint64_t differ(uint64_t a, uint64_t b) { return a ^ b; }

Datum invert(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kUint)) return Datum::of(~a[0].natural);
  return a[0].is(Kind::kInt) ? Datum::of(~a[0].integer) : wrong();
}

template <bool kLeft>
Datum shift(Args a, Context&) {
  if (a.size() != 2 || !a[1].is(Kind::kInt) || (!a[0].is(Kind::kInt) && !a[0].is(Kind::kUint))) return wrong();
  if (a[1].integer < 0) return Datum::error("the shift is negative");
  const uint64_t value = a[0].natural;
  const uint64_t result = a[1].integer > 63 ? 0 : kLeft ? value << a[1].integer : value >> a[1].integer;
  return a[0].is(Kind::kInt) ? Datum::of(static_cast<int64_t>(result)) : Datum::of(result);
}

#define REAL(name) name "(double) -> double"
#define BITS(name) name "(int, int) -> int; " name "(uint, uint) -> uint"
#define SHIFT(name) name "(int, int) -> int; " name "(uint, int) -> uint"
#define NUMBER(name) name "(int) -> int; " name "(uint) -> uint; " name "(double) -> double"

constexpr FunctionRow kRows[] = {
    // Any number of arguments: the checker knows these two by name.
    {"math.greatest", "math.greatest(A) -> A", greatest, "The greatest of its arguments, or of a list."},
    {"math.least", "math.least(A) -> A", least, "The least of its arguments, or of a list."},
    {"math.ceil", REAL("math.ceil"), real<up>, "The next whole number above."},
    {"math.floor", REAL("math.floor"), real<down>, "The next whole number below."},
    {"math.round", REAL("math.round"), real<nearest>, "The nearest whole number, halves away from zero."},
    {"math.trunc", REAL("math.trunc"), real<cut>, "Without its fraction."},
    {"math.abs", NUMBER("math.abs"), absolute, "Without its sign."},
    {"math.sign", NUMBER("math.sign"), sign_of, "-1, 0 or 1."},
    {"math.sqrt", "math.sqrt(double) -> double; math.sqrt(int) -> double; math.sqrt(uint) -> double", square_root,
     "The square root."},
    {"math.isNaN", "math.isNaN(double) -> bool", test<is_nan>, "Whether it is no number."},
    {"math.isInf", "math.isInf(double) -> bool", test<is_infinite>, "Whether it is infinite."},
    {"math.isFinite", "math.isFinite(double) -> bool", test<is_finite>, "Whether it is a finite number."},
    {"math.bitAnd", BITS("math.bitAnd"), bits<both>, "Bits that both have."},
    {"math.bitOr", BITS("math.bitOr"), bits<either>, "Bits that one has."},
    {"math.bitXor", BITS("math.bitXor"), bits<differ>, "Bits in which they differ."},
    {"math.bitNot", "math.bitNot(int) -> int; math.bitNot(uint) -> uint", invert, "All bits turned."},
    {"math.bitShiftLeft", SHIFT("math.bitShiftLeft"), shift<true>, "Bits moved up."},
    {"math.bitShiftRight", SHIFT("math.bitShiftRight"), shift<false>, "Bits moved down, zeros from above."},
};

}  // namespace

std::span<const FunctionRow> math_functions() { return kRows; }

}  // namespace baleen::kfl
