#include "dissect/amqp/amqp.h"
#include "dissect/bench.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::amqp {
namespace {

/// A published message of 20 bytes, its delivery and its acknowledgement.
void messages(benchmark::State& state) {
  const auto frame = [](int type, const std::string& payload) {
    return be(type, 1) + be(1, 2) + sized(4, payload) + "\xCE";
  };
  const std::string content =
      frame(2, be(60, 2) + be(0, 2) + be(20, 8) + be(0x1000, 2) + be(2, 1)) + frame(3, "01234567890123456789");
  bench_exchanges<Amqp>(
      state,
      {c(frame(1, be(60, 2) + be(40, 2) + be(0, 2) + sized(1, "ex") + sized(1, "key") + be(0, 1)) + content),
       s(frame(1, be(60, 2) + be(60, 2) + sized(1, "tag") + be(1, 8) + be(0, 1) + sized(1, "ex") + sized(1, "key")) +
         content),
       c(frame(1, be(60, 2) + be(80, 2) + be(1, 8) + be(0, 1)))},
      3);
}
BENCHMARK(messages);

}  // namespace
}  // namespace baleen::dissect::amqp
