#!/usr/bin/env python3
"""Transforms captures (mutations.py says how) and compares what `baleen dissect` makes of them before and after.

SAME: the items must be the same, whatever their ids and times. LESS: what is left must be in the whole capture, too: pairs of
the same two messages, and no protocol that the flow does not speak.

`metamorphic.py BALEEN` runs the chosen captures, as the test does; `--all` all of them, of `--captures DIR`; `--only FILE,...`
and `--mutations NAME,...` some; `--keep DIR` keeps the files that make a difference.
"""
import argparse
import collections
import ipaddress
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import captures as c
import losses  # noqa: F401 (registers)
import mutations
import segments  # noqa: F401
import wrappings  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60

# Small captures of as many protocols and ways of TCP as may be.
CHOSEN = ("beats/amqp_emit_receive.pcap", "beats/mysql_prepare_statement.pcap", "beats/thrift_tutorial.pcap",
          "beats/http_minitwit.pcap", "deepflow/redis/redis.pcap", "suricata/tcp-fastopen-01/tfo.pcap",
          "wireshark/tls12-dsb.pcapng", "wireshark/http2-brotli.pcapng", "zeek/ftp/ipv4.pcap", "zeek/smtp.pcap")
# What differs all the same: (capture, mutation) -> why. A row without a difference fails the test.
KNOWN = {
    ("zeek/smtp.pcap", "ipv6"): "messages of ICMP go on quoting IPv4",
}


def dissect(binary, path):
    began = time.monotonic()
    try:
        out = subprocess.run([binary, "dissect", path, "-o", "ndjson"], capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return [], None, SECONDS, ""
    return [json.loads(line) for line in out.stdout.splitlines()], out.returncode, time.monotonic() - began, out.stderr.decode(errors="replace")


def address(end):
    ip = end["ip"]
    if ip.startswith("64:ff9b::"):
        ip = str(ipaddress.ip_address(int(ipaddress.ip_address(ip)) & 0xFFFFFFFF))
    return ip, end["port"]


def name_of(item):
    return item["protocol"]["macro"] or item["protocol"]["name"]


TIMES = {"timestamp", "elapsedTime", "startTime", "rtt_us"}


def content(value):
    if isinstance(value, dict):
        return {k: content(v) for k, v in value.items() if k not in TIMES}
    return [content(v) for v in value] if isinstance(value, list) else value


def key_of(item):
    """What must not change."""
    return (name_of(item), address(item["src"]), address(item["dst"]), item["tls"],
            *(json.dumps(content(item.get(part)), sort_keys=True) for part in ("request", "response", "data", "error")))


def flow_of(item):
    return frozenset((address(item["src"]), address(item["dst"])))


def shown(key):
    return f"{key[0]} {key[1][0]}:{key[1][1]}>{key[2][0]}:{key[2][1]} " + " | ".join(part[:110] for part in key[4:] if part != "null")


def check_same(before, after, each_once=False):
    """`each_once`: how often an item is there does not matter."""
    one, two = collections.Counter(map(key_of, before)), collections.Counter(map(key_of, after))
    if each_once:
        one, two = (collections.Counter(set(counts)) for counts in (one, two))
    gone, new = list((one - two).elements()), list((two - one).elements())
    return [f"- {shown(k)}" for k in sorted(gone)] + [f"+ {shown(k)}" for k in sorted(new)]


def check_less(before, after):
    """Faults only: false protocols, and pairs that the whole capture pairs otherwise."""
    spoken, faults = collections.defaultdict(set), []
    for item in before:
        spoken[flow_of(item)].add(name_of(item))
    for said in spoken.values():  # half of a call of the one is a message of the other
        said |= {"http"} if "gql" in said else set()
        said |= {"http2"} if "grpc" in said else set()
    def part(item, which):
        return name_of(item), flow_of(item), json.dumps(content(item[which]), sort_keys=True)
    pairs = {(part(i, "request"), part(i, "response")[2]) for i in before if i.get("request") and i.get("response")}
    requests = {part(i, "request") for i in before if i.get("request")}
    responses = {part(i, "response") for i in before if i.get("response")}
    for item in after:
        if name_of(item) not in spoken[flow_of(item)]:
            said = sorted(spoken[flow_of(item)]) or "nothing"
            faults.append(f"! false ({said}): {shown(key_of(item))}")
        elif item.get("request") and item.get("response"):
            request, response = part(item, "request"), part(item, "response")
            if request in requests and response in responses and (request, response[2]) not in pairs:
                faults.append(f"! wrong pair: {shown(key_of(item))}")
    return faults


def run(job):
    options, file, capture, before, name = job
    rng = random.Random(f"{file.name}/{name}/{options.seed}")
    raw = mutations.apply(name, capture, rng)
    if raw is None:
        return file, name, None, 0
    with tempfile.NamedTemporaryFile(suffix=".pcapng", dir=options.keep) as out:
        out.write(raw)
        out.flush()
        after, code, took, errors = dissect(options.binary, out.name)
    if code != 0 and not (name.startswith("cut_file") and code == 1):
        return file, name, [f"! exit code {code}: {errors.strip()[-300:]}"], took
    # A datagram that comes twice is shown twice, as Wireshark counts it.
    faults = check_same(before, after, "twice" in name) if name in mutations.SAME else check_less(before, after)
    if took > 10:
        faults.append(f"! took {took:.1f} s")
    if options.keep and faults:
        (Path(options.keep) / f"{file.stem}.{name}.pcapng").write_bytes(raw)
    return file, name, faults, took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--captures", type=Path, default=Path(os.environ.get("BALEEN_SHARED") or ROOT / ".." / "shared") / "captures")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--mutations", default="")
    parser.add_argument("--most", type=int, default=3000, help="packets of a capture")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep")
    parser.add_argument("--lines", type=int, default=4)
    options = parser.parse_args()
    names = [n for n in [*mutations.SAME, *mutations.LESS]
             if not options.mutations or any(n.startswith(m) for m in options.mutations.split(","))]
    files = sorted(f for f in options.captures.rglob("*") if f.suffix in (".pcap", ".pcapng", ".cap"))
    if not options.captures.is_dir():
        print("SKIPPED: no shared captures (set BALEEN_SHARED)", file=sys.stderr)
        return 77
    wanted = options.only.split(",") if options.only else () if options.all else CHOSEN
    files = [f for f in files if not wanted or any(w in str(f) for w in wanted)]
    jobs = []
    for file in files:
        capture = c.read(file)
        if capture is None or not capture.packets or len(capture.packets) > options.most or not capture.ordinary:
            continue
        before, code, _, _ = dissect(options.binary, file)
        if code == 0 and before:
            jobs += [(options, file, capture, before, name) for name in names]
    totals, ran, known = collections.Counter(), 0, set()
    with ProcessPoolExecutor(2) as pool:
        for file, name, faults, took in pool.map(run, jobs, chunksize=4):
            ran += faults is not None
            place = str(file.relative_to(options.captures)), name
            if place in KNOWN and faults is not None:
                known.add(place)
                faults = [] if faults else ["! stale: known to differ, and does not"]
            for line in (faults or [])[:options.lines]:
                print(f"{file.relative_to(options.captures)}\t{name}\t{line}")
            if faults:
                totals[name] += len(faults)
                if len(faults) > options.lines:
                    print(f"{file.relative_to(options.captures)}\t{name}\t... {len(faults)} lines")
    print(f"{len(files)} captures, {ran} runs;", dict(totals.most_common()) or "no differences", f"({len(known)} known)")
    return 1 if totals else 0


if __name__ == "__main__":
    sys.exit(main())
