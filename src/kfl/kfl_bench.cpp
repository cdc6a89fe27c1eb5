// Nanoseconds per item, and how often malloc was called, for single filters; and what compiling costs.

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "item/json.h"
#include "kfl/kfl.h"
#include "kfl/sample_items.h"

namespace {
std::atomic<size_t> allocations{0};
}
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

const std::string kFilters[] = {
    "http && status_code >= 500",
    R"(src.namespace == "shop" and request.headers["x-user"] == r"a.*b")",
    twenty_terms(),
    "http and response.status >= 500",
    R"(http and request.path.startsWith("/api") and !dst.name.contains("test"))",
    R"(request.headers["x-user"].contains("long") && path.matches("^/api/v[0-9]+/"))",
    R"(timestamp > now() - duration("5m") && "shop" in namespaces)",
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
BENCHMARK(BM_Compile)->DenseRange(0, 3)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace baleen::kfl
