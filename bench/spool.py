#!/usr/bin/env python3
"""How fast a spool is written, beside `dd oflag=direct` on the same disk in the same minute.

    bench/spool.py [FOLDER] [--gigabytes 1] [--rounds 3]

Blocks are written as a recorder writes them (bench/write_spool.cpp: journal, then the finished block, synced). The binary is
build/release/bin/write_spool, or --program. Rounds alternate; medians are printed: MB/s of packets, CPU seconds per GB."""
import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def dd(folder, gigabytes):
    file = folder / "dd"
    done = subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=4M", f"count={int(gigabytes * 1e9 / (4 << 20)) + 1}", "oflag=direct",
                           "conv=fsync"], capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    file.unlink()
    found = re.search(r"(\d+) bytes.*, ([\d.]+) s,", done.stderr)
    if not found:
        sys.exit(f"dd: {done.stderr}")
    return int(found[1]) / float(found[2]) / 1e6


def spool(program, folder, gigabytes):
    place = folder / "spool"
    (place / "open").mkdir(parents=True)
    done = subprocess.run([program, place, str(gigabytes)], capture_output=True, text=True)
    shutil.rmtree(place)
    if done.returncode != 0:
        sys.exit(done.stderr)
    size, took, user, system = map(float, done.stdout.split())
    return size / took / 1e6, user / size * 1e9, system / size * 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/write_spool"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="baleen-bench-", dir=options.folder) as scratch:
        for _ in range(options.rounds):
            rows.append((dd(pathlib.Path(scratch), options.gigabytes), *spool(options.program, pathlib.Path(scratch), options.gigabytes)))
            print("  dd %.0f MB/s, spool %.0f MB/s, CPU %.2f + %.2f s/GB" % rows[-1], flush=True)
    disk, ours, user, system = (statistics.median(column) for column in zip(*rows))
    print(f"spool {ours:.0f} MB/s, dd {disk:.0f} MB/s: {100 * ours / disk:.0f} %; CPU {user + system:.2f} s/GB (user {user:.2f}, system {system:.2f})")


if __name__ == "__main__":
    main()
