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
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const uint64_t ns = static_cast<uint64_t>((t - day).count());
  const uint64_t seconds = ns / 1'000'000'000;
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
  if (const uint64_t fraction = ns % 1'000'000'000; fraction != 0) {
    out[n] = '.';
    put_digits(out + n + 1, fraction, 9);
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
