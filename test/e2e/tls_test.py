#!/usr/bin/env python3
"""TLS with a key log that programs write while we capture: what nginx logs is what is shown, and what is recorded can be
decrypted by others."""
from parts import *

need("ip", "nginx", "curl", "openssl", "tshark", root=True)
bench = Bench("tls")
bench.network()
certificate, key = bench.folder / "cert.pem", bench.folder / "cert.key"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example", "-keyout", key,
    "-out", certificate)
log = bench.folder / "access.log"
site = bench.folder / "nginx.conf"
site.write_text(f"""daemon off; worker_processes 1; pid {bench.folder}/nginx.pid; error_log {bench.folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  log_format e2e '$request_uri $status $server_protocol'; access_log {log} e2e;
  ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  server {{ listen {SERVER}:443 ssl http2; location / {{ return 200 'hello $request_uri\\n'; }} }}
}}
""")
bench.start(bench.inside + ["nginx", "-c", site])
secrets = bench.folder / "keys.log"


def ask(*arguments):
    return subprocess.run(bench.outside + ["curl", "-sk", "-m", "5", *arguments], stdout=subprocess.DEVNULL,
                          env={**os.environ, "SSLKEYLOGFILE": str(secrets)}).returncode


eventually("nginx answers", lambda: ask(f"https://{SERVER}/ready") == 0)
secrets.unlink()
log.write_text("")
tap = bench.tap("-i", "bl0", "--tls-keylog", secrets, "--record", "tls and (http or http2)", "--to", bench.folder / "bucket")
check("the key log is not there yet, and that is said", "waited for" in (bench.folder / "tap.log").read_text())
ROUNDS = 5
for n in range(ROUNDS):
    ask("--http1.1", "--tlsv1.3", f"https://{SERVER}/one/{n}", f"https://{SERVER}/one/{n}/again")
    ask("--http2", "--tlsv1.3", f"https://{SERVER}/two/{n}", f"https://{SERVER}/two/{n}/again")
    ask("--http1.1", "--tls-max", "1.2", f"https://{SERVER}/old/{n}")
    ask("--http1.1", "--tls-max", "1.2", "--ciphers", "AES256-SHA256", f"https://{SERVER}/cbc/{n}")
time.sleep(1)
dumped = bench.folder / "dumped.pcapng"
for keys, streams in ((["--tls-keylog", secrets], 1), ([], 0)):
    bench.baleen("pcapdump", "-w", dumped, "--kfl", 'http and request.path == "/one/3"', "--data-dir", bench.folder / "data", *keys)
    hellos = tshark([dumped], "tls.handshake.type == 1", "tcp.stream")
    check(f"pcapdump hands out the streams that match within TLS: {streams}", len(hellos) == streams, hellos)
bench.finish(tap)
asked = sorted(line.split()[0] for line in log.read_text().splitlines())
check("nginx was asked", len(asked) == ROUNDS * 6, len(asked))
items = items_of(bench.baleen("query", "--from", bench.folder / "bucket", "-o", "ndjson"))
check("every request that nginx logged is an item", sorted(i["request"]["path"] for i in items) == asked, len(items))
check("they say that they were decrypted", all(i["tls"] for i in items))
packets = sorted(map(str, (bench.folder / "bucket").rglob("*.pcapng")))
seen = tshark(packets, "http.request or http2.headers.path", "http.request.uri", "http2.headers.path")
check("tshark decrypts the recorded packets with the secrets in them", sorted(s.strip() for s in seen) == asked, len(seen))
again = items_of(bench.baleen("dissect", packets[0], "--kfl", "tls and (http or http2)", "-o", "ndjson"))
check("and so do we", sorted(i["request"]["path"] for i in again) == asked or len(packets) > 1, len(again))
