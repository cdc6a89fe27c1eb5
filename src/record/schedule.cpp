#include "record/schedule.h"

#include <time.h>

#include <algorithm>

#include "kfl/time_zone.h"

namespace baleen::record {
namespace {

constexpr Duration kDay = std::chrono::hours(24);
constexpr Duration kJump = std::chrono::seconds(2);
constexpr uint32_t kMostSkipped = 100'000;  // days: 273 years

/// Seconds east of UTC; a zone that is unknown (its file has gone) is UTC.
int64_t offset_at(const Schedule& schedule, Timestamp t) {
  if (schedule.timezone.empty()) return 0;
  return kfl::zone_offset(schedule.timezone, std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count())
      .value_or(0);
}

void end_iteration(Progress& progress, Timestamp when) {
  progress.running = false;
  progress.ended = when;
  progress.left = Duration{0};
  ++progress.done;
  ++progress.next;
}

}  // namespace

Result<> Schedule::check() const {
  if (duration < Duration{0}) return Error{Code::kInvalid, "a duration is not negative"};
  if (iterations != 1 && duration == Duration{0})
    return Error{Code::kInvalid, "daily iterations need a duration: without one the first never ends"};
  if (iterations != 1 && duration > kDay) return Error{Code::kInvalid, "daily iterations last a day at most"};
  if (!timezone.empty() && !kfl::zone_offset(timezone, 0))
    return Error{Code::kInvalid, "there is no time zone '" + timezone + "'"};
  return {};
}

Instant this_instant() {
  timespec t{};
  ::clock_gettime(CLOCK_BOOTTIME, &t);
  return {now(), std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec)};
}

const char* to_string(Phase phase) {
  static constexpr const char* kNames[] = {"scheduled", "running", "paused", "done", "stopped", "full", "queued"};
  return kNames[static_cast<int>(phase)];
}

Timestamp due(const Schedule& schedule, const Progress& progress, uint32_t n) {
  const Timestamp start = schedule.start.value_or(progress.created);
  if (n == 0) return start;
  if (schedule.timezone.empty()) return start + n * kDay;
  // The same time of the day by the zone's own clock: its offset may differ on that day. Twice, because the first guess
  // may lie on the other side of the change.
  const Timestamp local = start + std::chrono::seconds(offset_at(schedule, start)) + n * kDay;
  Timestamp utc = local - std::chrono::seconds(offset_at(schedule, start));
  for (int i = 0; i < 2; ++i) utc = local - std::chrono::seconds(offset_at(schedule, utc));
  return utc;
}

void advance(const Schedule& schedule, Progress& progress, const Instant& now) {
  const Duration went = now.steady - progress.seen.steady;
  const Duration jump = (now.wall - progress.seen.wall) - went;
  if (progress.seen.steady != Duration{0} && (jump > kJump || jump < -kJump)) ++progress.clock_jumps;
  if (progress.running && progress.seen.steady != Duration{0}) progress.left -= std::max(went, Duration{0});
  progress.seen = now;
  if (progress.stopped || progress.full) {
    if (progress.running) end_iteration(progress, now.wall);
    return;
  }
  if (progress.running) {
    if (schedule.duration == Duration{0} || progress.left > Duration{0}) return;
    end_iteration(progress, now.wall);
  }
  for (uint32_t skipped = 0; skipped < kMostSkipped; ++skipped) {
    if (schedule.iterations != 0 && progress.next >= schedule.iterations) return;
    const Timestamp begin = due(schedule, progress, progress.next);
    if (now.wall < begin) return;
    const Duration late = now.wall - begin;
    if (schedule.duration == Duration{0} || late < schedule.duration) {
      progress.running = true;
      progress.began = now.wall;
      progress.left = schedule.duration - (schedule.duration == Duration{0} ? Duration{0} : late);
      return;
    }
    ++progress.missed;
    ++progress.next;
  }
}

void resume_after_restart(const Schedule& schedule, Progress& progress, const Instant& now) {
  // A clock that was put back meanwhile gives nothing back.
  const Duration away = std::max(now.wall - progress.seen.wall, Duration{0});
  if (progress.running) progress.left -= away;
  progress.seen = {now.wall, Duration{0}};
  advance(schedule, progress, now);
}

Phase phase_of(const Schedule& schedule, const Progress& progress) {
  if (progress.full) return Phase::kFull;
  if (progress.stopped) return Phase::kStopped;
  if (!progress.running && schedule.iterations != 0 && progress.next >= schedule.iterations) return Phase::kDone;
  if (progress.paused) return Phase::kPaused;
  return progress.running ? Phase::kRunning : Phase::kScheduled;
}

std::optional<Timestamp> next_change(const Schedule& schedule, const Progress& progress) {
  if (progress.stopped || progress.full) return std::nullopt;
  if (progress.running) {
    if (schedule.duration == Duration{0}) return std::nullopt;
    return progress.seen.wall + progress.left;
  }
  if (schedule.iterations != 0 && progress.next >= schedule.iterations) return std::nullopt;
  return due(schedule, progress, progress.next);
}

}  // namespace baleen::record
