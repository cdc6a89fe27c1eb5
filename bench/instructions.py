#!/usr/bin/env python3
"""Instructions per item, which do not depend on the machine's other work: runs a micro-benchmark (or any command) under
callgrind and divides what was executed inside one function by how often another was called.

    bench/instructions.py --inside '*Http::dissect*' --per 'Output::finish' -- build/release/bin/http_bench --benchmark_filter=get/1$

`--inside` is callgrind's --toggle-collect pattern, `--per` a part of a function's name. Needs valgrind."""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile


def calls_of(out: pathlib.Path, part: str) -> int:
    """How often functions whose names contain `part` were called, by the calls= lines behind their cfn= lines."""
    names, callee, total = {}, "", 0
    for line in out.open():
        if match := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
            if match[2]:
                names[match[1]] = match[2]
            if line.startswith("cfn="):
                callee = names.get(match[1], "")
        elif line.startswith("calls=") and part in callee:
            total += int(line[6:].split()[0])
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", required=True)
    parser.add_argument("--per", required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={options.inside}",
             *options.command], capture_output=True, text=True)
        collected = re.search(r"Collected : (\d+)", run.stderr)
        calls = calls_of(out, options.per) if out.exists() else 0
    if run.returncode != 0 or collected is None or calls == 0:
        print(run.stderr, f"no call of {options.per} was seen", file=sys.stderr)
        return 1
    print(f"{int(collected[1]) / calls:.0f} instructions per call of {options.per} ({calls} calls)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
