"""What the live tests of network services share: a real server on one host, real clients on another, and everything that
watches the wire between them: `baleen tap`, and tcpdump for `baleen dissect` and tshark. A test drives the server, asks it
what it counted, and holds that against the items."""
import collections
import importlib.util
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/e2e")
from parts import *  # noqa: E402


def need_modules(*modules):
    """Debian's Python modules that a client cannot do without."""
    absent = [m for m in modules if importlib.util.find_spec(m) is None]
    if absent:
        print("SKIPPED: this test needs the Python modules " + ", ".join(absent), flush=True)
        sys.exit(SKIPPED)


def equal(what, ours, theirs):
    check(what, ours == theirs, ours if ours == theirs else f"ours {ours}, theirs {theirs}")


def name_of(item):
    return item["protocol"]["macro"] or item["protocol"]["name"]


def outcome_of(item):
    return (item.get("error") or {}).get("type", "")


def essence(items):
    """What does not depend on who watched."""
    return collections.Counter(
        json.dumps([name_of(i), i.get("request"), i.get("response"), i.get("data"), i.get("error"), i["src"]["port"],
                    i["dst"]["port"]], sort_keys=True) for i in items)


class Wire(Bench):
    def __init__(self, name):
        super().__init__(name)
        os.chmod(self.folder, 0o755)  # servers that give up root
        self.network()

    def serve(self, *command, log="server.log", **options):
        """A server on the server's host; what it says goes to a file."""
        said = open(self.folder / log, "w")
        return self.start(self.inside + list(command), stdout=said, stderr=said, **options)

    def listening(self, port, udp=False):
        eventually(f"something listens on {port}", lambda: f":{port} " in subprocess.run(
            self.inside + ["ss", "-Hln", "-u" if udp else "-t"], capture_output=True, text=True).stdout, 60)

    def client(self, *command, codes=(0,), stdin=None, **options):
        """Runs a client to its end; what it printed, errors too. `codes` None: any."""
        done = subprocess.run(self.outside + [str(c) for c in command], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120, **options)
        if codes is not None and done.returncode not in codes:
            check(" ".join(map(str, command)), False, f"exit {done.returncode}: {done.stdout[-1500:]}")
        return done.stdout

    def become_client(self):
        """From here on this process's own sockets are on the client's host."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/var/run/netns/{self.namespaces[1]}") as namespace:
            if libc.setns(namespace.fileno(), 0x40000000) != 0:
                check("setns", False, os.strerror(ctypes.get_errno()))

    def watch(self, *options):
        """Everything on the wire from here on."""
        self.pcap = self.folder / "beside.pcap"
        said = self.folder / "tcpdump.log"
        self.tcpdump = self.start(self.inside + ["tcpdump", "-i", "bl0", "--immediate-mode", "-U", "-B", "65536", "-s", "0", "-w", self.pcap],
                                  stderr=open(said, "w"))
        eventually("tcpdump listens", lambda: "listening" in said.read_text())
        self.tapped = self.folder / "tap.ndjson"
        log = self.folder / "tap.log"
        self.tapping = self.start(
            self.inside + [BALEEN, "tap", "--data-dir", self.folder / "data", "-i", "bl0", "-o", "ndjson", *options],
            stdout=open(self.tapped, "w"), stderr=open(log, "w"), cwd=self.folder)
        eventually("capturing", lambda: "capturing on" in log.read_text() or self.tapping.poll() is not None)
        time.sleep(0.3)

    def watched(self, *names, malformed=0, options=()):
        """Ends the watching; the items of these protocols, which tap and dissect agree on. Nothing else may be found."""
        time.sleep(1.5)  # a busy machine hands over its packets late
        self.tcpdump.send_signal(signal.SIGINT)
        self.tcpdump.wait()
        said = self.finish(self.tapping)
        check("nothing was lost", "LOST" not in said and "DROPPED" not in said)
        if keep := os.environ.get("BALEEN_LIVE_PCAP"):
            shutil.copy(self.pcap, keep)
        live = items_of(self.tapped.read_bytes())
        read = items_of(self.baleen("dissect", self.pcap, "-o", "ndjson", *options))
        a, b = essence(live), essence(read)
        l7 = lambda counts: {k: v for k, v in counts.items() if not json.loads(k)[0].startswith(("tcp", "udp", "icmp"))}
        a, b = l7(a), l7(b)
        check("tap shows what dissect shows of a capture taken beside it", a == b,
              len(read) if a == b else f"only live {list(a.items() - b.items())[:2]}, only read {list(b.items() - a.items())[:2]}")
        kinds = collections.Counter(name_of(i) for i in read)
        others = {n: c for n, c in kinds.items() if n not in names and not n.startswith(("tcp", "udp", "icmp"))}
        check("nothing is taken for another protocol", not others, others or dict(kinds))
        self.items = [i for i in read if name_of(i) in names]
        bad = [i for i in self.items if outcome_of(i) == "dissection"]
        check(f"{malformed} are malformed", len(bad) == malformed, [(i.get("request"), i["error"]) for i in bad] if bad else "")
        return self.items

    def tshark(self, display, *fields, options=()):
        """One row a packet, one list of values a field."""
        out = run("tshark", "-n", "-r", self.pcap, *options, "-Y", display, "-T", "fields", "-E", "occurrence=a", "-E",
                  "aggregator=\x1e", *[a for f in fields for a in ("-e", f)])
        return [[cell.split("\x1e") if cell else [] for cell in line.split("\t")] for line in out.splitlines()]

    def tshark_values(self, display, field, options=()):
        return collections.Counter(v for row in self.tshark(display, field, options=options) for v in row[0])
