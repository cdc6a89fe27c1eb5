#include <js/Array.h>
#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/ErrorReport.h>
#include <js/Exception.h>
#include <js/Object.h>
#include <js/PropertyAndElement.h>
#include <js/SourceText.h>
#include <jsfriendapi.h>

#include "script/mozjs_engine.h"

// Calls of scripts: loading one, its hooks, its timers and jobs, and what they failed of.

namespace baleen::script {

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

}  // namespace baleen::script
