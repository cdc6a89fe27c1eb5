#include "dissect/bench.h"
#include "dissect/mqtt/mqtt.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::mqtt {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Mqtt>(state, {c(unhex("32 09 0003 'a/b' 0007 'hi'")), s(unhex("40 02 0007"))}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::mqtt
