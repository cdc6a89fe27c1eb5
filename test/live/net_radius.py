#!/usr/bin/python3
"""FreeRADIUS's own statistics (asked by Status-Server) and log against the items: access, accounting, EAP, errors."""
import re
from wire import *

need("ip", "ss", "tcpdump", "tshark", "freeradius", "radclient", "eapol_test", "openssl", root=True)
wire = Wire("radius")
home = wire.folder / "raddb"
shutil.copytree("/etc/freeradius/3.0", home, symlinks=True)
base = 20000 + os.getpid() % 20000
authentication, accounting, status = base, base + 1, base + 2
(home / "clients.conf").write_text(f"client all {{ ipaddr = 10.88.0.0/24\n proto = *\n secret = testing123\n }}\n")
users = home / "mods-config/files/authorize"
users.unlink(missing_ok=True)
users.write_text('bob Cleartext-Password := "hello"\n Reply-Message := "Hello bob",\n Cisco-AVPair := "shell:priv=15",\n'
                 ' Framed-IPv6-Prefix := "2001:db8::/64"\n')
for site in (home / "sites-enabled").iterdir():
    site.unlink()
(home / "sites-enabled/test").write_text(f"""
server test {{
  listen {{
    type = auth
    ipaddr = {SERVER}
    port = {authentication}
  }}
  listen {{
    type = auth
    proto = tcp
    ipaddr = {SERVER}
    port = {authentication}
  }}
  listen {{
    type = acct
    ipaddr = {SERVER}
    port = {accounting}
  }}
  authorize {{
    mschap
    files
    eap {{
      ok = return
    }}
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    Auth-Type MS-CHAP {{
      mschap
    }}
    eap
  }}
  preacct {{
    ok
  }}
  accounting {{
    ok
  }}
}}
server status {{
  listen {{
    type = status
    ipaddr = {SERVER}
    port = {status}
  }}
  client admin {{
    ipaddr = 10.88.0.0/24
    secret = testing123
  }}
  authorize {{
    ok
  }}
}}
""")
# As Debian ships it, but for the places; certificates of its own.
key, certificate = wire.folder / "key.pem", wire.folder / "cert.pem"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=radius")
eap = home / "mods-enabled/eap"
text = pathlib.Path("/etc/freeradius/3.0/mods-available/eap").read_text()
text = re.sub(r"(?m)^(\s*)private_key_file = .*", rf"\1private_key_file = {key}", text)
text = re.sub(r"(?m)^(\s*)certificate_file = .*", rf"\1certificate_file = {certificate}", text)
text = re.sub(r"(?m)^(\s*)ca_file = .*", rf"\1ca_file = {certificate}", text)
text = re.sub(r"(?m)^(\s*)ca_path = .*", "", text).replace('virtual_server = "inner-tunnel"', 'virtual_server = "test"')
eap.unlink(missing_ok=True)
eap.write_text(text)
config = (home / "radiusd.conf").read_text()
config = re.sub(r"(?m)^(\s*)(user|group) = freerad.*", "", config)
config = re.sub(r"(?m)^raddbdir = .*", f"raddbdir = {home}", config)
config = re.sub(r"(?m)^(logdir|run_dir|db_dir) = .*", rf"\1 = {wire.folder}", config)
config = re.sub(r"(?m)^\s*auth = no", "auth = yes", config)
config = re.sub(r"(?m)^\s*reject_delay = .*", "reject_delay = 0", config)
(home / "radiusd.conf").write_text(config)
wire.serve("freeradius", "-f", "-l", "stdout", "-d", home, log="radius.log")
wire.listening(authentication, udp=True)
wire.listening(status, udp=True)


def send(port, kind, attributes, *options, codes=(0,)):
    return wire.client("radclient", "-x", "-t", "2", "-r", "1", *options, f"{SERVER}:{port}", kind, "testing123", stdin=attributes, codes=codes)


STATISTICS = "Message-Authenticator = 0x00\nFreeRADIUS-Statistics-Type = All\n"


def statistics():
    said = send(status, "status", STATISTICS)
    return {name: int(value) for name, value in re.findall(r"FreeRADIUS-Total-([\w-]+) = (\d+)", said)}


# The question is counted as well, after its answer.
first = statistics()
before = statistics()
own = {name: before[name] - first[name] for name in before}
wire.watch()
for i in range(5):
    send(authentication, "auth", "User-Name = bob\nUser-Password = hello\nNAS-IP-Address = 10.1.2.3\nNAS-Port-Type = Ethernet\n")
