#include "dissect/bench.h"
#include "dissect/websocket/test_frames.h"
#include "dissect/websocket/websocket.h"

namespace baleen::dissect::websocket {
namespace {

struct Deflated final : Websocket {
  Deflated() { agree("permessage-deflate"); }
};

std::string json(size_t size) {
  std::string text = "{\"items\":[";
  for (size_t i = 0; text.size() + 1 < size; ++i) text += "{\"id\":" + std::to_string(i * 7919 % 10007) + "},";
  text.resize(size - 1);
  return text + "]";
}

void messages(benchmark::State& state) {
  const std::string text = json(static_cast<size_t>(state.range(0)));
  bench_exchanges<Websocket>(state, {c(masked(kText, text)), s(frame(kText, text))}, 2);
}
BENCHMARK(messages)->Arg(64)->Arg(1024)->Arg(16384);

void deflated_messages(benchmark::State& state) {
  const std::string text = json(static_cast<size_t>(state.range(0)));
  // Each message stands for itself, so that the same bytes can be sent for ever.
  const std::string bytes = deflate_message(text);
  bench_exchanges<Deflated>(state, {c(masked(kText, bytes, true, 4)), s(frame(kText, bytes, true, 4))}, 2);
}
BENCHMARK(deflated_messages)->Arg(64)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace baleen::dissect::websocket
