#!/usr/bin/python3
"""SIPp on both sides: what its message log says went over the wire, over UDP and TCP, against the items."""
import re
import socket
from wire import *

need("ip", "ss", "tcpdump", "tshark", "sipp", root=True)
wire = Wire("sip")
port = 20000 + os.getpid() % 20000
logs = {}
for transport, number in (("u1", port), ("t1", port + 1)):
    logs[transport] = wire.folder / f"uas-{transport}.log"
    wire.serve("sipp", "-sn", "uas", "-i", SERVER, "-p", number, "-t", transport, "-nostdin", "-trace_msg", "-message_file", logs[transport],
               "-rtp_echo", log=f"uas-{transport}.out", cwd=wire.folder)
wire.listening(port, udp=True)
wire.listening(port + 1)
wire.watch()
for transport, number in (("u1", port), ("t1", port + 1)):
    wire.client("sipp", "-sn", "uac", f"{SERVER}:{number}", "-i", CLIENT, "-t", transport, "-nostdin", "-m", "20", "-r", "20", "-d", "50",
                "-s", "bob", cwd=wire.folder)
# A request that SIPp's scenario does not know, sent three times with its own branch; nobody answers. And a keep-alive.
wire.become_client()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(3):
        s.sendto(b"OPTIONS sip:bob@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK7\r\nf: <sip:a@h>;tag=1\r\nt: <sip:bob@h>\r\ni: lone\r\n"
                 b"CSeq: 1 OPTIONS\r\nAuthorization: Digest username=\"bob\", response=\"abc\"\r\nl: 0\r\n\r\n", (SERVER, port + 2))
    s.sendto(b"\r\n\r\n", (SERVER, port + 2))
items = wire.watched("sip")
received, sent = collections.Counter(), collections.Counter()
for file in logs.values():
    for way, first in re.findall(r"(?:UDP|TCP) message (sent|received).*?\n\n(\S+ \S+)", file.read_text(), re.S):
        (sent if way == "sent" else received)[first.split()[1] if first.startswith("SIP/2.0") else first.split()[0]] += 1
of_sipp = [i for i in items if i["request"]["callId"] != "lone"]
methods = collections.Counter(i["request"]["method"] for i in of_sipp)
equal("every request that the server received", dict(sorted(methods.items())), dict(sorted((k, n) for k, n in received.items() if not k.isdigit())))
final = collections.Counter(i["response"]["status"] for i in of_sipp if i.get("response"))
equal("every final response that it sent", dict(final), {k: n for k, n in sent.items() if k >= "200"})
equal("provisional ones are part of them", sum(i["response"].get("provisional", 0) for i in of_sipp if i.get("response")),
      sum(n for k, n in sent.items() if k < "200"))
lone = [i for i in items if i["request"]["callId"] == "lone"]
equal("what nobody answered", [outcome_of(i) for i in lone], ["no-response"] * 3 if not lone else [outcome_of(lone[0])] * 3)
equal("what was sent again says so", [i["request"].get("retransmission", False) for i in lone], [False, True, True])
check("credentials stand apart", all("credentials" in i["request"] and "abc" not in json.dumps(i["request"]["headers"]) for i in lone))
sdp = [i["request"]["sdp"]["media"][0]["type"] for i in of_sipp if i["request"].get("sdp")]
equal("session descriptions", sdp, ["audio"] * 40)
options = [a for p in (port, port + 1, port + 2) for a in ("-d", f"udp.port=={p},sip", "-d", f"tcp.port=={p},sip")]
equal("tshark's requests", sum(1 for i in items if i.get("request")), sum(wire.tshark_values("sip.Method && !icmp", "sip.Method", options).values()))
codes = wire.tshark_values("sip.Status-Code", "sip.Status-Code", options)
equal("tshark's final responses", sum(final.values()), sum(n for c, n in codes.items() if c >= "200"))
