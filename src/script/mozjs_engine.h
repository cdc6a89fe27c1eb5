#pragma once

// Private to the SpiderMonkey binding: the engine's state, and what its parts share.
//
// One context, one global object, one thread. A script is the body of a function: its top-level names are its own,
// assignments to undeclared names and `this.x` reach the global object that all share (reference row S-03). After the
// body a line of ours returns the hooks that it declared.
//
// A script that does not come back is stopped from its own thread: a watchdog thread sees that a call is under way for
// some ticks and requests an interrupt; the interrupt callback looks at the time and the heap and ends the script with
// an exception that it cannot catch. The hot path pays one counter for that, no clock.
//
//   mozjs_engine.cpp     from start to end, the watchdog, promises that nobody caught
//   mozjs_calls.cpp      calls of scripts, and what they failed of
//   mozjs_functions.cpp  the host's functions that scripts call
//   mozjs_item.cpp       the objects that scripts see for items

#include <js/CallArgs.h>
#include <js/Promise.h>
#include <js/RootingAPI.h>
#include <js/ValueArray.h>
#include <jsapi.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "script/engine.h"
#include "script/mozjs.h"

namespace baleen::script {

struct ContextGone {
  void operator()(JSContext* cx) const;
};

struct LoadedScript {
  JS::PersistentRootedObject hooks[kHooks];
};

struct Held {
  Held(JSContext* cx, ScriptId owner) : script(owner), function_and_arguments(cx) {}
  ScriptId script;
  JS::PersistentRootedVector<JS::Value> function_and_arguments;
};

class MozEngine final : public Engine {
 public:
  MozEngine(const EngineLimits& limits, std::vector<HostFunction> functions)
      : limits_(limits), functions_(std::move(functions)) {}
  ~MozEngine() override;

  Result<> start();

  Result<> restart(std::string_view env_json) override;
  CallResult load(ScriptId id, const std::string& file, std::string_view source) override;
  void unload(ScriptId id) override;
  bool has(ScriptId id, Hook hook) const override {
    const auto it = scripts_.find(id);
    return it != scripts_.end() && it->second->hooks[static_cast<size_t>(hook)];
  }
  CallResult call_item(ScriptId id, Hook hook, const item::ItemRef& item, std::string_view filter) override;
  CallResult call_packet(ScriptId id, const PacketFacts& packet) override;
  CallResult call_hook(ScriptId id, Hook hook, const std::vector<Argument>& arguments) override;
  CallResult call_held(FunctionId id, std::chrono::milliseconds budget) override;
  void release(FunctionId id) override { held_.erase(id); }
  size_t heap_bytes() override { return heap_bytes_now(); }
  void collect_garbage() override { JS_GC(cx_.get()); }
  std::vector<std::pair<ScriptId, std::string>> take_rejections() override;

  // For the functions that the engine calls back.
  static MozEngine& of(JSContext* cx) { return *static_cast<MozEngine*>(JS_GetContextPrivate(cx)); }
  bool dispatch(JSContext* cx, size_t function, const JS::CallArgs& args);
  Result<FunctionId> hold(JS::HandleValue function, const JS::CallArgs& args, size_t first);
  bool on_interrupt();
  void on_rejection(JS::HandleObject promise, JS::PromiseRejectionHandlingState state);
  ScriptId current() const { return current_; }
  bool to_js(const Argument& argument, JS::MutableHandleValue out);

 private:
  template <class Body>
  CallResult guarded(ScriptId id, std::chrono::milliseconds budget, Body&& body);
  CallResult call(ScriptId id, Hook hook, const JS::HandleValueArray& arguments);
  void drain(CallResult& result);
  CallResult failure();
  std::string describe(JS::HandleValue exception, std::string* place);
  bool define_functions(JS::HandleObject global);
  bool run_prelude(JS::HandleObject global);
  size_t heap_bytes_now();
  void watch();

  EngineLimits limits_;
  std::vector<HostFunction> functions_;
  std::unique_ptr<JSContext, ContextGone> cx_;
  std::unique_ptr<ItemObjects> items_;
  JS::PersistentRootedObject global_, memory_;
  std::optional<JSAutoRealm> realm_;
  std::map<ScriptId, std::unique_ptr<LoadedScript>> scripts_;
  std::map<FunctionId, std::unique_ptr<Held>> held_;
  FunctionId next_held_ = 1;
  ScriptId current_ = 0;
  std::unique_ptr<JS::PersistentRootedVector<JS::Value>> rejected_;
  std::vector<ScriptId> rejected_by_;

  // The call under way. `serial_` is odd while there is one; written by the script thread only.
  std::atomic<uint64_t> serial_{0};
  std::atomic<int64_t> first_seen_ns_{0};            // when the watchdog first saw it; zero: not yet
  std::chrono::steady_clock::duration host_time_{};  // spent in the host's functions since then
  std::chrono::milliseconds budget_{1000};
  bool timed_out_ = false, out_of_memory_ = false;

  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  bool stop_ = false;
  std::thread watchdog_;
};

/// An error whose exception is with the engine already.
inline Error pending() { return {Code::kInvalid, {}}; }
/// Raises an Error with any text; without memory for it, whatever the engine raises. False.
bool raise(JSContext* cx, std::string_view message);
/// UTF-8; errors: longer than 256 MB, or pending().
Result<std::string> encode(JSContext* cx, JSString* string);
/// As JSON.stringify(); errors as encode().
Result<std::string> stringify(JSContext* cx, JS::MutableHandleValue value);
/// What JavaScript calls for each of the host's functions: MozEngine::dispatch().
bool call_host(JSContext* cx, unsigned argc, JS::Value* vp);

}  // namespace baleen::script
