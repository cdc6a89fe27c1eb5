#include <js/CallAndConstruct.h>
#include <js/Conversions.h>
#include <js/Exception.h>
#include <js/JSON.h>
#include <js/Object.h>
#include <jsfriendapi.h>

#include "script/mozjs_engine.h"

// The host's functions that scripts call: their arguments out of JavaScript, their results into it.

namespace baleen::script {
namespace {

constexpr size_t kMaxText = size_t{256} << 20;
constexpr size_t kMaxHeld = 65536;

bool append_json_text(const char16_t* buffer, uint32_t length, void* data) {
  auto* out = static_cast<std::u16string*>(data);
  if ((out->size() + length) * 2 > kMaxText) return false;
  out->append(buffer, length);
  return true;
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

}  // namespace

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

bool call_host(JSContext* cx, unsigned argc, JS::Value* vp) {
  const JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
  const auto index = static_cast<size_t>(js::GetFunctionNativeReserved(&args.callee(), 0).toInt32());
  return MozEngine::of(cx).dispatch(cx, index, args);
}

bool raise(JSContext* cx, std::string_view message) {
  JS::RootedString text(cx, new_string(cx, message));
  if (!text) return false;
  JS::UniqueChars utf8 = JS_EncodeStringToUTF8(cx, text);
  if (utf8) JS_ReportErrorUTF8(cx, "%s", utf8.get());
  return false;
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
  const auto before = std::chrono::steady_clock::now();
  Result<Argument> result = functions_[function].call(call);
  host_time_ += std::chrono::steady_clock::now() - before;
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

}  // namespace baleen::script
