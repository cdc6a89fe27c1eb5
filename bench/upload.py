#!/usr/bin/env python3
"""Uploads of a spool beside `curl -T` of the same bytes to the same server, in the same minute.

    bench/upload.py [sink] [s3sink] [s3crc] [gs] [s3] [--blocks 32] [--rounds 3] [--parallel 3]

sink, s3sink  a bucket server that throws away what comes, as fast as Python's sockets do; it speaks enough of Cloud Storage, or of S3
s3crc         the same, and parts that have their CRC32C only, as they go over TLS (s3.signPayload: false)
gs            firebase-tools' Cloud Storage emulator     s3  s3rver, which verifies signatures, in one thread     (test/emulators)

Blocks are 64 MiB. The binary is build/release/bin/baleen, or --baleen. Rounds alternate; medians are printed: MB/s, CPU
seconds per GB of ours (user and system), and our peak memory less that of a start with nothing to upload."""
import argparse
import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test/faults"))
sys.path.insert(0, str(ROOT / "test/emulators"))
from contents import Capture  # noqa: E402
from radosgw import signed_headers  # noqa: E402


class Sink(http.server.BaseHTTPRequestHandler):
    """Sessions of Cloud Storage, and any PUT, into nothing."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer's body waits 40 ms for the acknowledgement of its head
    sums, lock = {}, threading.Lock()

    def log_message(self, *_):
        pass

    def swallow(self):
        left = int(self.headers.get("Content-Length", 0))
        buffer = bytearray(1 << 20)
        first = b""
        while left:
            n = self.rfile.readinto1(memoryview(buffer)[:min(left, len(buffer))])
            if not n:
                break
            if not first:
                first = bytes(buffer[:min(n, 4096)])
            left -= n
        return first

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(404, b'{"error": {"code": 404}}')

    def do_POST(self):
        first = self.swallow()
        said = re.search(rb'"crc32c":"([^"]*)"', first)[1].decode()
        name = json.loads(b'"' + re.search(rb'"name":"([^"]*)"', first)[1] + b'"')
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        if query["uploadType"] == ["resumable"]:
            with self.lock:
                self.sums[str(len(self.sums))] = said
                number = len(self.sums) - 1
            host = self.headers["Host"]
            return self.answer(200, Location=f"http://{host}/session/{number}?size={self.headers['X-Upload-Content-Length']}")
        size = int(self.headers["Content-Length"])
        inner = first.index(b"\r\n\r\n", first.index(b"Content-Type", first.index(b"\r\n\r\n"))) + 4
        boundary = re.search("boundary=([^;]*)", self.headers["Content-Type"])[1]
        length = size - inner - len(f"\r\n--{boundary}--\r\n")
        self.answer(200, json.dumps({"name": name, "size": str(length), "crc32c": said}).encode())

    def do_PUT(self):
        self.swallow()
        session = re.match(r"/session/(\d+)\?size=(\d+)", self.path)
        if not session:
            return self.answer(200)
        wanted = re.match(r"bytes (\d+)-(\d+)/(\d+)", self.headers.get("Content-Range", ""))
        if wanted and int(wanted[2]) + 1 < int(wanted[3]):
            return self.answer(308, Range=f"bytes=0-{wanted[2]}")
        self.answer(200, json.dumps({"name": "x", "size": session[2], "crc32c": self.sums[session[1]]}).encode())


class S3Sink(Sink):
    """Objects and uploads by parts of S3, of which it knows the sizes only."""
    sizes = {}

    def do_HEAD(self):
        size = self.sizes.get(self.path.partition("?")[0])
        self.send_response(404 if size is None else 200)
        self.send_header("Content-Length", str(size or 0))
        self.end_headers()

    def do_GET(self):
        self.answer(404)

    def do_POST(self):
        self.swallow()
        path, _, query = self.path.partition("?")
        if "uploads" in query:
            with self.lock:
                self.sizes[path + "?parts"] = 0
            return self.answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                               **{"x-amz-checksum-algorithm": "CRC32C"})
        with self.lock:
            self.sizes[path] = self.sizes.pop(path + "?parts")
        self.answer(200, b"<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag></CompleteMultipartUploadResult>")

    def do_PUT(self):
        path, _, query = self.path.partition("?")
        size = int(self.headers.get("Content-Length", 0))
        self.swallow()
        with self.lock:
            self.sizes[path + ("?parts" if "partNumber" in query else "")] = size + (self.sizes[path + "?parts"] if "partNumber" in query else 0)
        crc = self.headers.get("x-amz-checksum-crc32c")
        self.answer(200, ETag='"e"', **({"x-amz-checksum-crc32c": crc} if crc else {}))


class SinkServer:
    kind = Sink

    def __init__(self, scratch):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.kind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        self.environment = {"STORAGE_EMULATOR_HOST": self.endpoint}
        self.settings = []

    def url(self, n):
        return f"gs://sink/{n}"

    def curl(self, files):
        return [w for f in files for w in ("-T", f, f"{self.endpoint}/{os.path.basename(f)}", "-o", "/dev/null")]


class S3SinkServer(SinkServer):
    kind = S3Sink

    def __init__(self, scratch):
        super().__init__(scratch)
        secret = scratch / "secret"
        secret.write_text("secret")
        self.environment = {}
        self.settings = [f"s3.endpoint={self.endpoint}", "s3.region=us-east-1", "s3.accessKey=key", f"s3.secretKeyFile={secret}"]

    def url(self, n):
        return f"s3://sink/{n}"


class S3CrcServer(S3SinkServer):
    def __init__(self, scratch):
        super().__init__(scratch)
        self.settings.append("s3.signPayload=false")


def emulator(script, *arguments):
    process = subprocess.Popen(["node", str(ROOT / "test/emulators" / script), *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line.startswith("ready "):
        sys.exit(f"{script}: {line}")
    return process, json.loads(line[6:])


class GcsServer:
    def __init__(self, scratch):
        self.key = scratch / "key.json"
        self.process, said = emulator("gcs_emulator.js", "--key", self.key)
        self.endpoint, self.environment = said["endpoint"], {}
        self.settings = [f"gcs.serviceAccountKeyFile={self.key}", f"gcs.endpoint={self.endpoint}"]

    def url(self, n):
        return f"gs://bench/{n}"

    def token(self):
        key = json.loads(self.key.read_text())
        part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
        claims = {"iss": key["client_email"], "scope": "https://www.googleapis.com/auth/devstorage.read_write",
                  "aud": key["token_uri"], "iat": int(time.time()), "exp": int(time.time()) + 600}
        unsigned = part(json.dumps({"alg": "RS256", "kid": key["private_key_id"]}).encode()) + b"." + part(json.dumps(claims).encode())
        pem = self.key.with_suffix(".pem")
        pem.write_text(key["private_key"])
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(pem)], input=unsigned, capture_output=True, check=True).stdout
        form = urllib.parse.urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                                       "assertion": (unsigned + b"." + part(signature)).decode()}).encode()
        return json.loads(urllib.request.urlopen(key["token_uri"], data=form).read())["access_token"]

    def curl(self, files):
        header = ["-H", f"Authorization: Bearer {self.token()}"]
        return ["-X", "POST", *header] + [w for n, f in enumerate(files) for w in (
            "-T", f, f"{self.endpoint}/upload/storage/v1/b/bench/o?uploadType=media&name=curl-{time.time_ns()}-{n}", "-o", "/dev/null")]


class S3Server:
    def __init__(self, scratch):
        self.process, self.said = emulator("s3_emulator.js")
        self.endpoint, self.environment = self.said["endpoint"], {}
        secret = scratch / "secret"
        secret.write_text(self.said["secret_key"])
        self.settings = [f"s3.endpoint={self.endpoint}", f"s3.region={self.said['region']}", f"s3.accessKey={self.said['access_key']}",
                         f"s3.secretKeyFile={secret}"]

    def url(self, n):
        return f"s3://{self.said['bucket']}/{n}"

    def curl(self, files):
        out = []
        for n, f in enumerate(files):
            path = f"/{self.said['bucket']}/curl-{time.time_ns()}-{n}"
            digest = subprocess.run(["sha256sum", f], capture_output=True, text=True, check=True).stdout.split()[0]
            headers = signed_headers("PUT", self.endpoint, path, digest, self.said["access_key"], self.said["secret_key"],
                                     self.said["region"])
            out += (["--next"] if out else []) + ["-s", "-f", *[w for k, v in headers.items() for w in ("-H", f"{k}: {v}")], "-T", f,
                                                  self.endpoint + path, "-o", "/dev/null"]
        return out


def run(command, environment):
    """Wall seconds, CPU seconds, peak memory in bytes."""
    begin = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status != 0:
        sys.exit(f"{command[0]} failed: {status}\n{said}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


class Spool:
    def __init__(self, scratch, options):
        self.scratch, self.options = scratch, options
        self.nothing = Capture(scratch / "nothing.pcap", 0, 0).path
        capture = Capture(scratch / "in.pcap", 64, 1_000_000)
        blocker = scratch / "blocker"
        blocker.write_text("no folder")
        done = subprocess.run([options.baleen, "tap", "-q", "--pcap", capture.path, "--record", "http", "--to", blocker, "--data-dir",
                               scratch / "made", "--upload-wait", "0s"], capture_output=True, text=True)
        blocks = list((scratch / "made/spool/ready").glob("*"))
        if not blocks:
            sys.exit(f"no block was made: {done.stderr}")
        self.block = blocks[0]
        # The same packets as one file, which curl sends; ours sends them out of the journal.
        subprocess.run([options.baleen, "tap", "-q", "--pcap", capture.path, "--record", "http", "--to", scratch / "plain", "--data-dir",
                        scratch / "made-plain"], check=True)
        self.packets = next((scratch / "plain").rglob("*.pcapng"))
        self.size = sum(f.stat().st_size for f in (self.packets, self.block / "items.parquet", self.block / "block.json"))
        self.files = []

    def fill(self, folder, url):
        """Copies of the block, each of a name of its own."""
        record = (self.block / "block.json").read_text()
        name = json.loads(record)["block"]
        owner = json.loads((self.block / "owner.json").read_text())
        owner["destination"] = url
        self.files = []
        for n in range(self.options.blocks):
            place = folder / "spool/ready" / f"{n:03}"
            place.mkdir(parents=True)
            for file in ("packets.journal", "packets.order", "items.parquet"):
                shutil.copy(self.block / file, place / file)
            (place / "block.json").write_text(record.replace(name, f"{name}-{n:03}"))
            (place / "owner.json").write_text(json.dumps(owner))
            plain = folder / "plain" / f"{n:03}.pcapng"
            plain.parent.mkdir(exist_ok=True)
            shutil.copy(self.packets, plain)
            self.files.append(str(plain))

    def ours(self, server, url, data):
        settings = ["upload.spread=0s", f"upload.parallel={self.options.parallel}", *server.settings]
        return run([self.options.baleen, "tap", "-q", "--pcap", self.nothing, "--record", "http", "--to", url, "--data-dir", data,
                    "--upload-wait", "600s", *[w for s in settings for w in ("--set", s)]], server.environment)


def measure(kind, options, scratch):
    server = {"sink": SinkServer, "s3sink": S3SinkServer, "s3crc": S3CrcServer, "gs": GcsServer, "s3": S3Server}[kind](scratch)
    spool = Spool(scratch, options)
    _, _, idle_memory = spool.ours(server, server.url("nothing"), scratch / "idle")
    idle = statistics.median(spool.ours(server, server.url("nothing"), scratch / "idle")[0] for _ in range(5))
    rows = []
    for n in range(options.rounds):
        data = scratch / f"data{n}"
        spool.fill(data, server.url(n))
        begin = time.monotonic()
        curl_wall, curl_cpu, _ = run(["curl", "-s", "-f", *server.curl(spool.files)], {})
        wall, cpu, memory = spool.ours(server, server.url(n), data)
        left = list((data / "spool/ready").glob("*"))
        if left:
            sys.exit(f"{len(left)} blocks were not uploaded")
        shutil.rmtree(data)
        size = options.blocks * spool.size
        rows.append((size / curl_wall / 1e6, size / (wall - idle) / 1e6, cpu / size * 1e9, memory - idle_memory, curl_cpu / size * 1e9))
        print(f"  {kind}: curl {rows[-1][0]:.0f} MB/s, ours {rows[-1][1]:.0f} MB/s; {time.monotonic() - begin:.0f} s", flush=True)
    median = [statistics.median(column) for column in zip(*rows)]
    print(f"{kind}: curl -T {median[0]:.0f} MB/s ({median[4]:.2f} CPU s/GB), ours {median[1]:.0f} MB/s: {100 * median[1] / median[0]:.0f} %; "
          f"{median[2]:.2f} CPU s/GB, {median[3] / (1 << 20):.0f} MiB more memory for {options.parallel} uploads at a time")
    if hasattr(server, "process"):
        server.process.stdin.close()
        server.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["sink", "s3sink", "s3crc", "gs", "s3"])
    parser.add_argument("--blocks", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=3)
    parser.add_argument("--baleen", default=str(ROOT / "build/release/bin/baleen"))
    options = parser.parse_args()
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(prefix="baleen-bench-") as scratch:
            measure(kind, options, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
