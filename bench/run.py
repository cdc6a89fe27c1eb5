#!/usr/bin/env python3
"""End-to-end figures, ours beside a peer's on the same input in the same minute.

    bench/run.py files [--exchanges 200000] [--rounds 3]     small HTTP exchanges and bulk bodies: tshark, Suricata
    bench/run.py mixed --mkbig mkbig.py --templates *.pcap    a gigabyte of many protocols: tshark, Suricata
    bench/run.py live  [--exchanges 200000] [--rounds 3]     a veth pair at top speed: tcpdump (needs root)
    bench/run.py raw   [--exchanges 200000] [--rounds 3]     the same, packets only kept and not dissected: tcpdump -w

The binary is build/release/bin/baleen, or --baleen. Every program is pinned to one core; rounds alternate between them, and
the median is printed. A peer that is not installed is left out, and said so."""
import argparse
import collections
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import capture  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent


def timed(command: list, cwd=None) -> tuple:
    """Wall seconds, CPU seconds, standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(["taskset", "-c", "1", *command], cwd=cwd, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


SURICATA = """%YAML 1.1
---
stats: {enabled: no}
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [http, dns, tls]}
app-layer:
  protocols: {http: {enabled: yes}, tls: {enabled: yes}, dns: {tcp: {enabled: yes}, udp: {enabled: yes}}}
