#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace baleen::script {

/// Seconds east of UTC at a moment (Unix seconds): what a time zone is.
using UtcOffset = std::function<int64_t(int64_t)>;
/// That of the process: TZ, else the machine's.
int64_t local_offset(int64_t seconds);

/// A schedule of six fields: second, minute, hour, day of month, month, day of week (0 and 7 are Sunday).
///
/// Fields hold `*`, `?`, numbers, names (JAN, MON), ranges, lists and steps; `*/60` in a field of sixty is its first
/// value. When both day fields are restricted either may match, as cron does. "@hourly", "@daily", "@midnight",
/// "@weekly", "@monthly", "@yearly", "@annually" and "@every 90s" are understood.
class Cron {
 public:
  static Result<Cron> parse(std::string_view text);

  /// The first moment after `after` (Unix seconds) in a time zone. A local time that a clock change skips does not
  /// fire on that day; in an hour that it repeats, jobs of certain hours fire once and jobs of every hour twice.
  /// Nothing when there is none within eight years.
  std::optional<int64_t> next(int64_t after, const UtcOffset& offset_at = local_offset) const;

 private:
  std::bitset<60> seconds_, minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_day_ = false, any_weekday_ = false;
  int64_t every_ = 0;  // "@every": seconds
};

}  // namespace baleen::script
