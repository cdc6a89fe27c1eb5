#include "dissect/bench.h"
#include "dissect/smtp/smtp.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::smtp {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Smtp>(state, {c("RCPT TO:<a@example.org>\r\n"), s("250 2.1.5 Ok\r\n")}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::smtp
