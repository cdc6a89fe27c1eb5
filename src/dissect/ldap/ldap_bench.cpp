#include "dissect/bench.h"
#include "dissect/ldap/ldap.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::ldap {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Ldap>(
      state,
      {c(unhex("30 0c 02 01 01 60 07 02 01 03 04 00 80 00")), s(unhex("30 0c 02 01 01 61 07 0a 01 00 04 00 04 00"))},
      1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::ldap
