#!/usr/bin/env bash
# What a reviewer would otherwise have to look for: format, layers, headers that stand alone, paths of a machine, clang-tidy.
#   tools/check.sh --quick   without clang-tidy and headers (seconds)
#   tools/check.sh           everything
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
step() { echo "check: $1"; shift; "$@" || { failed=1; echo "check: FAILED: $*" >&2; }; }

formatted() {
  command -v clang-format-19 >/dev/null || { echo "check: clang-format-19 is not installed, skipped"; return 0; }
  git ls-files 'src/*.cpp' 'src/*.h' 'test/*.cpp' 'bench/*.cpp' | xargs clang-format-19 --dry-run -Werror
}
no_machine_paths() {
  ! git grep -nE '(/home/[a-z]+/|/root/|/work/|/farm/)' -- . ':!tools/check.sh' ':!*/testdata/*' ':!*/corpus/*'
}
headers_alone() {
  local bad=0
  while read -r header; do
    g++ -std=c++20 -fsyntax-only -Isrc -Wno-pragma-once-outside-header -x c++ - <<<"#include \"${header#src/}\"" || { bad=1; echo "$header"; }
  done < <(git ls-files 'src/*.h')
  return $bad
}
tidy() {
  command -v clang-tidy-19 >/dev/null || { echo "check: clang-tidy-19 is not installed, skipped"; return 0; }
  [ -f build/dev/compile_commands.json ] || cmake --preset dev >/dev/null
  git ls-files 'src/*.cpp' | grep -v -E '_(test|bench|fuzz)\.cpp$' | xargs -P "$(nproc)" -n 8 clang-tidy-19 -p build/dev --quiet
}

step "layers" python3 tools/check_layers.py
step "no paths of a machine" no_machine_paths
step "format" formatted
if [ "${1:-}" != --quick ]; then
  step "headers stand alone" headers_alone
  step "clang-tidy" tidy
fi
exit $failed
