#!/usr/bin/env python3
"""Makes this folder with the binary of an older commit:   make.py BALEEN COMMIT
`data/spool` has a finished block (its bucket was away) and an open one (its process was killed), `bucket` what a third run
had uploaded. What is in them stands in expected.json. Made once, and never again: readers read it for ever."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from contents import Capture  # noqa: E402

baleen, commit = sys.argv[1:]
with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    ready, journals, sent = (Capture(scratch / f"{n}.pcap", 6, 600, 1_700_000_000 + 1000 * n, 10 * n) for n in range(3))
    away = scratch / "away"
    away.write_text("no folder")

    def tap(capture, to, *more, **options):
        return subprocess.Popen([baleen, "tap", "-q", "--pcap", str(capture), "--record", "http", "--to", str(to), "--set",
                                 "node.name=old-node", *map(str, more)], **options)

    tap(ready.path, away, "--data-dir", scratch / "data", "--upload-wait", "0s").wait()
    killed = tap("-", away, "--data-dir", scratch / "data2", stdin=subprocess.PIPE)
    killed.stdin.write(journals.path.read_bytes())
    killed.stdin.flush()
    deadline = time.monotonic() + 60
    while not any(f.stat().st_size for f in (scratch / "data2/spool/open").glob("*/items.journal")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    killed.kill()
    killed.wait()
    tap(sent.path, scratch / "bucket", "--data-dir", scratch / "data3").wait()
    for name in ("data", "bucket"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    for part, source in (("ready", "data"), ("open", "data2")):
        for block in (scratch / source / "spool" / part).glob("*"):
            shutil.copytree(block, HERE / "data/spool" / part / block.name)
    shutil.copytree(scratch / "bucket", HERE / "bucket", ignore=shutil.ignore_patterns(".*"))
    for owner in (HERE / "data").rglob("owner.json"):
        facts = json.loads(owner.read_text())
        facts["destination"] = "file:///old-bucket"
        owner.write_text(json.dumps(facts))
    version = json.loads(next((HERE / "bucket").rglob("blocks/**/*.json")).read_text())["schema_version"]
    (HERE / "expected.json").write_text(json.dumps({
        "commit": commit, "schema_version": version, "spool_packets": len(ready.packets) + len(journals.packets),
        "spool_paths": ready.paths + journals.paths, "bucket_paths": sent.paths}, indent=1) + "\n")
