#pragma once

#include <duckdb.h>

#include "base/result.h"

// DuckDB's library is loaded when it is first asked something: it takes 30 ms and 40 MiB, and who captures and records
// never asks. Within this namespace its functions' names are those of pointers, null until load_duckdb() has succeeded.

namespace baleen::index {

#define BALEEN_DUCKDB(name) extern decltype(&::name) name;
#include "index/duckdb_functions.def"
#undef BALEEN_DUCKDB

/// Once for the process; the same answer each time. kNotFound: there is no such library. Any thread.
Result<> load_duckdb();

}  // namespace baleen::index
