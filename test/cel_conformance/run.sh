#!/bin/sh
# run.sh RUNNER WORK_FOLDER: runs the official CEL conformance suite. Exit 77 (skipped) where npm or its package is absent.
set -eu
runner=$1
work=$2
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo "SKIPPED: the CEL conformance suite needs node and npm" >&2
  exit 77
fi
mkdir -p "$work"
cp "$here/package.json" "$here/package-lock.json" "$here/export.mjs" "$work/"
if ! (cd "$work" && { [ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1; }); then
  echo "SKIPPED: npm could not install @bufbuild/cel-spec: $(tail -n 3 "$work/npm.log")" >&2
  exit 77
fi
(cd "$work" && node export.mjs >suite.json)
exec "$runner" "$work/suite.json" "$here/skipped.tsv"
