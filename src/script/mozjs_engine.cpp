#include <js/Array.h>
#include <js/ArrayBuffer.h>
#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/ContextOptions.h>
#include <js/Conversions.h>
#include <js/ErrorReport.h>
#include <js/Exception.h>
#include <js/GCAPI.h>
#include <js/Initialization.h>
#include <js/Interrupt.h>
#include <js/JSON.h>
#include <js/MemoryCallbacks.h>
#include <js/Object.h>
#include <js/Promise.h>
#include <js/PropertyAndElement.h>
#include <js/RealmOptions.h>
#include <js/SourceText.h>
#include <js/ValueArray.h>
#include <jsfriendapi.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "script/engine.h"
#include "script/mozjs.h"
#include "script/prelude.h"

// One context, one global object, one thread. A script is the body of a function: its top-level names are its own,
// assignments to undeclared names and `this.x` reach the global object that all share (reference row S-03). After the
// body a line of ours returns the hooks that it declared.
//
// A script that does not come back is stopped from its own thread: a watchdog thread sees that a call is under way for
// some ticks and requests an interrupt; the interrupt callback looks at the time and the heap and ends the script with
// an exception that it cannot catch. The hot path pays one counter for that, no clock.

namespace baleen::script {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMaxText = size_t{256} << 20;
constexpr size_t kMaxHeld = 65536;
constexpr auto kTick = std::chrono::milliseconds(10);

JSClass make_global_class() {
  JSClass c = {"global", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps};
  return c;
}
const JSClass kGlobalClass = make_global_class();

std::atomic<int> g_contexts{0};

/// Once for the process, which may make one engine after another. Its helper threads must have ended before the
/// library's own destructors run, hence the exit handler.
bool start_engine() {
  static const bool ok = [] {
    if (!JS_Init()) return false;
    std::atexit([] {
      if (g_contexts == 0) JS_ShutDown();
    });
    return true;
  }();
  return ok;
}

struct ContextGone {
  void operator()(JSContext* cx) const {
    JS_DestroyContext(cx);
    --g_contexts;
  }
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
  std::atomic<int64_t> first_seen_ns_{0};  // when the watchdog first saw it; zero: not yet
  Clock::duration host_time_{};            // spent in the host's functions since then
  std::chrono::milliseconds budget_{1000};
  bool timed_out_ = false, out_of_memory_ = false;

  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  bool stop_ = false;
  std::thread watchdog_;
};

// ---- arguments ----

Error pending() { return {Code::kInvalid, {}}; }  // the exception is with the engine already

Result<std::string> encode(JSContext* cx, JSString* string) {
  JS::RootedString text(cx, string);
  JSLinearString* linear = JS_EnsureLinearString(cx, text);
  if (linear == nullptr) return pending();
  const size_t n = JS::GetDeflatedUTF8StringLength(linear);
  if (n > kMaxText) return Error{Code::kInvalid, "the text is longer than 256 MB"};
  std::string out(n, '\0');
  out.resize(JS::DeflateStringToUTF8Buffer(linear, mozilla::Span(out.data(), out.size())));
  return out;
}

bool append_json_text(const char16_t* buffer, uint32_t length, void* data) {
  auto* out = static_cast<std::u16string*>(data);
  if ((out->size() + length) * 2 > kMaxText) return false;
  out->append(buffer, length);
  return true;
}

Result<std::string> stringify(JSContext* cx, JS::MutableHandleValue value) {
  std::u16string wide;
  if (!JS_Stringify(cx, value, nullptr, JS::NullHandleValue, append_json_text, &wide)) {
    if (JS_IsExceptionPending(cx)) return pending();
    return Error{Code::kInvalid, "the JSON is longer than 256 MB"};
  }
  JSString* text = JS_NewUCStringCopyN(cx, wide.data(), wide.size());
  if (text == nullptr) return pending();
  return encode(cx, text);
}

class MozCall final : public Call {
 public:
  MozCall(MozEngine& engine, JSContext* cx, const JS::CallArgs& args) : engine_(engine), cx_(cx), args_(args) {}
  ScriptId script() const override { return engine_.current(); }
  size_t size() const override { return args_.length(); }
  bool is_missing(size_t i) const override { return args_.get(index(i)).isNullOrUndefined(); }
  bool is_string(size_t i) const override { return args_.get(index(i)).isString(); }
  bool is_object(size_t i) const override { return args_.get(index(i)).isObject() && !is_function(i); }
  bool is_function(size_t i) const override {
    return args_.get(index(i)).isObject() && JS::IsCallable(&args_.get(index(i)).toObject());
  }
  Result<std::string> text(size_t i) override {
    JS::RootedValue value(cx_, args_.get(index(i)));
    JSString* text = JS::ToString(cx_, value);
    if (text == nullptr) return pending();
    return encode(cx_, text);
  }
  Result<std::string> json(size_t i) override {
    JS::RootedValue value(cx_, args_.get(index(i)));
    return stringify(cx_, &value);
  }
  Result<double> number(size_t i) override {
    JS::RootedValue value(cx_, args_.get(index(i)));
    double number = 0;
    if (!JS::ToNumber(cx_, value, &number)) return pending();
    return number;
  }
  const item::Item* item(size_t i) const override {
    const JS::Value value = args_.get(index(i));
    return value.isObject() ? ItemObjects::item_of(&value.toObject()) : nullptr;
  }
  Result<FunctionId> hold(size_t i, size_t first) override { return engine_.hold(args_.get(index(i)), args_, first); }

