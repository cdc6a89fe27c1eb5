#!/usr/bin/env bash
# Sets up, builds, and runs the main job on real traffic, without a cluster and without a cloud account: records `http or dns`
# into a folder that is laid out exactly as a bucket would be, and shows the items read back from there.
#   tools/quickstart.sh                 the captures of examples/captures
#   tools/quickstart.sh --live [TIME]   this machine's own interfaces for TIME (30s); needs root or CAP_NET_RAW
#   tools/quickstart.sh --quick ...     either, with a program that is compiled once and is up to a third slower
set -euo pipefail
cd "$(dirname "$0")/.."

live= quick=
if [ "${1:-}" = --quick ]; then quick=--quick; shift; fi
case "${1:-}" in
  --live) live=${2:-30s} ;;
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  "") ;;
  *) echo "quickstart: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac

tools/setup.sh
echo "quickstart: building (the first time some ten minutes on two cores, with --quick six)"
tools/release.sh $quick
baleen=build/release/bin/baleen

bucket=build/quickstart/bucket
rm -rf build/quickstart
mkdir -p "$bucket"
if [ -n "$live" ]; then
  echo "quickstart: capturing this machine's own traffic for $live; open a web page, or curl something"
  "$baleen" tap --duration "$live" --record 'http or dns' --to "$bucket" --data-dir build/quickstart/data
else
  "$baleen" tap --pcap examples/captures --record 'http or dns' --to "$bucket" --data-dir build/quickstart/data
fi

echo
echo "quickstart: what lies in $bucket"
(cd "$bucket" && find . -type f | sort | sed 's/^/  /')
echo
echo "quickstart: $baleen query --from $bucket"
"$baleen" query --from "$bucket" --limit 20 --explain
echo
echo "quickstart: $baleen recordings show default --from $bucket"
"$baleen" recordings show default --from "$bucket"
