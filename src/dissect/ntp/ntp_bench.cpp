#include "dissect/bench.h"
#include "dissect/ntp/ntp.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::ntp {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Ntp>(state,
                       {c(be(0x23, 1) + std::string(39, '\0') + be(77, 8)),
                        s(be(0x24, 1) + std::string(23, '\0') + be(77, 8) + std::string(16, '\1'))},
                       1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::ntp
