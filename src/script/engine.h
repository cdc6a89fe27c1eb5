#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "item/item.h"

namespace baleen::script {

/// Names a loaded script; never used twice by one engine.
using ScriptId = uint32_t;
/// Names a function of a script that the host holds, with the arguments bound to it; zero: none.
using FunctionId = uint32_t;

struct EngineLimits {
  size_t heap_bytes = size_t{256} << 20;         // of all scripts together
  std::chrono::milliseconds call_budget{1000};   // of a hook, a timer or the script's top level
  std::chrono::milliseconds job_budget{10'000};  // of a job's run; time inside the host's functions is not counted
  size_t stack_bytes = size_t{1} << 20;
};

/// What scripts see of a packet (reference row S-20).
struct PacketFacts {
  Timestamp time{};
  uint32_t capture_length = 0, length = 0;
  bool truncated = false, fragmented = false;
};

enum class Hook : uint8_t {
  kItemCaptured,
  kPacketCaptured,
  kItemQueried,
  kJobPassed,
  kJobFailed,
  kPodEvent,
  kHubAction,
  kLogCall,
};
inline constexpr size_t kHooks = 8;
std::string_view hook_name(Hook hook);

/// JSON text, where a plain string would be a string.
struct Json {
  std::string text;
};
/// What goes into a script's function and comes out of the host's.
using Argument = std::variant<std::monostate, bool, double, std::string, Json>;

enum class Outcome : uint8_t { kOk, kThrew, kTimedOut, kOutOfMemory };

/// How a call of a script's function ended.
struct CallResult {
  Outcome outcome = Outcome::kOk;
  std::string error;     // "file.js:3:7: TypeError: ..."
  std::string message;   // the same without the place
  std::string returned;  // JSON of the object that it returned; empty for anything else
  bool ok() const { return outcome == Outcome::kOk; }
};

/// One call of a host's function by a script: its arguments, converted on demand. Conversions may run the script's own
/// code (toString) and so fail.
class Call {
 public:
  virtual ~Call() = default;
  virtual ScriptId script() const = 0;
  virtual size_t size() const = 0;
  /// Undefined, null or not given.
  virtual bool is_missing(size_t i) const = 0;
  virtual bool is_string(size_t i) const = 0;
  virtual bool is_object(size_t i) const = 0;
  virtual bool is_function(size_t i) const = 0;
  /// String(argument), at most 256 MB.
  virtual Result<std::string> text(size_t i) = 0;
  /// JSON.stringify(argument).
  virtual Result<std::string> json(size_t i) = 0;
  virtual Result<double> number(size_t i) = 0;
  /// The item behind an argument, or null when it is none; lives as long as the call.
  virtual const item::Item* item(size_t i) const = 0;
  /// Holds the function with the arguments from `first` on bound to it, until Engine::release().
  virtual Result<FunctionId> hold(size_t i, size_t first) = 0;
};

/// A function of the host. An error becomes a JavaScript Error with its message.
struct HostFunction {
  std::string path;  // "file.write", "setTimeout"
  std::function<Result<Argument>(Call&)> call;
};

/// A JavaScript engine: one heap and one global object for all scripts, each with its own top-level scope.
/// One thread, the one that made it.
class Engine {
 public:
  virtual ~Engine() = default;

  /// A new global object with the host's functions and `env`; every script and held function is forgotten.
  virtual Result<> restart(std::string_view env_json) = 0;
  /// Runs a script's top level. After an outcome other than kOk nothing of it is kept.
  virtual CallResult load(ScriptId id, const std::string& file, std::string_view source) = 0;
  virtual void unload(ScriptId id) = 0;
  virtual bool has(ScriptId id, Hook hook) const = 0;

  /// The item hooks: `data` has lazy members. `filter` is the second argument of onItemQueried.
  virtual CallResult call_item(ScriptId id, Hook hook, const item::ItemRef& item, std::string_view filter = {}) = 0;
  virtual CallResult call_packet(ScriptId id, const PacketFacts& packet) = 0;
  virtual CallResult call_hook(ScriptId id, Hook hook, const std::vector<Argument>& arguments) = 0;
  virtual CallResult call_held(FunctionId id, std::chrono::milliseconds budget) = 0;
  virtual void release(FunctionId id) = 0;

  /// Bytes of the heap, with what its objects hold outside of it.
  virtual size_t heap_bytes() = 0;
  virtual void collect_garbage() = 0;
  /// Rejections of promises that nobody handled, since the last call: script and message.
  virtual std::vector<std::pair<ScriptId, std::string>> take_rejections() = 0;
};

/// SpiderMonkey 102. The engine's functions may be called by this thread only.
Result<std::unique_ptr<Engine>> make_engine(const EngineLimits& limits, std::vector<HostFunction> functions);

}  // namespace baleen::script
