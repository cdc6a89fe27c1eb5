#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace baleen::record {

/// When a recording runs, as the user says it.
struct Schedule {
  std::optional<Timestamp> start;  // none: when the recording is made
  Duration duration{0};            // of an iteration; 0: until it is stopped
  uint32_t iterations = 1;         // one a day, at the same time of the day; 0: every day for ever
  std::string timezone;            // whose time of the day; empty: UTC
  bool operator==(const Schedule&) const = default;
  /// What is wrong with it, for its user.
  Result<> check() const;
};

/// The machine's two clocks at one moment: `wall` may be set to anything at any time, `steady` only goes on, also while
/// the machine sleeps.
struct Instant {
  Timestamp wall{};
  Duration steady{0};
};
Instant this_instant();

enum class Phase {
  kScheduled,  // its next iteration is to come
  kRunning,
  kPaused,   // by the user; the time of an iteration goes on
  kDone,     // all iterations are over
  kStopped,  // by the user
  kFull,     // it has reached its size
  kQueued,   // it would run, and waits for one of too many others to end
};
const char* to_string(Phase phase);

/// Where a recording stands in its schedule: everything that must survive a restart.
///
/// An iteration begins by the wall clock, and at most once: a clock that is put back repeats none, one that is put
/// forward skips what it has jumped over (missed). It ends when it has lasted, by the steady clock: no clock that is
/// set makes a recording shorter or longer.
struct Progress {
  Timestamp created{};
  bool paused = false, stopped = false, full = false;
  bool running = false;           // an iteration has begun and is not over
  uint32_t next = 0;              // number of the iteration that is to come, or runs
  uint32_t done = 0, missed = 0;  // iterations
  Timestamp began{}, ended{};     // of the last iteration that has begun, and of the last that is over
  Duration left{0};               // of the one that runs, at `seen`
  Instant seen;                   // steady: 0 after a restart
  uint32_t clock_jumps = 0;       // of more than two seconds
};

/// When iteration `n` is due.
Timestamp due(const Schedule& schedule, const Progress& progress, uint32_t n);
/// Takes time on to `now`: begins and ends iterations.
void advance(const Schedule& schedule, Progress& progress, const Instant& now);
/// After a restart, or another start: what was the rest of an iteration is measured by the wall clock.
void resume_after_restart(const Schedule& schedule, Progress& progress, const Instant& now);
Phase phase_of(const Schedule& schedule, const Progress& progress);
/// When advance() has something to do, by the wall clock; nothing: never.
std::optional<Timestamp> next_change(const Schedule& schedule, const Progress& progress);

}  // namespace baleen::record
