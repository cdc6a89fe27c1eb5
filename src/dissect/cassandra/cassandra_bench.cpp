#include "dissect/bench.h"
#include "dissect/cassandra/cassandra.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::cassandra {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Cassandra>(
      state,
      {c(unhex("04 00 0001 07 0000000f 00000008 'SELECT a' 0001 00")), s(unhex("84 00 0001 08 00000004 00000001"))}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::cassandra
