#!/usr/bin/env bash
# Builds what is shipped and what benchmarks measure: build/release/bin/baleen. What reads packets is compiled twice: GCC sees
# first what it does with the traffic of bench/goals_bench.cpp and of each protocol's own benchmark, and optimizes by that
# the second time.
#   tools/release.sh [TARGET...]           baleen, or other targets of the build
#   tools/release.sh --quick [TARGET...]   compiled once: some minutes less, and up to a third slower
set -euo pipefail
cd "$(dirname "$0")/.."

profile=use
case "${1:-}" in
  --quick) profile=; shift ;;
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "release: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac
data=build/profile/data

# What a profile belongs to: the compiler and all that is compiled.
sources() {
  { "${CXX:-c++}" --version; find src bench cmake tools/release.sh CMakeLists.txt CMakePresets.json -type f -print0 | sort -z | xargs -0 sha256sum; } | sha256sum
}

make_profile() {
  rm -rf "$data"
  echo "release: building once to see where time goes"
  cmake --preset profile -DBALEEN_UNITY=ON >/dev/null &&
    cmake --build --preset profile --target goals_bench dissect_benches -j "$(nproc)" -- --quiet &&
    echo "release: dissecting the captures of the benchmarks" &&
    build/profile/bin/goals_bench --benchmark_filter='^[^/]*$' --benchmark_min_time=0.01 >build/profile/training.log 2>&1 &&
    for bench in build/profile/bin/*_bench; do
      [ "$bench" = build/profile/bin/goals_bench ] || "$bench" --benchmark_min_time=0.01 >>build/profile/training.log 2>&1 || return 1
    done &&
    sources >"$data/sources"
}

if [ -n "$profile" ] && [ "$(cat "$data/sources" 2>/dev/null)" != "$(sources)" ]; then
  make_profile || { echo "release: no profile could be made (see above, and build/profile/training.log): building without one" >&2; profile=; }
fi
echo "release: building${profile:+ by the profile}"
cmake --preset release -DBALEEN_UNITY=ON -DBALEEN_PROFILE="$profile" >/dev/null
cmake --build --preset release --target "${@:-baleen}" -j "$(nproc)" -- --quiet
