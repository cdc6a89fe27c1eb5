#include "dissect/bench.h"
#include "dissect/kafka/kafka.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::kafka {
namespace {

std::string request(int key, int version, const std::string& body) {
  return sized(4, be(key, 2) + be(version, 2) + be(7, 4) + sized(2, "client-1") + body);
}

/// A heartbeat: the smallest that clients send in numbers.
void heartbeat(benchmark::State& state) {
  bench_exchanges<Kafka>(
      state, {c(request(12, 0, sized(2, "group") + be(1, 4) + sized(2, "member-1"))), s(sized(4, be(7, 4) + be(0, 2)))},
      1);
}
BENCHMARK(heartbeat);

/// Produce of one small record to one partition.
void produce(benchmark::State& state) {
  const std::string record = unhex("26 00 00 00 08 'key1' 14 'value-0001' 00");
  const std::string batch =
      be(0, 8) + sized(4, be(0, 4) + be(2, 1) + be(0, 4) + be(0, 2) + be(0, 4) + be(1000, 8) + be(1000, 8) +
                              be(UINT64_MAX, 8) + be(0xFFFF, 2) + be(UINT32_MAX, 4) + be(1, 4) + record);
  bench_exchanges<Kafka>(state,
                         {c(request(0, 3,
                                    sized(2, "") + be(1, 2) + be(1000, 4) + be(1, 4) + sized(2, "topic") + be(1, 4) +
                                        be(0, 4) + sized(4, batch))),
                          s(sized(4, be(7, 4) + be(1, 4) + sized(2, "topic") + be(1, 4) + be(0, 4) + be(0, 2) +
                                         be(55, 8) + be(UINT64_MAX, 8) + be(0, 4)))},
                         1);
}
BENCHMARK(produce);

}  // namespace
}  // namespace baleen::dissect::kafka
