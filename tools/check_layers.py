#!/usr/bin/env python3
"""Holds the source tree to src/layers.txt: a folder may include itself and folders on lines above it; folders on one line do
not know each other. Prints every include that breaks this, and exits with 1 if there is one."""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"/]+)/')


def main() -> int:
    source = pathlib.Path(__file__).resolve().parent.parent / "src"
    level = {}
    for number, line in enumerate((source / "layers.txt").read_text().split("\n")):
        for folder in line.split():
            level[folder] = number
    wrong = []
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".h", ".cpp", ".c", ".def"}:
            continue
        folder = path.relative_to(source).parts[0]
        if folder not in level:
            wrong.append(f"{path.relative_to(source.parent)}: folder '{folder}' is not in src/layers.txt")
            continue
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            match = INCLUDE.match(line)
            if not match or match[1] == folder:
                continue
            other = match[1]
            if other in level and level[other] < level[folder]:
                continue
            if other not in level and not (source / other).is_dir():
                continue  # another project's header
            wrong.append(f"{path.relative_to(source.parent)}:{number}: {folder} must not include {other}")
    print("\n".join(wrong) if wrong else "layers: all includes go upwards")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
