#include "dissect/bench.h"
#include "dissect/dns/dns.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::dns {
namespace {

constexpr const char* kQuestion = "03 'www' 07 'example' 03 'com' 00 0001 0001";

void lookup(benchmark::State& state) {
  const std::string question = unhex(kQuestion);
  bench_exchanges<Dns>(
      state,
      {c(unhex("1234 0100 0001 0000 0000 0000") + question),
       s(unhex("1234 8180 0001 0001 0000 0000") + question + unhex("c00c 0001 0001 0000003c 0004 0a000001"))},
      1, true);
}
BENCHMARK(lookup);

void lookup_with_eight_answers(benchmark::State& state) {
  const std::string question = unhex(kQuestion);
  std::string answer = unhex("1234 8180 0001 0008 0000 0001") + question;
  for (int i = 0; i < 8; ++i) answer += unhex("c00c 0001 0001 0000003c 0004 0a000001");
  answer += unhex("00 0029 04d0 00000000 0000");
  bench_exchanges<Dns>(
      state, {c(unhex("1234 0120 0001 0000 0000 0001") + question + unhex("00 0029 04d0 00000000 0000")), s(answer)}, 1,
      true);
}
BENCHMARK(lookup_with_eight_answers);

}  // namespace
}  // namespace baleen::dissect::dns
