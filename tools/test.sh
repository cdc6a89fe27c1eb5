#!/usr/bin/env bash
# Passes all tests: sets up, builds the dev preset and runs ctest. With --sanitize also everything under the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh --test
jobs=$(nproc)
tools/check.sh --quick

build_and_test() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$jobs" -- --quiet
  ctest --preset "$1" -j "$jobs"
}

if [ "${1:-}" = --sanitize ]; then build_and_test asan; fi
build_and_test dev
