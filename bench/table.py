#!/usr/bin/env python3
"""What one item costs in every micro-benchmark, kept by commit: speed, instructions and allocations.

    bench/table.py [--only redis,kafka] [--write]

Runs all benchmarks of the dissectors in build/release/bin: as they are, for speed, and twice under callgrind, for
instructions and calls of malloc per item, which do not depend on the machine's other work. --write puts the rows of this
commit into bench/results.tsv in place of its earlier ones. Needs valgrind."""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "bench" / "results.tsv"
COLUMNS = ["commit", "benchmark", "million_items_s", "MB_s", "instructions_per_item", "allocations_per_item"]
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"}
CLONES = ("", " [clone .lto_priv.0]", " [clone .lto_priv.1]")  # what optimizing at link time calls a function of several files
SKIPPED = ("idle_connection", "iterations:1")  # they measure memory, not speed


def names_of(binary: pathlib.Path) -> list:
    listed = subprocess.run([binary, "--benchmark_list_tests"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if not any(part in name for part in SKIPPED)]


def speed(binary: pathlib.Path, name: str) -> dict:
    """Items and bytes per second, and items per iteration; {} when it counts no items."""
    run = subprocess.run([binary, f"--benchmark_filter=^{re.escape(name)}$", "--benchmark_format=json",
                          "--benchmark_min_time=0.2"], capture_output=True, text=True, check=True)
    result = json.loads(run.stdout)["benchmarks"][0]
    per_second = result.get("items_per_second")
    if not per_second:
        return {}
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[result["time_unit"]]
    return {"items": per_second, "bytes": result.get("bytes_per_second", 0.0),
            "allocations": result.get("allocations_per_item"),
            "per_iteration": per_second * result["cpu_time"] * unit}


def allocator_calls(out: pathlib.Path) -> int:
    """Calls from outside of the allocator, by the calls= lines behind their cfn= lines."""
    names, caller, callee, total = {}, "", "", 0
    with out.open() as lines:
        for line in lines:
            if match := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line):
                if match[3]:
                    names[match[2]] = match[3]
                if match[1] == "cfn":
                    callee = names.get(match[2], "")
                else:
                    caller = names.get(match[2], "")
            elif line.startswith("calls=") and callee in ALLOCATORS and caller not in ALLOCATORS:
                total += int(line[6:].split()[0])
    return total


def counted(binary: pathlib.Path, name: str, seconds: float) -> tuple:
    """Instructions, allocations and iterations inside the benchmark's function, over all its runs."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
             *(f"--toggle-collect=*(benchmark::State&){clone}" for clone in CLONES), binary, f"--benchmark_filter=^{re.escape(name)}$", f"--benchmark_min_time={seconds}", "--v=2"],
            capture_output=True, text=True, check=False)
        collected = re.search(r"Collected : (\d+)", run.stderr)
        iterations = sum(int(n) for n in re.findall(r"Running \S+ for (\d+)", run.stderr))
        if run.returncode != 0 or collected is None or int(collected[1]) == 0 or iterations == 0:
            sys.exit(f"{binary.name} {name}: {run.stderr[-500:]}")
        return int(collected[1]), allocator_calls(out), iterations


def cost(binary: pathlib.Path, name: str) -> tuple:
    """Of one iteration, in the steady state: the difference between a short and a long run holds no set-up."""
    short = counted(binary, name, 0.05)
    for seconds in (0.5, 5.0):  # the first iteration alone may take longer than half a second
        long = counted(binary, name, seconds)
        more = long[2] - short[2]
        if more > 0:
            break
    else:
        return long[0] / long[2], long[1] / long[2]
    return (long[0] - short[0]) / more, max(0.0, (long[1] - short[1]) / more)


def commit() -> str:
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True, check=True).stdout
    return name + ("+" if dirty else "")


def write(rows: list, now: str):
    old = TABLE.read_text().splitlines()[1:] if TABLE.exists() else []
    replaced = {row[1] for row in rows}
    kept = [line for line in old if line.split("\t")[0] != now or line.split("\t")[1] not in replaced]
    TABLE.write_text("\n".join(["\t".join(COLUMNS), *kept, *("\t".join(row) for row in rows)]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of benchmarks' programs, without _bench")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    protocols = sorted(p.parent.name for p in (ROOT / "src" / "dissect").glob("*/*_bench.cpp"))
    wanted = options.only.split(",") if options.only else protocols
    now, rows = commit(), []
    print(f"{'':44}{'M items/s':>10}{'MB/s':>9}{'instr/item':>12}{'allocs/item':>12}")
    for protocol in wanted:
        binary = ROOT / "build" / "release" / "bin" / f"{protocol}_bench"
        for name in names_of(binary):
            fast = speed(binary, name)
            if not fast:
                continue
            instructions, allocations = (n / fast["per_iteration"] for n in cost(binary, name))
            if fast["allocations"] is not None:  # counted by the benchmark itself, without what it does at its start
                allocations = fast["allocations"]
            row = [now, f"{protocol}/{name}", f"{fast['items'] / 1e6:.3f}", f"{fast['bytes'] / 1e6:.0f}",
                   f"{instructions:.0f}", f"{allocations:.3f}"]
            rows.append(row)
            print(f"{row[1]:44}{row[2]:>10}{row[3]:>9}{row[4]:>12}{row[5]:>12}", flush=True)
    if options.write:
        write(rows, now)
    return 0


if __name__ == "__main__":
    sys.exit(main())
