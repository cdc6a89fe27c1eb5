#include "dissect/bench.h"
#include "dissect/dhcp/dhcp.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::dhcp {
namespace {

void renewal(benchmark::State& state) {
  const auto packet = [](int op, int type) {
    return be(op, 1) + unhex("01 06 00 12345678 0000 0000 0a010101") + std::string(220, '\0') +
           unhex("63825363 35 01") + be(type, 1) + "\xFF";
  };
  bench_exchanges<Dhcp>(state, {c(packet(1, 3)), s(packet(2, 5))}, 1);
}
BENCHMARK(renewal);

}  // namespace
}  // namespace baleen::dissect::dhcp