"""


def suricata(path: str, out: str) -> tuple:
    config = pathlib.Path(out) / "suricata.yaml"
    config.write_text(SURICATA)
    eve = pathlib.Path(out) / "eve.json"
    eve.unlink(missing_ok=True)
    wall, cpu, _ = timed(["suricata", "-c", str(config), "-r", path, "-k", "none", "--runmode", "single", "-l", out,
                          "-S", "/dev/null"])
    with eve.open() as lines:
        return wall, cpu, sum(1 for _ in lines)


def tshark(path: str, _out: str) -> tuple:
    wall, cpu, text = timed(["tshark", "-r", path, "-q", "-z", "http,stat"])
    return wall, cpu, sum(int(n) for n in re.findall(r"^\s+\d{3} .*?(\d+)\s*$", text, re.M))


def ours(baleen: str, kfl: str):
    def run(path: str, _out: str) -> tuple:
        wall, cpu, text = timed([baleen, "dissect", path, "-o", "count", "--kfl", kfl])
        return wall, cpu, int(re.search(r"http\s+(\d+)", text)[1])
    return run


def compare(title: str, path: str, truth: dict, unit: tuple, programs: dict, rounds: int):
    print(f"\n{title}: {truth['exchanges']} exchanges, {os.path.getsize(path) / 1e6:.0f} MB, one core, {rounds} rounds")
    walls, cpus, counts = ({name: [] for name in programs} for _ in range(3))
    with tempfile.TemporaryDirectory() as out:
        for _ in range(rounds):
            for name, run in programs.items():
                wall, cpu, count = run(path, out)
                walls[name].append(wall), cpus[name].append(cpu), counts[name].append(count)
    first = statistics.median(walls[next(iter(programs))])
    amount, name_of_unit = unit
    print(f"  {'':22}{name_of_unit:>16}{'CPU s':>9}{'wall s':>9}{'ours is':>10}{'counted':>10}")
    for name in programs:
        wall = statistics.median(walls[name])
        print(f"  {name:22}{amount / wall:>16,.1f}{statistics.median(cpus[name]):>9.3f}{wall:>9.3f}"
              f"{wall / first:>9.1f}x{counts[name][0]:>10}")


def files(args):
    peers = {}
    for name, run in (("tshark", tshark), ("suricata", suricata)):
        if shutil.which(name):
            peers[name] = run
        else:
            print(f"{name} is not installed: left out")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/small.pcap"
        truth = capture.make(path, args.exchanges)
        compare("small HTTP/1.1", path, truth, (truth["exchanges"], "transactions/s"),
                {"baleen, all items": ours(args.baleen, "http"),
                 "baleen, 500s": ours(args.baleen, "response.status >= 500"), **peers}, args.rounds)
        os.unlink(path)
        path = f"{folder}/bulk.pcap"
        truth = capture.make(path, 200, 16, 4 << 20)
        compare("bulk bodies of 4 MiB", path, truth, (os.path.getsize(path) * 8 / 1e9, "Gbit/s"),
                {"baleen": ours(args.baleen, "http"), **peers}, args.rounds)


# ---- many protocols ----

def totals(baleen: str, path: str) -> collections.Counter:
    text = timed([baleen, "dissect", path, "-o", "count"])[2]
    return collections.Counter({name: int(n) for name, n in re.findall(r"^(\S+)\s+(\d+)$", text, re.M)})


def check_counts(baleen: str, path: str, copies: dict):
    """What the file holds is what each template holds, times its copies: nothing was lost in the crowd."""
    expected = collections.Counter()
    for template, number in copies.items():
        for name, n in totals(baleen, template).items():
            expected[name] += n * number
    found = totals(baleen, path)
    for name in sorted(set(expected) | set(found)):
        if expected[name] != found[name]:
            sys.exit(f"{name}: {found[name]} items, expected {expected[name]}")
    print(f"  {sum(found.values())} items of {len(found)} protocols, as many as the templates hold times their copies")


GOALS = {"tshark -z io,phs": "40x", "suricata": "8x"}  # times our CPU seconds, which count on a machine that is busy


def mixed(args):
    peers = {"baleen": lambda path, _: (*timed([args.baleen, "dissect", path, "-o", "count"])[:2], 0),
             "tshark -z io,phs": lambda path, _: (*timed(["tshark", "-r", path, "-q", "-z", "io,phs"])[:2], 0),
             "suricata": suricata}
    programs = {name: run for name, run in peers.items() if name == "baleen" or shutil.which(name.split()[0])}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/mixed.pcap"
        subprocess.run([sys.executable, args.mkbig, path, str(args.megabytes), "7", *args.templates], check=True)
        truth = json.loads(pathlib.Path(path + ".truth.json").read_text())
        print(f"\nmixed: {truth['packets']} packets, {truth['bytes'] / 1e6:.0f} MB, one core, {args.rounds} rounds")
        check_counts(args.baleen, path, truth["copies"])
        walls, cpus = ({name: [] for name in programs} for _ in range(2))
        for _ in range(args.rounds):
            for name, run in programs.items():
                wall, cpu, _ = run(path, folder)
                walls[name].append(wall), cpus[name].append(cpu)
    ours_wall, ours_cpu = statistics.median(walls["baleen"]), statistics.median(cpus["baleen"])
    print(f"  {'':22}{'MB/s':>10}{'kpackets/s':>12}{'wall s':>9}{'ours is':>10}{'CPU s':>9}{'ours is':>10}{'goal':>8}")
    for name in programs:
        wall, cpu = statistics.median(walls[name]), statistics.median(cpus[name])
        print(f"  {name:22}{truth['bytes'] / 1e6 / wall:>10.0f}{truth['packets'] / 1e3 / wall:>12.0f}{wall:>9.2f}"
              f"{wall / ours_wall:>9.1f}x{cpu:>9.2f}{cpu / ours_cpu:>9.1f}x{GOALS.get(name, ''):>8}")


# ---- live ----

FAR, IN, OUT = "bl-bench-far", "bl-bench0", "bl-bench1"


def ip(*words: str):
    subprocess.run(["ip", *words], check=True)


def received() -> int:
    return int(pathlib.Path(f"/sys/class/net/{IN}/statistics/rx_packets").read_text())


def replay(path: str) -> float:
    start = time.monotonic()
    subprocess.run(["ip", "netns", "exec", FAR, "taskset", "-c", "0", "tcpreplay", "-q", "--topspeed", "-K", "-i", OUT, path],
                   check=True, capture_output=True)
    return time.monotonic() - start


def used(pid: int) -> float:
    """CPU seconds of a process."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def live_round(name: str, command: list, path: str) -> dict:
    """Starts the program, replays, stops it: CPU seconds per million packets (without its start), and what it says it dropped."""
    program = subprocess.Popen(["taskset", "-c", "1", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(1.5)
    packets, cpu = received(), used(program.pid)
    seconds = replay(path)
    packets = received() - packets
    time.sleep(0.5)
    cpu = used(program.pid) - cpu
    program.send_signal(signal.SIGINT)
    text, _ = program.communicate(timeout=60)
    # Ours says it only when there were some.
    dropped = [int(n) for n in re.findall(r"(\d+) (?:packets )?dropped by (?:the )?kernel", text)]
    return {"name": name, "packets": packets, "kpps": packets / seconds / 1e3, "cpu": cpu * 1e6 / max(packets, 1),
            "dropped": dropped[-1] if dropped else 0}


def live(args):
    if os.geteuid() != 0:
        sys.exit("bench/run.py live needs root: it makes a network namespace and captures")
    for tool in ("tcpreplay", "tcpdump"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed (tools/setup.sh --test)")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/small.pcap"
        capture.make(path, args.exchanges)
        ip("netns", "add", FAR)
        try:
            ip("link", "add", IN, "type", "veth", "peer", "name", OUT, "netns", FAR)
            for words in ((), ("-n", FAR)):
                ip(*words, "link", "set", IN if not words else OUT, "up", "mtu", "9000")
            programs = {
                "baleen, packets only": [args.baleen, "tap", "-i", IN, "--no-dissection", "--keep", "0s", "--data-dir", f"{folder}/data"],
                "baleen, packets, items": [args.baleen, "tap", "-i", IN, "-o", "none", "--keep", "0s", "--data-dir", f"{folder}/data2"],
                "tcpdump -w": ["tcpdump", "-i", IN, "-w", f"{folder}/dump.pcap"],
            } if args.what == "raw" else {
                "baleen, items": [args.baleen, "tap", "-i", IN, "-o", "none", "--data-dir", f"{folder}/data"],
                "baleen, recording": [args.baleen, "tap", "-i", IN, "-o", "none", "--data-dir", f"{folder}/data2",
                                      "--record", "http", "--to", f"{folder}/bucket"],
                "tcpdump -w": ["tcpdump", "-i", IN, "-w", f"{folder}/dump.pcap"],
            }
            rows = []
            for _ in range(args.rounds):
                for name, command in programs.items():
                    rows.append(live_round(name, command, path))
            print(f"\nlive, tcpreplay --topspeed over veth on the other core: {args.rounds} rounds")
            print(f"  {'':22}{'kpps':>8}{'packets':>10}{'dropped':>10}{'CPU s per million':>20}")
            for name in programs:
                mine = [r for r in rows if r["name"] == name]
                print(f"  {name:22}{statistics.median(r['kpps'] for r in mine):>8.0f}{mine[0]['packets']:>10}"
                      f"{statistics.median(r['dropped'] for r in mine):>10.0f}"
                      f"{statistics.median(r['cpu'] for r in mine):>20.2f}")
        finally:
            ip("netns", "del", FAR)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["files", "mixed", "live", "raw"])
    parser.add_argument("--templates", nargs="+", default=[], help="mixed: small captures that are multiplied")
    parser.add_argument("--mkbig", help="mixed: the program that multiplies them")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--baleen", default=str(ROOT / "build/release/bin/baleen"))
    parser.add_argument("--exchanges", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not os.access(args.baleen, os.X_OK):
        sys.exit(f"{args.baleen} is not there: tools/release.sh")
    if args.what == "mixed" and (not args.mkbig or not args.templates):
        parser.error("mixed needs --mkbig and templates")
    {"files": files, "mixed": mixed, "live": live, "raw": live}[args.what](args)


if __name__ == "__main__":
    main()
