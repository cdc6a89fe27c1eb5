#pragma once

// BALEEN_CHECK(condition): our own mistakes. It is on in every build: a wrong program stops rather than
// writing wrong data. Never use it for bytes off the wire, the user's text or the environment.

namespace baleen {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace baleen

#define BALEEN_CHECK(condition)                                                                    \
  do {                                                                                             \
    if (__builtin_expect(!(condition), 0)) ::baleen::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
