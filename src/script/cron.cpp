#include "script/cron.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <vector>

#include "base/units.h"

namespace baleen::script {
namespace {

struct FieldRange {
  std::string_view name;
  int low, high;
  std::string_view names;  // three letters each, the first stands for `low`
};
constexpr FieldRange kFields[6] = {
    {"second", 0, 59, {}},
    {"minute", 0, 59, {}},
    {"hour", 0, 23, {}},
    {"day of month", 1, 31, {}},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

Error wrong(const FieldRange& field, std::string_view text, std::string_view why) {
  return {Code::kInvalid, "cron: " + std::string(field.name) + " \"" + std::string(text) + "\": " + std::string(why)};
}

std::optional<int> number(const FieldRange& field, std::string_view text) {
  int n = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), n);
  if (end.ec == std::errc() && end.ptr == text.data() + text.size()) return n;
  if (text.size() != 3 || field.names.empty()) return std::nullopt;
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  const size_t at = field.names.find(lower);
  if (at == std::string_view::npos || at % 3 != 0) return std::nullopt;
  return field.low + static_cast<int>(at / 3);
}

/// One element of a list: `*`, `a`, `a-b`, each with `/step`.
template <class Set>
Result<> parse_element(const FieldRange& field, std::string_view text, Set& out) {
  int step = 1;
  std::string_view range = text;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    range = text.substr(0, slash);
    const std::string_view digits = text.substr(slash + 1);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    if (end.ec != std::errc() || end.ptr != digits.data() + digits.size() || step < 1)
      return wrong(field, text, "the step is not a positive number");
  }
  int low = field.low, high = field.high;
  if (range != "*" && range != "?") {
    const size_t dash = range.find('-');
    const auto first = number(field, range.substr(0, dash));
    if (!first) return wrong(field, text, "expected a number, a range, a list or *");
    low = high = *first;
    if (dash != std::string_view::npos) {
      const auto last = number(field, range.substr(dash + 1));
      if (!last) return wrong(field, text, "the range has no end");
      high = *last;
    } else if (slash != std::string_view::npos) {
      high = field.high;  // "5/10": from 5 on
    }
  } else if (field.high == 7) {
    high = 6;
  }
  if (low < field.low || high > field.high)
    return wrong(field, text, "out of range " + std::to_string(field.low) + "-" + std::to_string(field.high));
  if (low > high) return wrong(field, text, "the range runs backwards");
  for (int i = low; i <= high; i += std::min(step, 1000)) out.set(static_cast<size_t>(field.high == 7 ? i % 7 : i));
  return {};
}

template <class Set>
Result<> parse_field(const FieldRange& field, std::string_view text, Set& out) {
  while (true) {
    const size_t comma = text.find(',');
    BALEEN_TRY_DO(parse_element(field, text.substr(0, comma), out));
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  while (out.size() < 8) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(text.find_first_of(" \t", begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
  return out;
}

std::string_view expand(std::string_view text) {
  struct Short {
    std::string_view name, fields;
  };
  static constexpr Short kShorts[] = {
      {"@yearly", "0 0 0 1 1 *"}, {"@annually", "0 0 0 1 1 *"}, {"@monthly", "0 0 0 1 * *"}, {"@weekly", "0 0 0 * * 0"},
      {"@daily", "0 0 0 * * *"},  {"@midnight", "0 0 0 * * *"}, {"@hourly", "0 0 * * * *"}};
  for (const Short& s : kShorts)
    if (s.name == text) return s.fields;
  return text;
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
  Cron cron;
  if (text.size() > 256) return Error{Code::kInvalid, "cron: longer than 256 characters"};
  auto fields = words(text);
  if (fields.size() == 2 && fields[0] == "@every") {
    const auto period = parse_duration(fields[1]);
    if (!period) return Error{Code::kInvalid, "cron: \"@every\" wants a duration such as 90s"};
    cron.every_ = std::chrono::duration_cast<std::chrono::seconds>(*period).count();
    if (cron.every_ < 1) return Error{Code::kInvalid, "cron: \"@every\" wants at least one second"};
    return cron;
  }
  if (fields.size() == 1) fields = words(expand(fields[0]));
  if (fields.size() != 6)
    return Error{Code::kInvalid, "cron: \"" + std::string(text) + "\" has " + std::to_string(fields.size()) +
                                     " fields, expected 6: second minute hour day month weekday"};
  BALEEN_TRY_DO(parse_field(kFields[0], fields[0], cron.seconds_));
  BALEEN_TRY_DO(parse_field(kFields[1], fields[1], cron.minutes_));
  BALEEN_TRY_DO(parse_field(kFields[2], fields[2], cron.hours_));
  BALEEN_TRY_DO(parse_field(kFields[3], fields[3], cron.days_));
  BALEEN_TRY_DO(parse_field(kFields[4], fields[4], cron.months_));
  BALEEN_TRY_DO(parse_field(kFields[5], fields[5], cron.weekdays_));
  cron.any_day_ = fields[3][0] == '*' || fields[3][0] == '?';
  cron.any_weekday_ = fields[5][0] == '*' || fields[5][0] == '?';
  return cron;
}

int64_t local_offset(int64_t seconds) {
  const time_t t = seconds;
  struct tm local;
  return ::localtime_r(&t, &local) != nullptr ? local.tm_gmtoff : 0;
}

std::optional<int64_t> Cron::next(int64_t after, const UtcOffset& offset_at) const {
  using namespace std::chrono;
  if (every_ > 0) return after + every_;
  constexpr int64_t kDay = 86400;
  const int64_t limit = after + 366 * kDay * 8 + kDay * 2;
  int64_t at = after + 1;
  // Moves to the local time `wanted`, without passing over what a clock change puts between.
  const auto jump = [&](int64_t wanted) {
    const int64_t naive = wanted - offset_at(at);
    at = std::max(at + 1, std::min(naive, wanted - offset_at(naive)));
  };
  while (at < limit) {
    const int64_t offset = offset_at(at);
    const int64_t local = at + offset;
    const int64_t day = floor_div(local, kDay);
    const int64_t second = local - day * kDay;
    const sys_days date{days{day}};
    const year_month_day ymd{date};
    const bool day_ok = days_.test(static_cast<unsigned>(ymd.day()));
    const bool weekday_ok = weekdays_.test(weekday{date}.c_encoding());
    const bool both = any_day_ || any_weekday_ ? day_ok && weekday_ok : day_ok || weekday_ok;
    if (!months_.test(static_cast<unsigned>(ymd.month())) || !both) {
      jump((day + 1) * kDay);
      continue;
    }
    if (!hours_.test(static_cast<size_t>(second / 3600))) {
      jump(local - local % 3600 + 3600);
      continue;
    }
    if (!minutes_.test(static_cast<size_t>(second / 60 % 60))) {
      jump(local - local % 60 + 60);
      continue;
    }
    if (!seconds_.test(static_cast<size_t>(second % 60))) {
      ++at;
      continue;
    }
    // An hour that the clock repeats: jobs of certain hours had their turn.
    const int64_t before = offset_at(at - 3 * 3600);
    const int64_t earlier = local - before;
    if (!hours_.all() && before > offset && earlier < at && offset_at(earlier) == before) {
      ++at;
      continue;
    }
    return at;
  }
  return std::nullopt;
}

}  // namespace baleen::script
