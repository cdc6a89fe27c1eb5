#!/usr/bin/env python3
"""A bucket in trouble: everything arrives in the end, once. Packets from a file, the rest real."""
from parts import *

need("tshark", node=True)
bench = Bench("faults")
bench.bucket()
capture = ROOT / "examples/captures/http.pcap"
wanted = sorted(json.dumps(i["request"]["path"]) for i in items_of(bench.baleen("dissect", capture, "-o", "ndjson", "--kfl", "http")))
check("the capture has items", len(wanted) > 0, len(wanted))

TROUBLE = {
    "unavailable": {"faults": [{"match": "upload", "status": 503, "times": 3}]},
    "slow-down": {"faults": [{"match": "upload", "status": 429, "retry_after": 1, "times": 1}]},
    "timeout": {"faults": [{"match": "upload", "status": 408, "times": 1}]},
    "stale-token": {"faults": [{"match": "upload", "status": 401, "times": 1}], "revoke": True},
    "cut-before": {"faults": [{"match": "upload", "cut": "before", "times": 2}]},
    "cut-after": {"faults": [{"match": "upload", "cut": "after", "times": 2}]},
    "slow": {"faults": [{"match": "upload", "delay_ms": 400, "times": 2}]},
    "no-token-at-first": {"faults": [{"match": "/token", "status": 503, "times": 2}]},
}
for name, trouble in TROUBLE.items():
    before = bench.control()["faults"]
    bench.control(trouble)
    bench.baleen("tap", "-q", "--pcap", capture, "--record", "http", "--to", f"gs://{name}/p", "--data-dir",
                 bench.folder / name, *bench.credentials())
    check(f"{name}: the fault happened", bench.control()["faults"] > before)
    folder, objects = bench.download(name)
    check(f"{name}: three objects", len(objects) == 3, len(objects))
    got = sorted(json.dumps(i["request"]["path"]) for i in items_of(bench.baleen("query", "--from", f"gs://{name}/p", "-o", "ndjson")))
    check(f"{name}: every item, once", got == wanted, f"{len(got)} of {len(wanted)}")
state = bench.control({"faults": []})
check("no object was made twice", all(n == 1 for n in state["created"].values()))
check("no JWT was refused", state["refused"] == [], state["refused"])

one, other = bench.folder / "query.pcapng", bench.folder / "direct.pcap"
one.write_bytes(bench.baleen("query", "--from", "gs://slow/p", "-o", "pcapng"))
check("query -o pcapng opens in tshark", len(tshark([one], "http.request", "http.request.uri")) == len(
    tshark([capture], "http.request", "http.request.uri")))
# A bucket of packets as tap's input.
bench.baleen("tap", "-q", "--pcap", "gs://slow/p", "--record", "http", "--to", bench.folder / "again", "--data-dir",
             bench.folder / "again-data")
again = items_of(bench.baleen("query", "--from", bench.folder / "again", "-o", "ndjson"))
check("tap --pcap gs:// finds the same items", sorted(json.dumps(i["request"]["path"]) for i in again) == wanted)