 private:
  static unsigned index(size_t i) { return static_cast<unsigned>(i); }
  MozEngine& engine_;
  JSContext* cx_;
  const JS::CallArgs& args_;
};

bool call_host(JSContext* cx, unsigned argc, JS::Value* vp) {
  const JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
  const auto index = static_cast<size_t>(js::GetFunctionNativeReserved(&args.callee(), 0).toInt32());
  return MozEngine::of(cx).dispatch(cx, index, args);
}

/// Raises an Error with any text; without memory for it, whatever the engine raises.
bool raise(JSContext* cx, std::string_view message) {
  JS::RootedString text(cx, new_string(cx, message));
  if (!text) return false;
  JS::UniqueChars utf8 = JS_EncodeStringToUTF8(cx, text);
  if (utf8) JS_ReportErrorUTF8(cx, "%s", utf8.get());
  return false;
}

bool interrupted(JSContext* cx) { return MozEngine::of(cx).on_interrupt(); }

void rejected(JSContext* cx, bool, JS::HandleObject promise, JS::PromiseRejectionHandlingState state, void*) {
  MozEngine::of(cx).on_rejection(promise, state);
}

// ---- the engine ----

MozEngine::~MozEngine() {
  {
    std::lock_guard lock(watch_mutex_);
    stop_ = true;
  }
  watch_wake_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  if (!cx_) return;
  held_.clear();
  scripts_.clear();
  rejected_.reset();
  realm_.reset();
  global_.reset();
  memory_.reset();
  JS_GC(cx_.get());
  cx_.reset();  // finalizes what is left, so the items' anchors must still be there
}

Result<> MozEngine::start() {
  if (!start_engine()) return Error{Code::kInternal, "SpiderMonkey does not start"};
  cx_.reset(JS_NewContext(static_cast<uint32_t>(std::min<size_t>(limits_.heap_bytes, UINT32_MAX))));
  if (!cx_) return Error{Code::kInternal, "SpiderMonkey gives no context"};
  ++g_contexts;
  JSContext* cx = cx_.get();
  JS_SetContextPrivate(cx, this);
  JS_SetNativeStackQuota(cx, limits_.stack_bytes);
  // Small, so that items that no script keeps go home soon.
  JS_SetGCParameter(cx, JSGC_MAX_NURSERY_BYTES, 512 * 1024);
  JS_SetGCParameter(cx, JSGC_MIN_NURSERY_BYTES, 256 * 1024);
  JS::ContextOptionsRef(cx).setWasm(false).setAsmJS(false);
  if (!js::UseInternalJobQueues(cx) || !JS::InitSelfHostedCode(cx))
    return Error{Code::kInternal, "SpiderMonkey does not start"};
  if (!JS_AddInterruptCallback(cx, interrupted)) return Error{Code::kInternal, "no interrupt callback"};
  JS::SetPromiseRejectionTrackerCallback(cx, rejected, nullptr);
  JS::SetOutOfMemoryCallback(
      cx, [](JSContext*, void* self) { static_cast<MozEngine*>(self)->out_of_memory_ = true; }, this);
  items_ = std::make_unique<ItemObjects>(cx);
  global_.init(cx);
  memory_.init(cx);
  rejected_ = std::make_unique<JS::PersistentRootedVector<JS::Value>>(cx);
  BALEEN_TRY_DO(restart("{}"));
  if (!items_->prepare()) return Error{Code::kInternal, "SpiderMonkey has no memory for names"};
  watchdog_ = std::thread([this] { watch(); });
  return {};
}

void MozEngine::watch() {
  std::unique_lock lock(watch_mutex_);
  uint64_t seen = 0;
  while (!stop_) {
    watch_wake_.wait_for(lock, kTick);
    const uint64_t serial = serial_.load(std::memory_order_relaxed);
    if ((serial & 1) == 0) continue;
    if (serial != seen) {
      seen = serial;
      first_seen_ns_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    }
    JS_RequestInterruptCallback(cx_.get());
  }
}

bool MozEngine::on_interrupt() {
  const int64_t first = first_seen_ns_.load(std::memory_order_relaxed);
  if (first != 0 && Clock::now().time_since_epoch() - Clock::duration(first) - host_time_ > budget_) {
    timed_out_ = true;
    return false;
  }
  if (heap_bytes_now() > limits_.heap_bytes) {
    JS_GC(cx_.get());
    if (heap_bytes_now() > limits_.heap_bytes) {
      out_of_memory_ = true;
      return false;
    }
  }
  return true;
}

size_t MozEngine::heap_bytes_now() {
  // The engine tells what its objects hold in malloc() by a JavaScript object only.
  size_t bytes = JS_GetGCParameter(cx_.get(), JSGC_BYTES);
  JS::RootedValue outside(cx_.get());
  if (memory_ && JS_GetProperty(cx_.get(), memory_, "mallocBytes", &outside) && outside.isNumber())
    bytes += static_cast<size_t>(outside.toNumber());
  return bytes;
}

Result<> MozEngine::restart(std::string_view env_json) {
  JSContext* cx = cx_.get();
  held_.clear();
  scripts_.clear();
  rejected_->clear();
  rejected_by_.clear();
  realm_.reset();
  memory_ = nullptr;
  global_ = nullptr;
  JS::RealmOptions options;
  options.creationOptions().setSharedMemoryAndAtomicsEnabled(false).setStreamsEnabled(false);
  JS::RootedObject global(cx, JS_NewGlobalObject(cx, &kGlobalClass, nullptr, JS::FireOnNewGlobalHook, options));
  if (!global) return Error{Code::kInternal, "SpiderMonkey gives no global object"};
  global_ = global;
  realm_.emplace(cx, global);
  JS::RootedValue env(cx);
  JS::RootedString text(cx, new_string(cx, env_json));
  if (!text || !JS_ParseJSON(cx, text, &env)) {
    JS_ClearPendingException(cx);
    return Error{Code::kInvalid, "env is not JSON"};
  }
  memory_ = js::gc::NewMemoryInfoObject(cx);
  JS_FireOnNewGlobalObject(cx, global);
  if (!JS_DefineProperty(cx, global, "env", env, JSPROP_ENUMERATE) || !define_functions(global) || !run_prelude(global))
    return Error{Code::kInternal, "script prelude: " + failure().error};
  JS_GC(cx);
  return {};
}

bool MozEngine::define_functions(JS::HandleObject global) {
  JSContext* cx = cx_.get();
  for (size_t i = 0; i < functions_.size(); ++i) {
    JS::RootedObject holder(cx, global);
    std::string_view path = functions_[i].path;
    for (size_t dot; (dot = path.find('.')) != std::string_view::npos; path.remove_prefix(dot + 1)) {
      const std::string name(path.substr(0, dot));
      JS::RootedValue next(cx);
      if (!JS_GetProperty(cx, holder, name.c_str(), &next)) return false;
      if (!next.isObject()) {
        JS::RootedObject made(cx, JS_NewPlainObject(cx));
        if (!made || !JS_DefineProperty(cx, holder, name.c_str(), made, JSPROP_ENUMERATE)) return false;
        next.setObject(*made);
      }
      holder = &next.toObject();
    }
    const std::string name(path);
    JSFunction* function = js::NewFunctionWithReserved(cx, call_host, 0, 0, name.c_str());
    if (function == nullptr) return false;
    JS::RootedObject object(cx, JS_GetFunctionObject(function));
    js::SetFunctionNativeReserved(object, 0, JS::Int32Value(static_cast<int32_t>(i)));
    if (!JS_DefineProperty(cx, holder, name.c_str(), object, JSPROP_ENUMERATE)) return false;
  }
  return true;
}

bool MozEngine::run_prelude(JS::HandleObject) {
  JSContext* cx = cx_.get();
  JS::CompileOptions options(cx);
  options.setFileAndLine("prelude.js", 1);
  JS::SourceText<mozilla::Utf8Unit> source;
  JS::RootedValue ignored(cx);
  return source.init(cx, kPrelude.data(), kPrelude.size(), JS::SourceOwnership::Borrowed) &&
         JS::Evaluate(cx, options, source, &ignored);
}

bool MozEngine::to_js(const Argument& argument, JS::MutableHandleValue out) {
  JSContext* cx = cx_.get();
  if (const auto* b = std::get_if<bool>(&argument)) {
    out.setBoolean(*b);
  } else if (const auto* d = std::get_if<double>(&argument)) {
    out.setNumber(*d);
  } else if (const auto* s = std::get_if<std::string>(&argument)) {
    JSString* text = new_string(cx, *s);
    if (text == nullptr) return false;
    out.setString(text);
  } else if (const auto* j = std::get_if<Json>(&argument)) {
    JS::RootedString text(cx, new_string(cx, j->text));
    return text && JS_ParseJSON(cx, text, out);
  } else {
    out.setUndefined();
  }
  return true;
}

bool MozEngine::dispatch(JSContext* cx, size_t function, const JS::CallArgs& args) {
  MozCall call(*this, cx, args);
  const auto before = Clock::now();
  Result<Argument> result = functions_[function].call(call);
  host_time_ += Clock::now() - before;
  if (!result) {
    if (JS_IsExceptionPending(cx) || timed_out_ || (out_of_memory_ && result.error().message.empty())) return false;
    return raise(cx, result.error().message);
  }
  return to_js(*result, args.rval());
}

Result<FunctionId> MozEngine::hold(JS::HandleValue function, const JS::CallArgs& args, size_t first) {
  if (held_.size() >= kMaxHeld) return Error{Code::kInvalid, "too many timers and jobs"};
  auto held = std::make_unique<Held>(cx_.get(), current_);
  auto& values = held->function_and_arguments;
  if (!values.append(function)) return pending();
  for (size_t i = first; i < args.length(); ++i)
    if (!values.append(args[static_cast<unsigned>(i)])) return pending();
  held_[next_held_] = std::move(held);
  return next_held_++;
}

// ---- calls ----

template <class Body>
CallResult MozEngine::guarded(ScriptId id, std::chrono::milliseconds budget, Body&& body) {
  current_ = id;
  budget_ = budget;
  timed_out_ = out_of_memory_ = false;
  host_time_ = {};
  first_seen_ns_.store(0, std::memory_order_relaxed);
  serial_.fetch_add(1, std::memory_order_release);
  CallResult result;
  if (!body(result)) result = failure();
  drain(result);
  serial_.fetch_add(1, std::memory_order_release);
  current_ = 0;
  return result;
}

void MozEngine::drain(CallResult& result) {
  js::RunJobs(cx_.get());
  if (timed_out_ || out_of_memory_) {
    if (result.ok() && (timed_out_ || !JS_IsExceptionPending(cx_.get()))) result = failure();
  }
}

std::string MozEngine::describe(JS::HandleValue exception, std::string* place) {
  JSContext* cx = cx_.get();
  JS::RootedObject stack(
      cx, exception.isObject() ? JS::ExceptionStackOrNull(JS::RootedObject(cx, &exception.toObject())) : nullptr);
  JS::ExceptionStack what(cx, exception, stack);
  JS::ErrorReportBuilder report(cx);
  if (!report.init(cx, what, JS::ErrorReportBuilder::NoSideEffects) || report.report() == nullptr) {
    JS_ClearPendingException(cx);
    return "an exception that cannot be shown";
  }
  const JSErrorReport& r = *report.report();
  if (place != nullptr && r.filename != nullptr && *r.filename != '\0')
    *place = std::string(r.filename) + ":" + std::to_string(r.lineno) + ":" + std::to_string(r.column + 1);
  const char* text = report.toStringResult().c_str();
  return text != nullptr ? text : "an exception";
}

CallResult MozEngine::failure() {
  JSContext* cx = cx_.get();
  CallResult result;
  if (timed_out_) {
    JS_ClearPendingException(cx);
    result.outcome = Outcome::kTimedOut;
    result.error = result.message = "stopped: it ran longer than " + std::to_string(budget_.count()) + " ms";
    return result;
  }
  JS::ExceptionStack stack(cx);
  const bool stolen = JS_IsExceptionPending(cx) && JS::StealPendingExceptionStack(cx, &stack);
  if (out_of_memory_) {
    result.outcome = Outcome::kOutOfMemory;
    result.error = result.message =
        "stopped: the scripts' heap is full (" + std::to_string(limits_.heap_bytes >> 20) + " MB)";
    return result;
  }
  result.outcome = Outcome::kThrew;
  if (!stolen) {
    JS_ClearPendingException(cx);
    result.error = result.message = "stopped without an exception";
    return result;
  }
  JS::RootedValue exception(cx, stack.exception());
  std::string place;
  result.message = describe(exception, &place);
  constexpr std::string_view kUncaught = "uncaught exception: ";
  if (result.message.starts_with(kUncaught)) result.message.erase(0, kUncaught.size());
  if (result.message.size() > 4096) result.message.resize(4096);
  result.error = place.empty() ? result.message : place + ": " + result.message;
  return result;
}

CallResult MozEngine::load(ScriptId id, const std::string& file, std::string_view source) {
  JSContext* cx = cx_.get();
  std::string text = "(function(){";
  text += source;
  text += "\n;return [";
  for (size_t i = 0; i < kHooks; ++i) {
    const std::string name(hook_name(static_cast<Hook>(i)));
    text += "typeof " + name + "==='function'?" + name + ":undefined,";
  }
  text += "];})";
  auto script = std::make_unique<LoadedScript>();
  CallResult result = guarded(id, limits_.call_budget, [&](CallResult&) {
    JS::CompileOptions options(cx);
    options.setFileAndLine(file.c_str(), 1);
    JS::SourceText<mozilla::Utf8Unit> unit;
    JS::RootedValue function(cx), hooks(cx), global(cx, JS::ObjectValue(*global_));
    if (!unit.init(cx, text.data(), text.size(), JS::SourceOwnership::Borrowed) ||
        !JS::Evaluate(cx, options, unit, &function) ||
        !JS::Call(cx, global, function, JS::HandleValueArray::empty(), &hooks))
      return false;
    if (!hooks.isObject()) return true;  // the script returned on its own: it has no hooks
    JS::RootedObject array(cx, &hooks.toObject()), shared(cx, global_);
    for (size_t i = 0; i < kHooks; ++i) {
      JS::RootedValue hook(cx);
      if (!JS_GetElement(cx, array, static_cast<uint32_t>(i), &hook)) return false;
      if (hook.isObject() && JS::IsCallable(&hook.toObject())) script->hooks[i].init(cx, &hook.toObject());
      // A hook that was assigned to an undeclared name is this script's, not everybody's.
      if (!JS_DeleteProperty(cx, shared, std::string(hook_name(static_cast<Hook>(i))).c_str())) return false;
    }
    return true;
  });
  if (result.ok()) {
    scripts_[id] = std::move(script);
  } else {
    unload(id);
  }
  return result;
}

void MozEngine::unload(ScriptId id) {
  scripts_.erase(id);
  std::erase_if(held_, [id](const auto& entry) { return entry.second->script == id; });
}

CallResult MozEngine::call(ScriptId id, Hook hook, const JS::HandleValueArray& arguments) {
  const auto it = scripts_.find(id);
  if (it == scripts_.end() || !it->second->hooks[static_cast<size_t>(hook)]) return {};
  JSContext* cx = cx_.get();
  const JS::PersistentRootedObject& function = it->second->hooks[static_cast<size_t>(hook)];
  JS::RootedValue callee(cx, JS::ObjectValue(*function)), self(cx, JS::ObjectValue(*global_)), returned(cx);
  return guarded(id, limits_.call_budget, [&](CallResult& result) {
    if (!JS::Call(cx, self, callee, arguments, &returned)) return false;
    if (hook != Hook::kItemQueried || !returned.isObject()) return true;
    auto json = stringify(cx, &returned);
    if (!json) {
      if (JS_IsExceptionPending(cx)) return false;
      return raise(cx, json.error().message);
    }
    result.returned = *std::move(json);
    return true;
  });
}

CallResult MozEngine::call_item(ScriptId id, Hook hook, const item::ItemRef& item, std::string_view filter) {
  JSContext* cx = cx_.get();
  out_of_memory_ = timed_out_ = false;
  JS::RootedObject data(cx, items_->wrap(item));
  if (!data) return failure();
  if (hook == Hook::kItemCaptured) {
    JS::RootedValue argument(cx, JS::ObjectValue(*data));
    return call(id, hook, JS::HandleValueArray(argument));
  }
  JS::RootedValueArray<2> arguments(cx);
  arguments[0].setObject(*data);
  if (!to_js(std::string(filter), arguments[1])) return failure();
  return call(id, hook, arguments);
}

CallResult MozEngine::call_packet(ScriptId id, const PacketFacts& packet) {
  JSContext* cx = cx_.get();
  out_of_memory_ = timed_out_ = false;
  JS::RootedObject info(cx, JS_NewPlainObject(cx));
  if (!info || !JS_DefineProperty(cx, info, "timestamp", static_cast<double>(to_ms(packet.time)), JSPROP_ENUMERATE) ||
      !JS_DefineProperty(cx, info, "captureLength", packet.capture_length, JSPROP_ENUMERATE) ||
      !JS_DefineProperty(cx, info, "length", packet.length, JSPROP_ENUMERATE))
    return failure();
  JS::RootedValue flag(cx, JS::BooleanValue(packet.truncated));
  if (!JS_DefineProperty(cx, info, "truncated", flag, JSPROP_ENUMERATE)) return failure();
  flag.setBoolean(packet.fragmented);
  if (!JS_DefineProperty(cx, info, "fragmented", flag, JSPROP_ENUMERATE)) return failure();
  JS::RootedValue argument(cx, JS::ObjectValue(*info));
  return call(id, Hook::kPacketCaptured, JS::HandleValueArray(argument));
}

CallResult MozEngine::call_hook(ScriptId id, Hook hook, const std::vector<Argument>& arguments) {
  JSContext* cx = cx_.get();
  out_of_memory_ = timed_out_ = false;
  JS::RootedValueVector values(cx);
  if (!values.resize(arguments.size())) return failure();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!to_js(arguments[i], values[i])) return failure();
  return call(id, hook, values);
}

