#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "dissect/engine.h"
#include "kfl/kfl.h"
#include "record/flight_recorder.h"

namespace baleen::record {

/// A stretch of everything that the flight recorders hold, and what is looked for in it.
struct LookBack {
  struct Stretch {
    const FlightRecorder* flight;
    Place begin, end;
  };
  std::vector<Stretch> stretches;  // one for each shard
  Timestamp since{};               // packets before it are left out
  kfl::Filter filter;
  dissect::EngineOptions engine;  // as the shards' engines, with limits of its own
};

/// What has been looked at.
struct LookedBack {
  uint64_t packets = 0;
  uint64_t overwritten = 0;  // before they could be looked at
  uint64_t items = 0;        // that matched
};

/// Dissects those packets once more and calls `each` for the items that match, with the numbers that their streams have
/// in the flight recorder. Items are those that were complete when the stretch ended: what was still open then is the
/// shards' to finish. When `let_go` has returned nobody may hold any of them. Ends early when `stop` is set.
LookedBack look_back(const LookBack& what, const std::atomic<bool>& stop,
                     const std::function<void(const item::ItemRef&)>& each, const std::function<void()>& let_go);

}  // namespace baleen::record
