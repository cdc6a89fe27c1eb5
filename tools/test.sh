#!/usr/bin/env bash
# Passes all tests: sets up, builds the dev preset and runs ctest. With --sanitize also everything under the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh --test
jobs=$(nproc)
tools/check.sh --quick

# Tests with real servers and traffic share the machine with whatever else runs on it: a failed test gets a second try, which
# the log shows.
build_and_test() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$jobs" -- --quiet
  ctest --preset "$1" -j "$jobs" --repeat until-pass:2 "${@:2}"
}

# What real servers count, and what faults do to uploads, does not depend on sanitizers, and takes long under them: it is left to
# the other preset.
if [ "${1:-}" = --sanitize ]; then build_and_test asan -LE 'live|faults'; fi
build_and_test dev
