#!/usr/bin/env python3
"""Runs `baleen dissect` over every shared capture and compares with what tshark counted.

For each capture the program must end by itself with exit code 0, within a time and within a peak resident size (also under
sanitizers: BALEEN_SANITIZED says that they are in, and loosens both). Then requests and responses of each protocol must be
tshark's, or a row of docs/reference/oracle-differences.md must say what they are and why. A row fails the test when it is
stale: its capture is gone, its counts are not the program's any more, or there is no difference left.

MySQL, PostgreSQL and MongoDB count answers otherwise than items do; their tests compare them (oracle-differences-db.md).
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = bool(os.environ.get("BALEEN_SANITIZED"))
SECONDS = 60 if SANITIZED else 20
MEGABYTES = 1024 if SANITIZED else 256

# The table's name of a protocol and ours.
NAMES = {"http": "http", "dns": "dns", "mdns": "mdns", "llmnr": "llmnr", "redis": "redis", "kafka": "kafka",
         "amqp": "amqp", "ldap": "ldap", "radius": "radius", "diameter": "diameter", "mqtt(packets)": "mqtt",
         "sip": "sip", "smtp": "smtp", "ftp": "ftp", "cql": "cassandra", "memcache": "memcached", "ntp": "ntp",
         "dhcp": "dhcp", "tls(hello)": "tlsx", "http2": "http2", "http(decrypted)": "http", "http2(decrypted)": "http2"}


def tshark_counts(path):
    counts = collections.defaultdict(dict)
    for line in path.read_text().splitlines():
        cells = line.split("\t")
        if line.startswith(("#", "file\t")) or len(cells) < 4:
            continue
        mine = counts[cells[0]]
        if cells[1] in NAMES:
            mine[NAMES[cells[1]]] = (int(cells[2]), int(cells[3]))
    return counts


def explained(path):
    """The rows of the page: (capture, protocol) -> our counts."""
    rows = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or len(cells) != 5 or cells[0] in ("capture", "---"):
            continue
        capture, protocol, _, ours, why = cells
        if not why:
            sys.exit(f"{path.name}: no reason for {capture} {protocol}")
        requests, responses = ours.split("/")
        rows[capture, protocol] = (int(requests), int(responses))
    return rows


def dissect(binary, capture):
    """Its output, exit code (None: it did not end in time), seconds and peak megabytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        child = subprocess.Popen([binary, "dissect", str(capture), "-o", "ndjson"], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=errors)
        alarm = threading.Timer(SECONDS, child.kill)
        alarm.start()
        _, status, used = os.wait4(child.pid, 0)
        alarm.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - began
        out.seek(0)
        errors.seek(0)
        return out.read(), errors.read().decode(errors="replace"), child.returncode, took, used.ru_maxrss // 1024


def count(output):
    requests, responses, lone = collections.Counter(), collections.Counter(), collections.Counter()
    for line in output.splitlines():
        item = json.loads(line)
        name = item["protocol"]["macro"] or item["protocol"]["name"]
        requests[name] += item.get("request") is not None
        responses[name] += item.get("response") is not None
        lone[name] += item.get("data") is not None
    for name in ("amqp", "mqtt"):  # tshark counts both directions together
        requests[name] += responses[name]
        responses[name] = 0
    for name in ("ftp", "smtp"):  # replies that nobody asked for
        responses[name] += lone[name]
    requests["http2"] += requests["grpc"]
    responses["http2"] += responses["grpc"]
    return {name: (requests[name], responses[name]) for name in NAMES.values()}


def main():
    binary = sys.argv[1]
    captures = Path(os.environ.get("BALEEN_SHARED") or ROOT / ".." / "shared") / "captures"
    if not (captures / "oracle_counts.tsv").exists():
        print("SKIPPED: no shared captures (set BALEEN_SHARED)", file=sys.stderr)
        return 77
    tshark = tshark_counts(captures / "oracle_counts.tsv")
    rows = explained(ROOT / "docs/reference/oracle-differences.md")
    failures, compared, slowest, largest = [], 0, (0, ""), (0, "")
    files = [line.split("\t")[0] for line in (captures / "MANIFEST.tsv").read_text().splitlines()[1:]]
    files = sorted({f for f in files if f.endswith((".pcap", ".pcapng", ".cap"))} | set(tshark))
    for file in files:
        if not (captures / file).exists():
            failures.append(f"{file}: named by the captures' tables, but not there")
            continue
        output, errors, code, took, megabytes = dissect(binary, captures / file)
        slowest, largest = max(slowest, (round(took, 2), file)), max(largest, (megabytes, file))
        if code != 0 or "Sanitizer" in errors or "runtime error" in errors:
            failures.append(f"{file}: exit code {code} after {took:.1f} s (limit {SECONDS}): {errors.strip()[-600:]}")
            continue
        if megabytes > MEGABYTES:
            failures.append(f"{file}: {megabytes} MB resident, limit {MEGABYTES}")
        if file not in tshark:  # tshark counted nothing here: only the limits are asked for
            continue
        for name, ours in count(output).items():
            theirs = tshark[file].get(name, (0, 0))
            row = rows.pop((file, name), None)
            compared += 1
            if row is None and ours != theirs:
                failures.append(f"{file} {name}: ours {ours}, tshark {theirs}, and no row says why")
            elif row is not None and ours == theirs:
                failures.append(f"{file} {name}: stale row, both count {ours}")
            elif row is not None and ours != row:
                failures.append(f"{file} {name}: stale row, it says {row}, ours {ours}, tshark {theirs}")
    failures += [f"{file} {name}: stale row, nothing to compare" for file, name in rows]
    print(f"{len(files)} captures, {compared} counts; slowest {slowest[0]} s {slowest[1]}; largest {largest[0]} MB {largest[1]}")
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
