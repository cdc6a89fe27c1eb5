#!/usr/bin/env python3
"""Queries of a large recording: a needle in a slow bucket, and a scan of all of it beside DuckDB on the same files.

    bench/query.py [--recording FOLDER] [--blocks 1000] [--items 50000] [--captures FILE...] [--delay 0.03] [--rounds 3]

FOLDER keeps the recording (6 GiB with the defaults; it is made when it is not there, by make_recording, out of the captures).
The bucket is bench/bucket_server.py. Prints goals beside what was measured. The programs are those of build/release/bin."""
import argparse
import ctypes
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
MINUTE = ["--since", "2026-01-01T00:04:00Z", "--until", "2026-01-01T00:05:00Z"]
BEGIN_OF_BLOCK = ["--since", "2026-01-01T00:06:30Z", "--until", "2026-01-01T00:07:30Z"]  # streams have packets there
FOUND_ON = 'http and node.name == "node-3" and response.status == 404'  # which of its pods have any depends on the captures


class Slow:
    """The slow bucket."""

    def __init__(self, folder: pathlib.Path, delay: float):
        self.process = subprocess.Popen([ROOT / "bench/bucket_server.py", folder, "--delay", str(delay)],
                                        stdout=subprocess.PIPE, text=True)
        self.endpoint = json.loads(self.process.stdout.readline().removeprefix("ready "))["endpoint"]

    def counters(self) -> dict:
        with urllib.request.urlopen(self.endpoint + "/__counters") as answer:
            return json.loads(answer.read())

    def close(self):
        self.process.kill()
        self.process.wait()


def run(endpoint: str, *arguments) -> tuple:
    """Seconds to the first byte of output and to the end, lines, what it says of itself. An empty cache each time."""
    with tempfile.TemporaryDirectory() as cache:
        begin = time.monotonic()
        process = subprocess.Popen([BIN / "baleen", "query", *arguments, "--cache", cache], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, "STORAGE_EMULATOR_HOST": endpoint})
        first = process.stdout.read(1)
        first_at = time.monotonic() - begin
        rest = process.stdout.read()
        said = process.stderr.read().decode().strip()
        if process.wait() not in (0,):
            sys.exit(said)
        return first_at, time.monotonic() - begin, (first + rest), said


def needle(slow: Slow, total: int, rounds: int):
    _, _, out, _ = run(slow.endpoint, "--from", "gs://bench", "--kfl", FOUND_ON, *MINUTE, "-o", "ndjson", "--limit", "1")
    if not out:
        sys.exit("no pod of node-3 got a 404 in that minute: other captures are needed")
    kfl = f'http and src.name == "{json.loads(out)["src"]["name"]}" and response.status == 404'
    firsts = []
    for _ in range(rounds):
        slow.counters()
        first, whole, out, _ = run(slow.endpoint, "--from", "gs://bench", "--kfl", kfl, *MINUTE, "-o", "ndjson")
        cost = slow.counters()
        firsts.append(first)
    rows = out.splitlines()
    print(f"needle: first row after {statistics.median(firsts):.2f} s (goal 2), {cost['requests']} requests (40), "
          f"{cost['bytes'] / 1e6:.1f} MB = {cost['bytes'] / total:.3%} of the recording (0.5%), {len(rows)} rows")


def one_stream(slow: Slow):
    """The packets of the first stream of a block, found by its pod and its name."""
    _, _, out, _ = run(slow.endpoint, "--from", "gs://bench", "--kfl", 'http and node.name == "node-3"', *BEGIN_OF_BLOCK,
                       "--limit", "1", "-o", "ndjson")
    row = json.loads(out)
    slow.counters()
    first, whole, out, said = run(slow.endpoint, "--from", "gs://bench", "--kfl",
                                  f'src.name == "{row["src"]["name"]}" and stream == "{row["stream"]}"',
                                  *BEGIN_OF_BLOCK, "-o", "pcapng")
    cost = slow.counters()
    print(f"packets of one stream: {whole:.2f} s, {cost['requests']} requests, {cost['bytes'] / 1e6:.1f} MB; {said}")


