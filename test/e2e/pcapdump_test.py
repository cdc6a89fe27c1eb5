#!/usr/bin/env python3
"""What the flight recorder holds, handed out: equal to what tcpdump captured beside it; recordings that look back, that take what nobody
understands, and everything in a scope; packets without dissection."""
import collections
import struct
import urllib.parse

from parts import *

need("ip", "nginx", "curl", "wrk", "tcpdump", "tshark", root=True)
bench = Bench("pcapdump")
bench.network()
bench.nginx()
to = bench.folder / "bucket"

ECHO = f"""
import socket, threading
listener = socket.create_server(("{SERVER}", 7777))
def serve(c):
    while data := c.recv(65536): c.sendall(data)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
SPEAK = f"""
import random, socket, sys
r = random.Random(int(sys.argv[1]))
c = socket.create_connection(("{SERVER}", 7777))
for _ in range(30):
    data = bytes([0x81]) + r.randbytes(700)
    c.sendall(data)
    got = b""
    while len(got) < len(data): got += c.recv(65536)
    assert got == data
"""
bench.start(bench.inside + [sys.executable, "-c", ECHO])


def speak(seed=1):
    return subprocess.run([*bench.outside, sys.executable, "-c", SPEAK, str(seed)], capture_output=True).returncode


eventually("the echo answers", lambda: speak() == 0)


def frames(path):
    """The frames of a pcap or pcapng file, as bytes, with times in nanoseconds."""
    data, out = pathlib.Path(path).read_bytes(), []
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        at, resolution = 0, []
        while at < len(data):
            kind, size = struct.unpack_from("<II", data, at)
            if kind == 1:
                resolution.append(1)
            if kind == 6:
                _, high, low, captured, _ = struct.unpack_from("<IIIII", data, at + 8)
                out.append((high << 32 | low, data[at + 28:at + 28 + captured]))
            at += size
        check(f"{pathlib.Path(path).name} is whole", at == len(data))
        return out
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from("<I", data)[0]]
    at = 24
    while at < len(data):
        seconds, fraction, captured, _ = struct.unpack_from("<IIII", data, at)
        out.append((seconds * 10**9 + fraction * unit, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return out


def bag(path, keep=lambda frame: True):
    """Of IPv4 and ARP: neighbours' IPv6 chatter comes when it likes."""
    return collections.Counter(f for _, f in frames(path) if f[12:14] in (b"\x08\x00", b"\x08\x06") and keep(f))


def with_port(port):
    # Ethernet, IPv4 without options, TCP or UDP
    return lambda f: f[12:14] == b"\x08\x00" and port in struct.unpack_from("!HH", f, 34)


def same(what, ours, theirs):
    check(what, ours == theirs and sum(ours.values()) > 0,
          f"{sum(ours.values())} packets, tcpdump {sum(theirs.values())}, {sum((ours - theirs).values())} more, "
          f"{sum((theirs - ours).values())} fewer")


def tcpdump(name):
    process = bench.start(bench.inside + ["tcpdump", "-U", "-i", "bl0", "-s", "0", "-B", "262144", "-w", bench.folder / name, "ip or arp"])
    process.file = bench.folder / name
    eventually("tcpdump listens", lambda: (bench.folder / name).exists())
    time.sleep(0.5)
    return process


def end(process):
    """When it has written what it has captured: what is in its buffer at the signal is lost."""
    before = -1
    while process.file.stat().st_size != before:
        before = process.file.stat().st_size
        time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)


def dump(*arguments, code=0):
    done = subprocess.run([BALEEN, "pcapdump", *map(str, arguments), "--data-dir", bench.folder / "data"], capture_output=True,
                          timeout=60, env=bench.environment(), cwd=bench.folder)
    check(f"pcapdump {' '.join(map(str, arguments))}"[:90], done.returncode == code, done.stderr.decode().strip())
    return done.stderr.decode()


def recordings(command, *arguments):
    done = subprocess.run([BALEEN, "recordings", command, *map(str, arguments), "--data-dir", bench.folder / "data", "-o", "ndjson"],
                          capture_output=True, text=True, timeout=60, env=bench.environment(), cwd=bench.folder)
    check(f"recordings {command} {' '.join(map(str, arguments[:1]))}", done.returncode == 0, done.stderr.strip())
    return [json.loads(line) for line in done.stdout.splitlines()]


# Without a worker, and with one that keeps nothing.
check("says that no worker runs", "no worker runs" in dump("-w", "none.pcapng", code=1))
tap = bench.tap("-i", "bl0", "-o", "none")
check("says that it keeps nothing", "--keep" in dump("-w", "none.pcapng", code=1))
bench.finish(tap)

