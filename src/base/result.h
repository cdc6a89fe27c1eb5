#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace baleen {

/// What kind of failure of the environment it was. The code is the decision a caller takes:
/// kUnavailable and kTimeout may be tried again, kNotFound and kConflict are answers, the rest is final.
enum class Code {
  kInvalid,      // the request itself is wrong
  kNotFound,     // it is not there
  kConflict,     // it is there already, or a precondition does not hold
  kDenied,       // credentials or permissions
  kUnavailable,  // not now; try again
  kTimeout,      // no answer in time; try again
  kIo,           // the operating system said no
  kInternal,     // we are wrong
};

/// The code's name in lower case, for messages: "not found".
const char* to_string(Code code);

/// A failure with the story of where it happened, outermost context first.
struct Error {
  Code code = Code::kInternal;
  std::string message;
  /// When to try again, if the other side said so; zero when it did not.
  std::chrono::milliseconds retry_after{0};
  /// Of kDenied: who we are was not accepted, or could not be said; what we may do was never asked.
  bool unauthenticated = false;

  /// The same error with `context` and ": " in front.
  Error in(std::string_view context) const&;
  Error in(std::string_view context) &&;
  bool retryable() const { return code == Code::kUnavailable || code == Code::kTimeout; }
};

/// An Error from errno: "open /x: No such file or directory". ENOENT, EACCES and EEXIST get their own codes.
Error errno_error(std::string_view what, int saved_errno);

/// The subset of std::expected<T, Error> that we use.
template <class T = std::monostate>
class [[nodiscard]] Result {
 public:
  Result()
    requires std::is_default_constructible_v<T>
      : value_(std::in_place_index<0>) {}
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return value_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return checked(), std::get<0>(value_); }
  const T& value() const& { return checked(), std::get<0>(value_); }
  T&& value() && { return checked(), std::get<0>(std::move(value_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() & {
    BALEEN_CHECK(!has_value());
    return std::get<1>(value_);
  }
  const Error& error() const& {
    BALEEN_CHECK(!has_value());
    return std::get<1>(value_);
  }
  Error&& error() && {
    BALEEN_CHECK(!has_value());
    return std::get<1>(std::move(value_));
  }
  T value_or(T other) const& { return has_value() ? value() : std::move(other); }

 private:
  void checked() const { BALEEN_CHECK(has_value()); }
  std::variant<T, Error> value_;
};

}  // namespace baleen

/// Takes the value of a Result into `declaration`, or returns its error to our caller.
#define BALEEN_TRY(declaration, expression) BALEEN_TRY_IMPL(declaration, expression, __COUNTER__)
#define BALEEN_TRY_IMPL(declaration, expression, n) BALEEN_TRY_IMPL2(declaration, expression, n)
#define BALEEN_TRY_IMPL2(declaration, expression, n)             \
  auto baleen_try_##n = (expression);                            \
  if (!baleen_try_##n) return std::move(baleen_try_##n).error(); \
  declaration = *std::move(baleen_try_##n)

/// Returns the error of a Result<> to our caller; a success is dropped.
#define BALEEN_TRY_DO(expression)                                                                   \
  do {                                                                                              \
    if (auto baleen_try_do = (expression); !baleen_try_do) return std::move(baleen_try_do).error(); \
  } while (false)
