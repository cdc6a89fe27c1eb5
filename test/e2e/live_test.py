#!/usr/bin/env python3
"""The main job: live traffic of nginx and dnsmasq, the three published patterns to a bucket, and four other readers."""
import re
from parts import *

need("ip", "nginx", "dnsmasq", "dig", "curl", "wrk", "tshark", "tcpdump", root=True, node=True)
bench = Bench("live")
bench.network()
bench.bucket()
log = bench.nginx()
dns_log = bench.dnsmasq()
config = bench.folder / "baleen.yaml"
config.write_text(json.dumps({"recording": [
    {"name": "all", "pattern": "http or dns", "to": "gs://kept/p"},
    {"name": "namespace", "pattern": 'src.namespace=="my-namespace" or dst.namespace=="my-namespace"', "to": "gs://kept/p"},
    {"name": "catalogue", "pattern": 'src.name==r"cata.*"', "to": "gs://kept/p"}],
    "gcs": {"serviceAccountKeyFile": str(bench.key)}}))
pcap = bench.folder / "beside.pcap"
tcpdump = bench.start(bench.inside + ["tcpdump", "-i", "bl0", "-U", "-B", "32768", "-w", pcap],
                      stderr=open(bench.folder / "tcpdump.log", "w"))
eventually("tcpdump listens", lambda: "listening" in (bench.folder / "tcpdump.log").read_text())
tap = bench.tap("--config", config, "-i", "bl0")
bench.curl(*[f"/page/{i}" for i in range(40)])
bench.curl("/bad/1", "/bad/2")
# At the highest rate that the machine reaches; a build with sanitizers is several times slower and gets a tenth of it.
if os.environ.get("BALEEN_SANITIZED"):
    run(*bench.outside, "curl", "-s", "-o", "/dev/null", *[f"http://{SERVER}/wrk"] * 5000)
else:
    run(*bench.outside, "wrk", "-t1", "-c4", "-d1", f"http://{SERVER}/wrk")
for i in range(10):
    bench.dig(f"host{i}.example.test")
time.sleep(1)
tcpdump.send_signal(signal.SIGINT)
tcpdump.wait()
said = bench.finish(tap)
check("nothing was lost", "LOST" not in said and "DROPPED" not in said, said.strip().splitlines()[-4:])

# The first line is the test's own "is nginx up?", before the capture began. wrk leaves with requests on the way: nginx
# logs those that it answered, and an item needs the request only.
logged = [line.split()[1] for line in log.read_text().splitlines() if " /ready " not in line]
bench.control({"public_read": False})
kept = items_of(bench.baleen("query", "--from", "gs://kept/p", "-o", "ndjson", "--config", config))
listed = bench.baleen("recordings", "ls", "--from", "gs://kept/p", *bench.credentials()).decode()
check("reading with the key of the configuration lists the recording", "\nall " in listed, listed)
bench.control({"public_read": True})
of = lambda name: [i for i in kept if i["protocol"]["name"] == name]
pages = lambda paths: sorted(p for p in paths if not p.startswith("/wrk"))
http_paths = [i["request"]["path"] for i in of("http")]
check("every page of the access log is in the bucket", pages(http_paths) == pages(logged), len(pages(logged)))
answered = sum(1 for i in of("http") if i["request"]["path"] == "/wrk")
wrk = logged.count("/wrk")
check("every request of wrk that nginx logged is in the bucket", wrk <= answered <= wrk + 4, f"{answered}, logged {wrk}")
asked = len(re.findall(r"query\[A\] host\d+\.example\.test", dns_log.read_text()))
check("every question that dnsmasq logged is in the bucket", len(of("dns")) == asked == 10, asked)

folder, objects = bench.download("kept")
check("Google's client downloaded all objects", len(objects) >= 3 and len(objects) % 3 == 0, len(objects))
files = sorted(str(f) for f in folder.rglob("*.pcapng"))
seen = tshark(files, "http.request", "http.request.uri")
check("tshark counts the same requests", pages(seen) == pages(logged) and len(seen) == len(http_paths), len(seen))
rows = parquet(f"select protocol, count(*) from '{folder}/p/recording=all/items/**/*.parquet' group by 1 order by 1")
check("DuckDB counts the same items", {r[0]: int(r[1]) for r in rows} == {"dns": 10, "http": len(of("http"))}, rows)

def essence(items):
    return sorted((i["protocol"]["name"], json.dumps(i["request"], sort_keys=True), json.dumps(i["response"], sort_keys=True),
                   i["src"]["port"], i["dst"]["port"]) for i in items if i["protocol"]["name"] in ("http", "dns"))

beside = [i for i in items_of(bench.baleen("dissect", pcap, "-o", "ndjson", "--kfl", "http or dns"))]
strip = lambda text: [t for t in text if t[1].find("/wrk") < 0]
check("dissect of a tcpdump taken beside it gives the same items", strip(essence(beside)) == strip(essence(kept)), len(beside))
check("and as many of wrk's", abs(len(beside) - len(kept)) <= 4, f"{len(beside)} and {len(kept)}")
for block in folder.rglob("blocks/**/*.json"):
    ledger = json.loads(block.read_text())["ledger"]
    balance = sum(ledger.get(k, 0) for k in ("items_stored", "items_not_matched", "items_dropped_queue", "items_in_flight",
                                            "items_failed", "items_refused_spool"))
    check("the ledger balances", ledger["items_seen"] == balance, ledger)

# The bucket hangs: the first Ctrl-C waits for it, the second ends at once and says what is left.
bench.control({"faults": [{"match": "upload", "delay_ms": 20000}]})
tap = bench.tap("-i", "bl0", "--record", "http", "--to", "gs://later/p", *bench.credentials(), data="hung")
bench.curl("/late")
time.sleep(0.5)
tap.send_signal(signal.SIGINT)
time.sleep(1)
start = time.monotonic()
said = bench.finish(tap, codes=(3,))
check("a second Ctrl-C ends at once", time.monotonic() - start < 2)
last = said.strip().splitlines()[-1]
check("and says what waits where", re.search(r"ended at once; [1-9]\d* closed blocks .*hung/spool", last), last)
bench.control({"faults": []})
bench.finish(bench.tap("-i", "bl0", "--record", "dns", "--to", "gs://later/p", *bench.credentials(), data="hung"))
late = items_of(bench.baleen("query", "--from", "gs://later/p", "-o", "ndjson"))
check("the next start uploads it", [i["request"]["path"] for i in late] == ["/late"])
