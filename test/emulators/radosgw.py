#!/usr/bin/env python3
"""A second implementation of S3 for tests: Ceph's radosgw, before a monitor and an object store daemon that keeps
everything in memory. One node, about 15 seconds until it answers.

  radosgw.py [--bucket NAME] [--day-seconds N]     N: how long a day is to its lifecycle rules

Prints `ready {"endpoint":...,"access_key":...,"secret_key":...,"bucket":...,"region":...}` as the other emulators do, or
`absent WHAT` and ends with 77. Ends with its standard input, and takes all of it with it."""
import atexit
import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

PROGRAMS = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool"]
CONFIGURATION = """[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_port}]
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = true
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
log file = {folder}/$name.log
run dir = {folder}
admin socket = {folder}/$name.asok
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
mon data avail crit = 1
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw run sync thread = false
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw crypt require ssl = false
rgw lc debug interval = {day}
rgw enable lc threads = true
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def signed_headers(method, endpoint, path, payload_sha256, access, secret, region="us-east-1", query=""):
    """What a request carries by AWS signature version 4."""
    host, moment = endpoint.removeprefix("http://"), datetime.datetime.utcnow()
    stamp, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    canonical = (f"{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload_sha256}\nx-amz-date:{stamp}\n\n"
                 f"host;x-amz-content-sha256;x-amz-date\n{payload_sha256}")
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + secret).encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return {"x-amz-date": stamp, "x-amz-content-sha256": payload_sha256, "Authorization":
            f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"}


def make_bucket(endpoint, bucket, access, secret):
    headers = signed_headers("PUT", endpoint, f"/{bucket}", hashlib.sha256(b"").hexdigest(), access, secret)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", headers=headers), timeout=60).read()


class Cluster:
    def __init__(self, day):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="baleen-ceph-"))
        self.processes = []
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(1))
        self.port = free_port()
        self.conf = self.folder / "ceph.conf"
        self.fsid, self.mon_port = uuid.uuid4(), free_port()
        self.conf.write_text(CONFIGURATION.format(fsid=self.fsid, mon_port=self.mon_port, port=self.port, folder=self.folder, day=day))
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, program, *arguments, config=True):
        command = [program, *(["-c", str(self.conf)] if config else []), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def start(self, program, *arguments):
        out = open(self.folder / f"{program}.out", "w")
        self.processes.append(subprocess.Popen([program, "-c", str(self.conf), *arguments, "-f"], stdin=subprocess.DEVNULL,
                                               stdout=out, stderr=out))

    def wait(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or any(p.poll() is not None for p in self.processes):
                sys.exit(f"radosgw: {what} within {seconds} s")
            time.sleep(0.2)

    def up(self):
        keyring, osd_id = self.folder / "keyring", uuid.uuid4()
        caps = {"mon.": ["mon", "allow *"], "client.admin": ["mon", "allow *", "osd", "allow *", "mgr", "allow *"],
                "osd.0": ["mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"]}
        keyring.touch()
        for name, words in caps.items():
            pairs = [w for kind, cap in zip(words[::2], words[1::2]) for w in ("--cap", kind, cap)]
            self.run("ceph-authtool", keyring, "--gen-key", "-n", name, *pairs, config=False)
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v2:127.0.0.1:{self.mon_port}]",
                 self.folder / "monmap", config=False)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", self.folder / "monmap", "--keyring", keyring)
        self.start("ceph-mon", "-i", "a")
        self.wait("no monitor", lambda: self.ask("-s") is not None)
        self.run("ceph", "osd", "create", osd_id)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)
        self.start("ceph-osd", "-i", "0")
        self.wait("no object store", lambda: "1 up" in (self.ask("osd", "stat") or ""))
        self.start("radosgw", "-n", "client.admin")
        self.wait("no gateway", self.answers)

    def ask(self, *arguments):
        done = subprocess.run(["ceph", "-c", str(self.conf), "--connect-timeout", "5", *arguments], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def answers(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2).status == 200
        except OSError:
            return False

    def user(self):
        access, secret = "BALEENTEST", base64.b64encode(os.urandom(20)).decode()
        self.run("radosgw-admin", "user", "create", "--uid", "baleen", "--display-name", "baleen", "--access-key", access,
                 "--secret-key", secret)
        return access, secret


def main():
    absent = [p for p in PROGRAMS if not shutil.which(p)]
    if absent:
        print("absent " + ", ".join(absent) + " (packages ceph-mon, ceph-osd, radosgw, ceph-common)", flush=True)
        sys.exit(77)
    option = lambda name, otherwise: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise
    bucket = option("--bucket", "baleen-" + secrets.token_hex(4))
    cluster = Cluster(option("--day-seconds", "-1"))
    cluster.up()
    access, secret = cluster.user()
    endpoint = f"http://127.0.0.1:{cluster.port}"
    make_bucket(endpoint, bucket, access, secret)
    print("ready " + json.dumps({"endpoint": endpoint, "access_key": access, "secret_key": secret, "bucket": bucket,
                                 "region": "us-east-1"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
