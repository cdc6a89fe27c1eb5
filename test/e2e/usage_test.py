#!/usr/bin/env python3
"""What happens at a terminal besides the main job: readers that go, full outputs, places that are nearly right, mistyped names. Without a
network: captures of examples/."""
import re
from parts import *

bench = Bench("usage")
HTTP = ROOT / "examples/captures/http.pcap"


def baleen(*words, code=0, **how):
    done = subprocess.run([BALEEN, *map(str, words)], capture_output=True, text=True, cwd=bench.folder, **how)
    check(f"baleen {' '.join(map(str, words))[:90]}: {code}", done.returncode == code, done.stderr.strip()[-300:] if done.returncode != code else "")
    return done.stdout, done.stderr


def record(name, *words, code=0, to="bucket", capture=HTTP):
    return baleen("tap", "-q", "--pcap", capture, "--record", "http or dns", "--name", name, "--to", to, "--data-dir", f"data-{name}-{to}", *words, code=code)


record("one")

# ---- standard streams that are closed, or full ----
for words in (["query", "--from", "nowhere"], ["recordings", "ls", "--from", "bucket"], ["tap", "--pcap", HTTP, "--record", "http", "--to", "closed", "--data-dir", "d2"]):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([BALEEN, *map(str, words)], stdout=write, stderr=write, cwd=bench.folder)
    os.close(write)
    check(f"{words[0]} goes on without anybody who reads", done.returncode == (1 if words[0] == "query" else 0), done.returncode)
check("and has recorded", "http 6" in baleen("query", "--from", "closed", "-o", "count")[0])
for words in (["dissect", HTTP], ["dissect", HTTP, "-o", "ndjson"], ["recordings", "ls", "--from", "bucket"], ["query", "--from", "bucket", "-o", "ndjson"]):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BALEEN, *map(str, words)], stdout=full, stderr=subprocess.PIPE, cwd=bench.folder)
    check(f"{words[0]} says that its output is full", done.returncode == 1 and b"No space left" in done.stderr, done.stderr)
