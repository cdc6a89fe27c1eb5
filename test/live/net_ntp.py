#!/usr/bin/python3
"""chronyd's own statistics against the items: clients in client and interleaved mode, and a server that is not synchronized."""
import re
import socket
import struct
from wire import *

need("ip", "ss", "tcpdump", "tshark", "chronyd", "chronyc", root=True)
wire = Wire("ntp")
port = 20000 + os.getpid() % 20000


def chronyd(name, text):
    folder = wire.folder / name
    folder.mkdir()
    os.chmod(folder, 0o700)
    (folder / "conf").write_text(f"{text}\ndriftfile {folder}/drift\npidfile {folder}/pid\nbindcmdaddress {folder}/sock\nuser root\ncmdport 0\n")
    return folder


server = chronyd("server", f"local stratum 8\nallow\nport {port}\nbindaddress {SERVER}")
wire.serve("chronyd", "-x", "-d", "-f", server / "conf")
wire.listening(port, udp=True)


def statistics():
    said = run(*wire.inside, "chronyc", "-h", server / "sock", "serverstats")
    return {k.strip(): int(v) for k, v in re.findall(r"(.*?)\s*: (\d+)", said)}


before = statistics()
wire.watch()
client = chronyd("client", f"server {SERVER} port {port} iburst minpoll -2 maxpoll -2 xleave\nport 0")
asking = wire.start(wire.outside + ["chronyd", "-x", "-d", "-f", str(client / "conf")])
time.sleep(8)
asking.terminate()
asking.wait()
# The simplest client there is, one with a key that nobody knows, and the port where nobody answers.
wire.become_client()
now = lambda: struct.pack("!II", int(time.time()) + 2208988800, 7)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(2)
    s.sendto(b"\x1b" + bytes(47), (SERVER, port))
    s.recvfrom(1024)
    s.sendto(b"\x23" + bytes(39) + now() + struct.pack("!I", 9) + bytes(16), (SERVER, port))
    time.sleep(0.3)
    s.sendto(b"\x23" + bytes(39) + now(), (SERVER, port + 1))
    s.sendto(bytes.fromhex("1602000100000000") + bytes(4), (SERVER, port + 1))
    time.sleep(0.3)
items = wire.watched("ntp")
after = statistics()
grown = {k: after[k] - before.get(k, 0) for k in after}
to_server = [i for i in items if int(i["dst"]["port"]) == port]
equal("packets that the server counts", len(to_server), grown["NTP packets received"])
options = ["-d", f"udp.port=={port},ntp", "-d", f"udp.port=={port + 1},ntp"]
modes = wire.tshark_values("ntp && !icmp", "ntp.flags.mode", options)
equal("tshark's requests", len([i for i in items if i.get("request")]), modes["3"] + modes["6"])
equal("tshark's answers", len([i for i in items if i.get("response")]), modes["4"])
check("each answer has its question, in interleaved mode, too", all(i.get("request") for i in items), len(items))
interleaved = grown.get("Interleaved NTP packets", grown.get("NTP packets interleaved", 0))
check("interleaved mode was in use", interleaved > 0, grown)
equal("what nobody answered", sorted(i["request"]["mode"] for i in items if not i.get("response")), ["client", "client", "control"])
equal("strata", {i["response"]["stratum"] for i in items if i.get("response")}, {8})
equal("the key's number", [i["request"]["keyId"] for i in items if "keyId" in i["request"]], [9])
