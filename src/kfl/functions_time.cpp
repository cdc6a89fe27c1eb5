#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>

#include "kfl/functions.h"
#include "kfl/time_cel.h"
#include "kfl/time_zone.h"
#include "kfl/values_cel.h"

namespace baleen::kfl {
namespace {

using Args = std::span<const Datum>;

Datum wrong() { return Datum::error(kNoOverload); }

/// Reads `digits` digits.
bool number(std::string_view s, size_t& at, size_t digits, int& out) {
  out = 0;
  for (size_t i = 0; i < digits; ++i, ++at) {
    if (at >= s.size() || s[at] < '0' || s[at] > '9') return false;
    out = out * 10 + (s[at] - '0');
  }
  return true;
}
bool sign(std::string_view s, size_t& at, char c) { return at < s.size() && s[at] == c && (++at, true); }

/// What a timestamp shows in a time zone.
struct Local {
  std::chrono::year_month_day date;
  int64_t day;     // since 1970-01-01
  int64_t second;  // of the day
};

Local local(int64_t seconds) {
  int64_t day = seconds / 86400, second = seconds % 86400;
  if (second < 0) second += 86400, --day;
  return {std::chrono::sys_days(std::chrono::days(day)), day, second};
}

using Part = int64_t (*)(const Local& l, const Datum& d);

/// A getter of timestamps (with a zone or without) and, for some, of durations.
template <Part kPart>
Datum part(Args a, Context&) {
  if (a.empty() || a.size() > 2 || !a[0].is(Kind::kTimestamp)) return wrong();
  int64_t offset = 0;
  if (a.size() == 2) {
    if (!a[1].is(Kind::kString)) return wrong();
    const auto found = zone_offset(a[1].text(), a[0].integer);
    if (!found) return Datum::error("there is no such time zone");
    offset = *found;
  }
  return Datum::of(kPart(local(a[0].integer + offset), a[0]));
}

template <Part kPart, int64_t kUnit>
Datum part_or_duration(Args a, Context& c) {
  if (a.size() == 1 && a[0].is(Kind::kDuration)) {
    if constexpr (kUnit == 0)
      return Datum::of(int64_t{a[0].nanos() / 1'000'000});
    else
      return Datum::of(a[0].integer / kUnit);
  }
  return part<kPart>(a, c);
}

int64_t year(const Local& l, const Datum&) { return int{l.date.year()}; }
int64_t month(const Local& l, const Datum&) { return unsigned{l.date.month()} - 1; }
int64_t date(const Local& l, const Datum&) { return unsigned{l.date.day()}; }
int64_t day_of_month(const Local& l, const Datum&) { return unsigned{l.date.day()} - 1; }
int64_t day_of_week(const Local& l, const Datum&) { return ((l.day + 4) % 7 + 7) % 7; }
int64_t day_of_year(const Local& l, const Datum&) {
  return l.day - std::chrono::sys_days(l.date.year() / std::chrono::January / 1).time_since_epoch().count();
}
int64_t hours(const Local& l, const Datum&) { return l.second / 3600; }
int64_t minutes(const Local& l, const Datum&) { return l.second / 60 % 60; }
int64_t seconds(const Local& l, const Datum&) { return l.second % 60; }
int64_t milliseconds(const Local&, const Datum& d) { return d.nanos() / 1'000'000; }

Datum timestamp(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kTimestamp)) return a[0];
  if (a[0].is(Kind::kInt)) return make_timestamp(static_cast<__int128>(a[0].integer) * 1'000'000'000);
  return a[0].is(Kind::kString) ? parse_timestamp(a[0].text()) : wrong();
}

Datum duration(Args a, Context&) {
  if (a.size() != 1) return wrong();
  if (a[0].is(Kind::kDuration)) return a[0];
  if (a[0].is(Kind::kInt)) return make_duration(static_cast<__int128>(a[0].integer) * 1'000'000'000);
  return a[0].is(Kind::kString) ? parse_duration_text(a[0].text()) : wrong();
}

#define GETTER(name) "timestamp." name "() -> int; timestamp." name "(string) -> int"

constexpr FunctionRow kRows[] = {
    {"timestamp", "timestamp(timestamp) -> timestamp; timestamp(string) -> timestamp; timestamp(int) -> timestamp",
     timestamp, "A time from RFC 3339 text or seconds since 1970."},
    {"duration", "duration(duration) -> duration; duration(string) -> duration; duration(int) -> duration", duration,
     "A length of time: \"1h30m\", \"5s\", \"250ms\"."},
    {"getFullYear", GETTER("getFullYear"), part<year>, "The year, in UTC or the given time zone."},
    {"getMonth", GETTER("getMonth"), part<month>, "The month, 0 is January."},
    {"getDate", GETTER("getDate"), part<date>, "The day of the month, from 1."},
    {"getDayOfMonth", GETTER("getDayOfMonth"), part<day_of_month>, "The day of the month, from 0."},
    {"getDayOfWeek", GETTER("getDayOfWeek"), part<day_of_week>, "The day of the week, 0 is Sunday."},
    {"getDayOfYear", GETTER("getDayOfYear"), part<day_of_year>, "The day of the year, from 0."},
    {"getHours", GETTER("getHours") "; duration.getHours() -> int", part_or_duration<hours, 3600>,
     "The hour, or the hours of a duration."},
    {"getMinutes", GETTER("getMinutes") "; duration.getMinutes() -> int", part_or_duration<minutes, 60>,
     "The minute, or the minutes of a duration."},
    {"getSeconds", GETTER("getSeconds") "; duration.getSeconds() -> int", part_or_duration<seconds, 1>,
     "The second, or the seconds of a duration."},
    {"getMilliseconds", GETTER("getMilliseconds") "; duration.getMilliseconds() -> int",
     part_or_duration<milliseconds, 0>, "The milliseconds within the second."},
};
#undef GETTER

}  // namespace

std::span<const FunctionRow> time_functions() { return kRows; }

Datum parse_timestamp(std::string_view s) {
  const Datum bad = Datum::error("the text is no RFC 3339 timestamp");
  size_t at = 0;
  int year, month, day, hour, minute, second;
  if (!number(s, at, 4, year) || !sign(s, at, '-') || !number(s, at, 2, month) || !sign(s, at, '-') ||
      !number(s, at, 2, day))
    return bad;
  if (at >= s.size() || (s[at] != 'T' && s[at] != 't')) return bad;
  ++at;
  if (!number(s, at, 2, hour) || !sign(s, at, ':') || !number(s, at, 2, minute) || !sign(s, at, ':') ||
      !number(s, at, 2, second))
    return bad;
  int64_t nanos = 0;
  if (sign(s, at, '.')) {
    int64_t scale = 100'000'000;
    const size_t from = at;
    for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, scale /= 10) nanos += (s[at] - '0') * scale;
    if (at == from) return bad;
  }
  int64_t offset = 0;
  if (at < s.size() && (s[at] == '+' || s[at] == '-')) {
    const bool west = s[at++] == '-';
    int hours, minutes;
    if (!number(s, at, 2, hours) || !sign(s, at, ':') || !number(s, at, 2, minutes) || hours > 23 || minutes > 59)
      return bad;
    offset = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
  } else if (!sign(s, at, 'Z') && !sign(s, at, 'z')) {
    return bad;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (at != s.size() || !date.ok() || hour > 23 || minute > 59 || second > 59) return bad;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t total = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
  return make_timestamp(static_cast<__int128>(total) * 1'000'000'000 + nanos);
}

Datum parse_duration_text(std::string_view s) {
  const Datum bad = Datum::error("the text is no duration such as \"1h30m\"");
  if (s.empty()) return bad;
  bool negative = false;
  if (s[0] == '-' || s[0] == '+') negative = s[0] == '-', s.remove_prefix(1);
  if (s == "0") return Datum::duration(0, 0);
  if (s.empty()) return bad;
  static constexpr std::pair<std::string_view, int64_t> kUnits[] = {{"ns", 1},
                                                                    {"us", 1000},
                                                                    {"\xC2\xB5s", 1000},
                                                                    {"ms", 1'000'000},
                                                                    {"h", 3'600'000'000'000},
                                                                    {"m", 60'000'000'000},
                                                                    {"s", 1'000'000'000}};
  __int128 total = 0;
  while (!s.empty()) {
    __int128 whole = 0, fraction = 0, scale = 1;
    size_t at = 0, digits = 0;
    for (; at < s.size() && s[at] >= '0' && s[at] <= '9' && digits < 19; ++at, ++digits)
      whole = whole * 10 + (s[at] - '0');
    if (at < s.size() && s[at] == '.') {
      for (++at; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, ++digits)
        if (scale < 1'000'000'000'000'000'000) fraction = fraction * 10 + (s[at] - '0'), scale *= 10;
    }
    if (digits == 0) return bad;
    s.remove_prefix(at);
    const auto unit =
        std::find_if(std::begin(kUnits), std::end(kUnits), [&](const auto& u) { return s.starts_with(u.first); });
    if (unit == std::end(kUnits)) return bad;
    s.remove_prefix(unit->first.size());
    total += whole * unit->second + fraction * unit->second / scale;
    if (total > static_cast<__int128>(1) << 90) return overflow();
  }
  return make_duration(negative ? -total : total);
}

void append_timestamp(const Datum& d, std::string& out) {
  const Local l = local(d.integer);
  out += fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int{l.date.year()}, unsigned{l.date.month()},
                     unsigned{l.date.day()}, l.second / 3600, l.second / 60 % 60, l.second % 60);
  if (d.nanos() != 0) {
    std::string digits = fmt::format(".{:09}", d.nanos());
    while (digits.ends_with('0')) digits.pop_back();
    out += digits;
  }
  out += 'Z';
}

void append_duration(const Datum& d, std::string& out) {
  if (d.integer < 0 || d.nanos() < 0) out += '-';
  out += fmt::format("{}", d.integer < 0 ? -d.integer : d.integer);
  if (d.nanos() != 0) {
    std::string digits = fmt::format(".{:09}", std::abs(d.nanos()));
    while (digits.ends_with('0')) digits.pop_back();
    out += digits;
  }
  out += 's';
}

}  // namespace baleen::kfl
