#include "base/library.h"

#include <dlfcn.h>

#include <string>

namespace baleen {
namespace {

Error not_found(std::string_view need) {
  const char* const reason = ::dlerror();
  return {Code::kNotFound, std::string(need) + ": " + (reason != nullptr ? reason : "no reason was given")};
}

}  // namespace

Result<> load_library(std::span<const char* const> files, std::span<const LibraryFunction> functions,
                      std::string_view need) {
  void* library = nullptr;
  for (const char* file : files)
    if (library = ::dlopen(file, RTLD_LAZY | RTLD_LOCAL); library != nullptr) break;
  if (library == nullptr) return not_found(need);
  for (const LibraryFunction& function : functions)
    if (*function.pointer = ::dlsym(library, function.name); *function.pointer == nullptr) return not_found(need);
  return {};
}

}  // namespace baleen
