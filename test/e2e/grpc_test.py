#!/usr/bin/env python3
"""HTTP/2 and gRPC with real peers: nghttpd and h2load, and a server and client of python3-grpcio; what they count is what is
seen, live and from a file, with descriptors from a file, from the server's reflection, and without any."""
import re
from parts import *

need("ip", "nghttpd", "nghttpx", "h2load", "nghttp", "tcpdump", root=True)
if subprocess.run(["/usr/bin/python3", "-c", "import grpc"], capture_output=True).returncode != 0:
    print("SKIPPED: this test needs python3-grpcio", flush=True)
    sys.exit(SKIPPED)
SET = ROOT / "src/dissect/grpc/testdata/shop.pb"
PEER = ROOT / "test/e2e/grpc_peer.py"
bench = Bench("grpc")
bench.network()
(bench.folder / "site").mkdir()
(bench.folder / "site/index.html").write_text("hello " * 100)
(bench.folder / "site/big").write_bytes(b"x" * 300000)
log = open(bench.folder / "nghttpd.log", "w")
bench.start(bench.inside + ["nghttpd", "--no-tls", "-v", "--htdocs", bench.folder / "site", "-p/=/big", "8080"], stdout=log)
# nghttpd does not know Upgrade: h2c; nghttpx in front of it does.
bench.start(bench.inside + ["nghttpx", f"-f{SERVER},8081;no-tls", f"-b{SERVER},8080;;proto=h2", "--errorlog-file=/dev/null", "--single-process"])
calls = open(bench.folder / "calls.log", "w")
bench.start(bench.inside + ["/usr/bin/python3", PEER, "server", f"{SERVER}:50051", SET], stdout=calls)
eventually("the gRPC server is ready", lambda: "ready" in (bench.folder / "calls.log").read_text())
pcap = bench.folder / "beside.pcap"
tcpdump = bench.start(bench.inside + ["tcpdump", "-i", "bl0", "-U", "-B", "32768", "-w", pcap],
                      stderr=open(bench.folder / "tcpdump.log", "w"))
eventually("tcpdump listens", lambda: "listening" in (bench.folder / "tcpdump.log").read_text())

# ---- HTTP/2, live ----
items = bench.folder / "live.ndjson"
said = open(bench.folder / "tap.log", "w")
tap = bench.start(bench.inside + [BALEEN, "tap", "-i", "bl0", "-o", "ndjson", "--data-dir", bench.folder / "data"],
                  stdout=open(items, "w"), stderr=said, env=bench.environment())
eventually("capturing", lambda: "capturing on" in (bench.folder / "tap.log").read_text())
time.sleep(0.3)
count = 200 if os.environ.get("BALEEN_SANITIZED") else 2000
load = run(*bench.outside, "h2load", "-n", count, "-c", 4, "-m", 10, f"http://{SERVER}:8080/index.html")
check("h2load was served", f"{count} succeeded" in load, re.findall(r"requests: .*", load))
run(*bench.outside, "nghttp", "-n", "-u", f"http://{SERVER}:8081/index.html?upgraded")  # Upgrade: h2c
run(*bench.outside, "nghttp", "-n", f"http://{SERVER}:8080/", f"http://{SERVER}:8080/absent")  # with a push
run(*bench.outside, "/usr/bin/python3", PEER, "client", f"{SERVER}:50051", SET)
time.sleep(1)
check("tap ends well", (tap.send_signal(signal.SIGINT), tap.wait(timeout=60))[1] == 0, (bench.folder / "tap.log").read_text())
tcpdump.send_signal(signal.SIGINT)
tcpdump.wait()

live = items_of(items.read_text())
of = lambda abbreviation, all_items: [i for i in all_items if i["protocol"]["abbr"] == abbreviation]
h2 = of("HTTP/2", live)
whole = [i for i in h2 if i["request"]["path"] == "/index.html" and i["request"]["queryString"] == {}]
check("every stream of h2load is an item", len(whole) == count, len(whole))
check("with its answer", all(i["response"]["status"] == 200 and i["response"]["bodySize"] == 600 for i in whole))
upgraded = [i for i in h2 if "upgraded" in i["request"]["queryString"]]
check("the request that asked for h2c is answered on stream 1", [i["response"]["streamId"] for i in upgraded] == [1])
switched = [i for i in of("HTTP", live) if i["response"].get("status") == 101]
check("and its 101 is an item of HTTP/1", len(switched) == 1)
pushed = [i for i in h2 if i["request"]["path"] == "/big"]
check("what the server pushes is an item", [i["response"]["bodySize"] for i in pushed] == [300000])
absent = [i["response"]["status"] for i in h2 if i["request"]["path"] == "/absent"]
check("an absent page is a 404", absent == [404])
frames = (bench.folder / "nghttpd.log").read_text()
answered = len(re.findall(r"send HEADERS frame", frames))  # nghttpx's question among them
check("as many answers as nghttpd logged", len(h2) == answered, answered)

