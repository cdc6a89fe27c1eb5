#!/usr/bin/env python3
"""A recorder script started by the configuration alone: it stops when its pattern is removed; what it kept is uploaded."""
import re

from parts import *

need("ip", "nginx", "curl", "tshark", root=True, node=True)
bench = Bench("script")
bench.network()
bench.bucket()
bench.nginx()
scripts = bench.folder / "scripts"
scripts.mkdir()
(scripts / "recorder.js").write_text("""// Keeps the streams of a pattern in a bucket
var streams = [];
var kept = "kept";
if (env.RECORDING_KFL) {
  if (!kfl.validate(env.RECORDING_KFL)) {
    console.error("Invalid KFL:", env.RECORDING_KFL);
  } else {
    file.delete(kept);
    file.mkdir(kept);
  }
}
function onItemCaptured(data) {
  if (!env.RECORDING_KFL || !kfl.match(env.RECORDING_KFL, data)) return;
  if (streams.indexOf(data.stream) !== -1) return;
  streams.push(data.stream);
  try {
    file.copy(pcap.path(data.stream), kept + "/" + data.stream);
  } catch (error) {
    console.error("copy:", error);
  }
}
function upload() {
  if (streams.length === 0) return;
  try {
    file.delete("going");
    file.move(kept, "going");
    streams = [];
    file.mkdir(kept);
    var snapshot = pcap.snapshot([], "going");
    file.delete("going");
    console.log("put", vendor.gcs.put(env.GCS_BUCKET, snapshot, JSON.parse(env.GCS_SA_KEY_JSON)));
    file.delete(snapshot);
    file.write("name_resolution_history.json", JSON.stringify(pcap.nameResolutionHistory()));
    vendor.gcs.put(env.GCS_BUCKET, "name_resolution_history.json", JSON.parse(env.GCS_SA_KEY_JSON));
  } catch (error) {
    console.error("upload:", error);
  }
}
jobs.schedule("keep", "*/2 * * * * *", upload);
""")
config = bench.folder / "baleen.yaml"


def configure(pattern):
    environment = {"GCS_BUCKET": "scripted", "GCS_SA_KEY_JSON": bench.key.read_text()}
    if pattern:
        environment["RECORDING_KFL"] = pattern
    text = json.dumps({"node": {"name": "node1", "ip": "10.0.0.7"}, "scripting": {
        "env": environment, "source": str(scripts), "watchScripts": True}})
    new = bench.folder / "baleen.yaml.new"
    new.write_text(text)
    new.rename(config)


def objects():
    return [n for n in bench.control()["created"] if n.endswith(".pcap")]


def uploaded():
    folder, names = bench.download("scripted")
    return folder, names, tshark(sorted(map(str, folder.rglob("*.pcap"))), "http.request", "http.request.uri")


configure('http and request.path.startsWith("/keep")')
tap = bench.tap("--config", config, "-i", "bl0")
bench.curl("/drop/1")
bench.curl("/keep/1")
bench.curl("/keep/2")
eventually("the job uploads", lambda: len(objects()) > 0, 20)
bench.curl("/keep/3")
time.sleep(0.3)
configure(None)
eventually("the script restarts", lambda: "restarted" in (bench.folder / "tap.log").read_text(), 10)
time.sleep(1)
bench.curl("/keep/4")
time.sleep(2.5)
folder, names, seen = uploaded()
check("what matched is in the bucket, and only that", sorted(set(seen)) == ["/keep/1", "/keep/2", "/keep/3"], seen)
check("once", len(seen) == len(set(seen)), seen)
check("named by node and run", all(re.fullmatch(r"node1_10\.0\.0\.7_[^/]+/(\d+(_\d+|-\d+)?\.pcap|name_resolution_history\.json)", n["name"])
                                   for n in names), [n["name"] for n in names])
check("with the names' history", any(n["name"].endswith("/name_resolution_history.json") for n in names))
configure("http")
time.sleep(1.5)
bench.curl("/keep/5")
time.sleep(0.5)
bench.finish(tap, signal.SIGTERM)
check("the end uploads what the script had kept", "/keep/5" in uploaded()[2])
check("a token for each write was valid", bench.control()["refused"] == [])