send(authentication, "auth", "User-Name = bob\nUser-Password = wrong\n", codes=(1,))
send(authentication, "auth", "User-Name = eve\nCHAP-Password = wrong\n", codes=(1,))
send(authentication, "auth", "User-Name = bob\nMS-CHAP-Password = hello\n")
send(authentication, "auth", "User-Name = bob\nUser-Password = hello\n", "-P", "tcp")
for kind in ("Start", "Interim-Update", "Stop"):
    send(accounting, "acct", f"User-Name = bob\nAcct-Status-Type = {kind}\nAcct-Session-Id = s1\nAcct-Input-Octets = 77\n")
# Nobody answers here: it is sent again, twice.
send(base + 9, "auth", "User-Name = bob\nUser-Password = hello\n", "-r", "3", "-t", "1", codes=(1,))
# A change of authorization has no server either, but it is a request.
send(base + 8, "coa", "User-Name = bob\nAcct-Session-Id = s1\n", "-r", "1", codes=(1,))
# A secret that is not the server's: the server drops the request without a word.
wire.client("radclient", "-t", "1", "-r", "1", f"{SERVER}:{accounting}", "acct", "other", stdin="User-Name = bob\nAcct-Status-Type = Start\n", codes=(1,))
for method, inner in (("PEAP", 'phase2="auth=MSCHAPV2"'), ("TTLS", 'phase2="auth=PAP"'), ("MD5", "")):
    network = wire.folder / f"{method}.conf"
    network.write_text(f'network={{\n key_mgmt=IEEE8021X\n eap={method}\n identity="bob"\n password="hello"\n {inner}\n}}\n')
    wire.client("eapol_test", "-n", "-c", network, "-a", SERVER, "-p", authentication, "-s", "testing123", "-t", "10")
after = statistics()
items = wire.watched("radius")
count = lambda *codes: sum(1 for i in items if (i.get("response") or {}).get("code") in codes)
asked = lambda *codes: [i for i in items if (i.get("request") or {}).get("code") in codes]
grown = {name: after[name] - before[name] - own[name] for name in after}
of_server = lambda port: [i for i in items if int(i["dst"]["port"]) == port]
equal("requests for access that the server counts", len([i for i in of_server(authentication) if i["request"]["code"] == 1]), grown["Access-Requests"])
# FreeRADIUS 3.2 counts no answers with EAP in them; its log has one line for each.
plain = [i for i in items if not i["request"].get("eap") and i.get("response") and i not in of_server(status)]
equal("accepts", len([i for i in plain if i["response"]["code"] == 2]), grown["Access-Accepts"])
equal("rejects", count(3), grown["Access-Rejects"])
outer = [l for l in (wire.folder / "radius.log").read_text().splitlines() if "Login OK" in l and "via TLS tunnel" not in l]
equal("logins that its log has, EAP's too", count(2) - len(of_server(status)), len(outer))
equal("requests for accounting, dropped ones too", len(of_server(accounting)), grown["Accounting-Requests"])
equal("answers to them", count(5), grown["Accounting-Responses"])
equal("what nobody answered", len([i for i in items if outcome_of(i)]), len([i for i in items if not i.get("response")]))
equal("requests that were sent again say so", len([i for i in items if i["request"].get("retransmission")]), 2)
codes = wire.tshark_values("radius && !icmp", "radius.code", options=[a for p in (*range(base, base + 10),) for a in ("-d", f"udp.port=={p},radius")])
OVER_TCP = 1  # tshark reads none there
equal("tshark's requests", len([i for i in items if i.get("request")]), OVER_TCP + sum(codes[str(c)] for c in (1, 4, 12, 40, 43)))
equal("tshark's answers", len([i for i in items if i.get("response")]), OVER_TCP + sum(n for c, n in codes.items() if c not in ("1", "4", "12", "40", "43")))
eap = {i["request"].get("eap", {}).get("type") for i in items if i["request"].get("eap")} | {
    i["response"].get("eap", {}).get("type") for i in items if i.get("response") and i["response"].get("eap")}
check("methods of EAP by name", {"Identity", "PEAP", "TTLS", "MD5-Challenge"} <= eap, eap)
vendor = [v for i in items if i.get("response") for a in i["response"]["attributes"] if a.get("name") == "Vendor-Specific" for v in a["value"].get("attributes", [])]
check("vendors' attributes by name", {"name": "Cisco-AVPair", "type": 1, "value": "shell:priv=15"} in vendor)
secrets = {s.get("name") for i in items for m in (i["request"], i.get("response") or {}) for s in m.get("secrets", [])}
check("passwords and keys stand apart", {"User-Password", "CHAP-Password", "MS-CHAP-Response", "MS-MPPE-Recv-Key"} <= secrets, secrets)
