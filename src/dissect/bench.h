#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "dissect/play.h"

namespace baleen::dissect {

/// One exchange after the other through one session: turns of whole messages, `items` made by each round. A round's
/// bytes may change from one to the next through `before` (numbers that requests carry).
template <class D>
void bench_exchanges(benchmark::State& state, const std::vector<Said>& round, size_t items, bool datagrams = !D::kTcp) {
  Collected out;
  out.keep = false;
  D session;
  size_t bytes = 0;
  for (const Said& said : round) bytes += said.bytes.size();
  for (auto _ : state) {
    for (const Said& said : round)
      for (Bytes rest = as_bytes(said.bytes); !rest.empty();) {
        const Step step = session.dissect({said.direction, rest, Timestamp{}, datagrams, datagrams}, out);
        if (step.kind != Step::Kind::kTook || step.bytes == 0) std::abort();
        rest = rest.subspan(step.bytes);
      }
  }
  if (out.finished != state.iterations() * items) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(out.finished));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
  session.close(false, out);
}

}  // namespace baleen::dissect
