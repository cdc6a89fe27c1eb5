#include "dissect/bench.h"
#include "dissect/test_bytes.h"
#include "dissect/thrift/thrift.h"

namespace baleen::dissect::thrift {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Thrift>(state,
                          {c(unhex("80010001 00000003 'add' 00000001 08 0001 00000007 00")),
                           s(unhex("80010002 00000003 'add' 00000001 08 0000 00000007 00"))},
                          1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::thrift
