#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace baleen {

const char* to_string(Code code) {
  switch (code) {
    case Code::kInvalid: return "invalid";
    case Code::kNotFound: return "not found";
    case Code::kConflict: return "conflict";
    case Code::kDenied: return "denied";
    case Code::kUnavailable: return "unavailable";
    case Code::kTimeout: return "timeout";
    case Code::kIo: return "i/o";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

Error Error::in(std::string_view context) const& { return Error(*this).in(context); }

Error Error::in(std::string_view context) && {
  std::string text(context);
  text += ": ";
  text += message;
  message = std::move(text);
  return std::move(*this);
}

Error errno_error(std::string_view what, int saved_errno) {
  Code code = Code::kIo;
  if (saved_errno == ENOENT) code = Code::kNotFound;
  if (saved_errno == EACCES || saved_errno == EPERM) code = Code::kDenied;
  if (saved_errno == EEXIST) code = Code::kConflict;
  return Error{code, std::string(what) + ": " + std::strerror(saved_errno)};
}

}  // namespace baleen
