#include "kfl/values_v1.h"

#include <re2/re2.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "kfl/decode.h"

namespace baleen::kfl {
namespace {

std::string_view double_form(double d, char* room) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "+Inf" : "-Inf";
  // Go's 'g' with six digits and C's %g agree, the exponent's two digits included.
  return {room, static_cast<size_t>(std::snprintf(room, 40, "%.6g", d))};
}

bool ordered(Comparison how, double a, double b) {
  switch (how) {
    case Comparison::kLess: return a < b;
    case Comparison::kLessEqual: return a <= b;
    case Comparison::kGreater: return a > b;
    default: return a >= b;
  }
}

/// Go's reflect.DeepEqual over parsed JSON: an integer is no float.
bool deep_equal(const Datum& a, const Datum& b, Arena& arena, int64_t& work) {
  if (--work < 0) return false;
  if (a.is_list() || b.is_list()) {
    if (!a.is_list() || !b.is_list() || a.size != b.size) return false;
    for (size_t i = 0; i < a.size; ++i)
      if (!deep_equal(a.element(i), b.element(i), arena, work)) return false;
    return true;
  }
  if (a.is_map() || b.is_map()) {
    if (!a.is_map() || !b.is_map() || a.size != b.size) return false;
    for (size_t i = 0; i < a.size; ++i) {
      bool found = false;
      for (size_t j = 0; j < b.size && !found; ++j)
        found = a.key(i).text() == b.key(j).text() && deep_equal(a.value(i), b.value(j), arena, work);
      if (!found) return false;
    }
    return true;
  }
  if (a.is_number() != b.is_number() || (a.is_number() && a.kind != b.kind)) return false;
  if (a.is(Kind::kDouble)) return a.real == b.real;
  char room_a[40], room_b[40];
  const bool text_a = a.is(Kind::kString) || a.is(Kind::kBytes), text_b = b.is(Kind::kString) || b.is(Kind::kBytes);
  if (text_a != text_b || (!text_a && a.kind != b.kind)) return false;
  return text_form(a, room_a, arena) == text_form(b, room_b, arena);
}

bool same_text(const Datum& a, const Datum& b, Arena& arena) {
  char room_a[40], room_b[40];
  return text_form(a, room_a, arena) == text_form(b, room_b, arena);
}

bool matches(const Datum& regex, const Datum& d, Arena& arena) {
  char room[40];
  const std::string_view text = text_form(d, room, arena);
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex.regex);
}

bool equal_v1(const Datum& a, const Datum& b, Arena& arena, int64_t& work) {
  if (a.is(Kind::kRegex)) return matches(a, b, arena);
  if (a.is_list() && b.is_list()) return deep_equal(a, b, arena, work);
  if (a.is_list() || b.is_list()) {
    const Datum &list = a.is_list() ? a : b, &other = a.is_list() ? b : a;
    if ((work -= list.size) < 0) return false;
    for (size_t i = 0; i < list.size; ++i)
      if (same_text(list.element(i), other, arena)) return true;
    return false;
  }
  return b.is(Kind::kRegex) ? matches(b, a, arena) : same_text(a, b, arena);
}

/// The pair of elements that decides "every pair of two lists" is the first one that does not hold.
bool ordered_lists(Comparison how, const Datum& a, const Datum& b, int64_t& work) {
  if (a.is_list() && b.is_list()) {
    for (size_t i = 0; i < a.size; ++i) {
      for (size_t j = 0; j < b.size; ++j)
        if (--work < 0 || !ordered(how, number_form(a.element(i)), number_form(b.element(j)))) return false;
    }
    return true;
  }
  const Datum& list = a.is_list() ? a : b;
  const double other = number_form(a.is_list() ? b : a);
  if ((work -= list.size) < 0) return false;
  for (size_t i = 0; i < list.size; ++i) {
    const double n = number_form(list.element(i));
    if (a.is_list() ? ordered(how, n, other) : ordered(how, other, n)) return true;
  }
  return false;
}

bool is_word(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) return false;
  for (size_t i = 0; i < text.size(); ++i)
    if ((text[i] | 0x20) != word[i]) return false;
  return true;
}

}  // namespace

std::string_view text_form(const Datum& d, char* room, Arena& arena) {
  switch (d.kind) {
    case Kind::kString: return d.text();
    case Kind::kInt: return {room, static_cast<size_t>(std::to_chars(room, room + 24, d.integer).ptr - room)};
    case Kind::kDouble: return double_form(d.real, room);
    case Kind::kBool: return d.boolean ? "true" : "false";
    case Kind::kNull: return "null";
    case Kind::kBytes: return encode_base64(d.text(), arena);  // as it stands in the item's JSON
    default: return {};
  }
}

bool truth_form(const Datum& d) {
  switch (d.kind) {
    case Kind::kString:
    case Kind::kBytes: return d.size != 0;
    case Kind::kInt: return d.integer > 0;
    case Kind::kDouble: return d.real > 0;
    case Kind::kBool: return d.boolean;
    case Kind::kList:
    case Kind::kItemList: return d.size != 0;
    default: return false;
  }
}

double number_form(const Datum& d) {
  switch (d.kind) {
    case Kind::kString: return parse_go_float(d.text());
    case Kind::kInt: return static_cast<double>(d.integer);
    case Kind::kDouble: return d.real;
    case Kind::kBool: return d.boolean ? 1 : 0;
    default: return 0;
  }
}

double parse_go_float(std::string_view text) {
  if (text.empty()) return 0;
  std::string_view digits = text;
  const bool negative = digits[0] == '-';
  if (digits[0] == '+' || digits[0] == '-') digits.remove_prefix(1);
  if (is_word(digits, "inf") || is_word(digits, "infinity")) return negative ? -HUGE_VAL : HUGE_VAL;
  if (is_word(digits, "nan")) return NAN;
  if (digits.empty() || digits[0] == '+' || digits[0] == '-') return 0;
  double value = 0;
  auto format = std::chars_format::general;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == 'x') {
    if (digits.find_first_of("pP") == std::string_view::npos) return 0;  // Go demands the exponent
    format = std::chars_format::hex;
    digits.remove_prefix(2);
  } else if (digits[0] != '.' && (digits[0] < '0' || digits[0] > '9')) {
    return 0;
  }
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value, format);
  if (status != std::errc() || end != digits.data() + digits.size()) return 0;
  return negative ? -value : value;
}

bool compare_v1(Comparison how, const Datum& a, const Datum& b, Arena& arena, int64_t& work) {
  if (how == Comparison::kEqual) return equal_v1(a, b, arena, work);
  if (how == Comparison::kNotEqual) return !equal_v1(a, b, arena, work);
  if (a.is_list() || b.is_list()) return ordered_lists(how, a, b, work);
  return ordered(how, number_form(a), number_form(b));
}

}  // namespace baleen::kfl
