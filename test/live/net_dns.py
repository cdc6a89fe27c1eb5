#!/usr/bin/python3
"""dnsmasq's query log, question by question, against the items: UDP, TCP with several questions under way, EDNS, errors,
a zone transfer, and a load of questions."""
import re
import socket
import struct
from wire import *

need("ip", "ss", "tcpdump", "tshark", "dnsmasq", "dig", root=True)
wire = Wire("dns")
port = 20000 + os.getpid() % 20000
log = wire.folder / "dns.log"
wire.serve("dnsmasq", "-k", "-C", "/dev/null", "-a", SERVER, "-z", "-p", port, "-q", "-R", "-h", f"--log-facility={log}", "--user=root",
           f"--pid-file={wire.folder}/pid", "--address=/plain.test/10.88.0.9", "--address=/plain.test/2001:db8::9",
           "--txt-record=plain.test,v=spf1,-all", "--srv-host=_sip._udp.plain.test,plain.test,5060,1,2", "--mx-host=plain.test,mx.plain.test,5",
           "--naptr-record=plain.test,1,2,u,E2U+sip,!^.*$!sip:a@b!", "--caa-record=plain.test,0,issue,ca.test",
           "--dns-rr=plain.test,65,000100000100030268330003000201bb", "--local=/nothing.test/")
zone_log = wire.folder / "zone.log"  # one that is the authority of a zone, and knows nothing else
wire.serve("dnsmasq", "-k", "-C", "/dev/null", "-a", SERVER, "-z", "-p", port + 1, "-q", "-R", "-h", f"--log-facility={zone_log}", "--user=root",
           f"--pid-file={wire.folder}/pid2", "--auth-server=ns.zone.test,bl0", "--auth-zone=zone.test,10.88.0.0/24", f"--auth-peer={CLIENT}",
           "--host-record=a.zone.test,10.88.0.11", "--host-record=b.zone.test,10.88.0.12")
wire.listening(port)
wire.listening(port + 1)
wire.watch()


def dig(*arguments, codes=(0,)):
    return wire.client("dig", f"@{SERVER}", "-p", port, "+tries=1", "+time=3", *arguments, codes=codes)


for kind in ("A", "AAAA", "TXT", "MX", "NAPTR", "CAA", "TYPE65"):
    dig("plain.test", kind)
dig("_sip._udp.plain.test", "SRV")
dig("-x", "10.88.0.11")
dig("Plain.TEST", "A", "+subnet=192.0.2.0/24", "+nsid", "+dnssec", "+bufsize=1400")
dig("plain.test", "A", "+noedns", "+norecurse")
dig("x.nothing.test", "A")
dig("elsewhere.example", "A")  # there is no server to ask
dig("version.bind", "TXT", "CH")
dig("plain.test", "A", "+tcp")
dig("a.zone.test", "A", "-p", port + 1)
dig("not.zone.test", "A", "-p", port + 1)
transfer = dig("zone.test", "AXFR", "-p", port + 1)
wire.become_client()


def question(number, name, kind=1):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


# Ten questions in one segment, one cut in the middle, and an end in the middle of a length.
with socket.create_connection((SERVER, port), 5) as s:
    framed = b"".join(struct.pack("!H", len(q)) + q for q in (question(i, f"n{i}.plain.test") for i in range(10)))
    s.sendall(framed[:-7])
    time.sleep(0.1)
    s.sendall(framed[-7:])
    got = b""
    while got.count(b"\x0a\x58\x00\x09") < 10:
        got += s.recv(65536)
    s.sendall(b"\0")
# The same question twice with one number, as an impatient client has it; and answers that nobody waits for any more.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(5)
    for _ in range(2):
        s.sendto(question(7, "again.plain.test"), (SERVER, port))
    for _ in range(2):
        s.recvfrom(4096)
    s.sendto(b"no question at all", (SERVER, port))
    for i in range(200):
        s.sendto(question(1000 + i, f"many{i}.plain.test", 28 if i % 2 else 1), (SERVER, port))
        s.recvfrom(4096)
items = wire.watched("dns")
text = log.read_text() + zone_log.read_text()
logged = collections.Counter((k.replace("type=65", "HTTPS"), n.lower()) for k, n in re.findall(r": (?:query|auth)\[(\S+?)\] (\S+) from", text))
ours = collections.Counter((t, n.lower()) for i in items if i.get("request") for t, n in
                           zip(i["request"]["questionTypes"], i["request"]["questionNames"]))
equal("every question that dnsmasq logged", {k: v for k, v in ours.items() if k[1] != "version.bind"},
      {k: v for k, v in logged.items() if k[1] != "version.bind"})
answers = collections.Counter(i["response"]["rcodeName"] for i in items if i.get("response"))
equal("all were answered", sum(answers.values()), sum(ours.values()))
check("with errors", answers["NXDOMAIN"] >= 1 and answers["REFUSED"] >= 1, dict(answers))
axfr = [i for i in items if "AXFR" in i["request"]["questionTypes"]]
records = len([l for l in transfer.splitlines() if l and not l.startswith(";")])
equal("the transfer is one item with all records", [len(i["response"]["answers"]) for i in axfr], [records])
port_is = [a for p in (port, port + 1) for a in ("-d", f"udp.port=={p},dns", "-d", f"tcp.port=={p},dns")]
flags = collections.Counter(v for row in wire.tshark("dns", "dns.flags.response", options=port_is) for v in row[0])
# tshark counts what is no question at all, which dnsmasq does not log either.
equal("tshark's questions", sum(ours.values()), flags["0"] + flags["False"] - len([r for r in wire.tshark("udp.length == 26", "dns.id", options=port_is)]))
equal("tshark's answers", sum(answers.values()), flags["1"] + flags["True"])
ecs = [o for i in items for o in i["request"].get("edns", {}).get("options", []) if o["name"] == "ECS"]
equal("EDNS options", [o["value"] for o in ecs], ["192.0.2.0/24/0"])
