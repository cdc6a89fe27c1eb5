# DuckDB::duckdb: the system's, else the one that tools/fetch_duckdb.sh puts into third_party/.
find_path(DuckDB_INCLUDE_DIR duckdb.h HINTS ${CMAKE_SOURCE_DIR}/third_party/duckdb/include)
find_library(DuckDB_LIBRARY duckdb HINTS ${CMAKE_SOURCE_DIR}/third_party/duckdb/lib)
if(NOT DuckDB_INCLUDE_DIR OR NOT DuckDB_LIBRARY)
  message(FATAL_ERROR "DuckDB is missing: run tools/setup.sh, which fetches it, or install it so that CMake finds duckdb.h and libduckdb.")
endif()
if(NOT TARGET DuckDB::duckdb)
  add_library(DuckDB::duckdb SHARED IMPORTED)
  # The library of the npm package carries no soname of its own path: link by name and find it again by rpath.
  set_target_properties(DuckDB::duckdb PROPERTIES IMPORTED_LOCATION ${DuckDB_LIBRARY} IMPORTED_NO_SONAME FALSE
                        INTERFACE_INCLUDE_DIRECTORIES ${DuckDB_INCLUDE_DIR})
endif()
