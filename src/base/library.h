#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace baleen {

/// A function of a shared library, and the pointer that gets it.
struct LibraryFunction {
  const char* name;
  void** pointer;
};

/// Loads the first of `files` that there is, for the rest of the process, and sets all pointers. kNotFound: there is
/// none of them, or it lacks a function; the message begins with `need`, which says who needs it and where it comes
/// from.
Result<> load_library(std::span<const char* const> files, std::span<const LibraryFunction> functions,
                      std::string_view need);

}  // namespace baleen
