#include "index/duckdb_library.h"

#include "base/library.h"

namespace baleen::index {

#define BALEEN_DUCKDB(name) decltype(&::name) name = nullptr;
#include "index/duckdb_functions.def"
#undef BALEEN_DUCKDB

namespace {

Result<> load() {
  // Where the system or the program's run path has it, else the one that was built with.
  const char* const files[] = {"libduckdb.so", BALEEN_DUCKDB_LIBRARY};
  const LibraryFunction functions[] = {
#define BALEEN_DUCKDB(name) {#name, reinterpret_cast<void**>(&name)},
#include "index/duckdb_functions.def"
#undef BALEEN_DUCKDB
  };
  return load_library(files, functions, "queries need DuckDB's library; put libduckdb.so where libraries are");
}

}  // namespace

Result<> load_duckdb() {
  static const Result<> outcome = load();
  return outcome;
}

}  // namespace baleen::index
