#include "script/cron.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <time.h>

namespace baleen::script {
namespace {

using testing::HasSubstr;

int64_t at(const char* text) {
  struct tm utc{};
  EXPECT_NE(::strptime(text, "%Y-%m-%d %H:%M:%S", &utc), nullptr) << text;
  return ::timegm(&utc);
}

std::string shown(int64_t seconds) {
  char buffer[32];
  const time_t t = seconds;
  struct tm utc{};
  ::gmtime_r(&t, &utc);
  ::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &utc);
  return buffer;
}

int64_t utc(int64_t) { return 0; }

struct Case {
  const char *cron, *after, *next;
};

TEST(Cron, NextInUtc) {
  const Case cases[] = {
      {"0 */5 * * * *", "2026-11-23 12:00:00", "2026-11-23 12:05:00"},
      {"0 */5 * * * *", "2026-11-23 12:04:59", "2026-11-23 12:05:00"},
      {"*/60 * * * * *", "2026-11-23 12:04:59", "2026-11-23 12:05:00"},
      {"*/60 * * * * *", "2026-11-23 12:05:00", "2026-11-23 12:06:00"},
      {"20 * * * * *", "2026-11-23 12:05:20", "2026-11-23 12:06:20"},
      {"* * * * * *", "2026-12-31 23:59:59", "2027-01-01 00:00:00"},
      {"0 0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00"},
      {"0 0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
      {"0 0 0 29 feb ?", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},  // 2100 is no leap year
      {"0 0 12 * * MON-FRI", "2026-11-20 12:00:00", "2026-11-23 12:00:00"},
      {"0 0 12 * * 7", "2026-11-23 00:00:00", "2026-11-29 12:00:00"},
      {"0 0 12 * * 0", "2026-11-23 00:00:00", "2026-11-29 12:00:00"},
      {"0 0 12 * * 5-7", "2026-11-28 12:00:00", "2026-11-29 12:00:00"},
      {"0 0 0 13 * FRI", "2026-11-01 00:00:00", "2026-11-06 00:00:00"},  // either day
      {"0 0 0 */2 * *", "2026-11-01 00:00:00", "2026-11-03 00:00:00"},
      {"10-20/5,50 0 0 1 1 *", "2026-01-01 00:00:20", "2026-01-01 00:00:50"},
      {"5/20 * * * * *", "2026-01-01 00:00:25", "2026-01-01 00:00:45"},
      {"@hourly", "2026-11-23 12:00:00", "2026-11-23 13:00:00"},
      {"@every 90s", "2026-11-23 12:00:00", "2026-11-23 12:01:30"},
      {"0 0 0 1 1 *", "1969-06-01 00:00:00", "1970-01-01 00:00:00"},
      {" 0\t0 0  1 1 * ", "2026-06-01 00:00:00", "2027-01-01 00:00:00"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.cron);
    const auto cron = Cron::parse(c.cron);
    ASSERT_TRUE(cron) << cron.error().message;
    const auto next = cron->next(at(c.after), utc);
    ASSERT_TRUE(next);
    EXPECT_EQ(shown(*next), c.next);
  }
}

TEST(Cron, NeverIsNothing) {
  EXPECT_EQ(Cron::parse("0 0 0 30 2 *")->next(at("2026-01-01 00:00:00"), utc), std::nullopt);
}

class Zone : public testing::Test {
 protected:
  void use(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  void TearDown() override {
    ::unsetenv("TZ");
    ::tzset();
  }
};

TEST_F(Zone, ClockChanges) {
  struct ZoneCase {
    const char *zone, *cron, *after, *next;  // moments in UTC
  };
  // POSIX zones: Berlin's and New York's rules, half hours (Lord Howe), a change at midnight (Havana).
  constexpr const char* kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";
  constexpr const char* kNewYork = "EST5EDT,M3.2.0,M11.1.0";
  constexpr const char* kHavana = "CST5CDT,M3.2.0/0,M11.1.0/1";
  const ZoneCase cases[] = {
      {kBerlin, "0 0 12 * * *", "2026-07-01 00:00:00", "2026-07-01 10:00:00"},
      {kBerlin, "0 0 12 * * *", "2026-12-01 00:00:00", "2026-12-01 11:00:00"},
      {kBerlin, "0 0 3 * * *", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},     // right behind the gap
      {kBerlin, "0 30 2 * * *", "2026-03-28 12:00:00", "2026-03-30 00:30:00"},    // in the gap: not on that day
      {kBerlin, "0 30 2 * * *", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},    // the first of the two
      {kBerlin, "0 30 2 * * *", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},    // not the second
      {kBerlin, "0 */30 * * * *", "2026-10-25 00:30:00", "2026-10-25 01:00:00"},  // goes on through both
      {kBerlin, "0 */30 * * * *", "2026-10-25 01:00:00", "2026-10-25 01:30:00"},
      {kBerlin, "0 0 0 * * *", "2026-10-24 23:00:00", "2026-10-25 23:00:00"},
      {kBerlin, "0 0 0 1 * *", "2026-02-28 22:59:59", "2026-02-28 23:00:00"},  // March begins
      {kNewYork, "0 0 9 * * MON", "2026-03-07 00:00:00", "2026-03-09 13:00:00"},
      {kNewYork, "0 0 9 * * MON", "2026-10-31 00:00:00", "2026-11-02 14:00:00"},
      {kHavana, "0 0 0 * * *", "2026-03-07 12:00:00", "2026-03-09 04:00:00"},  // midnight is skipped
      {kHavana, "0 30 0 * * *", "2026-11-01 04:30:00", "2026-11-02 05:30:00"},
      {"LHST-10:30LHDT-11,M10.1.0,M4.1.0", "0 45 1 * * *", "2026-04-04 12:00:00", "2026-04-04 14:45:00"},
  };
  for (const ZoneCase& c : cases) {
    SCOPED_TRACE(std::string(c.zone) + " " + c.cron + " after " + c.after);
    use(c.zone);
    const auto next = Cron::parse(c.cron)->next(at(c.after));
    ASSERT_TRUE(next);
    EXPECT_EQ(shown(*next), c.next);
  }
}

/// Against a search second by second, over both clock changes of a year.
TEST_F(Zone, AgreesWithASearchBySeconds) {
  use("CET-1CEST,M3.5.0,M10.5.0/3");
  for (const char* text :
       {"0 */7 * * * *", "0 15 */3 * * *", "30 59 * * * *", "0 0 6-8 * * 0", "0 10 1,4 29,25 3,10 *"}) {
    SCOPED_TRACE(text);
    const auto cron = Cron::parse(text);
    for (const char* from : {"2026-03-28 20:00:00", "2026-10-24 20:00:00"}) {
      int64_t t = at(from);
      const int64_t end = t + 86400;
      while (t < end) {
        const auto next = cron->next(t);
        ASSERT_TRUE(next);
        ASSERT_GT(*next, t);
        for (int64_t s = t + 1; s < *next && s < end; ++s) {
          // No moment in between would have been an answer from just before it.
          if (s % 60 != 0 && s % 60 != 30) continue;
          ASSERT_NE(cron->next(s - 1), s) << shown(s);
        }
        t = *next;
      }
    }
  }
}

TEST(Cron, ErrorsSayWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "has 0 fields, expected 6"},  {"* * * * *", "has 5 fields"},
      {"* * * * * * *", "has 7 fields"}, {"60 * * * * *", "second \"60\""},
      {"* 61 * * * *", "minute"},        {"* * 24 * * *", "hour"},
      {"* * * 0 * *", "day of month"},   {"* * * * 13 *", "month"},
      {"* * * * * 8", "day of week"},    {"a * * * * *", "expected a number"},
      {"1- * * * * *", "no end"},        {"5-1 * * * * *", "backwards"},
      {"*/0 * * * * *", "step"},         {"*/-1 * * * * *", "step"},
      {"*/x * * * * *", "step"},         {"1,,2 * * * * *", "expected a number"},
      {"* * * * foo *", "expected"},     {"99999999999 * * * * *", "expected"},
      {"@never", "has 1 fields"},        {"@every x", "duration"},
      {"@every 1ms", "one second"},      {"*/99999999999999999999 * * * * *", "step"},
  };
  for (const auto& [text, message] : cases) {
    SCOPED_TRACE(text);
    const auto cron = Cron::parse(text);
    ASSERT_FALSE(cron);
    EXPECT_THAT(cron.error().message, HasSubstr(message));
  }
}

}  // namespace
}  // namespace baleen::script
