"""The real parts that end-to-end tests are made of: network namespaces, nginx, dnsmasq, the bucket, Baleen itself."""
import atexit
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BALEEN = os.environ.get("BALEEN_BINARY", str(ROOT / "build/dev/bin/baleen"))
EMULATORS = ROOT / "test/emulators"
SERVER, CLIENT = "10.88.0.1", "10.88.0.2"
SKIPPED = 77


def node_is_there():
    return shutil.which("node") and (EMULATORS / "node_modules/firebase-tools").is_dir()


def need(*programs, root=False, node=False):
    """Ends the test with 77 and the reason when something is absent that it cannot do without."""
    absent = [p for p in programs if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if root and os.geteuid() != 0:
        absent.append("root (network namespaces)")
    if node and not node_is_there():
        absent.append("node and test/emulators/node_modules (tools/setup.sh --test)")
    if root and not absent and subprocess.run(["ip", "netns", "list"], capture_output=True).returncode != 0:
        absent.append("network namespaces")
    if absent:
        print("SKIPPED: this test needs " + ", ".join(absent), flush=True)
        sys.exit(SKIPPED)


def check(what, truth, detail=""):
    print(("ok   " if truth else "FAIL ") + what + (f": {detail}" if detail != "" else ""), flush=True)
    if not truth:
        sys.exit(1)


def eventually(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            check(f"{what} (waited {seconds} s)", False)
        time.sleep(0.05)


class Bench:
    """A scratch folder, the processes that were started, and their end, whatever happens."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"baleen-e2e-{name}-"))
        self.processes = []
        self.namespaces = []
        self.inside = []  # the prefix of commands on the server's side
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(1))

    def close(self):
        # Asked first: an nginx that is killed leaves its workers behind.
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=3)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], check=False)
        if not os.environ.get("BALEEN_E2E_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, **options):
        # ctest waits until nobody holds its output any more.
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([str(c) for c in command], **{**quiet, **options})
        self.processes.append(process)
        return process

    def network(self):
        """Two hosts on one wire."""
        tag = str(os.getpid() % 100000)
        server, client = f"bl-e2e-s{tag}", f"bl-e2e-c{tag}"
        for namespace in (server, client):
            if subprocess.run(["ip", "netns", "add", namespace], capture_output=True).returncode != 0:
                print("SKIPPED: this machine lets nobody make network namespaces")
                sys.exit(SKIPPED)
            self.namespaces.append(namespace)
        run("ip", "-n", server, "link", "add", "bl0", "type", "veth", "peer", "name", "bl1", "netns", client)
        for namespace, link, address in ((server, "bl0", SERVER), (client, "bl1", CLIENT)):
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", link)
            for up in (link, "lo"):
                run("ip", "-n", namespace, "link", "set", up, "up")
        self.inside = ["ip", "netns", "exec", server]
        self.outside = ["ip", "netns", "exec", client]

    def nginx(self, more=""):
        log = self.folder / "access.log"
        site = self.folder / "nginx.conf"
        site.write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.err;\n"
            "events { worker_connections 256; }\n"
            f"http {{ log_format e2e '$request_method $request_uri $status'; access_log {log} e2e;\n"
            f"  keepalive_requests 1000000; server {{ listen {SERVER}:80; location / {{ return 200 'hello $request_uri\\n'; }}\n"
            "    location /bad/ { return 500; }\n" + more + "  } }\n")
        self.start(self.inside + ["nginx", "-c", site])
        eventually("nginx answers", lambda: self.curl("/ready") == 0)
        return log

    def dnsmasq(self):
        log = open(self.folder / "dnsmasq.log", "w")
        self.start(self.inside + ["dnsmasq", "-k", "-C", "/dev/null", "-a", SERVER, "-z", "-q", "-R", "-h", "--log-facility=-",
                                  "--user=root", f"--pid-file={self.folder}/dnsmasq.pid",
                                  "--address=/example.test/10.88.0.9"], stderr=log)
        return self.folder / "dnsmasq.log"

    def curl(self, *paths):
        urls = [f"http://{SERVER}{path}" for path in paths]
        return subprocess.run(self.outside + ["curl", "-s", "-m", "5"] + urls, stdout=subprocess.DEVNULL).returncode

    def dig(self, name, kind="A"):
        run(*self.outside, "dig", f"@{SERVER}", "+tries=1", "+time=3", "+short", name, kind)

    def bucket(self, *options):
        self.key = self.folder / "key.json"
        process = self.start(self.inside + ["node", EMULATORS / "gcs_emulator.js", "--key", self.key, *options],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        check("the bucket is ready", line.startswith("ready "))
        self.endpoint = json.loads(line[6:])["endpoint"]
        # As Google's clients, `query` goes to an emulator without credentials; writing always needs a token.
        self.control({"public_read": True})

    def control(self, order=None):
        command = self.inside + ["curl", "-s", "-m", "10", f"{self.endpoint}/__control"]
        if order is not None:
            command += ["-d", json.dumps(order)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def environment(self):
        return {**os.environ, "STORAGE_EMULATOR_HOST": getattr(self, "endpoint", ""), "HOME": str(self.folder)}

    def credentials(self):
        return ["--set", f"gcs.serviceAccountKeyFile={self.key}"] if hasattr(self, "key") else []

    def baleen(self, *arguments, codes=(0,), **options):
        """Runs to the end; standard output."""
        done = subprocess.run(self.inside + [BALEEN, *map(str, arguments)], capture_output=True, timeout=60,
                              env=self.environment(), cwd=self.folder, **options)
        if done.returncode not in codes:
            check(f"baleen {' '.join(map(str, arguments))}", False, f"exit {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def tap(self, *arguments, data="data"):
        """A `baleen tap` that goes on; it is said to capture before this returns when it is live."""
        log = self.folder / "tap.log"
        log.write_text("")
        process = self.start(self.inside + [BALEEN, "tap", "--data-dir", self.folder / data, *arguments],
                             stderr=open(log, "w"), stdout=subprocess.DEVNULL, env=self.environment(), cwd=self.folder)
        eventually("capturing", lambda: "capturing on" in log.read_text() or process.poll() is not None)
        time.sleep(0.3)
        return process

    def finish(self, process, number=signal.SIGINT, codes=(0,)):
        process.send_signal(number)
        code = process.wait(timeout=60)
        said = (self.folder / "tap.log").read_text()
        check("tap ends well", code in codes, f"exit {code}\n{said}" if code not in codes else f"exit {code}")
        return said

    def download(self, bucket, prefix=""):
        """By Google's client, which checks each CRC32C."""
        folder = self.folder / f"down-{bucket}"
        shutil.rmtree(folder, ignore_errors=True)
        out = run(*self.inside, "node", EMULATORS / "gcs_reader.js", self.endpoint, self.key, bucket, folder, prefix)
        return folder, [json.loads(line) for line in out.splitlines()]


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        check(" ".join(map(str, command)), False, done.stderr)
    return done.stdout


def tshark(files, display, *fields):
    lines = []
    for file in files:
        out = run("tshark", "-r", file, "-Y", display, "-T", "fields", *[a for f in fields for a in ("-e", f)])
        lines += out.splitlines()
    return lines


def parquet(sql):
    """Rows (lists of text) from the published DuckDB library, through its C API."""
    library = ctypes.CDLL(str(next((ROOT / "third_party/duckdb/lib").glob("libduckdb.so*"))))
    library.duckdb_value_varchar.restype = ctypes.c_char_p
    library.duckdb_value_varchar.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
    for count in (library.duckdb_row_count, library.duckdb_column_count):
        count.restype, count.argtypes = ctypes.c_uint64, [ctypes.c_void_p]
    database, connection = ctypes.c_void_p(), ctypes.c_void_p()
    result = (ctypes.c_uint64 * 16)()
    assert library.duckdb_open(None, ctypes.byref(database)) == 0
    assert library.duckdb_connect(database, ctypes.byref(connection)) == 0
    ok = library.duckdb_query(connection, sql.encode(), ctypes.byref(result)) == 0
    check("DuckDB reads the Parquet", ok, sql)
    return [[(library.duckdb_value_varchar(ctypes.byref(result), c, r) or b"").decode()
             for c in range(library.duckdb_column_count(ctypes.byref(result)))]
            for r in range(library.duckdb_row_count(ctypes.byref(result)))]


def items_of(ndjson):
    return [json.loads(line) for line in ndjson.splitlines()]
