#include "dissect/bench.h"
#include "dissect/memcached/memcached.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::memcached {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Memcached>(state, {c("get key1\r\n"), s("VALUE key1 0 5\r\nhello\r\nEND\r\n")}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::memcached
