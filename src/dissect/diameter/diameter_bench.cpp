#include "dissect/bench.h"
#include "dissect/diameter/diameter.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::diameter {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Diameter>(state,
                            {c(unhex("01 000020 80 000118 00000000 00000001 00000002 00000108 40 00000c 'host'")),
                             s(unhex("01 000020 00 000118 00000000 00000001 00000002 0000010c 40 00000c 000007d1"))},
                            1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::diameter
