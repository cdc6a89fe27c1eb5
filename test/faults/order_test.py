#!/usr/bin/env python3
"""What a loss of power cannot undo: the order in which files are written, synced and named, seen by strace. A file has its
bytes on the disk before it gets its name; a folder is synced before what depends on its entries goes on; journals are synced
while a block is open, and removed only when what was made of them is safe; the record comes last, in the spool and in the
bucket."""
import re
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1] / "e2e"))
from parts import *
from contents import Capture

CALLS = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,linkat,unlink,unlinkat,rmdir,ftruncate"


class Trace:
    """Calls in the order in which they ended: (name, text, number)."""

    def __init__(self, file):
        pending, self.calls = {}, []
        for line in open(file, errors="replace"):
            pid, _, text = line.partition(" ")
            text = text.strip()
            if text.endswith("<unfinished ...>"):
                pending[pid] = text.removesuffix("<unfinished ...>")
                continue
            if text.startswith("<..."):
                text = pending.pop(pid, "") + re.sub(r"^<\.\.\. \w+ resumed>", "", text)
            name = text.split("(", 1)[0]
            if re.search(r"= 0|= \d+", text):
                self.calls.append((name, text))

    def at(self, names, *parts, after=-1, before=None):
        """The first such call whose text has all parts, or None."""
        for n in range(after + 1, len(self.calls) if before is None else before):
            name, text = self.calls[n]
            if name in names and all(p in text for p in parts):
                return n
        return None

    def last(self, names, *parts, before):
        found = None
        for n in range(before):
            name, text = self.calls[n]
            if name in names and all(p in text for p in parts):
                found = n
        return found


RENAME, SYNC, WRITE, UNLINK = ("rename", "renameat", "renameat2", "linkat"), ("fsync", "fdatasync"), ("write", "pwrite64", "writev"), ("unlink", "unlinkat")


def synced_before_named(trace, temporary, name):
    """The number of the call that gives the file its name; its bytes were on the disk by then."""
    named = trace.at(RENAME, temporary, name)
    check(f"{name} gets its name", named is not None)
    sync = trace.last(SYNC, temporary, before=named)
    write = trace.last(WRITE, temporary, before=named)
    check(f"{name}: synced before it has its name, and not written after that", sync is not None and (write or -1) < sync)
    return named


def spool_order(trace):
    names = [synced_before_named(trace, f"{n}.part", f"/{n}\"") for n in ("owner.json", "packets.order", "items.parquet", "block.json")]
    written = trace.last(WRITE, "packets.journal", before=names[-1])
    synced = trace.last(SYNC, "packets.journal", before=names[-1])
    check("packets are on the disk before the record is named", written is not None and synced is not None and written < synced)
    check("the record is named last", names == sorted(names))
    moved = trace.at(RENAME, "/spool/open/", "/spool/ready/")
    folder = trace.at(("fsync",), "/spool/open/", ">)", after=names[-1], before=moved)
    check("the block's folder is synced before it moves", moved is not None and folder is not None)
    gone = trace.at(UNLINK, "items.journal")
    check("the items' journal goes after that", gone is not None and gone > folder)
    gone = trace.at(UNLINK, "packets.journal")
    check("that of packets stays", gone is None or gone > moved)
    check("and the move is synced before its upload begins", (n := trace.at(("fsync",), "/spool/ready>", after=moved)) is not None)
    return n


def bucket_order(trace, bucket):
    placed = []
    for kind in ("packets/", "items/", "blocks/"):
        named = trace.at(RENAME, f"{bucket.name}/recording=", kind)
        if named is None:  # by a descriptor of its folder
            named = next((n for n, (name, text) in enumerate(trace.calls) if name in RENAME and f"/{kind}date=" in text and bucket.name in text), None)
        check(f"{kind} gets its object", named is not None)
        temporary = re.search(r'"([^"]*/[0-9a-f]{24})"', trace.calls[named][1])
        check(f"{kind} its bytes are on the disk by then", temporary is not None and
              trace.last(SYNC, temporary[1], before=named) is not None)
        check(f"{kind} its folder is synced", trace.at(("fsync",), f"/{kind}date=", after=named) is not None)
        placed.append(named)
    check("packets, items, then the record", placed == sorted(placed))
    done = trace.at(RENAME, "/spool/ready/", "/spool/done/")
    record = trace.at(("fsync",), "/blocks/date=", after=placed[-1])
    check("the block leaves the spool when its record is safe", done is not None and record is not None and record < done)


need("strace", "tcpreplay", "ip", root=True)
bench = Bench("order")
capture = Capture(bench.folder / "in.pcap", 30, 4000)
trace_file, bucket = bench.folder / "trace", bench.folder / "bucket"
command = ["strace", "-f", "-y", "-s", "256", "-e", f"trace={CALLS}", "-o", trace_file, BALEEN, "tap", "-q"]
probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
if probe.returncode != 0:
    print(f"SKIPPED: nobody may trace here: {probe.stderr}")
    sys.exit(SKIPPED)
run(*command, "--pcap", capture.path, "--record", "http", "--to", bucket, "--data-dir", bench.folder / "data")
trace = Trace(trace_file)
check("there is something to look at", len(trace.calls) > 20, len(trace.calls))
spool_order(trace)
bucket_order(trace, bucket)

# Live: what has come is on the disk within a second or two, while the block is open and long before it is closed.
bench.network()
live = bench.folder / "trace-live"
command = [live if c == trace_file else c for c in command]
tap = bench.start(bench.inside + [*command, "-i", "bl0", "--record", "http", "--to", bench.folder / "bucket2", "--data-dir",
                                  bench.folder / "data2"], stderr=open(bench.folder / "tap.log", "w"), cwd=bench.folder)
eventually("capturing", lambda: (bench.folder / "data2/spool/lock").exists(), 30)
time.sleep(3)
run(*bench.outside, "tcpreplay", "-q", "-i", "bl1", "--pps", "2000", capture.path)
eventually("it is written to a journal", lambda: any(f.stat().st_size for f in (bench.folder / "data2/spool/open").glob("*/packets.journal")), 30)
eventually("and synced", lambda: (t := Trace(live)) and (w := t.at(WRITE, "packets.journal")) is not None and
           t.at(SYNC, "packets.journal", after=w) is not None, 10)
subprocess.run(["pkill", "-INT", "-P", str(tap.pid)])
tap.wait(timeout=60)
check("what came live was synced while its block was open", True)
