#!/usr/bin/python3
"""dnsmasq's DHCP log against the items: udhcpc and dhclient over IPv4 and IPv6, leases renewed and released, refusals."""
import re
from wire import *

need("ip", "ss", "tcpdump", "tshark", "dnsmasq", "udhcpc", "dhclient", root=True)
wire = Wire("dhcp")
log = wire.folder / "dhcp.log"
for prefix, link, address in ((wire.inside, "bl0", "fd00:88::1/64"), (wire.outside, "bl1", "fd00:88::2/64")):
    run(*prefix, "ip", "addr", "add", address, "dev", link, "nodad")
wire.serve("dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-i", "bl0", "--bind-interfaces", "--dhcp-range=10.88.0.50,10.88.0.60,120",
           "--dhcp-range=fd00:88::100,fd00:88::200,64,120", "--dhcp-option=42,10.88.0.1", "--dhcp-option=119,test,example.test",
           "--dhcp-host=02:00:00:00:00:77,ignore", "--log-dhcp", f"--log-facility={log}", "--user=root", "--dhcp-authoritative", "--no-ping",
           f"--dhcp-leasefile={wire.folder}/leases", f"--pid-file={wire.folder}/pid")
wire.listening(67, udp=True)
eventually("addresses of IPv6 are ready", lambda: "tentative" not in run(*wire.outside, "ip", "-6", "addr", "show", "dev", "bl1"))
wire.watch()
script = wire.folder / "script"
script.write_text("#!/bin/sh\nexit 0\n")
script.chmod(0o755)
udhcpc = lambda *a, codes=(0,): wire.client("udhcpc", "-i", "bl1", "-f", "-q", "-n", "-s", script, "-t", "2", "-T", "1", "-A", "1", *a, codes=codes)
udhcpc("-x", "hostname:pc1")
udhcpc("-x", "hostname:pc1", "-r", "10.88.0.55")
udhcpc("-R", "-x", "hostname:pc2")
lease = lambda n: ["-1", "-cf", "/dev/null", "-lf", wire.folder / f"lease{n}", "-pf", wire.folder / f"pid{n}", "-sf", script]
six = wire.start(wire.outside + ["dhclient", "-6", "-d"] + [str(a) for a in lease(6)] + ["bl1"])
eventually("a lease over IPv6", lambda: "DHCPREPLY" in log.read_text() or "reply" in log.read_text().lower(), 30)
six.terminate()
six.wait()
wire.client("dhclient", "-6", "-r", *[a for a in lease(6) if a != "-1"], "bl1", codes=None)
wire.client("dhclient", "-6", "-S", *lease(7), "bl1", codes=None)
run(*wire.outside, "ip", "link", "set", "bl1", "down")
run(*wire.outside, "ip", "link", "set", "bl1", "address", "02:00:00:00:00:77")
run(*wire.outside, "ip", "link", "set", "bl1", "up")
udhcpc("-x", "hostname:ignored", codes=(1,))
time.sleep(0.5)
items = wire.watched("dhcp", "dhcpv6", "mdns", "dns")
text = log.read_text()
# Each message is one line with the type, beside many with its options.
logged = collections.Counter(re.findall(r"\d+ DHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|DECLINE|RELEASE|INFORM)\(bl0\) (?=10\.|(?:..:){5}.. )", text))
message = lambda i: i.get("request") or i.get("response")
four = [i for i in items if name_of(i) == "dhcp"]
six = [i for i in items if name_of(i) == "dhcpv6"]
equal("every message that dnsmasq logged", dict(sorted(collections.Counter(m["type"] for i in four for m in (i.get("request"), i.get("response")) if m).items())),
      dict(sorted(logged.items())))
ours6 = collections.Counter(m["type"] for i in six for m in (i.get("request"), i.get("response")) if m)
types = wire.tshark_values("dhcpv6 && !icmpv6", "dhcpv6.msgtype")  # errors quote what nobody took
NUMBERS = {"1": "SOLICIT", "2": "ADVERTISE", "3": "REQUEST", "4": "CONFIRM", "5": "RENEW", "6": "REBIND", "7": "REPLY", "8": "RELEASE", "11": "INFORMATION-REQUEST"}
equal("of IPv6 as tshark counts them", dict(sorted(ours6.items())), dict(sorted((NUMBERS[k], n) for k, n in types.items())))
check("and there are some", ours6["SOLICIT"] >= 1 and ours6["REPLY"] >= 2, dict(ours6))
kinds = wire.tshark_values("dhcp", "dhcp.type")
equal("tshark's requests and replies", [sum(1 for i in four if i.get("request")), sum(1 for i in four if i.get("response"))], [kinds["1"], kinds["2"]])
check("names and leases", {i["request"].get("hostName") for i in four if i.get("request")} >= {"pc1", "pc2", "ignored"} and
      any(i["response"].get("leaseTime") == 120 for i in four if i.get("response")))
# Broadcast and multicast questions, and the answers that came between other addresses, by who asked.
offered = [i for i in four if i.get("response") and i["response"]["type"] == "OFFER"]
check("every offer answers its broadcast", offered and all(
    i.get("request") and i["request"]["type"] == "DISCOVER" and i["dst"]["ip"] == "255.255.255.255" and
    (i["request"]["transactionId"], i["request"]["hardwareAddress"]) == (i["response"]["transactionId"], i["response"]["hardwareAddress"])
    for i in offered), [i.get("request", {}) and i["request"]["type"] for i in offered])
bound = [i for i in four if i.get("response") and i["response"]["type"] in ("ACK", "NAK")]
check("every acknowledgement its request", bound and all(i.get("request") and i["request"]["type"] in ("REQUEST", "INFORM") for i in bound), len(bound))
check("what was ignored has no answer", all(outcome_of(i) == "pair-not-found" for i in four
      if i.get("request") and i["request"].get("hostName") == "ignored" and i["request"]["type"] == "DISCOVER"))
advertised = [i for i in six if i.get("response")]
check("multicast of IPv6 is answered as well", advertised and all(
    i.get("request") and i["request"]["transactionId"] == i["response"]["transactionId"] for i in advertised),
      [(i.get("request") or {}).get("type") for i in advertised])
