#!/usr/bin/env python3
"""The fault matrix: each thing that goes wrong, with each kind of bucket. Whatever happens, in the end every stream that
matched is in the bucket exactly once and reads back as it was sent, or the ledger says what is missing. Packets come from
capture files made here, so that what was sent is known; kill_test.py does the same with live traffic.

One line for each cell. A name (or several) as argument runs those rows only."""
import concurrent.futures
import re
import struct
import sys
import threading

sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1] / "e2e"))
from parts import *
from contents import Bucket, Capture
from fault_proxy import FaultProxy

FEW = os.environ.get("BALEEN_SANITIZED", "") not in ("", "OFF")


class CellFailed(Exception):
    pass


class NoSuchCell(Exception):
    """A fault that this kind of bucket cannot have."""


def expect(truth, what):
    if not truth:
        raise CellFailed(what)


class Store:
    """A kind of bucket behind a proxy; each cell has a place of its own in it."""
    proxy = None

    def __init__(self, bench):
        self.bench = bench

    def query(self, cell):
        done = subprocess.run([BALEEN, "query", "--from", self.url(cell), "-o", "ndjson", *self.settings(direct=True)],
                              capture_output=True, env=environment(self.bench), timeout=120)
        expect(done.returncode == 0, f"query: {done.stderr.decode()}")
        return sorted(i["request"]["path"] for i in items_of(done.stdout))


class Gcs(Store):
    name = "gs"

    def __init__(self, bench):
        super().__init__(bench)
        bench.bucket("--token-lifetime", "3600")
        self.proxy = FaultProxy(bench.endpoint, b'{"error": {"code": STATUS, "message": "as the test asked"}}')

    def url(self, cell):
        return f"gs://{cell}/p"

    def settings(self, direct=False):
        return ["--set", f"gcs.serviceAccountKeyFile={self.bench.key}", "--set",
                f"gcs.endpoint={self.bench.endpoint if direct else self.proxy.endpoint}"]

    def download(self, cell):
        folder = self.bench.folder / "down" / cell
        run("node", EMULATORS / "gcs_reader.js", self.bench.endpoint, self.bench.key, cell, folder, "p/")
        return folder

    def created(self, blocks):
        """How often each object of these blocks was made."""
        return [n for name, n in self.bench.control()["created"].items() if any(b in name for b in blocks)]


