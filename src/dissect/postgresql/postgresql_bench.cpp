#include <cstdlib>
#include <string>

#include "dissect/bench.h"
#include "dissect/postgresql/postgresql.h"

namespace baleen::dissect::postgresql {
namespace {

using namespace std::string_literals;

std::string message(char type, const std::string& body) {
  const auto n = static_cast<uint32_t>(body.size() + 4);
  return type + std::string{char(n >> 24), char(n >> 16), char(n >> 8), char(n)} + body;
}

void feed(Postgresql& session, Collected& out, Direction d, const std::string& bytes, uint64_t& messages) {
  for (size_t at = 0; at < bytes.size();) {
    const Step step = session.dissect({d, as_bytes(bytes).subspan(at), Timestamp{}, false}, out);
    if (step.kind != Step::Kind::kTook && step.kind != Step::Kind::kSkip) std::abort();
    at += step.bytes;
    ++messages;
  }
}

void run(benchmark::State& state, const std::string& request, const std::string& answer) {
  Collected out;
  out.keep = false;
  Postgresql session;
  uint64_t messages = 0;
  SteadyAllocations allocated;
  for (auto _ : state) {
    allocated.round();
    feed(session, out, Direction::kToServer, request, messages);
    feed(session, out, Direction::kToClient, answer, messages);
  }
  allocated.report(state, 1);
  if (out.finished != static_cast<uint64_t>(state.iterations())) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(messages));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * (request.size() + answer.size())));
  state.counters["items"] = benchmark::Counter(static_cast<double>(out.finished), benchmark::Counter::kIsRate);
}

const std::string kColumns = message('T', "\0\1id\0"s + std::string(18, '\0'));
const std::string kRow = message('D', "\0\1\0\0\0\1"s + "7");

/// items_per_second are messages per second.
void simple_query(benchmark::State& state) {
  run(state, message('Q', "select id from t where a = 1\0"s),
      kColumns + kRow + message('C', "SELECT 1\0"s) + message('Z', "I"));
}
BENCHMARK(simple_query);

void extended_query(benchmark::State& state) {
  run(state,
      message('P', "\0select id from t where a = $1\0\0\0"s) + message('B', "\0\0\0\0\0\1\0\0\0\0011\0\0"s) +
          message('D', "P\0"s) + message('E', "\0\0\0\0\0"s) + message('S', ""),
      message('1', "") + message('2', "") + kColumns + kRow + message('C', "SELECT 1\0"s) + message('Z', "I"));
}
BENCHMARK(extended_query);

}  // namespace
}  // namespace baleen::dissect::postgresql
