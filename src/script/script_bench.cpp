#include <benchmark/benchmark.h>

#include "item/item.h"
#include "script/engine.h"

// What one call of a hook costs, without the ring.

namespace baleen::script {
namespace {

constexpr item::Protocol kHttp = {.name = "http", .version = "1.1", .macro = "http", .layer4 = "tcp"};
constexpr item::Origin kOrigin = {"127.0.0.1:30001", "node-a", "10.0.0.1"};

void run(benchmark::State& state, const char* source) {
  auto engine = make_engine({}, {});
  if (!(*engine)->load(1, "a.js", source).ok()) return state.SkipWithError("the script does not load");
  item::ItemPool pool;
  item::Item* item = pool.take();
  item->protocol = &kHttp;
  item->origin = &kOrigin;
  item->stream = 42;
  const auto request = item->arena.array<item::Member>(2);
  request[0] = {"method", "GET"};
  request[1] = {"path", "/cart"};
  item->request = {item::Value::map(request), timestamp_from_ns(1), 10, true};
  {
    const item::ItemRef ref(item);
    for (auto _ : state) {
      if (!(*engine)->call_item(1, Hook::kItemCaptured, ref).ok()) return state.SkipWithError("the hook threw");
    }
    state.SetItemsProcessed(state.iterations());
  }
  engine->reset();
}

void BM_EmptyHook(benchmark::State& state) { run(state, "function onItemCaptured(data) {}"); }
BENCHMARK(BM_EmptyHook);
void BM_OneScalar(benchmark::State& state) {
  run(state, "var n = 0; function onItemCaptured(data) { if (data.timestamp > 5) n++; }");
}
BENCHMARK(BM_OneScalar);
void BM_ThreeFields(benchmark::State& state) {
  run(state,
      "var n = 0; function onItemCaptured(data) { if (data.request.path === '/x' || data.timestamp === 5) n++; }");
}
BENCHMARK(BM_ThreeFields);
void BM_FiveFields(benchmark::State& state) {
  run(state,
      "var n = 0; function onItemCaptured(data) { if (data.request.path === '/x' || data.protocol.name === 'dns' || "
      "data.tls) n++; }");
}
BENCHMARK(BM_FiveFields);
void BM_Stringify(benchmark::State& state) {
  run(state, "var n = 0; function onItemCaptured(data) { n += JSON.stringify(data).length; }");
}
BENCHMARK(BM_Stringify);
void BM_Packet(benchmark::State& state) {
  auto engine = make_engine({}, {});
  if (!(*engine)->load(1, "a.js", "var n = 0; function onPacketCaptured(i) { n += i.length; }").ok()) return;
  const PacketFacts packet{timestamp_from_ns(5), 60, 60, false, false};
  for (auto _ : state) benchmark::DoNotOptimize((*engine)->call_packet(1, packet).ok());
}
BENCHMARK(BM_Packet);

}  // namespace
}  // namespace baleen::script
