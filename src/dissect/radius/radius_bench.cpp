#include "dissect/bench.h"
#include "dissect/radius/radius.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::radius {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Radius>(state,
                          {c(unhex("01 07 001d 00112233445566778899aabbccddeeff 01 09 'user123'")),
                           s(unhex("02 07 0014 00112233445566778899aabbccddeeff"))},
                          1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::radius