# ---- gRPC ----
grpc = of("gRPC", live)
logged = sorted(line.split() for line in (bench.folder / "calls.log").read_text().splitlines() if line.startswith("/"))
seen = sorted([i["request"]["path"], str(i["request"]["grpc"]["messageCount"]), str(i["response"]["grpc"]["messageCount"]),
               str(i["response"]["grpc"]["status"])] for i in grpc if not i["request"]["path"].endswith("Nothing"))
check("every call that the server logged, with its messages and status", seen == logged, len(logged))
one = lambda all_items, method, test=lambda i: True: [i for i in all_items if i["request"]["path"] == f"/shop.v1.Shop/{method}" and test(i)]
failed = one(grpc, "Get", lambda i: i["response"]["grpc"]["status"] == 5)[0]["response"]["grpc"]
check("the status is read", failed["statusName"] == "NOT_FOUND" and failed["statusMessage"].endswith("100% sicher \u00e4")
      and failed["statusDetails"] == {"code": 5, "message": "no"}, failed)
unknown = one(grpc, "Nothing")[0]["response"]["grpc"]
check("trailers only", unknown["trailersOnly"] and unknown["statusName"] == "UNIMPLEMENTED", unknown)
packed = [m for i in one(grpc, "Get") for m in i["request"]["grpc"]["messages"] if m["compressed"]]
check("compressed messages are read", [m["decodedSize"] > 2000 for m in packed] == [True, True])
named = [i["response"]["grpc"]["messages"][0].get("message", {}).get("name") for i in one(grpc, "Get") if i["response"]["grpc"]["messages"]]
check("messages have the names that the server told by reflection", sorted(named) == sorted([f"item {i}" for i in range(50)] + ["item 7"] * 2), named[:3])
reflection = [i for i in grpc if "ServerReflection" in i["request"]["path"]][0]
check("reflection is understood", reflection["response"]["grpc"]["messages"][0]["message"] ==
      {"list_services_response": {"service": [{"name": "shop.v1.Shop"}]}}, reflection["response"]["grpc"]["messages"][0])

# ---- the same from a file, with and without descriptors ----
strip = lambda i: (i["request"]["path"], i["src"]["port"], json.dumps(i["request"].get("grpc")), json.dumps(i["response"].get("grpc")))
beside = items_of(bench.baleen("dissect", pcap, "-o", "ndjson", "--kfl", "grpc"))
check("dissect of a tcpdump taken beside it gives the same calls", sorted(map(strip, beside)) == sorted(map(strip, grpc)), len(beside))
given = items_of(bench.baleen("dissect", pcap, "-o", "ndjson", "--kfl", "grpc", "--proto-descriptors", SET))
check("with a descriptor set as well", sorted(map(strip, given)) == sorted(map(strip, grpc)), len(given))
filtered = bench.baleen("dissect", pcap, "-o", "ndjson", "--kfl", 'grpc and request.grpc.messages[0].message.id == 7').decode().splitlines()
check("fields of messages can be filtered by", len(filtered) == 3, len(filtered))
wrong = subprocess.run([BALEEN, "dissect", pcap, "--proto-descriptors", ROOT / "src/dissect/grpc/testdata/shop.proto"], capture_output=True, text=True)
check("a .proto file in its place is told", wrong.returncode == 1 and "looks like a .proto file" in wrong.stderr, wrong.stderr.strip())

# ---- descriptors that change while the program runs ----
file = bench.folder / "types.pb"
file.write_bytes(b"")
said = bench.folder / "tap2.log"
tap = bench.start(bench.inside + [BALEEN, "tap", "-i", "bl0", "-o", "ndjson", "--data-dir", bench.folder / "data2", "--proto-descriptors", file],
                  stdout=subprocess.DEVNULL, stderr=open(said, "w"), env=bench.environment())
check("an empty set is refused at the start", tap.wait(timeout=20) != 0 and "is empty" in said.read_text(), said.read_text())
file.write_bytes(SET.read_bytes())
tap = bench.start(bench.inside + [BALEEN, "tap", "-i", "bl0", "-o", "none", "--data-dir", bench.folder / "data2", "--proto-descriptors", file],
                  stdout=subprocess.DEVNULL, stderr=open(said, "w"), env=bench.environment())
eventually("capturing", lambda: "capturing on" in said.read_text())
file.write_bytes(SET.read_bytes()[:-9])
eventually("a broken set leaves the types as they were", lambda: "stay as they were" in said.read_text())
file.write_bytes(SET.read_bytes() + SET.read_bytes())
eventually("a changed one is read again", lambda: "read again" in said.read_text())
tap.send_signal(signal.SIGINT)
check("tap ends well", tap.wait(timeout=60) == 0)
