// Nanoseconds per item, and how often malloc was called, for single filters; and what compiling costs.

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "item/json.h"
#include "kfl/filter_set.h"
#include "kfl/kfl.h"
#include "kfl/sample_items.h"

namespace {
std::atomic<size_t> allocations{0};
}
// All of them are replaced, which GCC does not see where it inlines one.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(size_t n) {
  ++allocations;
  if (void* p = std::malloc(n)) return p;
  std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace baleen::kfl {
namespace {

std::string twenty_terms() {
  std::string s = "http";
  for (int i = 0; i < 19; ++i) s += " && status_code != " + std::to_string(600 + i);
  return s;
}

/// Twenty terms, each over a field of its own, all true: none is skipped.
const std::string kDistinct =
    "http && status_code >= 500 && method == \"GET\" && path.startsWith(\"/api\") && url != \"\" && "
    "http_version == \"HTTP/1.1\" && src.port == 40000 && dst.port == 80 && src.ip == \"10.1.2.3\" && "
    "dst.ip == \"10.1.2.4\" && src.name == \"frontend-1\" && dst.name == \"cart\" && src.namespace == \"shop\" && "
    "dst.namespace == \"shop\" && elapsed_time >= 1000 && response_body_size < 100 && request_body_size == 0 && "
    "index == 3 && node_name == \"node-1\" && capture_source == \"af_packet\"";
const std::string kDistinctV1 =
    "http and response.status >= 500 and request.method == \"GET\" and request.path.startsWith(\"/api\") and "
    "request.url != \"\" and request.httpVersion == \"HTTP/1.1\" and src.port == 40000 and dst.port == 80 and "
    "src.ip == \"10.1.2.3\" and dst.ip == \"10.1.2.4\" and src.name == \"frontend-1\" and dst.name == \"cart\" and "
    "src.namespace == \"shop\" and dst.namespace == \"shop\" and elapsedTime >= 1000 and response.bodySize < 100 and "
    "request.bodySize == 0 and index == 3 and node.name == \"node-1\" and capture.source == \"af_packet\"";

const std::string kFilters[] = {
    "http && status_code >= 500",
    R"(src.namespace == "shop" and request.headers["x-user"] == r"a.*b")",
    twenty_terms(),
    "http and response.status >= 500",
    R"(http and request.path.startsWith("/api") and !dst.name.contains("test"))",
    R"(request.headers["x-user"].contains("long") && path.matches("^/api/v[0-9]+/"))",
    R"(timestamp > now() - duration("5m") && "shop" in namespaces)",
    kDistinct,
    kDistinctV1,
};

Compiled compiled(const std::string& text) {
  Options o;
  o.protocols = sample::kProtocols;
  if (text.starts_with("request.headers[\"x-user\"].")) o.dialect = Dialect::kV2;
  return compile(text, o);
}

void BM_Matches(benchmark::State& state) {
  const Compiled c = compiled(kFilters[static_cast<size_t>(state.range(0))]);
  if (!c.filter) return state.SkipWithError("does not compile");
  const auto item = sample::http(503);
  for (int i = 0; i < 10; ++i) benchmark::DoNotOptimize(c.filter->matches(*item));
  const size_t before = allocations;
  for (auto _ : state) benchmark::DoNotOptimize(c.filter->matches(*item));
  state.counters["allocs"] = static_cast<double>(allocations - before) / static_cast<double>(state.iterations());
  state.SetLabel(kFilters[static_cast<size_t>(state.range(0))].substr(0, 60) +
                 (c.filter->matches(*item) ? " = true" : " = false"));
}
BENCHMARK(BM_Matches)->DenseRange(0, std::size(kFilters) - 1);
// For callgrind: 10,011 calls of matches(), the ones that warm up and that label it included.
BENCHMARK(BM_Matches)->Name("BM_Counted")->DenseRange(0, std::size(kFilters) - 1)->Iterations(10'000);

void BM_MatchesJson(benchmark::State& state) {
  const Compiled c = compiled(kFilters[static_cast<size_t>(state.range(0))]);
  const auto item = sample::http(503);
  Arena arena;
  const item::Value root = item::as_value(*item, arena);
  for (auto _ : state) benchmark::DoNotOptimize(c.filter->matches_json(root));
}
BENCHMARK(BM_MatchesJson)->DenseRange(0, 2);

void BM_Compile(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(compiled(kFilters[static_cast<size_t>(state.range(0))]));
}
BENCHMARK(BM_Compile)->DenseRange(0, std::size(kFilters) - 1)->Unit(benchmark::kMicrosecond);

std::vector<Filter> hundred() {
  std::vector<Filter> out;
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    std::string text;
    if (i % 4 == 0) text = "http && status_code >= 500 && dst.name == \"svc-" + n + "\"";
    if (i % 4 == 1) text = "http and response.status >= 500 and src.name == \"svc-" + n + "\"";
    if (i % 4 == 2) text = "dns && \"svc-" + n + "\" in dns_questions";
    if (i % 4 == 3) text = "src.namespace == \"shop\" && path.startsWith(\"/api/v" + n + "\")";
    out.push_back(*compiled(text).filter);
  }
  return out;
}

void BM_HundredSingle(benchmark::State& state) {
  const std::vector<Filter> filters = hundred();
  const auto item = sample::http(503);
  for (auto _ : state)
    for (const Filter& f : filters) benchmark::DoNotOptimize(f.matches(*item));
}
BENCHMARK(BM_HundredSingle);

void BM_HundredSet(benchmark::State& state) {
  const FilterSet set(hundred());
  const auto item = sample::http(503);
  bool out[100];
  set.match(*item, out);
  const size_t before = allocations;
  for (auto _ : state) set.match(*item, out), benchmark::DoNotOptimize(out);
  state.counters["allocs"] = static_cast<double>(allocations - before) / static_cast<double>(state.iterations());
  state.counters["conditions"] = static_cast<double>(set.conditions());
}
BENCHMARK(BM_HundredSet);

}  // namespace
}  // namespace baleen::kfl
