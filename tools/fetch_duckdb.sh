#!/usr/bin/env bash
# Puts DuckDB's library and its C header into third_party/duckdb, from the npm packages that carry them: Debian 12 has no
# DuckDB. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

library_version=1.5.6-r.1
header_version=1.4.4 # the C API is stable; this is the last package that carries the header
case "$(uname -m)" in
  x86_64) machine=x64 ;;
  aarch64) machine=arm64 ;;
  *) echo "fetch_duckdb: no DuckDB for $(uname -m); install it so that CMake finds duckdb.h and libduckdb" >&2; exit 1 ;;
esac

target=third_party/duckdb
stamp="$target/version-$library_version-$header_version"
if [ -f "$stamp" ]; then echo "fetch_duckdb: DuckDB $library_version is there"; exit 0; fi

echo "fetch_duckdb: fetching DuckDB $library_version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "@duckdb/node-bindings-linux-$machine@$library_version" "duckdb@$header_version" >/dev/null)
mkdir -p "$target/include" "$target/lib"
tar -xzf "$work"/duckdb-node-bindings-*.tgz -C "$work"
find "$work/package" -name 'libduckdb.so*' -exec cp {} "$target/lib/libduckdb.so" \;
tar -xzf "$work/duckdb-$header_version.tgz" -C "$work" package/src/duckdb/src/include/duckdb.h
cp "$work/package/src/duckdb/src/include/duckdb.h" "$target/include/duckdb.h"
test -s "$target/lib/libduckdb.so" && test -s "$target/include/duckdb.h"
touch "$stamp"