# Everything, as tcpdump has it.
tap = bench.tap("-i", "bl0", "-o", "none", "--keep", "10m", "--set", "tap.shards=2")
other = tcpdump("tcpdump.pcap")
bench.curl("/before/1", "/before/2", "/bad/1")
speak(2)
subprocess.run([*bench.outside, "wrk", "-c", "4", "-t", "1", "-d", "1", f"http://{SERVER}/wrk"], stdout=subprocess.DEVNULL, check=True)
bench.curl("/bad/2")
end(other)
dump("-w", "all.pcapng")
everything = bag(bench.folder / "tcpdump.pcap")
same("everything equals what tcpdump has", bag(bench.folder / "all.pcapng"), everything)
times = [time_ns for time_ns, _ in frames(bench.folder / "all.pcapng")]
check("in the order of time", times == sorted(times))
check("tshark reads it", len(tshark([bench.folder / "all.pcapng"], "http.request.uri contains \"/before/\"", "frame.number")) == 2)
check("interfaces have their names", set(tshark([bench.folder / "all.pcapng"], "http", "frame.interface_name")) == {"bl0"})
dump("-w", "all.pcap", "--format", "pcap")
same("as a pcap file", bag(bench.folder / "all.pcap"), everything)
dump("-w", "echo.pcapng", "--last", "10m", "tcp", "port", "7777")
same("what a pcap-filter lets through", bag(bench.folder / "echo.pcapng"), bag(bench.folder / "tcpdump.pcap", with_port(7777)))
dump("-w", "none.pcapng", "--until", "1h")
check("a window with nothing in it is a file, too", frames(bench.folder / "none.pcapng") == [])

# Whole streams of what matches.
dump("-w", "bad.pcapng", "--kfl", "http and response.status == 500")
ports = {int(p) for p in tshark([bench.folder / "tcpdump.pcap"], "http.response.code == 500", "tcp.dstport")}
same("whole streams of items that match", bag(bench.folder / "bad.pcapng"),
     bag(bench.folder / "tcpdump.pcap", lambda f: any(with_port(p)(f) for p in ports)))
check("there are two of them", len(ports) == 2, ports)

# A pipe, as Wireshark has it.
pipe = subprocess.run(f"'{BALEEN}' pcapdump -q -w - --data-dir '{bench.folder}/data' | tshark -r - -Y 'http.request.uri contains \"/before/\"'",
                      shell=True, capture_output=True, text=True, timeout=60)
check("a pipe", len(pipe.stdout.splitlines()) == 2, pipe.stderr)

