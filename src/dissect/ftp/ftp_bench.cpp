#include "dissect/bench.h"
#include "dissect/ftp/ftp.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::ftp {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Ftp>(state, {c("CWD /pub\r\n"), s("250 Directory changed\r\n")}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::ftp
