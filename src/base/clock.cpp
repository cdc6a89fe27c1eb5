#include "base/clock.h"

#include <cstring>

namespace baleen {
namespace {

void put_digits(char* out, uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

Timestamp now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

size_t write_rfc3339(Timestamp t, char* out) {
  // In seconds first: the day of the first representable moment begins before it.
  constexpr int64_t kSecond = 1'000'000'000, kDay = 86'400;
  const int64_t total = to_ns(t) / kSecond - (to_ns(t) % kSecond < 0 ? 1 : 0);
  const int64_t day = total / kDay - (total % kDay < 0 ? 1 : 0);
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  const auto seconds = static_cast<uint64_t>(total - day * kDay);
  put_digits(out, static_cast<uint64_t>(static_cast<int>(date.year())), 4);
  out[4] = '-';
  put_digits(out + 5, static_cast<unsigned>(date.month()), 2);
  out[7] = '-';
  put_digits(out + 8, static_cast<unsigned>(date.day()), 2);
  out[10] = 'T';
  put_digits(out + 11, seconds / 3600, 2);
  out[13] = ':';
  put_digits(out + 14, seconds / 60 % 60, 2);
  out[16] = ':';
  put_digits(out + 17, seconds % 60, 2);
  size_t n = 19;
  if (const int64_t fraction = (to_ns(t) % kSecond + kSecond) % kSecond; fraction != 0) {
    out[n] = '.';
    put_digits(out + n + 1, static_cast<uint64_t>(fraction), 9);
    n += 10;
    while (out[n - 1] == '0') --n;
  }
  out[n++] = 'Z';
  return n;
}

std::string to_rfc3339(Timestamp t) {
  char buffer[32];
  return std::string(buffer, write_rfc3339(t, buffer));
}

}  // namespace baleen
