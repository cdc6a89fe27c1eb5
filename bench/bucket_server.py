#!/usr/bin/env python3
"""A folder as a bucket of Google Cloud Storage, read only, in which each request takes a given time longer.

    bench/bucket_server.py FOLDER [--delay 0.03]

Prints `ready {"endpoint": ...}`; bucket and project do not matter. GET /__counters tells requests and bytes. For benchmarks:
what is tested against is in test/emulators."""
import argparse
import bisect
import json
import pathlib
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Bucket:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.sizes = {str(f.relative_to(folder)): f.stat().st_size for f in folder.rglob("*") if f.is_file()}
        self.names = sorted(self.sizes)
        self.requests, self.bytes = 0, 0
        self.lock = threading.Lock()

    def page(self, query: dict) -> dict:
        """A page of a listing: names from a place on, folders of a delimiter once."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = int(query.get("maxResults", 1000))
        start = max(prefix, query.get("startOffset", ""), query.get("pageToken", ""))
        items, prefixes = [], []
        i = bisect.bisect_left(self.names, start)
        while i < len(self.names) and self.names[i].startswith(prefix):
            name = self.names[i]
            if len(items) + len(prefixes) == most:
                return {"items": items, "prefixes": prefixes, "nextPageToken": name}
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                prefixes.append(name[:cut + 1])
                i = bisect.bisect_left(self.names, name[:cut] + chr(ord(delimiter) + 1))
                continue
            items.append({"name": name, "size": str(self.sizes[name]), "generation": "1", "etag": "1",
                          "updated": "2026-01-01T00:00:00Z"})
            i += 1
        return {"items": items, "prefixes": prefixes}


def handler(bucket: Bucket, delay: float):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each body waits for the acknowledgement of its head

        def log_message(self, *_):
            pass

        def answer(self, status: int, body: bytes, kind="application/json", **headers):
            with bucket.lock:
                bucket.requests += 1
                bucket.bytes += len(body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/__counters":
                body = json.dumps({"requests": bucket.requests, "bytes": bucket.bytes}).encode()
                bucket.requests = bucket.bytes = 0
                return self.answer(200, body)
            time.sleep(delay)
            query = dict(urllib.parse.parse_qsl(url.query))
            if url.path.endswith("/o"):
                return self.answer(200, json.dumps(bucket.page(query)).encode())
            name = urllib.parse.unquote(url.path.split("/o/", 1)[-1])
            if name not in bucket.sizes:
                return self.answer(404, b'{"error": {"code": 404, "message": "no such object"}}')
            size = bucket.sizes[name]
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(wanted[1]) if wanted else 0
            last = min(int(wanted[2]), size - 1) if wanted and wanted[2] else size - 1
            with open(bucket.folder / name, "rb") as file:
                file.seek(first)
                body = file.read(last - first + 1)
            if wanted:
                self.answer(206, body, "application/octet-stream", Content_Range=f"bytes {first}-{last}/{size}")
            else:
                self.answer(200, body, "application/octet-stream")

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds that each request takes longer")
    options = parser.parse_args()
    server = Server(("127.0.0.1", 0), handler(Bucket(options.folder), options.delay))
    print("ready", json.dumps({"endpoint": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