# A bucket, under a name of its own or one that is made.
if node_is_there():
    gcs = subprocess.Popen(["node", EMULATORS / "gcs_emulator.js", "--key", bench.folder / "key.json"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    bench.processes.append(gcs)
    endpoint = json.loads(gcs.stdout.readline().removeprefix("ready "))["endpoint"]
    sets = ["--set", f"gcs.serviceAccountKeyFile={bench.folder}/key.json", "--set", f"gcs.endpoint={endpoint}"]
    check("says where it is", "gs://baleen-test/incident/x.pcapng" in dump("-w", "gs://baleen-test/incident/x.pcapng", *sets))
    dump("-w", "gs://baleen-test/incident/made/", "--format", "pcap", *sets)
    urllib.request.urlopen(urllib.request.Request(endpoint + "/__control", data=b'{"public_read": true}'), timeout=10).read()
    listed = json.load(urllib.request.urlopen(f"{endpoint}/storage/v1/b/baleen-test/o?prefix=incident/", timeout=10))
    names = sorted(o["name"] for o in listed["items"])
    check("both are there", len(names) == 2 and names[0].startswith("incident/made/") and names[0].endswith(".pcap"), names)
    for name in names:
        quoted = urllib.parse.quote(name, safe="")
        content = urllib.request.urlopen(f"{endpoint}/storage/v1/b/baleen-test/o/{quoted}?alt=media", timeout=10).read()
        (bench.folder / "fetched").write_bytes(content)
        same("a bucket has it all", bag(bench.folder / "fetched"), everything)
    wrong = dump("-w", "gs://baleen-test/x", "--set", f"gcs.serviceAccountKeyFile={bench.folder}/absent.json", code=1)
    check("wrong credentials are said", "absent.json" in wrong, wrong)

# Live, until Ctrl-C.
for name, extra in (("live.pcapng", []), ("live-kfl.pcapng", ["--kfl", "http"])):
    live = bench.start([BALEEN, "pcapdump", "-f", "--last", "1s", "-w", bench.folder / name, "--data-dir", bench.folder / "data", *extra])
    time.sleep(1.5)
    bench.curl(f"/{name}")
    eventually("it comes", lambda: f"/{name}".encode() in (bench.folder / name).read_bytes())
    live.send_signal(signal.SIGINT)
    check("Ctrl-C ends it", live.wait(timeout=20) == 0)
    check("and leaves a whole file", len(tshark([bench.folder / name], f"http.request.uri == \"/{name}\"", "frame.number")) == 1)

# Five minutes before; what nobody understands; everything in a scope.
recordings("create", "back", "--kfl", 'http and request.path.startsWith("/before")', "--to", to, "--look-back", "5m")
recordings("create", "unknown", "--undissected", "--look-back", "5m", "--to", to)
recordings("create", "scoped", "--scope", "tcp port 7777", "--to", to)
time.sleep(1)
other = tcpdump("later.pcap")
speak(3)
bench.curl("/before/3", "/after/1")
end(other)


def packets_of(name):
    path = bench.folder / f"{name}.pcapng"
    path.write_bytes(bench.baleen("query", "--from", to, "--recording", name, "-o", "pcapng"))
    return bag(path)


time.sleep(1)
ledger = recordings("show", "back")[0]["ledger"]
check("the ledger balances, and tells of looking back", ledger["balances"] and ledger["items_looked_back"] == 2 and
      ledger["streams_in_scope"] == 1 and ledger["streams_undissected"] >= 2, ledger)
bench.finish(tap)
paths = [i["request"]["path"] for i in items_of(bench.baleen("query", "--from", to, "--recording", "back", "-o", "ndjson"))]
check("items from before it began, each once", sorted(paths) == ["/before/1", "/before/2", "/before/3"], paths)
both = bag(bench.folder / "tcpdump.pcap") + bag(bench.folder / "later.pcap")
merged = {int(p) for f in ("tcpdump.pcap", "later.pcap")
          for p in tshark([bench.folder / f], "http.request.uri contains \"/before/\"", "tcp.srcport")}
same("and their whole streams", packets_of("back"), collections.Counter(
    {f: n for f, n in both.items() if any(with_port(p)(f) for p in merged)}))
same("what nobody understands", packets_of("unknown"), collections.Counter({f: n for f, n in both.items() if with_port(7777)(f)}))
same("the scope", packets_of("scoped"), bag(bench.folder / "later.pcap", with_port(7777)))

# The oldest give way; who asks for them is told.
small = ["--set", "tap.capture.raw.storageSize=4Mi", "--keep", "0s"]
tap = bench.tap("-i", "bl0", "-o", "none", *small)
subprocess.run([*bench.outside, "wrk", "-c", "16", "-t", "1", "-d", "4", f"http://{SERVER}/" + "x" * 2000], stdout=subprocess.DEVNULL, check=True)
time.sleep(0.5)
said = dump("-w", "old.pcapng", "--last", "1h", code=3)
check("says what is gone", "has been overwritten" in said, said)
check("and hands out the rest", len(frames(bench.folder / "old.pcapng")) > 1000)
sizes = [int(f.stat().st_size) for f in pathlib.Path(f"/proc/{tap.pid}/map_files").iterdir() if "data/#" in os.readlink(f)]
check("the limit holds", 0 < sum(sizes) <= 4 << 20, sizes)
bench.finish(tap)

# Without dissection.
tap = bench.tap("-i", "bl0", "--no-dissection", "--keep", "0s")
recordings("create", "raw", "--scope", "everything", "--to", to)
other = tcpdump("raw.pcap")
bench.curl("/raw/1")
speak(4)
end(other)
dump("-w", "raw.pcapng")
same("without dissection", bag(bench.folder / "raw.pcapng"), bag(bench.folder / "raw.pcap"))
dump("-w", "raw-kfl.pcapng", "--kfl", 'http and request.path == "/raw/1"')
check("a filter dissects then", len(tshark([bench.folder / "raw-kfl.pcapng"], "http.request.uri == \"/raw/1\"", "frame.number")) == 1)
bench.finish(tap)
same("a scope without dissection", packets_of("raw"), bag(bench.folder / "raw.pcap", lambda f: f[12:14] == b"\x08\x00"))
check("and no items", bench.baleen("query", "--from", to, "--recording", "raw", "-o", "ndjson") == b"")