class S3(Store):
    name = "s3"

    def __init__(self, bench):
        super().__init__(bench)
        process = bench.start(["node", EMULATORS / "s3_emulator.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        check("S3 is ready", line.startswith("ready "))
        self.server = json.loads(line[6:])
        self.secret = bench.folder / "s3-secret"
        self.secret.write_text(self.server["secret_key"])
        self.proxy = FaultProxy(self.server["endpoint"], b"<Error><Code>HttpSTATUS</Code><Message>as the test asked</Message></Error>")

    def url(self, cell):
        return f"s3://{self.server['bucket']}/{cell}"

    def settings(self, direct=False):
        keys = {"endpoint": self.server["endpoint"] if direct else self.proxy.endpoint, "region": self.server["region"],
                "accessKey": self.server["access_key"], "secretKeyFile": self.secret}
        return [word for k, v in keys.items() for word in ("--set", f"s3.{k}={v}")]

    def download(self, cell):
        folder = self.bench.folder / "down-s3" / cell
        done = subprocess.run(["node", str(EMULATORS / "s3_reader.js"), self.server["endpoint"], self.server["region"],
                               self.server["bucket"], str(folder), cell + "/"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "AWS_ACCESS_KEY_ID": self.server["access_key"],
                                   "AWS_SECRET_ACCESS_KEY": self.server["secret_key"]})
        expect(done.returncode == 0, done.stderr)
        return folder

    def control(self, order):
        request = urllib.request.Request(self.server["endpoint"] + "/__control", data=json.dumps(order).encode())
        return json.loads(urllib.request.urlopen(request, timeout=30).read())


class Folder(Store):
    name = "file"

    def url(self, cell):
        return str(self.bench.folder / "files" / cell)

    def settings(self, direct=False):
        return []

    def download(self, cell):
        return pathlib.Path(self.url(cell))


def environment(bench, more=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AZURE_", "STORAGE_", "GOOGLE_"))}
    return {**clean, "HOME": str(bench.folder), **(more or {})}


class Cell:
    """One fault at one kind of bucket."""

    def __init__(self, bench, store, row, capture):
        self.bench, self.store, self.capture = bench, store, capture
        self.name = f"{row}-{store.name}"
        self.data = bench.folder / "data" / self.name
        self.note = ""
        self.made_again = False  # what arrived damaged was removed by us, and sent again

    @property
    def url(self):
        return self.store.url(self.name)

    def command(self, *more, node="node-1"):
        return [BALEEN, "tap", "--pcap", self.capture.path, "--record", "http", "--to", self.url, "--data-dir", self.data, "--set",
                "upload.spread=0s", "--set", f"node.name={node}", *self.store.settings(), *more]

    def start(self, *more, env=None, **options):
        return subprocess.Popen([str(c) for c in self.command(*more, **options)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(self.bench, env))

    def tap(self, *more, codes=(0,), timeout=120, **options):
        process = self.start(*more, **options)
        try:
            said = process.communicate(timeout=timeout)[1].decode()
        except subprocess.TimeoutExpired:
            process.kill()
            raise CellFailed(f"tap did not end: {process.communicate()[1].decode()}")
        expect(process.returncode in codes, f"exit {process.returncode}: {said}")
        return said

    def empty_spool(self, *more, codes=(0,), **options):
        """Another start that records nothing new: what lies in the spool goes out."""
        before = self.capture
        self.capture = self.bench.nothing
        try:
            return self.tap(*more, codes=codes, **options)
        finally:
            self.capture = before

    def fault(self, **rule):
        self.store.proxy.add(self.name, **{**rule, "match": rule.get("match", "") .replace("CELL", self.name) or self.name})

    def hits(self):
        return self.store.proxy.hits[self.name]

    def need_proxy(self, why):
        if self.store.proxy is None:
            raise NoSuchCell(why)

    def finish(self, items_lost=0, packets_lost=0):
        """Everything is there, once, as it was sent, but for what the ledger has."""
        bucket = Bucket(self.store.download(self.name))
        expect(not bucket.problems, "; ".join(bucket.problems))
        expect(bucket.twice() == 0, f"{bucket.twice()} packets are there twice")
        sent = set(self.capture.packets)
        strange = [p for p in bucket.packets if p not in sent]
        expect(not strange, f"{len(strange)} packets are not as they were sent")
        expect(len(bucket.packets) + packets_lost == len(sent), f"{len(bucket.packets)} of {len(sent)} packets, {packets_lost} in the ledger")
        expect(bucket.items() + items_lost == len(self.capture.paths), f"{bucket.items()} of {len(self.capture.paths)} items")
        left = [f for part in ("open", "ready", "done") for f in (self.data / "spool" / part).glob("*")]
        expect(not left, f"{len(left)} blocks are left in the spool")
        read = self.store.query(self.name)
        expect(len(read) == len(set(read)) == bucket.items() and set(read) <= set(self.capture.paths), f"query reads {len(read)} items")
        if hasattr(self.store, "created") and not self.made_again:
            made = self.store.created([r["block"] for r in bucket.records])
            expect(made == [1] * 3 * len(bucket.records), f"objects were made {made} times")
        return f"{len(bucket.records)} blocks, {len(bucket.packets)} packets"


# ---- rows: each is given a cell, and leaves it with everything in its bucket ----

def status(code):
    def row(cell):
        cell.need_proxy("a folder has no answers")
        # At the first uploads, and once more in the middle of them.
        cell.fault(status=code, times=2, match="^(POST|PUT) .*CELL", **({"retry_after": 1} if code == 429 else {}))
        cell.tap()
        expect(cell.hits() == 2, f"{cell.hits()} of 2 faults happened")
    return row


def cut_in_part(cell):
    if cell.store.proxy is None:
        return full_bucket(cell)
    cell.fault(cut_request=3_000_000, times=1, match=PART[cell.store.name])
    cell.fault(cut_request=7_000_000, times=1, skip=1, match=PART[cell.store.name])
    cell.fault(cut_answer=True, times=1, skip=2, match="^(POST|PUT) .*CELL")
    cell.tap("--set", "upload.partSize=8Mi")
    expect(cell.hits() >= 2, f"{cell.hits()} cuts happened")


def full_bucket(cell):
    """The folder's disk takes half of a file: the nearest that a folder has to a connection that is cut."""
    place = pathlib.Path(cell.url)
    place.mkdir(parents=True)
    cell.bench.mount(place, "6m")
    said = cell.tap("--upload-wait", "2s", codes=(3,))
    expect("wait in" in said, said)
    run("mount", "-o", "remount,size=200m", place)
    cell.empty_spool()


def wrong_checksum(cell):
    cell.need_proxy("a folder answers with no checksum")
    cell.made_again = True
    if cell.store.name == "gs":
        cell.fault(answer=[rb'"crc32c": ?"[^"]*"', b'"crc32c":"AAAAAA=="'], times=2, match="^(POST|PUT) /upload/.*CELL")
    else:
        cell.fault(answer=[rb'(?i)\netag: *"[0-9a-f]{32}"', b'\nETag: "00000000000000000000000000000000"'], times=2, match="^PUT .*CELL")
    cell.tap()
    expect(cell.hits() == 2, f"{cell.hits()} of 2 faults happened")


def corrupted(cell):
    cell.need_proxy("nothing is between us and a folder")
    cell.made_again = True
    cell.fault(flip=4000, times=2, match="^(POST|PUT) .*CELL.*(uploadType=multipart|upload_id|pcapng|parquet)")
    cell.tap()
    expect(cell.hits() == 2, f"{cell.hits()} of 2 faults happened")


def token_expiry(cell):
    cell.need_proxy("a folder knows no tokens")
    if cell.store.name == "gs":
        # Tokens are revoked in the middle of it, again and again.
        cell.fault(rate=6_000_000, match="^(POST|PUT) .*CELL")
        process = cell.start()
        while process.poll() is None:
            cell.bench.control({"revoke": True})
            time.sleep(0.5)
        expect(process.returncode == 0, process.communicate()[1].decode())
        return
    # Keys of the container's service, which end after a second or two; and are ended before their time.
    base = cell.store.server["endpoint"]
    cell.store.control({"lifetime": 302})
    process = cell.start("--set", "s3.accessKey=", "--set", "s3.secretKeyFile=",
                         env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": base + "/container",
                              "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a container token"})
    before = cell.store.control({})["granted"]
    while process.poll() is None:
        cell.store.control({"expire": True})
        time.sleep(0.4)
    expect(process.returncode == 0, process.communicate()[1].decode())
    cell.note = f"{cell.store.control({})['granted'] - before} new keys"


def slow(cell):
    if cell.store.proxy is None:
        cell.tap("--set", "upload.bandwidth=16Mi")
        cell.note = "by upload.bandwidth"
        return
    cell.fault(rate=8_000_000)
    cell.tap()


def away(cell):
    """An hour of the process's own time, 240 times as fast as ours, in which nobody answers."""
    clock = FastClock(cell, 240)
    if cell.store.proxy is None:
        blocker = pathlib.Path(cell.url)
        blocker.parent.mkdir(parents=True, exist_ok=True)
        blocker.write_text("in the way of a folder")
    else:
        cell.store.proxy.send_away(cell.name)
    process = cell.start("--upload-wait", "12h", env=clock.environment)
    begin = time.monotonic()
    while time.monotonic() - begin < 15 and process.poll() is None:
        time.sleep(0.05)
    expect(process.poll() is None, "tap did not wait")
    # Back again. Its time is ours from here on, so that its timeouts are those of a network and not of this machine.
    if cell.store.proxy is None:
        blocker.unlink()
    else:
        cell.note = f"{cell.hits()} requests found nobody"
        cell.store.proxy.forgive(cell.name)
    clock.set(20, 0)
    said = process.communicate(timeout=240)[1].decode()
    expect(process.returncode == 0, said)


def clock_jump(cell):
    """The clock is set two hours back and three days ahead in the middle of it."""
    clock = FastClock(cell, 1)
    if cell.store.proxy is not None:
        cell.fault(rate=5_000_000)
        more = []
    else:
        more = ["--set", "upload.bandwidth=8Mi"]
    process = cell.start(*more, env=clock.environment)
    jumps = 0
    while process.poll() is None:
        time.sleep(0.4)
        clock.set(1, (-7200, 3 * 86400)[jumps % 2])
        jumps += 1
    expect(process.returncode == 0, process.communicate()[1].decode())
    cell.note = f"{jumps} jumps"


def full_disk(cell):
    spool = cell.data / "spool"
    spool.mkdir(parents=True)
    cell.bench.mount(spool, "9m")
    (spool / "filler").write_bytes(b"x" * (3 << 20))
    said = cell.tap("--upload-wait", "1s", "--set", "spool.limit=64Mi", codes=(0, 1, 3))
    stored = re.search(r"recorded (\d+) items and (\d+) packets", said)
    disk = re.search(r"LOST (\d+) items and (\d+) packets of matching streams: the disk", said)
    limit = re.search(r"LOST (\d+) items and (\d+) packets of matching streams: the spool was at its limit", said)
    expect(stored and disk, said)
    lost = [sum(int(m[n]) for m in (disk, limit) if m) for n in (1, 2)]
    counted = [int(stored[n]) + lost[n - 1] for n in (1, 2)]
    expect(counted == [len(cell.capture.paths), len(cell.capture.packets)], f"the ledger does not balance: {said}")
    run("mount", "-o", "remount,size=200m", spool)
    (spool / "filler").unlink()
    cell.empty_spool()
    cell.lost = lost
    cell.note = f"in the ledger: {lost[0]} items, {lost[1]} packets"


def read_only_disk(cell):
    """A process dies with blocks in its spool, and finds it on a disk that has become read-only."""
    spool = cell.data / "spool"
    spool.mkdir(parents=True)
    cell.bench.mount(spool, "100m")
    leave_in_spool(cell)
    run("mount", "-o", "remount,ro", spool)
    said = cell.empty_spool(codes=(1,))
    expect("Read-only file system" in said, said)
    run("mount", "-o", "remount,rw", spool)
    cell.empty_spool()


def another_machine(cell):
    """Killed in mid-upload; the spool goes to another folder on a machine of another name."""
    if cell.store.proxy is not None:
        cell.fault(rate=3_000_000)
        process = cell.start("--set", "upload.partSize=8Mi")
        eventually_or_fail(lambda: list((cell.data / "spool/ready").glob("*/*.session")), process)
        time.sleep(0.5)
        process.kill()
        process.communicate()
        cell.store.proxy.forgive(cell.name)
        sessions = len(list((cell.data / "spool/ready").glob("*/*.session")))
        cell.note = f"{sessions} uploads under way"
    else:
        leave_in_spool(cell)
    there = cell.bench.folder / "elsewhere" / cell.name
    there.parent.mkdir(exist_ok=True)
    shutil.copytree(cell.data, there)
    shutil.rmtree(cell.data)
    cell.data = there
    cell.empty_spool(node="node-2")


def two_processes(cell):
    if cell.store.proxy is not None:
        cell.fault(rate=5_000_000)
    process = cell.start(*([] if cell.store.proxy else ["--set", "upload.bandwidth=8Mi"]))
    eventually_or_fail(lambda: (cell.data / "spool/lock").exists(), process)
    time.sleep(0.2)
    second = cell.tap(codes=(1,))
    expect("another process" in second, second)
    said = process.communicate(timeout=120)[1].decode()
    expect(process.returncode == 0, said)


def old_format(cell):
    """A spool that an older Baleen left (schema version 1): its blocks go out, and its journals are taken up."""
    old = pathlib.Path(__file__).resolve().parent / "version-1"
    facts = json.loads((old / "expected.json").read_text())
    shutil.copytree(old / "data", cell.data)
    for owner in (cell.data / "spool").rglob("owner.json"):
        owner.write_text(owner.read_text().replace("file:///old-bucket", cell.url if "://" in cell.url else "file://" + cell.url))
    for name in ("ready", "done"):
        (cell.data / "spool" / name).mkdir(exist_ok=True)
    cell.empty_spool()
    bucket = Bucket(cell.store.download(cell.name))
    expect(not bucket.problems, "; ".join(bucket.problems))
    expect(bucket.twice() == 0 and len(bucket.packets) == facts["spool_packets"], f"{len(bucket.packets)} packets of {facts}")
    expect(sorted(cell.store.query(cell.name)) == sorted(facts["spool_paths"]), "query reads other items")
    # And the bucket that it had filled reads as ever.
    if cell.store.name == "file":
        done = subprocess.run([BALEEN, "query", "--from", str(old / "bucket"), "-o", "ndjson"], capture_output=True)
        read = sorted(i["request"]["path"] for i in items_of(done.stdout))
        expect(done.returncode == 0 and read == sorted(facts["bucket_paths"]), f"the old bucket reads as {read}")
    return f"{len(bucket.records)} blocks of version {facts['schema_version']}"


def leave_in_spool(cell):
    """All of the capture, finished and not uploaded: nobody waits for a bucket that is not there."""
    if cell.store.proxy is not None:
        cell.store.proxy.send_away(cell.name)
    else:
        pathlib.Path(cell.url).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(cell.url).write_text("in the way of a folder")
    said = cell.tap("--upload-wait", "0s", codes=(3,))
    expect("wait in" in said, said)
    if cell.store.proxy is not None:
        cell.store.proxy.forgive(cell.name)
    else:
        pathlib.Path(cell.url).unlink()


def eventually_or_fail(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        expect(process.poll() is None, f"tap ended: {process.returncode}")
        expect(time.monotonic() < end, "nothing happened")
        time.sleep(0.02)


class FastClock:
    """A process's own clocks (fast_clock.c)."""
    library, lock = None, threading.Lock()

    def __init__(self, cell, factor):
        if FEW:
            raise NoSuchCell("SKIPPED: a sanitizer and fast_clock.c both want to come first")
        if not shutil.which("cc"):
            raise NoSuchCell("SKIPPED: no C compiler for fast_clock.c")
        with FastClock.lock:
            if FastClock.library is None:
                FastClock.library = cell.bench.folder / "fast_clock.so"
                run("cc", "-shared", "-fPIC", "-O1", "-o", FastClock.library, pathlib.Path(__file__).with_name("fast_clock.c"), "-ldl")
        self.file = cell.bench.folder / f"{cell.name}.clock"
        self.file.write_bytes(bytes(16))
        self.set(factor, 0)
        self.environment = {"LD_PRELOAD": str(FastClock.library), "FAST_CLOCK": str(self.file)}

    def set(self, factor, jump):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("dd", factor, jump))


PART = {"gs": "^PUT .*upload_id.*", "s3": "^PUT .*CELL.*partNumber="}
SMALL, LARGE = "small", "large"
ROWS = {
    "403": (status(403), SMALL), "404": (status(404), SMALL), "408": (status(408), SMALL), "429": (status(429), SMALL),
    "500": (status(500), SMALL), "503": (status(503), SMALL),
    "cut-in-part": (cut_in_part, LARGE), "wrong-checksum": (wrong_checksum, SMALL), "corrupted": (corrupted, SMALL),
    "token-expiry": (token_expiry, LARGE), "slow": (slow, LARGE), "hour-away": (away, SMALL), "clock-jump": (clock_jump, LARGE),
    "disk-full": (full_disk, LARGE), "disk-read-only": (read_only_disk, SMALL), "another-machine": (another_machine, LARGE),
    "two-processes": (two_processes, LARGE), "old-format": (old_format, SMALL),
}


def run_cell(bench, store, row):
    act, size = ROWS[row]
    cell = Cell(bench, store, row, bench.captures[size])
    cell.lost = (0, 0)
    begin = time.monotonic()
    try:
        found = act(cell)
        found = found or cell.finish(*cell.lost)
        verdict, text = "ok  ", found + (f"; {cell.note}" if cell.note else "")
    except NoSuchCell as why:
        verdict, text = "none", str(why)
    except (Exception, SystemExit) as error:
        verdict, text = "FAIL", f"{type(error).__name__}: {error}"
    return verdict, f"{verdict} {row:<16} {store.name:<5} {time.monotonic() - begin:6.1f} s  {text}"


def main():
    need("mount", root=True, node=True)
    bench = Bench("matrix")
    bench.mounts = []

    def mount(place, size):
        run("mount", "-t", "tmpfs", "-o", f"size={size}", "baleen-matrix", place)
        bench.mounts.append(place)

    atexit.register(lambda: [subprocess.run(["umount", "-l", str(m)], capture_output=True) for m in bench.mounts])
    bench.mount = mount
    bench.captures = {SMALL: Capture(bench.folder / "small.pcap", 24, 6000), LARGE: Capture(bench.folder / "large.pcap", 40, 600_000)}
    bench.nothing = Capture(bench.folder / "nothing.pcap", 0, 0)
    stores = [Gcs(bench), S3(bench), Folder(bench)]
    wanted = sys.argv[1:] or list(ROWS)
    failed = 0
    # Tokens are revoked for all at once: that row comes after the others.
    for rows in ([r for r in wanted if r != "token-expiry"], [r for r in wanted if r == "token-expiry"]):
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            cells = [pool.submit(run_cell, bench, store, row) for row in rows for store in stores]
            for done in concurrent.futures.as_completed(cells):
                verdict, line = done.result()
                print(line, flush=True)
                failed += verdict == "FAIL"
    check("every cell holds", failed == 0, f"{failed} do not" if failed else f"{len(wanted)} rows")


main()
