#include "dissect/bench.h"
#include "dissect/nats/nats.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::nats {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Nats>(state, {c("PUB a.b 5\r\nhello\r\n"), s("MSG a.b 1 5\r\nhello\r\n")}, 2);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::nats
