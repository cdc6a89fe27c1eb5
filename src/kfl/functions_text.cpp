#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kfl/functions.h"
#include "kfl/limits.h"
#include "kfl/text_cel.h"
#include "kfl/time_cel.h"
#include "kfl/utf8.h"
#include "kfl/values_cel.h"

// The strings extension of CEL. Positions count characters (code points), not bytes.

namespace baleen::kfl {
namespace {

using Args = std::span<const Datum>;

Datum wrong() { return Datum::error(kNoOverload); }
Datum out_of_range() { return Datum::error("the index is out of range"); }
bool is_text(const Datum& d) { return d.is(Kind::kString); }

/// The byte at which the n-th character begins; nothing beyond the end.
std::optional<size_t> byte_of(std::string_view s, int64_t n) {
  if (n < 0) return std::nullopt;
  size_t at = 0;
  for (; n > 0; --n) {
    if (at >= s.size()) return std::nullopt;
    next_utf8(s, at);
  }
  return at;
}

Datum char_at(Args a, Context&) {
  if (a.size() != 2 || !is_text(a[0]) || !a[1].is(Kind::kInt)) return wrong();
  const auto at = byte_of(a[0].text(), a[1].integer);
  if (!at) return out_of_range();
  size_t end = *at;
  if (end < a[0].size) next_utf8(a[0].text(), end);
  return Datum::text(a[0].text().substr(*at, end - *at));
}

Datum index_of(Args a, Context&) {
  if (a.size() < 2 || a.size() > 3 || !is_text(a[0]) || !is_text(a[1]) || (a.size() == 3 && !a[2].is(Kind::kInt)))
    return wrong();
  const auto from = byte_of(a[0].text(), a.size() == 3 ? a[2].integer : 0);
  if (!from) return out_of_range();
  const size_t found = a[0].text().find(a[1].text(), *from);
  return Datum::of(found == std::string_view::npos ? int64_t{-1}
                                                   : static_cast<int64_t>(characters(a[0].text().substr(0, found))));
}

Datum last_index_of(Args a, Context&) {
  if (a.size() < 2 || a.size() > 3 || !is_text(a[0]) || !is_text(a[1]) || (a.size() == 3 && !a[2].is(Kind::kInt)))
    return wrong();
  size_t from = std::string_view::npos;
  if (a.size() == 3) {
    const auto at = byte_of(a[0].text(), a[2].integer);
    if (!at) return out_of_range();
    from = *at;
  }
  const size_t found = a[0].text().rfind(a[1].text(), from);
  return Datum::of(found == std::string_view::npos ? int64_t{-1}
                                                   : static_cast<int64_t>(characters(a[0].text().substr(0, found))));
}

template <char kFirst, char kLast, int kMove>
Datum fold(Args a, Context& c) {
  if (a.size() != 1 || !is_text(a[0])) return wrong();
  std::string out(a[0].text());
  for (char& ch : out)
    if (ch >= kFirst && ch <= kLast) ch = static_cast<char>(ch + kMove);
  return made_text(out, c);
}

Datum replace(Args a, Context& c) {
  if (a.size() < 3 || a.size() > 4 || !is_text(a[0]) || !is_text(a[1]) || !is_text(a[2]) ||
      (a.size() == 4 && !a[3].is(Kind::kInt)))
    return wrong();
  int64_t left = a.size() == 4 ? a[3].integer : -1;
  const std::string_view s = a[0].text(), what = a[1].text(), with = a[2].text();
  std::string out;
  for (size_t at = 0; at <= s.size();) {
    size_t found = left == 0 ? std::string_view::npos : s.find(what, at);
    if (found == std::string_view::npos) {
      out += s.substr(at);
      break;
    }
    out.append(s.substr(at, found - at)).append(with);
    --left;
    at = found + what.size();
    if (what.empty()) {
      if (at >= s.size()) break;
      size_t next = at;
      next_utf8(s, next);
      out += s.substr(at, next - at);
      at = next;
    }
    if (out.size() > kMaxMade) return Datum::error(kOutOfMemory);
  }
  return made_text(out, c);
}

Datum split(Args a, Context& c) {
  if (a.size() < 2 || a.size() > 3 || !is_text(a[0]) || !is_text(a[1]) || (a.size() == 3 && !a[2].is(Kind::kInt)))
    return wrong();
  const int64_t limit = a.size() == 3 ? a[2].integer : -1;
  const std::string_view s = a[0].text(), at = a[1].text();
  std::vector<Datum> parts;
  for (size_t from = 0; limit != 0;) {
    size_t found = s.find(at, from);
    if (at.empty()) {
      found = from;
      if (found < s.size()) next_utf8(s, found);
      if (found >= s.size()) found = std::string_view::npos;
    }
    if (found == std::string_view::npos || (limit > 0 && static_cast<int64_t>(parts.size()) + 1 == limit)) {
      parts.push_back(Datum::text(s.substr(from)));
      break;
    }
    parts.push_back(Datum::text(s.substr(from, found - from)));
    from = found + at.size();
    if (--c.work < 0) return Datum::error(kOutOfWork);
  }
  const auto out = c.arena.array<Datum>(parts.size());
  std::copy(parts.begin(), parts.end(), out.begin());
  return Datum::of(std::span<const Datum>(out));
}

Datum substring(Args a, Context&) {
  if (a.size() < 2 || a.size() > 3 || !is_text(a[0]) || !a[1].is(Kind::kInt) || (a.size() == 3 && !a[2].is(Kind::kInt)))
    return wrong();
  const auto from = byte_of(a[0].text(), a[1].integer);
  const auto to = a.size() == 3 ? byte_of(a[0].text(), a[2].integer) : std::optional<size_t>(a[0].size);
  if (!from || !to) return out_of_range();
  if (*from > *to) return Datum::error("the substring ends before it begins");
  return Datum::text(a[0].text().substr(*from, *to - *from));
}

bool is_space(uint32_t c) {  // Unicode's White_Space
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

Datum trim(Args a, Context&) {
  if (a.size() != 1 || !is_text(a[0])) return wrong();
  const std::string_view s = a[0].text();
  size_t first = s.size(), last = 0;
  for (size_t at = 0; at < s.size();) {
    const size_t begin = at;
    if (is_space(next_utf8(s, at))) continue;
    first = std::min(first, begin);
    last = at;
  }
  return Datum::text(first < last ? s.substr(first, last - first) : std::string_view());
}

Datum join(Args a, Context& c) {
  if (a.empty() || a.size() > 2 || !a[0].is_list() || (a.size() == 2 && !is_text(a[1]))) return wrong();
  std::string out;
  for (size_t i = 0; i < a[0].size; ++i) {
    const Datum d = a[0].element(i);
    if (!is_text(d)) return wrong();
    if (i != 0 && a.size() == 2) out += a[1].text();
    out += d.text();
    if (out.size() > kMaxMade) return Datum::error(kOutOfMemory);
  }
  return made_text(out, c);
}

Datum reverse(Args a, Context& c) {
  if (a.size() != 1 || !is_text(a[0])) return wrong();
  const std::string_view s = a[0].text();
  std::string out(s.size(), '\0');
  for (size_t at = 0; at < s.size();) {
    const size_t begin = at;
    next_utf8(s, at);
    s.substr(begin, at - begin).copy(out.data() + s.size() - at, at - begin);
  }
  return made_text(out, c);
}

Datum quote(Args a, Context& c) {
  if (a.size() != 1 || !is_text(a[0])) return wrong();
  std::string out = "\"";
  const std::string_view s = a[0].text();
  for (size_t at = 0; at < s.size();) {
    static constexpr std::string_view kFrom = "\a\b\f\n\r\t\v\\\"", kTo = "abfnrtv\\\"";
    const uint32_t ch = next_utf8(s, at);
    const size_t i = ch < 0x80 ? kFrom.find(static_cast<char>(ch)) : std::string_view::npos;
    if (i == std::string_view::npos)
      append_utf8(ch, out);
    else
      out.append("\\").push_back(kTo[i]);
  }
  return made_text(out + "\"", c);
}

// ---- format() ----

std::string real_text(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
  char room[40];
  return std::string(room, std::to_chars(room, room + sizeof room, d).ptr);
}

/// %s; false for what has no text.
bool format_text(const Datum& d, std::string& out) {
  switch (d.kind) {
    case Kind::kNull: out += "null"; return true;
    case Kind::kDouble: out += real_text(d.real); return true;
    case Kind::kType: out += d.text(); return true;
    case Kind::kBytes: {
      for (size_t at = 0; at < d.size;) append_utf8(next_utf8(d.text(), at), out);
      return true;
    }
    case Kind::kList:
    case Kind::kItemList:
      out += '[';
      for (size_t i = 0; i < d.size; ++i) {
        if (i != 0) out += ", ";
        if (!format_text(d.element(i), out)) return false;
      }
      out += ']';
      return true;
    case Kind::kMap:
    case Kind::kItemMap: {
      std::vector<std::string> entries;
      for (size_t i = 0; i < d.size; ++i) {
        std::string entry;
        if (!format_text(d.key(i), entry)) return false;
        entry += ": ";
        if (!format_text(d.value(i), entry)) return false;
        entries.push_back(std::move(entry));
      }
      std::sort(entries.begin(), entries.end());
      out += '{';
      for (size_t i = 0; i < entries.size(); ++i) out.append(i != 0 ? ", " : "").append(entries[i]);
      out += '}';
      return true;
    }
    case Kind::kOptional:
    case Kind::kError:
    case Kind::kMissing:
    case Kind::kRegex: return false;
    default: append_plain(d, out); return true;
  }
}

std::string digits(uint64_t n, unsigned base, bool upper) {
  char room[65];
  std::string s(room, std::to_chars(room, room + sizeof room, n, static_cast<int>(base)).ptr);
  if (upper)
    std::transform(s.begin(), s.end(), s.begin(), [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  return s;
}

bool format_integer(const Datum& d, unsigned base, bool upper, std::string& out) {
  if (d.is(Kind::kUint)) return out += digits(d.natural, base, upper), true;
  if (!d.is(Kind::kInt)) return false;
  if (d.integer < 0) out += '-';
  out += digits(d.integer < 0 ? 0 - d.natural : d.natural, base, upper);
  return true;
}

bool format_one(char clause, int precision, const Datum& d, std::string& out) {
  switch (clause) {
    case 's': return format_text(d, out);
    case 'd':
      if (d.is(Kind::kDouble) && !std::isfinite(d.real)) return out += real_text(d.real), true;
      if (d.is(Kind::kDouble) && d.real == std::trunc(d.real)) return out += fmt::format("{:.0f}", d.real), true;
      if (d.is(Kind::kDouble)) return out += real_text(d.real), true;
      return format_integer(d, 10, false, out);
    case 'b':
      if (d.is(Kind::kBool)) return out += d.boolean ? '1' : '0', true;
      return format_integer(d, 2, false, out);
    case 'o': return format_integer(d, 8, false, out);
    case 'x':
    case 'X':
      if (d.is(Kind::kString) || d.is(Kind::kBytes)) {
        for (const char c : d.text()) {
          const std::string two = digits(static_cast<uint8_t>(c), 16, clause == 'X');
          out.append(2 - two.size(), '0').append(two);
        }
        return true;
      }
      return format_integer(d, 16, clause == 'X', out);
    case 'e':
    case 'f': {
      if (!d.is_number()) return false;
      const double n = d.is(Kind::kDouble) ? d.real
                       : d.is(Kind::kInt)  ? static_cast<double>(d.integer)
                                           : static_cast<double>(d.natural);
      if (!std::isfinite(n)) return out += real_text(n), true;
      out += clause == 'e' ? fmt::format("{:.{}e}", n, precision < 0 ? 6 : precision)
                           : fmt::format("{:.{}f}", n, precision < 0 ? 6 : precision);
      return true;
    }
    default: return false;
  }
}

Datum format(Args a, Context& c) {
  if (a.size() != 2 || !is_text(a[0]) || !a[1].is_list()) return wrong();
  const std::string_view s = a[0].text();
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < s.size(); ++at) {
    if (s[at] != '%') {
      out += s[at];
      continue;
    }
    if (++at >= s.size()) return Datum::error("the format ends within a clause");
    if (s[at] == '%') {
      out += '%';
      continue;
    }
    int precision = -1;
    if (s[at] == '.') {
      precision = 0;
      for (++at; at < s.size() && s[at] >= '0' && s[at] <= '9' && precision < 1000; ++at)
        precision = precision * 10 + (s[at] - '0');
      if (at >= s.size() || precision > 100) return Datum::error("the precision of a format clause is wrong");
    }
    if (std::string_view("sdboxXef").find(s[at]) == std::string_view::npos)
      return Datum::error("there is no such format clause");
    if (next >= a[1].size) return Datum::error("the format has more clauses than there are values");
    const Datum value = a[1].element(next++);
    if (!format_one(s[at], precision, value, out)) return Datum::error("a value does not fit its format clause");
    if (out.size() > kMaxMade) return Datum::error(kOutOfMemory);
  }
  return made_text(out, c);
}

constexpr FunctionRow kRows[] = {
    {"charAt", "string.charAt(int) -> string", char_at, "The character at a position."},
    {"indexOf", "string.indexOf(string) -> int; string.indexOf(string, int) -> int", index_of,
     "Where a part first occurs, -1 if nowhere."},
    {"lastIndexOf", "string.lastIndexOf(string) -> int; string.lastIndexOf(string, int) -> int", last_index_of,
     "Where a part last occurs, -1 if nowhere."},
    {"lowerAscii", "string.lowerAscii() -> string", fold<'A', 'Z', 32>, "ASCII letters in lower case."},
    {"upperAscii", "string.upperAscii() -> string", fold<'a', 'z', -32>, "ASCII letters in upper case."},
    {"replace", "string.replace(string, string) -> string; string.replace(string, string, int) -> string", replace,
     "A part replaced, everywhere or so many times."},
    {"split", "string.split(string) -> list(string); string.split(string, int) -> list(string)", split,
     "The parts between separators."},
    {"substring", "string.substring(int) -> string; string.substring(int, int) -> string", substring,
     "From a position, to another or the end."},
    {"trim", "string.trim() -> string", trim, "Without white space at its ends."},
    {"join", "list(string).join() -> string; list(string).join(string) -> string", join, "Texts put together."},
    {"reverse", "string.reverse() -> string", reverse, "The characters backwards."},
    {"format", "string.format(list(dyn)) -> string", format, "\"%s %d %.2f\" filled with values."},
    {"strings.quote", "strings.quote(string) -> string", quote, "The text with quotes around it and escapes in it."},
};

}  // namespace

std::span<const FunctionRow> text_functions() { return kRows; }

void append_plain(const Datum& d, std::string& out) {
  switch (d.kind) {
    case Kind::kBool: out += d.boolean ? "true" : "false"; return;
    case Kind::kInt: out += fmt::format("{}", d.integer); return;
    case Kind::kUint: out += fmt::format("{}", d.natural); return;
    case Kind::kDouble: {
      if (std::isnan(d.real))
        out += "NaN";
      else if (std::isinf(d.real))
        out += d.real > 0 ? "+Inf" : "-Inf";
      else
        out += real_text(d.real);
      return;
    }
    case Kind::kString: out += d.text(); return;
    case Kind::kTimestamp: return append_timestamp(d, out);
    case Kind::kDuration: return append_duration(d, out);
    default: return;
  }
}

}  // namespace baleen::kfl
