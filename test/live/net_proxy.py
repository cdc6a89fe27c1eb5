#!/usr/bin/python3
"""HAProxy in front of nginx and of an SMTP server, with heads of the PROXY protocol of both versions: what these servers say
that was announced, against what the items say."""
from wire import *

need("ip", "ss", "tcpdump", "tshark", "nginx", "haproxy", "curl", "openssl", root=True)
need_modules("aiosmtpd")
wire = Wire("proxy")
run(*wire.outside, "ip", "link", "set", "lo", "up")
base = 21000 + os.getpid() % 20000
web, mail, front = base, base + 1, base + 10
key, cert, pem = wire.folder / "key.pem", wire.folder / "cert.pem", wire.folder / "both.pem"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=client.example", "-keyout", key, "-out", cert)
pem.write_text(key.read_text() + cert.read_text())
access = wire.folder / "access.log"
(wire.folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; user root; pid {wire.folder}/pid; error_log {wire.folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  log_format live '$request_uri|$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$remote_port';
  access_log {access} live; client_body_temp_path {wire.folder}/body;
  server {{ listen {SERVER}:{web} proxy_protocol; location / {{ return 200 "hello"; }} }}
}}
""")
wire.serve("nginx", "-c", wire.folder / "nginx.conf")
(wire.folder / "mail.py").write_text(f"""
import json, time
from aiosmtpd.controller import Controller
class Handler:
    async def handle_PROXY(self, server, session, envelope, head):
        with open("{wire.folder}/mail.log", "a") as log:
            print(json.dumps([head.version, str(head.src_addr), head.src_port, str(head.dst_addr), head.dst_port]), file=log)
        return True
Controller(Handler(), hostname="{SERVER}", port={mail}, proxy_protocol_timeout=5, ready_timeout=20).start()
time.sleep(600)
""")
wire.start(wire.inside + ["/usr/bin/python3", wire.folder / "mail.py"], stderr=open(wire.folder / "mail.err", "w"))
for port in (web, mail):
    eventually(f"something listens on {port}", lambda: f":{port} " in run(*wire.inside, "ss", "-Hltn"), 60)
options = "proxy-v2-options ssl,cert-cn,cert-sig,cert-key,authority,crc32c,unique-id"
(wire.folder / "haproxy.cfg").write_text(f"""
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen one
  bind 127.0.0.1:{front}
  server a {SERVER}:{web} send-proxy
listen two
  bind 127.0.0.1:{front + 1}
  server a {SERVER}:{web} send-proxy-v2
listen six
  bind ::1:{front + 2} v6only
  server a {SERVER}:{web} send-proxy-v2
listen sealed
  bind 127.0.0.1:{front + 3} ssl crt {pem} ca-file {cert} verify optional alpn http/1.1
  unique-id-format %{{+X}}o%ci:%cp
  server a {SERVER}:{web} send-proxy-v2 {options}
listen mail
  bind 127.0.0.1:{front + 4}
  server a {SERVER}:{mail} send-proxy
listen mail2
  bind 127.0.0.1:{front + 5}
  server a {SERVER}:{mail} send-proxy-v2
""")
wire.start(wire.outside + ["haproxy", "-f", wire.folder / "haproxy.cfg", "-db"], stdout=subprocess.DEVNULL, stderr=open(wire.folder / "haproxy.log", "w"))
eventually("HAProxy listens", lambda: f":{front + 5} " in run(*wire.outside, "ss", "-Hltn"), 30)
wire.watch()
curl = lambda *a: wire.client("curl", "-sS", "-m", "20", "-o", "/dev/null", *a)
for n in range(3):
    curl(f"http://127.0.0.1:{front}/one{n}", "-o", "/dev/null", f"http://127.0.0.1:{front}/one{n}again")
    curl(f"http://127.0.0.1:{front + 1}/two{n}")
curl(f"http://[::1]:{front + 2}/six")
curl("-k", "--resolve", f"shop.example:{front + 3}:127.0.0.1", "--cert", cert, "--key", key, f"https://shop.example:{front + 3}/sealed")
curl("-k", f"https://127.0.0.1:{front + 3}/nobody")
letter = wire.folder / "letter"
letter.write_bytes(b"Subject: a letter\r\n\r\nhello\r\n")
for n in (4, 5):
    wire.client("curl", "-sS", "-m", "20", f"smtp://127.0.0.1:{front + n}", "--mail-from", "a@b.test", "--mail-rcpt", "c@d.test", "-T", letter)
time.sleep(1)
items = wire.watched("http", "smtp")
head = lambda i: i["capture"].get("proxyProtocol")
check("every item has what was announced", all(head(i) for i in items), [i["protocol"]["name"] for i in items if not head(i)])
rows = sorted(line for line in access.read_text().splitlines())
ours = sorted("|".join([i["request"]["url"], head(i)["src"]["ip"], head(i)["src"]["port"], head(i)["dst"]["ip"], head(i)["dst"]["port"], i["src"]["port"]])
              for i in items if name_of(i) == "http")
equal("what nginx was told, request by request", ours, rows)
equal("versions", sorted((head(i)["version"], i["request"]["url"][:4]) for i in items if name_of(i) == "http"),
      sorted([(1, "/one")] * 6 + [(2, "/two")] * 3 + [(2, "/six"), (2, "/sea"), (2, "/nob")]))
sealed = {i["request"]["url"]: head(i) for i in items if name_of(i) == "http"}
seen = sealed["/sealed"]
check("of TLS", seen["tls"]["cn"] == "client.example" and seen["tls"]["version"].startswith("TLSv1.") and seen["tls"]["verified"] is True and
      seen["tls"]["keyAlgorithm"] == "RSA2048" and seen["tls"]["signatureAlgorithm"] == "RSA-SHA256", seen)
check("its other TLVs", seen["authority"] == "shop.example" and seen["checksum"] == "right" and ":" in seen["uniqueId"], seen)
check("without a certificate", sealed["/nobody"]["tls"]["clientCertificate"] is False and "authority" not in sealed["/nobody"], sealed["/nobody"])
told = sorted(json.loads(line) for line in (wire.folder / "mail.log").read_text().splitlines())
by_mail = {i["src"]["port"]: head(i) for i in items if name_of(i) == "smtp"}
equal("what the mail server was told, though it speaks first", sorted(
    [h["version"], h["src"]["ip"], int(h["src"]["port"]), h["dst"]["ip"], int(h["dst"]["port"])] for h in by_mail.values()), told)
check("and its conversation is known", sum(1 for i in items if name_of(i) == "smtp") >= 8, len(items))
