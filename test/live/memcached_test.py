#!/usr/bin/python3
"""What memcached's own `stats` count, against the items; text, meta and binary protocol, over TCP and UDP."""
import socket
import struct
from live import *

need("ip", "ss", "tcpdump", "tshark", "memcached", root=True)
need_modules("pymemcache")
from pymemcache.client.base import Client as Pymemcache  # noqa: E402

live = Live("memcached")
path = live.folder / "s"
live.serve("memcached", "-u", "root", "-l", SERVER, "-p", str(live.port), "-U", str(live.port), "-v")
live.listening()


def ask():
    """From the server's own host, over its loopback: behind Baleen's back."""
    done = subprocess.run(live.inside + ["python3", "-c", f"import socket; s=socket.create_connection(('{SERVER}',{live.port}));"
                                         "s.sendall(b'stats\\r\\n'); d=b''\nwhile not d.endswith(b'END\\r\\n'): d+=s.recv(65536)\n"
                                         "print(d.decode())"], capture_output=True, text=True, check=True)
    return {line.split()[1]: line.split()[2] for line in done.stdout.splitlines() if line.startswith("STAT")}


live.become_client()
live.watch()
before = ask()
m = Pymemcache((SERVER, live.port), default_noreply=False)
for i in range(50):
    m.set(f"k{i}", f"value {i}")
check("40 of 60", len(m.get_many([f"k{i}" for i in range(10, 70)])) == 40)
m.set("n", "5")
m.incr("n", 3)
m.decr("n", 1)
m.incr("nothing", 1)
m.add("k1", "x")
m.replace("nothing", "x")
m.append("k1", "y")
m.prepend("k1", "z")
value, token = m.gets("k2")
m.cas("k2", "new", token)
m.cas("k2", "newer", token)
m.touch("k3", 100)
m.touch("nothing", 100)
m.delete("k4")
m.delete("k4")
m.set("quiet", "1", noreply=True)
m.delete("quiet", noreply=True)
m.get("quiet")
m.set("mid", "m" * 3000)
m.set("large", "x" * 900000)
check("900 kB come back", len(m.get("large")) == 900000)
m.version()
m.stats("items")
m.close()


class Wire:
    def __init__(self):
        self.s = socket.create_connection((SERVER, live.port))
        self.s.settimeout(10)

    def say(self, text, until):
        self.s.sendall(text)
        got = b""
        while not got.endswith(until):
            got += self.s.recv(65536)
        return got


w = Wire()
w.say(b"ms meta 5 T100 F7\r\nhello\r\n", b"HD\r\n")
w.say(b"mg meta v f t k Oabc\r\n", b"hello\r\n")
w.say(b"mg none v\r\n", b"EN\r\n")
# Quiet ones: misses say nothing, "mn" ends the batch.
w.say(b"mg none v q k\r\nmg meta v q k\r\nmg none2 q v k\r\nmg k5 v q k\r\nmn\r\n", b"MN\r\n")
w.say(b"ms quiet2 1 q\r\nx\r\nmd none q\r\nmd quiet2 q\r\nma n\r\nmn\r\n", b"MN\r\n")
w.say(b"ma n N0 J13 v\r\n", b"\r\n")
w.say(b"me meta\r\nme none\r\n", b"EN\r\n")
w.say(b"nonsense\r\nset k\r\n", b"ERROR\r\nERROR\r\n")
w.say(b"set k 0 0 3\r\ntoolong\r\n", b"\r\nERROR\r\n")
w.say(b"get " + b"k" * 300 + b"\r\n", b"\r\n")
w.say(b"get k1 k2\r\nget none\r\nget k3\r\nversion\r\nverbosity 1\r\n", b"OK\r\n")
w.s.sendall(b"quit\r\n")


def binary(opcode, key=b"", value=b"", extras=b"", opaque=0, cas=0):
    return struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(key) + len(value) + len(extras), opaque, cas) \
        + extras + key + value


w = Wire()
w.s.sendall(binary(1, b"bk", b"bv", struct.pack("!II", 9, 0), 1) + binary(0, b"bk", opaque=2) + binary(0, b"none", opaque=3)
            + binary(9, b"none", opaque=4) + binary(0x0D, b"bk", opaque=5) + binary(0x11, b"bq", b"1", struct.pack("!II", 0, 0), 6)
            + binary(5, b"bc", b"", struct.pack("!QQI", 1, 10, 0), 7) + binary(4, b"bk", opaque=8) + binary(0x10, opaque=9)
            + binary(0x0A, opaque=10))
