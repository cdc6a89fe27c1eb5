#include <cstdlib>
#include <string>

#include "dissect/bench.h"
#include "dissect/redis/redis.h"

namespace baleen::dissect::redis {
namespace {

/// One exchange after the other, commands and replies whole in their segments, `depth` commands pipelined.
void exchanges(benchmark::State& state) {
  const auto depth = static_cast<size_t>(state.range(0));
  std::string commands, replies;
  for (size_t i = 0; i < depth; ++i) {
    if (i % 2 == 0) {
      commands += "*3\r\n$3\r\nSET\r\n$8\r\nkey:0001\r\n$8\r\nvalue-01\r\n";
      replies += "+OK\r\n";
    } else {
      commands += "*2\r\n$3\r\nGET\r\n$8\r\nkey:0001\r\n";
      replies += "$8\r\nvalue-01\r\n";
    }
  }
  Collected out;
  out.keep = false;
  Redis session;
  const auto feed = [&](Direction d, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const Step step = session.dissect({d, as_bytes(bytes).subspan(at), Timestamp{}, false}, out);
      if (step.kind != Step::Kind::kTook) std::abort();
      at += step.bytes;
    }
  };
  SteadyAllocations allocated;
  for (auto _ : state) {
    allocated.round();
    feed(Direction::kToServer, commands);
    feed(Direction::kToClient, replies);
  }
  allocated.report(state, static_cast<double>(depth));
  if (out.finished != state.iterations() * depth) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(out.finished));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * (commands.size() + replies.size())));
}
BENCHMARK(exchanges)->Arg(2)->Arg(16)->Arg(100);

}  // namespace
}  // namespace baleen::dissect::redis
