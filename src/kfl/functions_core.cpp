#include <re2/re2.h>

#include <charconv>
#include <cmath>

#include "kfl/decode.h"
#include "kfl/functions.h"
#include "kfl/limits.h"
#include "kfl/text_cel.h"
#include "kfl/time_cel.h"
#include "kfl/utf8.h"
#include "kfl/values_cel.h"

namespace baleen::kfl {
namespace {

using Args = std::span<const Datum>;

Datum wrong() { return Datum::error(kNoOverload); }
bool text_pair(Args a) { return a.size() == 2 && a[0].is(Kind::kString) && a[1].is(Kind::kString); }

Datum size(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kString)) return Datum::of(static_cast<int64_t>(characters(a[0].text())));
  if (a[0].is(Kind::kBytes) || a[0].is_list() || a[0].is_map()) return Datum::of(int64_t{a[0].size});
  return wrong();
}

Datum starts_with(Args a, Context&) { return text_pair(a) ? Datum::of(a[0].text().starts_with(a[1].text())) : wrong(); }
Datum ends_with(Args a, Context&) { return text_pair(a) ? Datum::of(a[0].text().ends_with(a[1].text())) : wrong(); }
Datum text_contains(Args a, Context&) {
  if (!text_pair(a)) return wrong();
  const std::string_view text = a[0].text(), part = a[1].text();
  return Datum::of(part.empty() || memmem(text.data(), text.size(), part.data(), part.size()) != nullptr);
}

/// A pattern that is computed; constant ones are compiled with the filter (check_cel.cpp).
Datum matches(Args a, Context&) {
  if (!text_pair(a)) return wrong();
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxRegexMemory);
  const re2::RE2 regex(re2::StringPiece(a[1].chars, a[1].size), options);
  if (!regex.ok()) return Datum::error("the regular expression is wrong");
  return Datum::of(re2::RE2::PartialMatch(re2::StringPiece(a[0].chars, a[0].size), regex));
}

Datum to_bool(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kBool)) return a[0];
  if (!a[0].is(Kind::kString)) return wrong();
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (a[0].text() == yes) return Datum::of(true);
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (a[0].text() == no) return Datum::of(false);
  return Datum::error("the text is no bool");
}

template <class T>
Datum parse_whole(std::string_view s) {
  T value{};
  std::string_view digits = s;
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (status != std::errc() || end != digits.data() + digits.size())
    return Datum::error("the text is no number that fits");
  return Datum::of(value);
}

Datum to_int(Args a, Context&) {
  if (a.size() != 1) return wrong();
  switch (a[0].kind) {
    case Kind::kInt: return a[0];
    case Kind::kUint: return a[0].natural > INT64_MAX ? overflow() : Datum::of(static_cast<int64_t>(a[0].natural));
    case Kind::kDouble:
      // -2^63 itself is refused, as cel-go does.
      if (!(a[0].real > -9223372036854775808.0 && a[0].real < 9223372036854775807.0)) return overflow();
      return Datum::of(static_cast<int64_t>(a[0].real));
    case Kind::kString: return parse_whole<int64_t>(a[0].text());
    case Kind::kTimestamp: return Datum::of(a[0].integer);
    default: return wrong();
  }
}

Datum to_uint(Args a, Context&) {
  if (a.size() != 1) return wrong();
  switch (a[0].kind) {
    case Kind::kUint: return a[0];
    case Kind::kInt: return a[0].integer < 0 ? overflow() : Datum::of(static_cast<uint64_t>(a[0].integer));
    case Kind::kDouble:
      if (!(a[0].real >= 0 && a[0].real < 18446744073709551615.0)) return overflow();
      return Datum::of(static_cast<uint64_t>(a[0].real));
    case Kind::kString: return parse_whole<uint64_t>(a[0].text());
    default: return wrong();
  }
}

Datum to_double(Args a, Context&) {
  if (a.size() != 1) return wrong();
  switch (a[0].kind) {
    case Kind::kDouble: return a[0];
    case Kind::kInt: return Datum::of(static_cast<double>(a[0].integer));
    case Kind::kUint: return Datum::of(static_cast<double>(a[0].natural));
    case Kind::kString: {
      std::string_view s = a[0].text();
      if (s == "NaN") return Datum::of(static_cast<double>(NAN));
      if (s == "Infinity" || s == "+Infinity" || s == "+Inf" || s == "Inf" || s == "inf")
        return Datum::of(static_cast<double>(HUGE_VAL));
      if (s == "-Infinity" || s == "-Inf" || s == "-inf") return Datum::of(-static_cast<double>(HUGE_VAL));
      if (s.starts_with('+')) s.remove_prefix(1);
      double d = 0;
      const auto [end, status] = std::from_chars(s.data(), s.data() + s.size(), d);
      if (status == std::errc::result_out_of_range || end != s.data() + s.size() || s.empty() ||
          status == std::errc::invalid_argument)
        return Datum::error("the text is no number that fits");
      return Datum::of(d);
    }
    default: return wrong();
  }
}

Datum to_text(Args a, Context& c) {
  if (a.size() != 1) return wrong();
  switch (a[0].kind) {
    case Kind::kString: return a[0];
    case Kind::kBytes: return is_utf8(a[0].text()) ? Datum::text(a[0].text()) : Datum::error("the bytes are no UTF-8");
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDouble:
    case Kind::kTimestamp:
    case Kind::kDuration: {
      std::string out;
      append_plain(a[0], out);
      return made_text(out, c);
    }
    default: return wrong();
  }
}

