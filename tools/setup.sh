#!/usr/bin/env bash
# Installs what building and testing Baleen needs on Debian 12, and says what it does. Safe to run twice: what is there
# already is left alone.
#   tools/setup.sh            what the build needs, and the DuckDB library
#   tools/setup.sh --test     also the servers, clients and emulators that tests use
#   tools/setup.sh --live     also the servers of test/live that bring much along (RabbitMQ with Erlang, 100 MB)
#   tools/setup.sh --develop  also clang, valgrind and the like
set -euo pipefail
cd "$(dirname "$0")/.."

groups="build"
for option in "$@"; do
  case "$option" in
    --test) groups="$groups test" ;;
    --live) groups="$groups test live" ;;
    --develop) groups="$groups test develop" ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup: unknown option '$option' (see --help)" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    echo "setup: '$*' needs root; run it as root, then this script again" >&2; exit 1
  fi
}

missing=()
while read -r group package _; do
  case " $groups " in *" $group "*) ;; *) continue ;; esac
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
done < <(grep -v '^#' tools/packages.txt)

# Node.js brings DuckDB's library and the emulators of the tests; any version from 18 on will do.
for command in node npm; do
  command -v "$command" >/dev/null || case "$command" in node) missing+=(nodejs) ;; npm) missing+=(npm) ;; esac
done

if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # tshark asks whether users other than root may capture: no.
  echo "wireshark-common wireshark-common/install-setuid boolean false" | as_root debconf-set-selections || true
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  say "all Debian packages are there"
fi

tools/fetch_duckdb.sh

case " $groups " in *" test "*)
  for folder in test/emulators test/cel_conformance; do
    [ -f "$folder/package-lock.json" ] || continue
    if [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then
      say "$folder: all npm packages are there"
    else
      say "$folder: installing npm packages"
      (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
    fi
  done ;;
esac
say "done"