CallResult MozEngine::call_held(FunctionId id, std::chrono::milliseconds budget) {
  const auto it = held_.find(id);
  if (it == held_.end()) return {};
  JSContext* cx = cx_.get();
  JS::RootedValueVector arguments(cx);  // a copy: the function may release itself
  const auto& held = it->second->function_and_arguments;
  JS::RootedValue callee(cx, held[0]), self(cx, JS::ObjectValue(*global_)), returned(cx);
  out_of_memory_ = timed_out_ = false;
  for (size_t i = 1; i < held.length(); ++i)
    if (!arguments.append(held[i])) return failure();
  return guarded(it->second->script, budget,
                 [&](CallResult&) { return JS::Call(cx, self, callee, arguments, &returned); });
}

// ---- promises ----

void MozEngine::on_rejection(JS::HandleObject promise, JS::PromiseRejectionHandlingState state) {
  auto& list = *rejected_;
  if (state == JS::PromiseRejectionHandlingState::Unhandled) {
    if (list.length() < 64 && list.append(JS::ObjectValue(*promise))) rejected_by_.push_back(current_);
    return;
  }
  for (size_t i = 0; i < list.length(); ++i)
    if (&list[i].toObject() == promise.get()) {
      list.erase(list.begin() + i);
      rejected_by_.erase(rejected_by_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
}

std::vector<std::pair<ScriptId, std::string>> MozEngine::take_rejections() {
  std::vector<std::pair<ScriptId, std::string>> out;
  auto& list = *rejected_;
  if (list.empty()) return out;
  for (size_t i = 0; i < list.length(); ++i) {
    JS::RootedObject promise(cx_.get(), &list[i].toObject());
    JS::RootedValue reason(cx_.get(), JS::GetPromiseResult(promise));
    std::string place;
    std::string text = describe(reason, &place);
    out.emplace_back(rejected_by_[i], (place.empty() ? "" : place + ": ") + "unhandled rejection: " + text);
  }
  list.clear();
  rejected_by_.clear();
  return out;
}

}  // namespace

std::string_view hook_name(Hook hook) {
  static constexpr std::string_view kNames[kHooks] = {"onItemCaptured", "onPacketCaptured", "onItemQueried",
                                                      "onJobPassed",    "onJobFailed",      "onPodEvent",
                                                      "onHubAction",    "onLogCall"};
  return kNames[static_cast<size_t>(hook)];
}

Result<std::unique_ptr<Engine>> make_engine(const EngineLimits& limits, std::vector<HostFunction> functions) {
  auto engine = std::make_unique<MozEngine>(limits, std::move(functions));
  BALEEN_TRY_DO(engine->start());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace baleen::script
