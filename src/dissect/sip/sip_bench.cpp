#include "dissect/bench.h"
#include "dissect/sip/sip.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::sip {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<Sip>(state,
                       {c("OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"),
                        s("SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")},
                       1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::sip
