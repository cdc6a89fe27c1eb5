#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "dissect/allocations.h"
#include "dissect/play.h"

namespace baleen::dissect {

/// Calls of malloc in the steady state: those of the first rounds, in which pools and buffers get their sizes, are not
/// counted.
class SteadyAllocations {
 public:
  void round() {
    if (++rounds_ == kWarmUp) before_ = allocations;
  }
  /// The counter `allocations_per_item`, once there were rounds enough.
  void report(benchmark::State& state, double items_per_round) const {
    if (rounds_ <= kWarmUp) return;
    state.counters["allocations_per_item"] =
        static_cast<double>(allocations - before_) / (static_cast<double>(rounds_ - kWarmUp) * items_per_round);
  }

 private:
  static constexpr uint64_t kWarmUp = 64;
  uint64_t rounds_ = 0, before_ = 0;
};

/// One exchange after the other through one session: turns of whole messages, `items` made by each round. A round's
/// bytes may change from one to the next through `before` (numbers that requests carry).
template <class D>
void bench_exchanges(benchmark::State& state, const std::vector<Said>& round, size_t items, bool datagrams = !D::kTcp) {
  Collected out;
  out.keep = false;
  D session;
  size_t bytes = 0;
  for (const Said& said : round) bytes += said.bytes.size();
  SteadyAllocations allocated;
  for (auto _ : state) {
    allocated.round();
    for (const Said& said : round)
      for (Bytes rest = as_bytes(said.bytes); !rest.empty();) {
        const Step step = session.dissect({said.direction, rest, Timestamp{}, datagrams, datagrams}, out);
        if (step.kind != Step::Kind::kTook || step.bytes == 0) std::abort();
        rest = rest.subspan(step.bytes);
      }
  }
  allocated.report(state, static_cast<double>(items));
  if (out.finished != state.iterations() * items) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(out.finished));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
  session.close(false, out);
}

}  // namespace baleen::dissect
