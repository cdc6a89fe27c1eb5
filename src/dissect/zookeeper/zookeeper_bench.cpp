#include "dissect/bench.h"
#include "dissect/test_bytes.h"
#include "dissect/zookeeper/zookeeper.h"

namespace baleen::dissect::zookeeper {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Zookeeper>(state,
                             {c(unhex("0000000f 00000001 00000003 00000002 '/a' 01")),
                              s(unhex("00000010 00000001 0000000000000009 ffffff9b"))},
                             1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::zookeeper
