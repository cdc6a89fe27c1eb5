#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "item/item.h"
#include "script/engine.h"

// Any text as a hook's body: it runs, throws or is stopped; the engine goes on.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  static constexpr item::Protocol kProtocol = {.name = "http", .version = "1.1", .macro = "http"};
  static item::ItemPool pool;
  static const auto engine = [] {
    script::EngineLimits limits;
    limits.call_budget = std::chrono::milliseconds(50);
    limits.heap_bytes = size_t{64} << 20;
    return script::make_engine(limits, {});
  }();
  static script::ScriptId id = 0;
  item::Item* item = pool.take();
  item->protocol = &kProtocol;
  const auto request = item->arena.array<item::Member>(1);
  request[0] = {"path", "/cart"};
  item->request = {item::Value::map(request), timestamp_from_ns(1), 10, true};
  const item::ItemRef ref(item);
  ++id;
  const std::string source = "function onItemCaptured(data) {" + std::string(as_text({data, size})) + "\n}";
  if ((*engine)->load(id, "a.js", source).ok()) {
    static_cast<void>((*engine)->call_item(id, script::Hook::kItemCaptured, ref));
    static_cast<void>((*engine)->call_item(id, script::Hook::kItemCaptured, ref));
  }
  static_cast<void>((*engine)->take_rejections());
  (*engine)->unload(id);
  if (id % 256 == 0) static_cast<void>((*engine)->restart("{}"));
  return 0;
}
