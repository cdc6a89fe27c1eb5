#include "base/units.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

namespace baleen {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimeUnits[] = {{"ns", 1},  {"us", 1e3}, {"µs", 1e3},   {"ms", 1e6},
                               {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}, {"d", 8.64e13}};
constexpr Unit kSizeUnits[] = {{"", 1},         {"B", 1},       {"k", 1e3},      {"K", 1e3},      {"kB", 1e3},
                               {"KB", 1e3},     {"M", 1e6},     {"MB", 1e6},     {"G", 1e9},      {"GB", 1e9},
                               {"T", 1e12},     {"TB", 1e12},   {"Ki", 0x1p10},  {"KiB", 0x1p10}, {"Mi", 0x1p20},
                               {"MiB", 0x1p20}, {"Gi", 0x1p30}, {"GiB", 0x1p30}, {"Ti", 0x1p40},  {"TiB", 0x1p40}};

/// Takes a number (digits, at most one point) off the front of `text`.
std::optional<double> take_number(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  double value = 0;
  const auto [ptr, ec] = std::from_chars(text.data(), text.data() + end, value);
  if (ec != std::errc() || ptr != text.data() + end || end == 0) return std::nullopt;
  text.remove_prefix(end);
  return value;
}

std::string_view take_letters(std::string_view& text) {
  const size_t end = std::min(text.find_first_of("0123456789. "), text.size());
  const std::string_view letters = text.substr(0, end);
  text.remove_prefix(end);
  return letters;
}

template <size_t N>
std::optional<double> factor_of(const Unit (&units)[N], std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return unit.factor;
  return std::nullopt;
}

std::optional<int> digits(std::string_view text, size_t at, size_t n) {
  int value = 0;
  if (at + n > text.size()) return std::nullopt;
  for (size_t i = at; i < at + n; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

std::optional<Timestamp> parse_date(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return Timestamp(std::chrono::sys_days(date));
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  auto time = parse_date(text);
  if (!time || text.size() == 10) return time;
  if (text[10] != 'T' && text[10] != 't' && text[10] != ' ') return std::nullopt;
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!hour || !minute || !second || text[13] != ':' || text[16] != ':') return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  *time += std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  std::string_view rest = text.substr(19);
  if (rest.starts_with('.')) {
    const size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    int64_t ns = 0;
    for (size_t i = 1; i < 10; ++i) ns = ns * 10 + (i < end ? rest[i] - '0' : 0);
    *time += Duration(ns);
    rest.remove_prefix(end);
  }
  if (rest.empty() || rest == "Z" || rest == "z") return time;
  const auto off_hour = digits(rest, 1, 2), off_minute = digits(rest, 4, 2);
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || !off_hour || !off_minute) return std::nullopt;
  const Duration offset = std::chrono::hours(*off_hour) + std::chrono::minutes(*off_minute);
  return rest[0] == '+' ? *time - offset : *time + offset;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    const std::string_view letters = take_letters(text);
    const auto factor = letters.empty() ? std::optional(1e9) : factor_of(kTimeUnits, letters);
    if (!factor) return std::nullopt;
    total += *number * *factor;
  }
  if (total > 9.2e18) return std::nullopt;
  return Duration(static_cast<int64_t>(total));
}

std::string to_string(Duration duration) {
  int64_t ns = duration.count();
  if (ns == 0) return "0s";
  if (ns % 1'000'000'000 != 0) return fmt::format("{:g}ms", static_cast<double>(ns) / 1e6);
  std::string out;
  for (const auto& [name, size] : {std::pair{"h", int64_t{3600}}, {"m", int64_t{60}}, {"s", int64_t{1}}}) {
    const int64_t n = ns / 1'000'000'000 / size;
    if (n == 0) continue;
    out += fmt::format("{}{}", n, name);
    ns -= n * size * 1'000'000'000;
  }
  return out;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto number = take_number(text);
  if (!number) return std::nullopt;
  if (text.starts_with(' ')) text.remove_prefix(1);
  const auto factor = factor_of(kSizeUnits, text);
  if (!factor || *number * *factor > 9e18) return std::nullopt;
  return static_cast<uint64_t>(*number * *factor);
}

std::string size_to_string(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t i = 0;
  for (; value >= 1024 && i + 1 < std::size(kNames); ++i) value /= 1024;
  return fmt::format("{:.1f} {}", value, kNames[i]);
}

std::optional<Timestamp> parse_time(std::string_view text, Timestamp reference) {
  if (text == "now") return reference;
  if (text.size() >= 10 && text[4] == '-') return parse_rfc3339(text);
  if (text.size() >= 9 && text.find_first_not_of("0123456789") == std::string_view::npos) {
    int64_t seconds = 0;
    const auto [ptr, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (ec != std::errc() || ptr != text.data() + text.size() || seconds > 9'000'000'000) return std::nullopt;
    return timestamp_from_ns(seconds * 1'000'000'000);
  }
  const auto ago = parse_duration(text);
  if (!ago) return std::nullopt;
  return reference - *ago;
}

}  // namespace baleen
