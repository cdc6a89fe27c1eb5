#include "script/mozjs_engine.h"

#include <js/CompilationAndEvaluation.h>
#include <js/ContextOptions.h>
#include <js/GCAPI.h>
#include <js/Initialization.h>
#include <js/Interrupt.h>
#include <js/JSON.h>
#include <js/MemoryCallbacks.h>
#include <js/PropertyAndElement.h>
#include <js/RealmOptions.h>
#include <js/SourceText.h>
#include <jsfriendapi.h>

#include <cstdlib>

#include "script/prelude.h"

// The engine from start to end, its watchdog, and the promises that nobody caught.

namespace baleen::script {
namespace {

using Clock = std::chrono::steady_clock;
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
bool interrupted(JSContext* cx) { return MozEngine::of(cx).on_interrupt(); }

void rejected(JSContext* cx, bool, JS::HandleObject promise, JS::PromiseRejectionHandlingState state, void*) {
  MozEngine::of(cx).on_rejection(promise, state);
}

}  // namespace

void ContextGone::operator()(JSContext* cx) const {
  JS_DestroyContext(cx);
  --g_contexts;
}

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
