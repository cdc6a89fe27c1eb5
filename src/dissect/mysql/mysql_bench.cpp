#include <cstdlib>
#include <string>

#include "dissect/bench.h"
#include "dissect/mysql/mysql.h"

namespace baleen::dissect::mysql {
namespace {

using namespace std::string_literals;

std::string packet(int sequence, const std::string& body) {
  return std::string{char(body.size()), char(body.size() >> 8), 0, char(sequence)} + body;
}

/// A query with one column and one row.
void text_query(benchmark::State& state) {
  const std::string request = packet(0, "\3select id from t where a = 1");
  const std::string answer = packet(1, "\1") + packet(2, "\3def\1d\1t\1t\2id\2id\x0c\x21\0\0\1\0\0\3\0\0\0\0\0"s) +
                             packet(3, "\xfe\0\0\2\0"s) + packet(4, "\0017") + packet(5, "\xfe\0\0\2\0"s);
  Collected out;
  out.keep = false;
  Mysql session;
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
    feed(Direction::kToServer, request);
    feed(Direction::kToClient, answer);
  }
  allocated.report(state, 1);
  if (out.finished != static_cast<uint64_t>(state.iterations())) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(out.finished));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * (request.size() + answer.size())));
}
BENCHMARK(text_query);

}  // namespace
}  // namespace baleen::dissect::mysql
