"""What the live tests share: a real server on one host, real clients on another, and everything that watches the wire
between them: `baleen tap`, tcpdump (for `baleen dissect` and tshark). A test drives the server, asks it what it counted,
and holds that against the items."""
import collections
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from parts import *  # noqa: E402


def need_modules(*modules):
    """Debian's Python modules that the test's client cannot do without."""
    import importlib.util
    absent = [m for m in modules if importlib.util.find_spec(m) is None]
    if absent:
        print("SKIPPED: this test needs the Python modules " + ", ".join(absent), flush=True)
        sys.exit(SKIPPED)


def free_port():
    """A port that nobody is likely to have; the namespace is new, so all are free in it."""
    return 20000 + os.getpid() % 20000


class Live(Bench):
    def __init__(self, name):
        super().__init__(name)
        os.chmod(self.folder, 0o755)  # servers that give up root
        self.network()
        self.port = free_port()
        self.interface = "bl0"  # of the server's host

    def serve(self, *command, log="server.log", **options):
        """A server on the server's host; what it says goes to a file."""
        said = open(self.folder / log, "w")
        return self.start(self.inside + list(command), stdout=said, stderr=said, **options)

    def listening(self, port=None):
        wanted = f":{port or self.port} "
        eventually(f"something listens on {port or self.port}", lambda: wanted in subprocess.run(
            self.inside + ["ss", "-Hltn"], capture_output=True, text=True).stdout, 60)

    def become_client(self, host=1):
        """From here on this process's own sockets are on the client's host (0: on the server's)."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/var/run/netns/{self.namespaces[host]}") as namespace:
            if libc.setns(namespace.fileno(), 0x40000000) != 0:
                check("setns", False, os.strerror(ctypes.get_errno()))

    def client(self, *command, stdin=None, codes=(0,), **options):
        """Runs a client to its end; what it printed."""
        done = subprocess.run(self.outside + [str(c) for c in command], input=stdin, capture_output=True, text=True,
                              timeout=120, **options)
        if done.returncode not in codes:
            check(" ".join(map(str, command)), False, f"exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
        return done.stdout

    def watch(self):
        """Everything on the wire from here on."""
        self.pcap = self.folder / "beside.pcap"
        said = self.folder / "tcpdump.log"
        self.tcpdump = self.start(self.inside + ["tcpdump", "-i", self.interface, "--immediate-mode", "-U", "-B", "65536", "-s", "0", "-w", self.pcap],
                                  stderr=open(said, "w"))
        eventually("tcpdump listens", lambda: "listening" in said.read_text())
        self.tapped = self.folder / "tap.ndjson"
        log = self.folder / "tap.log"
        self.tap_process = self.start(
            self.inside + [BALEEN, "tap", "--data-dir", self.folder / "data", "-i", self.interface, "-o", "ndjson",
                           "--set", "tap.ringSize=512Mi"],
            stdout=open(self.tapped, "w"), stderr=open(log, "w"), cwd=self.folder)
        eventually("capturing", lambda: "capturing on" in log.read_text() or self.tap_process.poll() is not None)
        time.sleep(0.3)

    def watched(self, *names):
        """Ends the watching; the items of these protocols, which tap and dissect agree on. Nothing else may be found."""
        time.sleep(0.7)
        self.tcpdump.send_signal(signal.SIGINT)
        self.tcpdump.wait()
        if "\n0 packets dropped by kernel" not in (self.folder / "tcpdump.log").read_text():
            print("SKIPPED: this machine is too busy: tcpdump has not every packet, so nothing can be compared")
            sys.exit(SKIPPED)
        said = self.finish(self.tap_process)
        check("tap lost nothing by itself", "LOST" not in said, said.strip().splitlines()[-1:])
        if keep := os.environ.get("BALEEN_LIVE_PCAP"):
            shutil.copy(self.pcap, keep)
        live = items_of(self.tapped.read_bytes())
        read = items_of(self.baleen("dissect", self.pcap, "-o", "ndjson"))
        kinds = lambda items: dict(sorted(collections.Counter(name_of(i) for i in items).items()))
        if "DROPPED" in said:  # a busy machine; tcpdump has a capture of its own
            print("NOTE the kernel dropped packets: what tap showed is not compared: " + said.strip().splitlines()[-1], flush=True)
        else:
            check("tap shows what dissect shows of a capture taken beside it", essence(live) == essence(read),
                  difference(live, read))
        layer4 = ("tcp-conn", "udp-conn", "icmp", "tcp-flow", "udp-flow")
        others = {n: c for n, c in kinds(read).items() if n not in names and not n.startswith(layer4)}
        check("nothing is taken for another protocol", not others, others or kinds(read))
        bad = [i for i in read if name_of(i) in names and error_of(i) == "dissection"]
        check("nothing is malformed", not bad, json.dumps(bad[:2])[:2000] if bad else len(read))
        return [i for i in read if name_of(i) in names]

    def tshark(self, display, *fields, options=()):
        """One row a packet, one list of values a field."""
        out = run("tshark", "-n", "-r", self.pcap, *options, "-Y", display, "-T", "fields", "-E", "occurrence=a", "-E",
                  "aggregator=\x1e", *[a for f in fields for a in ("-e", f)])
        return [[cell.split("\x1e") if cell else [] for cell in line.split("\t")] for line in out.splitlines()]

    def tshark_count(self, display, field, options=()):
        return collections.Counter(v for row in self.tshark(display, field, options=options) for v in row[0])


def name_of(item):
    return item["protocol"]["name"]


def error_of(item):
    return (item.get("error") or {}).get("type", "")


def essence(items):
    """What does not depend on who watched."""
    return sorted(json.dumps([name_of(i), i.get("request"), i.get("response"), i.get("data"), i.get("error"),
                              i["src"]["port"], i["dst"]["port"]], sort_keys=True)
                  for i in items if not name_of(i).startswith(("tcp", "udp", "icmp")))


def difference(left, right):
    a, b = collections.Counter(essence(left)), collections.Counter(essence(right))
    if a == b:
        return sum(a.values())
    return f"{sum(a.values())} and {sum(b.values())}\nonly in one: {list((a - b))[:2]}\nonly in the other: {list((b - a))[:2]}"


def equal(what, ours, theirs):
    check(what, ours == theirs, ours if ours == theirs else f"ours {ours}, theirs {theirs}")
