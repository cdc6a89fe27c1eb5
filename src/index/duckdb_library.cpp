#include "index/duckdb_library.h"

#include <dlfcn.h>

#include <string>

namespace baleen::index {

#define BALEEN_DUCKDB(name) decltype(&::name) name = nullptr;
#include "index/duckdb_functions.def"
#undef BALEEN_DUCKDB

namespace {

std::string reason() {
  const char* const text = ::dlerror();
  return text != nullptr ? text : "no reason was given";
}

Result<> load() {
  // Where the system or the program's run path has it, else the one that was built with.
  void* library = ::dlopen("libduckdb.so", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) library = ::dlopen(BALEEN_DUCKDB_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr)
    return Error{Code::kNotFound, "queries need DuckDB's library; put libduckdb.so where libraries are: " + reason()};
#define BALEEN_DUCKDB(name)                                         \
  name = reinterpret_cast<decltype(name)>(::dlsym(library, #name)); \
  if (name == nullptr) return Error{Code::kNotFound, "an old libduckdb.so: " + reason()};
#include "index/duckdb_functions.def"
#undef BALEEN_DUCKDB
  return {};
}

}  // namespace

Result<> load_duckdb() {
  static const Result<> outcome = load();
  return outcome;
}

}  // namespace baleen::index
