#!/usr/bin/env python3
"""kill -9 in the middle of traffic, several times: what was in the spool reaches the folder, once."""
import random
import re
import threading
from parts import *

need("ip", "nginx", "curl", root=True)
bench = Bench("crash")
bench.network()
bench.nginx()
seed = int(os.environ.get("BALEEN_E2E_SEED", time.time_ns() % 100000))
random.seed(seed)
print("BALEEN_E2E_SEED =", seed)
sent, going = [0], threading.Event()
going.set()


def traffic():
    while going.is_set():
        bench.curl(*[f"/n/{sent[0] + i}" for i in range(20)])
        sent[0] += 20


to = bench.folder / "bucket"
thread = threading.Thread(target=traffic, daemon=True)
thread.start()
spooled = set()
for turn in range(4):
    tap = bench.tap("-i", "bl0", "--record", "http", "--to", to)
    time.sleep(random.uniform(0.3, 2.5))
    tap.kill()
    tap.wait()
    for journal in (bench.folder / "data/spool").rglob("items.journal"):
        spooled |= {int(n) for n in re.findall(rb"\"path\":\"/n/(\d+)\"", journal.read_bytes())}
check("journals had items when they were killed", len(spooled) > 0, len(spooled))
tap = bench.tap("-i", "bl0", "--record", "http", "--to", to)
time.sleep(1)
going.clear()
thread.join()
time.sleep(0.5)
bench.finish(tap)
# A capture that begins in the middle of an exchange has a response without its request: those have no number.
items = items_of(bench.baleen("query", "--from", to, "-o", "ndjson"))
paths = [int(i["request"]["path"][3:]) for i in items if i["request"]]
check("nothing arrived twice", len(paths) == len(set(paths)), len(paths))
check("all that was spooled arrived", spooled <= set(paths), f"missing {sorted(spooled - set(paths))[:9]}")
check("the spool is empty", not any((bench.folder / "data/spool/ready").glob("*")) and not any(
    (bench.folder / "data/spool/open").glob("*")))
for block in to.rglob("blocks/**/*.json"):
    for thing in json.loads(block.read_text())["objects"].values():
        check("an object is as long as its record says", next(to.rglob(pathlib.Path(thing["key"]).name)).stat().st_size == thing["size"])