def first_page(slow: Slow):
    slow.counters()
    first, whole, out, _ = run(slow.endpoint, "--from", "gs://bench", "--kfl", "http", "--limit", "100", "-o", "ndjson")
    cost = slow.counters()
    print(f"the first 100 of all: first row after {first:.2f} s, all after {whole:.2f} s, {cost['requests']} requests, "
          f"{cost['bytes'] / 1e6:.1f} MB")


def duckdb(sql: str, threads: int) -> tuple:
    """Seconds of the statement, the same with loading and opening DuckDB, and the one number that the statement gives; by the
    published library in a process of its own, as ours is one."""
    def other_process(pipe):
        begin = time.monotonic()
        library = ctypes.CDLL(str(next((ROOT / "third_party/duckdb/lib").glob("libduckdb.so*"))))
        database, connection = ctypes.c_void_p(), ctypes.c_void_p()
        result = (ctypes.c_uint64 * 16)()
        library.duckdb_value_int64.restype = ctypes.c_int64
        library.duckdb_value_int64.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
        assert library.duckdb_open(None, ctypes.byref(database)) == 0
        assert library.duckdb_connect(database, ctypes.byref(connection)) == 0
        assert library.duckdb_query(connection, f"SET threads = {threads}".encode(), ctypes.byref(result)) == 0
        opened = time.monotonic()
        if library.duckdb_query(connection, sql.encode(), ctypes.byref(result)) != 0:
            library.duckdb_result_error.restype = ctypes.c_char_p
            sys.exit(f"DuckDB: {library.duckdb_result_error(ctypes.byref(result)).decode()}")
        end = time.monotonic()
        pipe.send((end - opened, end - begin, library.duckdb_value_int64(ctypes.byref(result), 0, 0)))

    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=other_process, args=(sender,))
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit("DuckDB failed")
    return receiver.recv()


SCANS = [
    ("by columns", 'http and response.status == 404', "status = 404 AND protocol = 'http'"),
    ("by text within JSON", 'http and request.path.contains("zzz")', "protocol = 'http' AND json LIKE '%zzz%'"),
    ("by a field of JSON", 'request.path == "/zzz\\t"', "json_extract_string(json, '$.request.path') = '/zzz'"),
]


def scans(folder: pathlib.Path, rounds: int):
    files = f"read_parquet('{folder}/recording=bench/items/**/*.parquet')"
    threads = len(os.sched_getaffinity(0))
    for name, kfl, where in SCANS:
        ours, theirs, started = [], [], []
        for _ in range(rounds):
            _, seconds, out, said = run("", "--from", str(folder), "--kfl", kfl, "-o", "count")
            ours.append(seconds)
            seconds, with_start, found = duckdb(f"SELECT count(*) FROM {files} WHERE {where}", threads)
            theirs.append(seconds), started.append(with_start)
        mine, query, whole = map(statistics.median, (ours, theirs, started))
        print(f"scan {name}: {mine:.2f} s ({out.decode().strip()} found), DuckDB with {threads} threads {whole:.2f} s, of which its query "
              f"{query:.2f} ({found}): {mine / whole:.2f}x, of the query {mine / query:.2f}x (goal 1.2)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=pathlib.Path, default=ROOT / "bench/out/recording")
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("--items", type=int, default=50000, help="of each block")
    parser.add_argument("--captures", nargs="+", type=pathlib.Path, default=[])
    parser.add_argument("--delay", type=float, default=0.03)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scans", action="store_true", help="only the scans, or without it all")
    options = parser.parse_args()
    if not options.recording.exists():
        if not options.captures:
            sys.exit("there is no recording yet: say out of which --captures")
        options.recording.mkdir(parents=True)
        subprocess.run([BIN / "make_recording", options.recording, str(options.blocks), str(options.items),
                        *options.captures], check=True)
    subprocess.run([BIN / "baleen", "recordings", "compact", "bench", "--from", options.recording], check=True,
                   stdout=subprocess.DEVNULL)
    total = sum(f.stat().st_size for f in options.recording.rglob("*") if f.is_file())
    print(f"recording of {total / 2**30:.1f} GiB; each request takes {options.delay * 1000:.0f} ms longer")
    if not options.scans:
        slow = Slow(options.recording, options.delay)
        try:
            needle(slow, total, options.rounds)
            one_stream(slow)
            first_page(slow)
        finally:
            slow.close()
    scans(options.recording, options.rounds)


if __name__ == "__main__":
    main()
