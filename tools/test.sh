#!/usr/bin/env bash
# Passes all tests: sets up, builds the dev preset and runs ctest.
#   tools/test.sh              everything in the dev preset
#   tools/test.sh --sanitize   whole programs, and what sanitizers falsify (label measure), in the dev preset; then all
#                              but real servers and faults under the address and undefined-behaviour sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  "" | --sanitize) ;;
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "test: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac

tools/setup.sh --test
jobs=$(nproc)
tools/check.sh --quick

build() { # PRESET TARGET...
  echo "test: building the preset $1 ($(date +%T))"
  # Continuous integration builds from nothing, and changes no file afterwards.
  cmake --preset "$1" -DBALEEN_UNITY="$([ "${CI:-}" = true ] && echo ON || echo OFF)" >/dev/null
  cmake --build --preset "$1" -j "$jobs" ${2:+--target "${@:2}"} -- --quiet
}

# Tests with real servers and traffic share the machine with whatever else runs on it: a failed test gets a second try, which
# the log shows.
run() { # PRESET ARGUMENT-OF-CTEST...
  echo "test: running tests of the preset $1 ($(date +%T))"
  ctest --preset "$1" -j "$jobs" --repeat until-pass:2 "${@:2}"
}

if [ "${1:-}" != --sanitize ]; then
  build dev
  run dev
  exit
fi

# A test that fails here does not keep the others from being run.
outcome=0
build dev baleen store_test dissect_measure_test record_measure_test
run dev -L 'live|faults|e2e|oracle|measure' || outcome=$?
build asan
run asan -LE 'live|faults' || outcome=$?
exit "$outcome"
