#!/bin/sh
# run.sh RUNNER WORK_FOLDER: runs the official CEL conformance suite with the packages that tools/setup.sh put beside this
# file, or with a copy in WORK_FOLDER. Exit 77 (skipped) where neither is there nor can be installed.
set -eu
runner=$1
work=$2
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null; then
  echo "SKIPPED: the CEL conformance suite needs node" >&2
  exit 77
fi
mkdir -p "$work"
from=$here
if [ ! -d "$here/node_modules/@bufbuild/cel-spec" ]; then
  from=$work
  cp "$here/package.json" "$here/package-lock.json" "$here/export.mjs" "$work/"
  if ! (cd "$work" && { [ -d node_modules/@bufbuild/cel-spec ] || npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1; }); then
    echo "SKIPPED: @bufbuild/cel-spec is not installed and npm cannot fetch it; run tools/setup.sh" >&2
    exit 77
  fi
fi
(cd "$from" && node export.mjs) >"$work/suite.json"
exec "$runner" "$work/suite.json" "$here/skipped.tsv"
