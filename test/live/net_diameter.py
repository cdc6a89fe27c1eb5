#!/usr/bin/python3
"""Two freeDiameter daemons, and a client of our own that asks what they do not know: what the server's log says it received and
sent is what we count."""
import re
import socket
import struct
from wire import *

need("ip", "ss", "tcpdump", "tshark", "freeDiameterd", "openssl", root=True)
wire = Wire("diameter")
port = 20000 + os.getpid() % 20000
keys = {}
for name in ("server", "client"):
    keys[name] = [wire.folder / f"{name}.{kind}.pem" for kind in ("cert", "key")]
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", keys[name][1], "-out", keys[name][0], "-days", "2",
        "-subj", f"/CN={name}.test")


def configure(name, number, address, peer):
    file = wire.folder / f"{name}.conf"
    file.write_text(f"""Identity = "{name}.test";
Realm = "test";
Port = {number};
SecPort = {number + 1};
No_SCTP;
No_IPv6;
TwTimer = 6;
ListenOn = "{address}";
TLS_Cred = "{keys[name][0]}", "{keys[name][1]}";
TLS_CA = "{keys[name][0]}";
LoadExtension = "/usr/lib/freeDiameter/dbg_msg_dumps.fdx" : "0x0080";
LoadExtension = "/usr/lib/freeDiameter/dict_nasreq.fdx";
LoadExtension = "/usr/lib/freeDiameter/dict_dcca.fdx";
LoadExtension = "/usr/lib/freeDiameter/acl_wl.fdx" : "{wire.folder}/acl.conf";
{peer}
""")
    return file


(wire.folder / "acl.conf").write_text('ALLOW_IPSEC *.test\n')
wire.serve("freeDiameterd", "-d", "-c", configure("server", port, SERVER, ""), log="server.log")
wire.listening(port)
wire.watch()
peer = f'ConnectPeer = "server.test" {{ ConnectTo = "{SERVER}"; No_TLS; Port = {port}; }};'
other = wire.start(wire.outside + ["freeDiameterd", "-d", "-c", str(configure("client", port, CLIENT, peer))],
                   stdout=open(wire.folder / "client.log", "w"), stderr=subprocess.STDOUT)
time.sleep(15)  # long enough for watchdogs of both
other.terminate()
other.wait()
wire.become_client()


def avp(code, value, flags=0x40):
    return struct.pack("!IB", code, flags) + (len(value) + 8).to_bytes(3, "big") + value + bytes(-len(value) % 4)


def message(flags, command, application, hop, avps):
    return b"\x01" + (20 + len(avps)).to_bytes(3, "big") + bytes([flags]) + command.to_bytes(3, "big") + struct.pack("!III", application, hop, hop) + avps


who = avp(264, b"raw.test") + avp(296, b"test")
session = avp(263, b"raw.test;1;2")
with socket.create_connection((SERVER, port)) as s:
    s.settimeout(5)
    hello = message(0x80, 257, 0, 1, who + avp(257, b"\0\1" + socket.inet_aton(CLIENT)) + avp(266, struct.pack("!I", 0)) +
                    avp(269, b"raw", 0) + avp(258, struct.pack("!I", 0xFFFFFFFF)) + avp(299, struct.pack("!I", 0)))
    s.sendall(hello)
    s.recv(65536)
    control = session + who + avp(283, b"test") + avp(258, struct.pack("!I", 4)) + avp(461, b"x@y") + avp(416, struct.pack("!I", 1)) + avp(415, struct.pack("!I", 0))
    # Two at once, one sent again; nobody serves this application. Then a command that there is not.
    s.sendall(message(0xC0, 272, 4, 10, control) + message(0xD0, 272, 4, 11, control))
    time.sleep(0.5)
    s.sendall(message(0xC0, 999, 4, 12, control)[:30])
    time.sleep(0.2)
    s.sendall(message(0xC0, 999, 4, 12, control)[30:])
    time.sleep(0.5)
    s.sendall(message(0x80, 280, 0, 13, who))
    time.sleep(0.5)
    s.sendall(message(0x80, 282, 0, 14, who + avp(273, struct.pack("!I", 0))))
    time.sleep(0.5)
items = wire.watched("diameter")
options = ["-d", f"tcp.port=={port},diameter"]
flags = collections.Counter(v for row in wire.tshark("diameter", "diameter.flags.request", options=options) for v in row[0])
requests, answers = [len([i for i in items if i.get(side)]) for side in ("request", "response")]
equal("tshark's requests", requests, flags["1"] + flags["True"])
equal("tshark's answers", answers, flags["0"] + flags["False"])
text = (wire.folder / "server.log").read_text()
logged = collections.Counter(re.findall(r"\b(RCV|SND)\b", text))
methods = collections.Counter(i["request"]["method"] for i in items if i.get("request"))
check("capabilities, watchdogs and the end of both clients", methods["Capabilities-Exchange-Request"] == 2 and
      methods["Device-Watchdog-Request"] >= 3 and methods["Disconnect-Peer-Request"] == 2, dict(methods))
check("the server asks, too", any(int(i["src"]["port"]) == port for i in items) or any(
    i["request"]["originHost"] == "server.test" for i in items if i.get("request")))
credit = [i for i in items if i.get("request") and i["request"]["commandCode"] == 272]
equal("credit control by name", [i["request"]["ccRequestType"] for i in credit], ["INITIAL_REQUEST"] * 2)
equal("what was sent again says so", [i["request"].get("retransmitted", False) for i in credit], [False, True])
check("errors by name", all(i["response"]["status"].startswith("DIAMETER_") and i["response"].get("error") for i in credit),
      [i["response"]["status"] for i in credit])
for i in items:
    if i.get("request") and i.get("response"):
        check("each answer to its request", i["request"]["endToEndId"] == i["response"]["endToEndId"] and
              i["request"]["hopByHopId"] == i["response"]["hopByHopId"], i["request"]["method"]) if i is items[0] or \
            i["request"]["endToEndId"] != i["response"]["endToEndId"] else None
