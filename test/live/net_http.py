#!/usr/bin/python3
"""nginx's access log, line by line, against the items: pipelining, chunks both ways, ranges, 100 (Continue), HEAD, gzip,
conditional requests, errors of the protocol, and clients that leave."""
import gzip
import socket
from wire import *

need("ip", "ss", "tcpdump", "tshark", "nginx", "curl", root=True)
wire = Wire("http")
port = 20000 + os.getpid() % 20000
root = wire.folder / "www"
root.mkdir()
(root / "page.html").write_text("<p>hello</p>\n" * 400)
(root / "big.bin").write_bytes(os.urandom(300_000))
access = wire.folder / "access.log"
(wire.folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; user root; pid {wire.folder}/pid; error_log {wire.folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  log_format live '$request_method|$request_uri|$status|$body_bytes_sent|$request_length';
  access_log {access} live; gzip on; gzip_types text/html; gzip_min_length 100; chunked_transfer_encoding on;
  types {{ text/html html; application/octet-stream bin; }} client_body_temp_path {wire.folder}/body;
  client_max_body_size 1m; large_client_header_buffers 4 8k; keepalive_requests 10000;
  server {{
    listen {SERVER}:{port}; root {root};
    location /put/ {{ dav_methods PUT; create_full_put_path on; client_body_in_single_buffer on; return 201 "kept"; }}
    location /old {{ return 301 /page.html; }}
    location /slow {{ limit_rate 2000; }}
    location /error {{ return 503 "later"; }}
    location /secret {{ auth_basic "x"; auth_basic_user_file /dev/null; }}
  }}
}}
""".replace("dav_methods PUT; create_full_put_path on; client_body_in_single_buffer on; ", ""))
wire.serve("nginx", "-c", wire.folder / "nginx.conf")
wire.listening(port)
wire.watch()
url = f"http://{SERVER}:{port}"
curl = lambda *a, codes=(0,): wire.client("curl", "-sS", "-m", "20", "-o", "/dev/null", *a, codes=codes)
curl(f"{url}/page.html", "-o", "/dev/null", f"{url}/big.bin", "-o", "/dev/null", f"{url}/none.html")
curl("--compressed", f"{url}/page.html")
curl("-I", f"{url}/page.html")
curl("-r", "100-199", f"{url}/big.bin")
curl("-r", "0-1,50-60", f"{url}/big.bin")
curl("-r", "999999-", f"{url}/big.bin")
curl("-H", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", f"{url}/page.html")
curl("-L", f"{url}/old")
curl("-u", "bob:secret", f"{url}/secret")
curl(f"{url}/error")
upload = wire.folder / "upload"
upload.write_bytes(os.urandom(200_000))
curl("-H", "Expect: 100-continue", "--data-binary", f"@{upload}", f"{url}/put/a")
curl("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{upload}", f"{url}/put/b")
curl("-H", "Transfer-Encoding: chunked", "-T", upload, f"{url}/put/c")
curl("-X", "DELETE", f"{url}/page.html")
curl("-X", "BREW", f"{url}/page.html")
curl("-0", f"{url}/page.html")
curl("-d", "a=1&b=2", f"{url}/put/form?x=1")
curl("-F", f"file=@{upload};type=image/png", f"{url}/put/parts")
wire.become_client()


def exchange(text, pause=0.0):
    with socket.create_connection((SERVER, port)) as s:
        for part in text if isinstance(text, list) else [text]:
            s.sendall(part)
            time.sleep(pause)
        got = b""
        s.settimeout(2)
        try:
            while chunk := s.recv(65536):
                got += chunk
        except TimeoutError:
            pass  # nginx waits for what the client promised
        return got


host = b"Host: h\r\n"
get = lambda path, more=b"": b"GET " + path + b" HTTP/1.1\r\n" + host + more + b"\r\n"
# Eight in a row without waiting, one with a body in the middle; then cut into single bytes.
exchange(b"".join(get(b"/error?n=%d" % i) for i in range(4)) + b"POST /put/p HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nGET /" +
         b"".join(get(b"/none?n=%d" % i) for i in range(3)) + get(b"/error?last", b"Connection: close\r\n"))
exchange([bytes([b]) for b in get(b"/error?drip", b"Connection: close\r\n")], pause=0.002)
exchange(b"POST /put/chunks HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n")
# What nginx calls an error of the client.
exchange(b"GET /no-host HTTP/1.1\r\n\r\n")
# nginx, whose buffers take 8 KiB, answers when it has read as much, whether the rest is on the wire by then or not.
exchange(get(b"/long", b"X: " + b"y" * 9000 + b"\r\n"))
exchange(get(b"/longer", b"X: " + b"y" * 40000 + b"\r\n"))
exchange(b"POST /put/large HTTP/1.1\r\n" + host + b"Content-Length: 9999999\r\n\r\n")
# Left before the answer, and in the middle of it.
with socket.create_connection((SERVER, port)) as s:
    s.sendall(get(b"/slow/none")[:20])
with socket.create_connection((SERVER, port)) as s:
    s.sendall(get(b"/big.bin?left"))
    s.recv(1000)
time.sleep(1)
# Two end in the middle: a body that never came, and an answer that nobody waited for.
items = wire.watched("http", malformed=2)
rows = [line.split("|") for line in access.read_text().splitlines()]
# 400 for what was no whole request: nginx logs what it knows; 499 where the client left.
key = lambda method, path, status: (method, path, status)
logged = collections.Counter(key(m, p, s) for m, p, s, *_ in rows if s not in ("499", "000") and m != "-")
ours = collections.Counter(key(i["request"]["method"], i["request"]["url"], str(i["response"]["status"]))
                           for i in items if i.get("request") and i.get("response"))
equal("every line of the access log, errors too", {k: v for k, v in (ours - logged).items()}, {k: v for k, v in (logged - ours).items()})
equal("as many", sum(ours.values()), sum(logged.values()))
sent = {p: int(b) for m, p, s, b, _ in rows if s == "200" and m == "GET" and "left" not in p}
bodies = {i["request"]["url"]: i["response"]["content"]["size"] for i in items if i.get("response") and i["response"]["status"] == 200
          and i["request"]["method"] == "GET" and i["request"]["url"] == "/big.bin"}
equal("bytes of a body", bodies, {p: b for p, b in sent.items() if p in bodies})
options = ["-d", f"tcp.port=={port},http"]
# tshark counts neither a method that it does not know nor a request whose body never came.
equal("tshark's requests", len([i for i in items if i.get("request")]), 2 + sum(wire.tshark_values("http.request", "http.request", options).values()))
tshark_codes = wire.tshark_values("http.response", "http.response.code", options)
continued = tshark_codes.pop("100", 0)
mine = collections.Counter(str(i["response"]["status"]) for i in items if i.get("response"))
mine["200"] -= 1  # of which the client took the beginning alone
equal("tshark's answers", dict(mine), dict(tshark_codes))
check("a 100 is part of its item", continued >= 1, continued)