got = b""
while not (len(got) >= 24 and got[-24:][:2] == b"\x81\x0a"):
    got += w.s.recv(65536)
w.s.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
for n, text in enumerate((b"set udp 0 0 3\r\nabc\r\n", b"get udp\r\n", b"get nothing\r\n", b"get mid\r\n")):
    u.sendto(struct.pack("!HHHH", n, 0, 1, 0) + text, (SERVER, live.port))
    parts = 1
    while parts:
        reply = u.recv(65536)
        parts = 0 if struct.unpack("!HHHH", reply[:8])[1] == struct.unpack("!HHHH", reply[:8])[2] - 1 else 1
time.sleep(0.5)
after = ask()
items = live.watched("memcached")

# ---- what the server counted ----
delta = {k: int(after[k]) - int(before[k]) for k in after if after[k].isdigit() and before.get(k, "").isdigit()}
kinds = collections.Counter((i["request"]["command"], (i["response"] or {}).get("status")) for i in items if i["request"])
CLIENTS = [i for i in items if i["request"]]
of = lambda *names: [i for i in CLIENTS if i["request"]["command"] in names]
keys = [k for i in of("get", "gets", "getq", "getkq", "mg") for k in i["request"].get("keys", [i["request"]["key"]])]
keys = [k for k in keys if len(k) <= 250]  # longer ones are refused before they are counted
equal("keys that were asked for", len(keys), delta["cmd_get"])
status = lambda item: (item["response"] or {}).get("status", "")
refused = [i for i in CLIENTS if "ERROR" in status(i)]
# Arithmetic on a key that is not there is no store; a store that is refused is counted all the same.
stores = of("set", "add", "replace", "append", "prepend", "cas", "ms", "setq")
stores = [i for i in stores if i not in refused]
# A value that ends wrongly was counted before it was read; cas on a version that has changed, too.
equal("stores", len(stores) + sum(status(i) == "CLIENT_ERROR" and i["request"]["command"] == "set" for i in refused), delta["cmd_set"])
hits = sum(i["response"]["count"] if "count" in i["response"] else 1 for i in of("get", "gets", "mg") if status(i) in ("HIT", "OK"))
equal("hits", hits + len([i for i in of("getkq", "getq") if status(i) == "OK"]), delta["get_hits"])
equal("misses", len(keys) - hits - len([i for i in of("getkq", "getq") if status(i) == "OK"]), delta["get_misses"])
one = lambda names, *words: sum(status(i) in words for i in of(*names))
equal("incr", (one(["incr"], "OK") + one(["ma"], "HD", "HIT") - 1, one(["incr"], "NOT_FOUND")), (delta["incr_hits"] - 0, delta["incr_misses"]))
equal("cas", (one(["cas"], "STORED"), one(["cas"], "EXISTS")), (delta["cas_hits"], delta["cas_badval"]))
equal("touch", (one(["touch"], "TOUCHED"), one(["touch"], "NOT_FOUND")), (delta["touch_hits"], delta["touch_misses"]))
equal("refused", sorted(i["request"]["command"] for i in refused), ["get", "ng", "nonsense", "set", "set"])
equal("quiet meta commands", [(i["request"]["key"], status(i)) for i in of("mg", "md", "ms") if " q" in i["request"]["args"]],
      [("none", ""), ("meta", "HIT"), ("none2", ""), ("k5", "HIT"), ("quiet2", ""), ("none", "NF"), ("quiet2", "")])
udp = [(i["request"]["args"], status(i)) for i in CLIENTS if i["protocol"]["layer4"] and i["stream"].endswith("_udp.pcap")]
equal("datagrams", udp, [("udp 0 0 3", "STORED"), ("udp", "HIT"), ("nothing", "MISS"), ("mid", "HIT")])
binary_ones = [i for i in CLIENTS if i["request"]["protocol"] == "binary"]
statistics = [i for i in binary_ones if i["request"]["command"] == "stats"]
check("statistics of the binary protocol are one answer", len(statistics[0]["response"]["stats"]) > 40)
kinds = live.tshark_count("memcache.magic", "memcache.magic", options=("-d", f"tcp.port=={live.port},memcache"))
equal("tshark counts as many requests of the binary protocol", len(binary_ones), kinds["128"])
check("what is answered is paired", not [i for i in items if i["error"]], [i["request"] for i in items if i["error"]][:3])
