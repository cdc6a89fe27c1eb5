#include <cstdlib>
#include <string>

#include "dissect/bench.h"
#include "dissect/mongodb/mongodb.h"

namespace baleen::dissect::mongodb {
namespace {

using namespace std::string_literals;

std::string le32(size_t v) { return {char(v), char(v >> 8), char(v >> 16), char(v >> 24)}; }
std::string document(const std::string& elements) { return le32(elements.size() + 5) + elements + '\0'; }
std::string message(size_t id, size_t answers, const std::string& elements) {
  const std::string body = le32(0) + '\0' + document(elements);
  return le32(body.size() + 16) + le32(id) + le32(answers) + le32(2013) + body;
}

/// A find and its cursor with one document.
void find(benchmark::State& state) {
  const std::string request = message(1, 0,
                                      "\2find\0\6\0\0\0users\0"s + "\3filter\0"s +
                                          document("\x10"
                                                   "a\0\1\0\0\0"s) +
                                          "\2$db\0\5\0\0\0shop\0"s);
  const std::string answer = message(2, 1,
                                     "\3cursor\0"s +
                                         document("\4firstBatch\0"s +
                                                  document("\3"
                                                           "0\0"s +
                                                           document("\x10x\0\5\0\0\0"s)) +
                                                  "\x12id\0\0\0\0\0\0\0\0\0"s) +
                                         "\1ok\0\0\0\0\0\0\0\xf0\x3f"s);
  Collected out;
  out.keep = false;
  Mongodb session;
  const auto feed = [&](Direction d, const std::string& bytes) {
    const Step step = session.dissect({d, as_bytes(bytes), Timestamp{}, false}, out);
    if (step.kind != Step::Kind::kTook || step.bytes != bytes.size()) std::abort();
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
BENCHMARK(find);

}  // namespace
}  // namespace baleen::dissect::mongodb
