#!/usr/bin/env python3
"""Every cipher suite of this machine's OpenSSL that seals with AEAD, or with CBC in TLS 1.2, spoken live by its own client and
server with a key log that grows meanwhile: all of them are opened, and tshark opens no more of them than we do."""
import collections

from parts import *

need("ip", "openssl", "tshark", "tcpdump", root=True)
bench = Bench("suites")
bench.network()
folder = bench.folder
for kind, new in (("rsa", ["-newkey", "rsa:2048"]), ("ec", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])):
    run("openssl", "req", "-x509", *new, "-nodes", "-days", "2", "-subj", f"/CN={kind}.example", "-keyout", folder / f"{kind}.key",
        "-out", folder / f"{kind}.pem")
run("openssl", "dsaparam", "-out", folder / "dsa.par", "-genkey", "2048")
run("openssl", "req", "-x509", "-newkey", f"dsa:{folder}/dsa.par", "-nodes", "-days", "2", "-subj", "/CN=dsa.example", "-keyout",
    folder / "dsa.key", "-out", folder / "dsa.pem")
ALL, PSK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "1a2b3c4d"
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
             "TLS_AES_128_CCM_8_SHA256"]


def server(port, *options):
    bench.start(bench.inside + ["openssl", "s_server", "-accept", str(port), "-www", "-cipher", ALL, "-ciphersuites",
                                ":".join(SUITES_13), "-psk", PSK, *options])


rsa_ec = ["-cert", folder / "rsa.pem", "-key", folder / "rsa.key", "-dcert", folder / "ec.pem", "-dkey", folder / "ec.key"]
dsa = ["-cert", folder / "dsa.pem", "-key", folder / "dsa.key"]
server(4431, *rsa_ec)
server(4432, *dsa)
server(4433, *rsa_ec, "-no_etm")
server(4434, *dsa, "-no_etm")
server(4435, *rsa_ec, "-Verify", "1")
secrets = folder / "keys.log"
secrets.touch()


def ask(port, path, *options):
    command = ["openssl", "s_client", "-connect", f"{SERVER}:{port}", "-keylogfile", secrets, "-ign_eof", *options]
    done = subprocess.run(bench.outside + [str(c) for c in command], capture_output=True, timeout=20,
                          input=f"GET /{path} HTTP/1.0\r\n\r\n".encode())
    return b"HTTP/1.0 200 ok" in done.stdout


for port in range(4431, 4436):
    eventually(f"the server on {port} answers", lambda: ask(port, "ready", "-tls1_2", "-cert", folder / "rsa.pem", "-key",
                                                            folder / "rsa.key", "-cipher", ALL))
secrets.write_text("")
capture = folder / "all.pcap"
dump = bench.start(bench.inside + ["tcpdump", "-i", "bl0", "-s", "0", "-U", "-w", capture, "tcp"])
eventually("tcpdump captures", lambda: capture.exists() and capture.stat().st_size > 0)
tap = bench.tap("-i", "bl0", "--tls-keylog", secrets, "--record", "tls and http", "--to", folder / "bucket")

asked, refused = [], []


def expect(port, path, *options):
    (asked if ask(port, path, *options) else refused).append(path)


kinds = collections.Counter()
for line in run("openssl", "ciphers", "-v", "-tls1_2", ALL).splitlines():
    name, _, exchange, who, cipher, mac = line.split()[:6]
    seals = cipher.split("=")[1].split("(")[0]
    if seals == "None" or "SRP" in exchange or seals.startswith("CHACHA") and name.startswith("TLS_"):
        continue
    if name.startswith("TLS_"):
        continue
    kinds[seals] += 1
    options = ["-tls1_2", "-cipher", f"{name}:@SECLEVEL=0"] + (["-psk", PSK] if "PSK" in exchange else [])
    first = 4432 if "DSS" in who else 4431
    expect(first, name, *options)
    if "AEAD" not in mac:
        expect(first + 2, f"{name}/mac-then-encrypt", *options)
for name in SUITES_13:
    expect(4431, name, "-tls1_3", "-ciphersuites", name)
    expect(4431, f"{name}/psk", "-tls1_3", "-ciphersuites", name, "-psk", PSK)
mine = ["-cert", folder / "rsa.pem", "-key", folder / "rsa.key"]
expect(4435, "client-certificate/1.2", "-tls1_2", *mine)
expect(4435, "client-certificate/1.3", "-tls1_3", *mine)
for version in ("1.2", "1.3"):
    flag = f"-tls{version.replace('.', '_')}"
    expect(4431, f"first/{version}", flag, "-sess_out", folder / f"session{version}")
    expect(4431, f"resumed/{version}", flag, "-sess_in", folder / f"session{version}")
expect(4431, "resumed-by-id", "-tls1_2", "-no_ticket", "-sess_out", folder / "session-id")
expect(4431, "resumed-by-id/again", "-tls1_2", "-no_ticket", "-sess_in", folder / "session-id")
time.sleep(1)
bench.finish(tap)
dump.terminate()
dump.wait()

print("      suites by cipher:", dict(kinds))
check("OpenSSL spoke each of its suites", not refused, refused or len(asked))
items = items_of(bench.baleen("query", "--from", folder / "bucket", "-o", "ndjson"))
seen = collections.Counter(i["request"]["path"][1:] for i in items)
missing = sorted(set(asked) - set(seen))
check("every request is an item", not missing and len(items) == len(asked), missing or len(items))
check("each has its answer, and says tls", all(i["tls"] and i["response"]["status"] == 200 for i in items))
log = ["-o", f"tls.keylog_file:{secrets}"]
out = run("tshark", "-r", capture, *log, "-o", "tcp.reassemble_out_of_order:TRUE", "-d", "tcp.port==4431-4435,tls", "-Y", "http.request",
          "-T", "fields", "-e", "http.request.uri")
theirs = [line[1:] for line in out.split()]
check("tshark opens no more than we do", set(theirs) <= set(seen), len(theirs))
print("      opened by us and not by tshark:", sorted(set(seen) - set(theirs)))
again = items_of(bench.baleen("dissect", capture, "--tls-keylog", secrets, "--kfl", "tls and http", "-o", "ndjson"))
check("offline it is the same", sorted(i["request"]["path"][1:] for i in again) == sorted(asked), len(again))
handshakes = items_of(bench.baleen("dissect", capture, "--tls-keylog", secrets, "--kfl", "tlsx", "-o", "ndjson"))
subjects = {i["response"]["certificates"][0]["subject"] for i in handshakes if (i["response"] or {}).get("certificates")}
check("certificates are read, also those that TLS 1.3 hides",
      subjects == {"CN=rsa.example", "CN=ec.example", "CN=dsa.example"} and
      any(i["response"].get("certificates") and i["response"]["version"] == 772 for i in handshakes), subjects)
mine = [i for i in handshakes if i["request"].get("certificates")]
check("and those of clients", len(mine) == 2 and all(i["response"].get("clientCertificateRequested") for i in mine), len(mine))
resumed = [i for i in handshakes if i["response"].get("resumed")]
check("resumption is seen", len(resumed) >= 3, len(resumed))
