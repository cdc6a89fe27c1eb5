#include "record/schedule.h"

#include <gtest/gtest.h>

#include <random>

#include "base/units.h"

namespace baleen::record {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Timestamp at(const char* text) { return *parse_time(text, Timestamp{}); }

/// A machine whose clock can be set.
struct Machine {
  Instant now{at("2026-03-01T00:00:00Z"), hours(1)};
  Schedule schedule;
  Progress progress;
  Machine() { progress.created = now.wall; }
  Phase pass(Duration d, Duration step = seconds(30)) {
    for (Duration left = d; left > Duration{0}; left -= step) {
      now.wall += std::min(step, left);
      now.steady += std::min(step, left);
      advance(schedule, progress, now);
    }
    return look();
  }
  Phase look() {
    advance(schedule, progress, now);
    return phase_of(schedule, progress);
  }
  Phase restart(Duration away) {
    now.wall += away;
    now.steady = seconds(5);
    resume_after_restart(schedule, progress, now);
    return look();
  }
};

TEST(Schedule, WithoutAnythingItRunsUntilItIsStopped) {
  Machine m;
  EXPECT_EQ(m.look(), Phase::kRunning);
  EXPECT_EQ(m.pass(hours(1000), hours(1)), Phase::kRunning);
  EXPECT_FALSE(next_change(m.schedule, m.progress));
  m.progress.stopped = true;
  EXPECT_EQ(m.look(), Phase::kStopped);
  EXPECT_EQ(m.progress.done, 1u);
}

TEST(Schedule, ItBeginsAndEndsInTime) {
  Machine m;
  m.schedule = {at("2026-03-01T10:00:00Z"), minutes(10), 1, ""};
  EXPECT_EQ(m.look(), Phase::kScheduled);
  EXPECT_EQ(*next_change(m.schedule, m.progress), at("2026-03-01T10:00:00Z"));
  EXPECT_EQ(m.pass(hours(10) - seconds(1), seconds(1)), Phase::kScheduled);
  EXPECT_EQ(m.pass(seconds(1)), Phase::kRunning);
  EXPECT_EQ(*next_change(m.schedule, m.progress), at("2026-03-01T10:10:00Z"));
  EXPECT_EQ(m.pass(minutes(10) - seconds(1), seconds(1)), Phase::kRunning);
  EXPECT_EQ(m.pass(seconds(1)), Phase::kDone);
  EXPECT_EQ(m.pass(hours(100)), Phase::kDone);
  EXPECT_EQ(m.progress.done, 1u);
  EXPECT_EQ(m.progress.missed, 0u);
}

TEST(Schedule, DailyIterations) {
  Machine m;
  m.schedule = {at("2026-03-01T10:00:00Z"), minutes(10), 3, ""};
  int ran = 0;
  for (int i = 0; i < 24 * 60 * 6; ++i) ran += m.pass(minutes(1)) == Phase::kRunning ? 1 : 0;
  EXPECT_EQ(ran, 30);
  EXPECT_EQ(m.progress.done, 3u);
  EXPECT_EQ(m.look(), Phase::kDone);
  m.schedule.iterations = 0;
  EXPECT_EQ(m.look(), Phase::kScheduled) << "for ever";
}

TEST(Schedule, TheSameTimeOfTheDayWhateverTheZoneDoes) {
  Schedule berlin{at("2026-03-28T09:00:00+01:00"), minutes(10), 0, "Europe/Berlin"};
  const Progress p;
  EXPECT_EQ(due(berlin, p, 0), at("2026-03-28T08:00:00Z"));
  EXPECT_EQ(due(berlin, p, 1), at("2026-03-29T07:00:00Z")) << "summer time began in the night";
  EXPECT_EQ(due(berlin, p, 220), at("2026-11-03T08:00:00Z"));
  berlin.start = at("2026-10-24T02:30:00+02:00");  // that hour comes twice the next day
  EXPECT_EQ(due(berlin, p, 2), at("2026-10-26T01:30:00Z"));
  EXPECT_TRUE(due(berlin, p, 1) == at("2026-10-25T00:30:00Z") || due(berlin, p, 1) == at("2026-10-25T01:30:00Z"));
  berlin.timezone = "";
  EXPECT_EQ(due(berlin, p, 2), at("2026-10-26T00:30:00Z")) << "UTC";
}

TEST(Schedule, AClockThatJumpsMakesNoIterationLongerOrShorter) {
  for (const Duration jump :
       {Duration(hours(2)), Duration(-hours(2)), Duration(hours(24 * 400)), Duration(minutes(5))}) {
    Machine m;
    m.schedule = {std::nullopt, minutes(10), 1, ""};
    EXPECT_EQ(m.look(), Phase::kRunning);
    EXPECT_EQ(m.pass(minutes(4)), Phase::kRunning);
    m.now.wall += jump;
    EXPECT_EQ(m.look(), Phase::kRunning);
    EXPECT_EQ(m.progress.clock_jumps, 1u);
    EXPECT_EQ(m.pass(minutes(6) - seconds(1)), Phase::kRunning) << jump.count();
    EXPECT_EQ(m.pass(seconds(1)), Phase::kDone) << jump.count();
  }
}

TEST(Schedule, AClockThatIsPutBackRepeatsNothingAndForwardSkips) {
  Machine m;
  m.schedule = {at("2026-03-01T10:00:00Z"), minutes(10), 10, ""};
  m.pass(hours(11));
  EXPECT_EQ(m.progress.done, 1u);
  m.now.wall -= hours(2);
  EXPECT_EQ(m.pass(hours(3)), Phase::kScheduled);
  EXPECT_EQ(m.progress.done, 1u);
  m.now.wall += hours(72);
  EXPECT_EQ(m.look(), Phase::kScheduled);
  EXPECT_EQ(m.progress.missed, 3u);
  EXPECT_EQ(m.progress.next, 4u);
  m.pass(hours(24 * 30));
  EXPECT_EQ(m.progress.done + m.progress.missed, 10u);
}

TEST(Schedule, ARestartGoesOnWithTheRest) {
  Machine m;
  m.schedule = {std::nullopt, minutes(10), 1, ""};
  m.pass(minutes(4));
  EXPECT_EQ(m.restart(minutes(3)), Phase::kRunning);
  EXPECT_EQ(m.pass(minutes(3) - seconds(30)), Phase::kRunning);
  EXPECT_EQ(m.pass(minutes(1)), Phase::kDone);

  Machine late;
  late.schedule = m.schedule;
  late.pass(minutes(4));
  EXPECT_EQ(late.restart(hours(3)), Phase::kDone);
  EXPECT_EQ(late.progress.done, 1u);

  Machine back;
  back.schedule = m.schedule;
  back.pass(minutes(4));
  EXPECT_EQ(back.restart(-hours(3)), Phase::kRunning);
  EXPECT_EQ(back.pass(minutes(6)), Phase::kDone) << "no longer than it was to be";

  Machine missed;
  missed.schedule = {at("2026-03-01T10:00:00Z"), minutes(10), 2, ""};
  missed.look();
  EXPECT_EQ(missed.restart(hours(20)), Phase::kScheduled);
  EXPECT_EQ(missed.progress.missed, 1u);

  Machine middle;
  middle.schedule = missed.schedule;
  middle.look();
  EXPECT_EQ(middle.restart(hours(10) + minutes(4)), Phase::kRunning) << "started in the middle of it";
  EXPECT_EQ(middle.pass(minutes(6)), Phase::kScheduled) << "and ended when it was to end";
}

TEST(Schedule, APauseIsNotAnEnd) {
  Machine m;
  m.schedule = {std::nullopt, minutes(10), 1, ""};
  m.pass(minutes(4));
  m.progress.paused = true;
  EXPECT_EQ(m.look(), Phase::kPaused);
  m.pass(minutes(4));
  m.progress.paused = false;
  EXPECT_EQ(m.look(), Phase::kRunning);
  EXPECT_EQ(m.pass(minutes(2)), Phase::kDone);
}

TEST(Schedule, SaysWhatIsWrong) {
  EXPECT_TRUE((Schedule{std::nullopt, Duration{0}, 1, ""}).check());
  EXPECT_TRUE((Schedule{std::nullopt, hours(24), 0, "Asia/Kathmandu"}).check());
  EXPECT_FALSE((Schedule{std::nullopt, Duration{0}, 2, ""}).check());
  EXPECT_FALSE((Schedule{std::nullopt, hours(25), 2, ""}).check());
  EXPECT_FALSE((Schedule{std::nullopt, hours(1), 1, "Mars/Olympus"}).check());
  EXPECT_FALSE((Schedule{std::nullopt, -hours(1), 1, ""}).check());
}

TEST(Schedule, WhateverHappensIterationsAreCountedOnce) {
  std::minstd_rand random(7);
  for (int round = 0; round < 200; ++round) {
    Machine m;
    const auto n = static_cast<uint32_t>(random() % 5 + 1);
    m.schedule = {m.now.wall + hours(random() % 48), minutes(random() % 1440 + 1), n, ""};
    uint32_t began = 0;
    bool ran = false;
    for (int i = 0; i < 200; ++i) {
      const auto kind = random() % 8;
      if (kind == 0) m.now.wall += minutes(static_cast<int64_t>(random() % 6000) - 3000);
      const Phase phase = kind == 1 ? m.restart(minutes(random() % 600)) : m.pass(minutes(random() % 120), minutes(1));
      began += !ran && phase == Phase::kRunning ? 1 : 0;
      ran = phase == Phase::kRunning;
      EXPECT_LE(m.progress.done + m.progress.missed, n);
      EXPECT_EQ(m.progress.done + m.progress.missed, m.progress.next);
      EXPECT_LE(m.progress.left, m.schedule.duration);
    }
    EXPECT_LE(began, n);
  }
}

}  // namespace
}  // namespace baleen::record