Datum to_bytes(Args a, Context&) {
  if (a.size() == 1 && (a[0].is(Kind::kString) || a[0].is(Kind::kBytes))) return Datum::text(a[0].text(), Kind::kBytes);
  return wrong();
}

Datum type(Args a, Context&) { return a.size() == 1 ? Datum::text(type_name(a[0]), Kind::kType) : wrong(); }
Datum dyn(Args a, Context&) { return a.size() == 1 ? a[0] : wrong(); }

Datum map_get(Args a, Context& c) {
  if (a.size() != 3 || !a[0].is_map()) return wrong();
  Datum value;
  return find_key(a[0], a[1], value, c.work) ? value : a[2];
}

// ---- optionals ----
Datum full(const Datum& d, Context& c) { return Datum::optional(c.arena.make<Datum>(d)); }

Datum optional_of(Args a, Context& c) { return a.size() == 1 ? full(a[0], c) : wrong(); }
Datum optional_non_zero(Args a, Context& c) {
  if (a.size() != 1) return wrong();
  return is_zero(a[0]) ? Datum::optional(nullptr) : full(a[0], c);
}
Datum optional_none(Args, Context&) { return Datum::optional(nullptr); }
Datum has_value(Args a, Context&) {
  return a.size() == 1 && a[0].is(Kind::kOptional) ? Datum::of(a[0].inner != nullptr) : wrong();
}
Datum value(Args a, Context&) {
  if (a.size() != 1 || !a[0].is(Kind::kOptional)) return wrong();
  return a[0].inner != nullptr ? *a[0].inner : Datum::error("the optional is empty");
}
Datum or_(Args a, Context&) {
  if (a.size() != 2 || !a[0].is(Kind::kOptional)) return wrong();
  return a[0].inner != nullptr ? a[0] : a[1];
}
Datum or_value(Args a, Context&) {
  if (a.size() != 2 || !a[0].is(Kind::kOptional)) return wrong();
  return a[0].inner != nullptr ? *a[0].inner : a[1];
}

Datum base64_encode(Args a, Context& c) {
  return a.size() == 1 && a[0].is(Kind::kBytes) ? Datum::text(encode_base64(a[0].text(), c.arena)) : wrong();
}
Datum base64_decode(Args a, Context& c) {
  if (a.size() != 1 || !a[0].is(Kind::kString)) return wrong();
  const auto decoded = decode_base64_loose(a[0].text(), c.arena);
  return decoded ? Datum::text(*decoded, Kind::kBytes) : Datum::error("the text is no base64");
}

constexpr FunctionRow kRows[] = {
    {"size",
     "size(string) -> int; size(bytes) -> int; size(list(A)) -> int; size(map(A, B)) -> int; string.size() -> int; "
     "bytes.size() -> int; list(A).size() -> int; map(A, B).size() -> int",
     size, "Characters of a text, bytes, elements of a list or entries of a map."},
    {"startsWith", "string.startsWith(string) -> bool", starts_with, "Whether the text begins so."},
    {"endsWith", "string.endsWith(string) -> bool", ends_with, "Whether the text ends so."},
    {"contains", "string.contains(string) -> bool", text_contains, "Whether the text has that part."},
    {"matches", "string.matches(string) -> bool; matches(string, string) -> bool", matches,
     "Whether the regular expression (RE2) matches anywhere in the text."},
    {"bool", "bool(bool) -> bool; bool(string) -> bool", to_bool, "A truth from its text."},
    {"int", "int(int) -> int; int(uint) -> int; int(double) -> int; int(string) -> int; int(timestamp) -> int", to_int,
     "A whole number; doubles are cut, timestamps are seconds since 1970."},
    {"uint", "uint(uint) -> uint; uint(int) -> uint; uint(double) -> uint; uint(string) -> uint", to_uint,
     "A natural number."},
    {"double", "double(double) -> double; double(int) -> double; double(uint) -> double; double(string) -> double",
     to_double, "A floating-point number."},
    {"string",
     "string(string) -> string; string(bool) -> string; string(int) -> string; string(uint) -> string; "
     "string(double) -> string; string(bytes) -> string; string(timestamp) -> string; string(duration) -> string",
     to_text, "The text of a value."},
    {"bytes", "bytes(bytes) -> bytes; bytes(string) -> bytes", to_bytes, "The bytes of a text."},
    {"type", "type(A) -> type(A)", type, "The type of a value."},
    {"dyn", "dyn(A) -> dyn", dyn, "The value, without its type for the checker."},
    {"map_get", "map_get(map(A, B), A, B) -> B", map_get,
     "The value of a key, or the third argument when there is none."},
    {"optional.of", "optional.of(A) -> optional(A)", optional_of, "An optional that is there."},
    {"optional.ofNonZeroValue", "optional.ofNonZeroValue(A) -> optional(A)", optional_non_zero,
     "An optional that is there unless the value is empty, zero or false."},
    {"optional.none", "optional.none() -> optional(A)", optional_none, "An optional that is not there."},
    {"hasValue", "optional(A).hasValue() -> bool", has_value, "Whether the optional is there."},
    {"value", "optional(A).value() -> A", value, "What the optional holds; an error when it is empty."},
    {"or", "optional(A).or(optional(A)) -> optional(A)", or_, "The first of two optionals that is there."},
    {"orValue", "optional(A).orValue(A) -> A", or_value, "What the optional holds, or the argument."},
    {"base64.encode", "base64.encode(bytes) -> string", base64_encode, "Bytes as base64."},
    {"base64.decode", "base64.decode(string) -> bytes", base64_decode, "The bytes that a base64 text stands for."},
};

}  // namespace

std::span<const FunctionRow> core_functions() { return kRows; }

}  // namespace baleen::kfl
