#!/usr/bin/env python3
"""Writes the conversations of a capture as fuzz seeds: a byte for the cuts, then turns of direction, length and bytes.

    tools/make_seed.py CAPTURE tshark-filter FOLDER NAME

makes FOLDER/NAME-0, NAME-1, … from the streams in which tshark finds what the filter says. Needs tshark.
"""
import collections
import pathlib
import struct
import subprocess
import sys


def rows(capture, display_filter, *fields):
    command = ["tshark", "-n", "-r", capture, "-Y", display_filter, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def seeds(capture, wanted, limit=30000):
    """The turns of each stream of `wanted`, the first packet's direction being the client's."""
    for layer in ("tcp", "udp"):
        streams = sorted({int(r[0]) for r in rows(capture, f"({wanted}) && {layer}", f"{layer}.stream") if r[0]})
        for stream in streams:
            turns, client = [], None
            quoted = rows(capture, f"{layer}.stream=={stream}", f"{layer}.srcport", "ip.src", "ipv6.src", f"{layer}.payload",
                          *(["tcp.seq"] if layer == "tcp" else []))
            seen = collections.defaultdict(int)
            for row in quoted:
                end, payload = tuple(row[:3]), row[3]
                client = client or end
                if not payload:
                    continue
                data = bytes.fromhex(payload.replace(":", "").split(",")[0])
                if layer == "tcp":
                    at = int(row[4])
                    if at < seen[end]:
                        continue  # sent again
                    seen[end] = at + len(data)
                turns.append((end != client, data))
            seed = bytes([7])
            for to_client, data in turns:
                for at in range(0, len(data), 0x7FFF):
                    piece = data[at:at + 0x7FFF]
                    if len(seed) + len(piece) > limit:
                        break
                    seed += struct.pack(">H", (0x8000 if to_client else 0) | len(piece)) + piece
            if len(seed) > 1:
                yield seed


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(seeds(sys.argv[1], sys.argv[2])):
        (folder / f"{sys.argv[4]}-{n}").write_bytes(seed)
        print(folder / f"{sys.argv[4]}-{n}", len(seed))
