#!/usr/bin/python3
"""slapd's own statistics log and its monitor, operation by operation, against the items."""
from wire import *

need("ip", "ss", "tcpdump", "tshark", "slapd", "ldapadd", "ldapsearch", "ldappasswd", "ldapwhoami", "openssl", root=True)
wire = Wire("ldap")
port = 20000 + os.getpid() % 20000
data = wire.folder / "db"
data.mkdir()
key, certificate = wire.folder / "key.pem", wire.folder / "cert.pem"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj",
    f"/CN={SERVER}", "-addext", f"subjectAltName=IP:{SERVER}")
(wire.folder / "slapd.conf").write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {wire.folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
sizelimit 500
database mdb
maxsize 67108864
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw secret
directory {data}
overlay syncprov
database monitor
""")
wire.serve("slapd", "-d", "stats", "-f", wire.folder / "slapd.conf", "-h", f"ldap://{SERVER}:{port}/", log="slapd.log")
wire.listening(port)
ROOT_DN = ["-x", "-H", f"ldap://{SERVER}:{port}", "-D", "cn=admin,dc=test", "-w", "secret"]
environment = {**os.environ, "LDAPTLS_REQCERT": "never"}
wire.watch()
entries = "dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n" + "".join(
    f"dn: cn=user{i},dc=test\nobjectClass: inetOrgPerson\ncn: user{i}\nsn: {'ü' if i == 3 else 's'}{i}\nuid: u{i}\n\n"
    for i in range(300))
wire.client("ldapadd", *ROOT_DN, stdin=entries)
wire.client("ldapadd", *ROOT_DN, stdin="dn: cn=user1,dc=test\nobjectClass: person\ncn: user1\nsn: x\n", codes=(68,))
found = wire.client("ldapsearch", *ROOT_DN, "-LLL", "-b", "dc=test", "(&(objectClass=person)(|(cn=user1*)(sn>=s9)(!(uid=u*))))", "cn")
paged = wire.client("ldapsearch", *ROOT_DN, "-LLL", "-b", "dc=test", "-E", "pr=70/noprompt", "(objectClass=person)", "cn")
wire.client("ldapsearch", *ROOT_DN, "-b", "cn=nobody,dc=test", codes=(32,))
wire.client("ldapsearch", *ROOT_DN, "-b", "dc=test", "-z", "5", codes=(4,))
wire.client("ldapsearch", "-x", "-H", f"ldap://{SERVER}:{port}", "-b", "", "-s", "base", "+")
wire.client("ldapsearch", *ROOT_DN, "-b", "dc=test", "-E", "sync=ro", "-LLL", "(cn=user2*)", "cn")
wire.client("ldapmodify", *ROOT_DN, stdin="dn: cn=user5,dc=test\nchangetype: modify\nreplace: sn\nsn: new\n-\nadd: mail\nmail: a@b\n")
wire.client("ldapmodify", *ROOT_DN, stdin="dn: cn=nobody,dc=test\nchangetype: modify\nreplace: sn\nsn: new\n", codes=(32,))
wire.client("ldapmodrdn", *ROOT_DN, "-r", "cn=user6,dc=test", "cn=renamed")
wire.client("ldapcompare", *ROOT_DN, "cn=user5,dc=test", "sn:new", codes=(6,))
wire.client("ldapcompare", *ROOT_DN, "cn=user5,dc=test", "sn:old", codes=(5,))
wire.client("ldappasswd", *ROOT_DN, "-s", "passw0rd", "cn=user7,dc=test")
wire.client("ldapwhoami", "-x", "-H", f"ldap://{SERVER}:{port}", "-D", "cn=user7,dc=test", "-w", "passw0rd")
wire.client("ldapwhoami", "-x", "-H", f"ldap://{SERVER}:{port}", "-D", "cn=user7,dc=test", "-w", "wrong", codes=(49,))
wire.client("ldapdelete", *ROOT_DN, "cn=user8,dc=test", "cn=user9,dc=test")
wire.client("ldapsearch", *ROOT_DN, "-ZZ", "-b", "dc=test", "(cn=hidden)", env=environment)
wire.client("ldapexop", *ROOT_DN, "1.2.3.4", codes=None)
# A client that goes in the middle of things, one that sends several requests at once, and one that sends nonsense.
wire.become_client()
import socket  # noqa: E402


def tlv(tag, body):
    return bytes([tag, len(body)]) + body if len(body) < 128 else bytes([tag, 0x82]) + len(body).to_bytes(2, "big") + body


def message(number, operation, body):
    return tlv(0x30, tlv(2, bytes([number])) + tlv(operation, body))


def search(number, name):
    return message(number, 0x63, tlv(4, b"dc=test") + b"\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00" +
                   tlv(0xA3, tlv(4, b"cn") + tlv(4, name)) + tlv(0x30, b""))


with socket.create_connection((SERVER, port)) as s:
    s.settimeout(10)
    s.sendall(b"".join(search(i, b"user%d" % i) for i in range(1, 6)))
    got = b""
    while got.count(b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00") < 5:  # ends of searches
        got += s.recv(65536)
    s.sendall(message(9, 0x50, b"\x05") + message(10, 0x42, b""))
    while s.recv(65536):
        pass
items = wire.watched("ldap", "tlsx")
log = (wire.folder / "slapd.log").read_text()
ldap = [i for i in items if name_of(i) == "ldap"]

# conn=1000 op=1 SRCH base="..." ; RESULT tag=101 err=0 ...; SEARCH RESULT tag=101 err=0 qtime= etime= nentries=5 text=
VERBS = {"BIND": "bind", "UNBIND": "unbind", "SRCH": "search", "MOD": "modify", "ADD": "add", "DEL": "delete",
         "MODRDN": "modifyDN", "CMP": "compare", "ABANDON": "abandon", "EXT": "extended"}
import re  # noqa: E402
hidden = {c for c in re.findall(r"conn=(\d+) fd=\d+ TLS established", log)}
operations = collections.Counter()
for conn, op, verb, rest in re.findall(r"conn=(\d+) op=(\d+) (BIND|UNBIND|SRCH|MOD|ADD|DEL|MODRDN|CMP|ABANDON|EXT)\b(.*)", log):
    if verb == "BIND" and "mech=" in rest or verb in ("SRCH", "MOD") and "attr=" in rest:
        continue  # a second line about the same
    if conn in hidden and not (verb == "EXT" and "1466.20037" in rest):
        continue
    operations[VERBS[verb]] += 1
ours = collections.Counter(i["request"]["type"] for i in ldap)
equal("every operation that slapd logged", dict(sorted(ours.items())), dict(sorted(operations.items())))
results = collections.Counter()
for conn, tag, code in re.findall(r"conn=(\d+) op=\d+ (?:SEARCH )?RESULT (?:tag=(\d+) |oid=\S* )err=(\d+)", log):
    if conn not in hidden:
        results[int(code)] += 1
results[0] += len(hidden)  # StartTLS's own answer came in clear
equal("every result, errors too", dict(sorted(collections.Counter(i["response"]["resultCode"] for i in ldap if i.get("response")).items())),
      dict(sorted(results.items())))
entries_logged = sum(int(n) for c, n in re.findall(r"conn=(\d+) op=\d+ SEARCH RESULT .*?nentries=(\d+)", log) if c not in hidden)
equal("entries found", sum(i["response"].get("entryCount", 0) for i in ldap if i.get("response")), entries_logged)
shown = [i["request"]["filter"] for i in ldap if i["request"]["type"] == "search"]
logged = [f for c, f in re.findall(r'conn=(\d+) op=\d+ SRCH base=".*?" .*filter="(.*?)"\n', log) if c not in hidden]
# With a question mark where the comparison is undefined.
equal("filters as slapd writes them", sorted(f.lower() for f in shown), sorted(f.lower().replace("(?", "(") for f in logged))
rows = wire.tshark("ldap", "ldap.protocolOp", options=["-d", f"tcp.port=={port},ldap"])
seen = collections.Counter(v for row in rows for v in row[0])
requests = sum(seen[str(n)] for n in (0, 2, 3, 6, 8, 10, 12, 14, 16, 23))
equal("tshark's requests", sum(1 for i in ldap if i.get("request")), requests)
equal("tshark's final answers", sum(1 for i in ldap if i.get("response")), sum(seen[str(n)] for n in (1, 5, 7, 9, 11, 13, 15, 24)))
equal("paged results", len([i for i in ldap for c in i["request"].get("controls", []) if c["name"] == "Paged Results"]), 5)
equal("passwords are marked", [i["request"]["requestLabel"] for i in ldap if "requestLabel" in i["request"]].count("Password Modify"), 1)
equal("the connection behind StartTLS is TLS", len([i for i in items if name_of(i) == "tlsx"]), 1)
check("no password stands outside its field", "passw0rd" not in json.dumps([{**i["request"], "password": "", "requestValue": ""} for i in ldap]))
