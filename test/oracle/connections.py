#!/usr/bin/env python3
"""Compares what `baleen dissect --dissectors tcp-conn` says of each shared capture's TCP connections with tshark's analysis.

Sums over a capture: connections, packets, bytes of IP packets, and the numbers of tcp.analysis.*. What differs must stand in
docs/reference/oracle-differences-tcp.md with its reason, and a row there must not be stale. `--write` prints the table's rows
anew, with the reasons that are known."""
import collections
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/oracle-differences-tcp.md"
METRICS = {"retransmissions": "tcp.analysis.retransmission", "fast_retransmissions": "tcp.analysis.fast_retransmission",
           "out_of_order": "tcp.analysis.out_of_order", "dup_acks": "tcp.analysis.duplicate_ack",
           "missing_segments": "tcp.analysis.lost_segment", "zero_window_events": "tcp.analysis.zero_window",
           "window_full_events": "tcp.analysis.window_full", "keepalive_count": "tcp.analysis.keep_alive",
           "rst_count": "tcp.flags.reset", "fin_count": "tcp.flags.fin"}
NAMES = ["connections", "packets", "bytes", *METRICS]


def theirs(capture):
    fields = ["frame.protocols", "tcp.stream", "ip.len", "ipv6.plen", "icmp.type", "icmpv6.type", *METRICS.values()]
    command = ["tshark", "-n", "-r", capture, "-Y", "tcp", "-T", "fields", "-E", "occurrence=l", "-E", "separator=|"]
    out = subprocess.run([*command, *[a for f in fields for a in ("-e", f)]], capture_output=True, text=True, timeout=120).stdout
    counts, streams = collections.Counter(), set()
    for line in out.splitlines():
        cells = dict(zip(fields, line.split("|")))
        if cells["icmp.type"] or cells["icmpv6.type"]:
            continue  # quoted
        streams.add(cells["tcp.stream"])
        counts["packets"] += 1
        inner = [layer for layer in cells["frame.protocols"].split(":") if layer in ("ip", "ipv6")][-1]
        counts["bytes"] += int(cells["ipv6.plen"]) + 40 if inner == "ipv6" else int(cells["ip.len"])
        for name, field in METRICS.items():
            counts[name] += cells[field] not in ("", "0")
    counts["connections"] = len(streams)
    return {name: counts[name] for name in NAMES}


def ours(binary, capture):
    out = subprocess.run([binary, "dissect", capture, "--dissectors", "tcp-conn", "-o", "ndjson"], capture_output=True, timeout=60)
    if out.returncode != 0:
        sys.exit(f"{capture}: exit {out.returncode}: {out.stderr.decode()[-400:]}")
    counts, last = collections.Counter(), {}
    for line in out.stdout.splitlines():
        item = json.loads(line)
        last[item["stream"]] = item["data"]  # a connection that goes on says so from time to time
    for data in last.values():
        counts["connections"] += 1
        counts["packets"] += data["local_pkts"] + data["remote_pkts"]
        counts["bytes"] += data["local_bytes"] + data["remote_bytes"]
        for name in METRICS:
            counts[name] += data["tcp_metrics"][name]
    return {name: counts[name] for name in NAMES}


def explained():
    rows = {}
    for line in PAGE.read_text().splitlines() if PAGE.exists() else []:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 5 and cells[0] not in ("capture", "---"):
            rows[cells[0], cells[1]] = (int(cells[2]), int(cells[3]), cells[4])
    return rows


def main():
    write = "--write" in sys.argv
    binary = sys.argv[1]
    captures = Path(os.environ.get("BALEEN_SHARED") or ROOT / ".." / "shared") / "captures"
    if not captures.is_dir() or not shutil.which("tshark"):
        print("SKIPPED: no shared captures (set BALEEN_SHARED), or no tshark", file=sys.stderr)
        return 77
    files = sorted(f for f in captures.rglob("*") if f.suffix in (".pcap", ".pcapng", ".cap"))
    with ThreadPoolExecutor(2) as pool:
        pairs = list(pool.map(lambda f: (theirs(f), ours(binary, f)), files))
    rows, failures, compared = explained(), [], 0
    for file, (their, our) in zip(files, pairs):
        name = str(file.relative_to(captures))
        for what in NAMES:
            compared += 1
            row = rows.pop((name, what), None)
            if write and their[what] != our[what]:
                print(f"| {name} | {what} | {their[what]} | {our[what]} | {row[2] if row else ''} |")
            elif not write and row is None and their[what] != our[what]:
                failures.append(f"{name} {what}: tshark {their[what]}, ours {our[what]}, and no row says why")
            elif not write and row is not None and (row[:2] != (their[what], our[what]) or their[what] == our[what]):
                failures.append(f"{name} {what}: stale row {row[:2]}, tshark {their[what]}, ours {our[what]}")
            elif not write and row is not None and not row[2]:
                failures.append(f"{name} {what}: a row without a reason")
    failures += [f"{name} {what}: stale row, nothing to compare" for name, what in rows if not write]
    if not write:
        print(f"{len(files)} captures, {compared} numbers")
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
