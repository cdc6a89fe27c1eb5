#!/usr/bin/env python3
"""The rows of the fault matrix that need live traffic: nginx and wrk on one wire, three workers that record it to Cloud
Storage, to S3 and to a folder, and tcpdump as the witness of what was sent.

kill: each worker is killed at 200 random instants. Whatever was in its spool when it died (read from the disk after each
kill) reaches the bucket, once, byte for byte as the witness saw it.
cut: connections to the buckets are cut in the middle of bodies, at random, while workers upload. All that nginx answered
is there, once; the ledger's numbers are those of the bucket."""
import collections
import ctypes
import random
import re
import sys
import threading

sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1] / "e2e"))
from parts import *
from contents import Bucket, pcap_packets, spooled
from fault_proxy import FaultProxy

FEW = os.environ.get("BALEEN_SANITIZED", "") not in ("", "OFF")
KILLS = 20 if FEW else int(os.environ.get("BALEEN_KILLS", 200))
PATTERN = "http and request.path.startsWith(\"/n/\")"
WRK = """
local id = 0
function setup(thread) thread:set("id", id); id = id + 1 end
function init(args) counter = 0 end
function delay() return 20 end
function request()
  counter = counter + 1
  local close = counter %% 7 == 0 and "close" or "keep-alive"
  return wrk.format("GET", "/n/%s-" .. id .. "-" .. counter, {["Connection"] = close})
end
"""


def enter(namespace):
    """This process, and what it starts from here on, is on that host."""
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
            print("SKIPPED: this machine lets nobody enter network namespaces")
            sys.exit(SKIPPED)


class Target:
    def __init__(self, name, url, settings, download, endpoint=None):
        self.name, self.url, self.settings, self.download, self.endpoint = name, url, settings, download, endpoint
        self.packets, self.paths, self.kills, self.died_with = set(), set(), 0, 0
        self.problem = None


def environment():
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STORAGE_", "GOOGLE_"))}, "HOME": str(bench.folder)}


def targets(row, proxied):
    def gcs_download():
        folder = bench.folder / f"down-{row}-gs"
        run("node", EMULATORS / "gcs_reader.js", bench.endpoint, bench.key, row, folder, "p/")
        return folder

    def s3_download():
        folder = bench.folder / f"down-{row}-s3"
        subprocess.run(["node", str(EMULATORS / "s3_reader.js"), s3["endpoint"], s3["region"], s3["bucket"], str(folder), row + "/"],
                       check=True, stdout=subprocess.DEVNULL, timeout=120,
                       env={**os.environ, "AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]})
        return folder

    def endpoint(real):
        return FaultProxy(real) if proxied else None

    gcs_proxy, s3_proxy = endpoint(bench.endpoint), endpoint(s3["endpoint"])
    place = bench.folder / f"folder-{row}"
    return [
        Target("gs", f"gs://{row}/p", [f"gcs.serviceAccountKeyFile={bench.key}",
                                       f"gcs.endpoint={gcs_proxy.endpoint if proxied else bench.endpoint}"], gcs_download, gcs_proxy),
        Target("s3", f"s3://{s3['bucket']}/{row}",
               [f"s3.endpoint={s3_proxy.endpoint if proxied else s3['endpoint']}", f"s3.region={s3['region']}",
                f"s3.accessKey={s3['access_key']}", f"s3.secretKeyFile={secret}"], s3_download, s3_proxy),
        Target("file", str(place), [], lambda: place)]


def tap(target, row, *more):
    settings = ["upload.spread=0s", "tap.ringSize=16Mi", "tap.storageLimit=1Gi", f"node.name={target.name}", *target.settings, *more]
    log = open(bench.folder / f"tap-{row}-{target.name}.log", "a")
    return bench.start([BALEEN, "tap", "-i", "bl0", "--record", PATTERN, "--to", target.url, "--data-dir",
                        bench.folder / f"data-{row}-{target.name}", *[w for s in settings for w in ("--set", s)]],
                       stderr=log, env=environment(), cwd=bench.folder)


def said(target, row):
    return (bench.folder / f"tap-{row}-{target.name}.log").read_text()


def traffic(name):
    script = bench.folder / f"{name}.lua"
    script.write_text(WRK % name)
    return bench.start(bench.outside + ["wrk", "-t", "2", "-c", "6", "-d", "600s", "-s", script, f"http://{SERVER}/"])


def witness(name):
    file = bench.folder / f"{name}.pcap"
    bench.start(["tcpdump", "-i", "bl0", "-U", "-w", file, "-B", "65536", "-Z", "root", "tcp port 80"])
    eventually("the witness sees", lambda: file.exists() and file.stat().st_size >= 24)
    return file


def start_time(target):
    """How long this machine takes from a start to the first packet, so that kills fall before and after it."""
    begin = time.monotonic()
    process = tap(target, "kill")
    while "capturing on" not in said(target, "kill"):
        time.sleep(0.01)
        if process.poll() is not None:
            raise RuntimeError(f"tap ended by itself: {said(target, 'kill')}")
    process.kill()
    process.wait()
    bench.processes.remove(process)
    return time.monotonic() - begin


def kill_again_and_again(target, chance):
    try:
        spool = bench.folder / f"data-kill-{target.name}/spool"
        longest = start_time(target) * 1.5 + 0.6
        for _ in range(KILLS):
            process = tap(target, "kill")
            time.sleep(chance.uniform(0, longest))
            if process.poll() is not None:
                target.problem = f"tap ended by itself: {process.returncode}\n{said(target, 'kill')[-2000:]}"
                return
            process.kill()
            process.wait()
            bench.processes.remove(process)
            target.kills += 1
            packets, paths = spooled(spool)
            target.died_with += bool(packets)
            target.packets |= packets
            target.paths |= paths
    except Exception as error:
        target.problem = f"{type(error).__name__}: {error}"


def verify(target, row, seen):
    """The bucket's blocks, each as its record says, and nothing that the witness has not seen as often."""
    bucket = Bucket(target.download())
    check(f"{row:<5} {target.name:<5} every block is as its record says, and its ledger balances", not bucket.problems,
          "; ".join(bucket.problems) or f"{len(bucket.records)} blocks")
    strange = [p for p in bucket.packets if p not in seen]
    check(f"{row:<5} {target.name:<5} nothing reads back other than it was sent", not strange, f"{len(bucket.packets)} packets")
    twice = [p for p, n in bucket.packets.items() if n > max(1, seen[p])]
    check(f"{row:<5} {target.name:<5} nothing is there twice", not twice, f"{len(twice)} packets" if twice else "")
    done = subprocess.run([BALEEN, "query", "--from", target.url, "-o", "ndjson", *[w for s in target.settings for w in ("--set", s)]],
                          capture_output=True, env=environment(), timeout=300)
    check(f"{row:<5} {target.name:<5} query reads it", done.returncode == 0, done.stderr.decode() if done.returncode else "")
    items = [i for i in items_of(done.stdout) if i["request"]]
    paths = collections.Counter(i["request"]["path"] for i in items if i["response"])
    # A busy machine sends a segment again, and the next start sees a request whose item is there: it has no response then.
    answered = collections.Counter(line.split()[1] for line in log.read_text().splitlines())
    often = {p: n for p, n in paths.items() if n > max(1, answered[p])}
    check(f"{row:<5} {target.name:<5} no item is there twice", not often, often or sum(paths.values()))
    spool = bench.folder / f"data-{row}-{target.name}/spool"
    check(f"{row:<5} {target.name:<5} the spool is empty", not [f for part in ("open", "ready") for f in (spool / part).glob("*")])
    return bucket, {i["request"]["path"] for i in items}


def count(file):
    return collections.Counter(pcap_packets(file))


def kill_row():
    seed = int(os.environ.get("BALEEN_E2E_SEED", time.time_ns() % 100000))
    print("BALEEN_E2E_SEED =", seed)
    file, load = witness("kill"), traffic("kill")
    all_targets = targets("kill", False)
    threads = [threading.Thread(target=kill_again_and_again, args=(t, random.Random(seed + n))) for n, t in enumerate(all_targets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.terminate()
    load.wait()
    last = [tap(t, "kill") for t in all_targets]
    time.sleep(1.5)
    for process in last:
        process.send_signal(signal.SIGINT)
    for target, process in zip(all_targets, last):
        code = process.wait(timeout=120)
        check(f"kill  {target.name:<5} was killed {target.kills} times, {target.died_with} of them with packets in its spool",
              target.problem is None and target.kills == KILLS and target.died_with > KILLS / 4, target.problem or "")
        check(f"kill  {target.name:<5} its last start ends well", code == 0, said(target, "kill")[-2000:] if code else "")
    seen = count(file)
    for target in all_targets:
        bucket, paths = verify(target, "kill", seen)
        missing = target.packets - set(bucket.packets)
        check(f"kill  {target.name:<5} every packet that was in the spool arrived", not missing, f"{len(target.packets)}")
        check(f"kill  {target.name:<5} every item that was in the spool arrived", target.paths <= paths, f"{len(target.paths)}")


def cut_row():
    all_targets = targets("cut", True)
    file = witness("cut")
    # Blocks of 4 MiB at most (a sixteenth of the spool): several uploads while traffic goes on.
    processes = [tap(t, "cut", "spool.limit=64Mi") for t in all_targets]
    for target in all_targets:
        eventually("capturing", lambda: "capturing on" in said(target, "cut"))
        if target.endpoint:
            for size in (20_000, 700_000, 2_500_000):
                target.endpoint.add("cut", match="^(PUT|POST) ", cut_request=size, times=2, skip=1)
            target.endpoint.add("cut", match="^(PUT|POST) ", cut_answer=True, times=2, skip=3)
    time.sleep(0.5)
    before = len(log.read_text().splitlines())
    load = bench.start(bench.outside + ["wrk", "-t", "1", "-c", "4", "-d", "600s", "-s", script_for("cut"), f"http://{SERVER}/"])
    time.sleep(6)
    load.terminate()
    load.wait()
    time.sleep(1.5)
    for process in processes:
        process.send_signal(signal.SIGINT)
    answered = {line.split()[1] for line in log.read_text().splitlines()[before:]}
    codes = [process.wait(timeout=120) for process in processes]
    seen = count(file)
    for target, code in zip(all_targets, codes):
        text = said(target, "cut")
        check(f"cut   {target.name:<5} tap ends well", code == 0, text[-2000:] if code else
              f"{target.endpoint.hits['cut']} cuts" if target.endpoint else "nothing to cut")
        check(f"cut   {target.name:<5} connections were cut", target.endpoint is None or target.endpoint.hits["cut"] > 3)
        bucket, paths = verify(target, "cut", seen)
        items, packets = map(int, re.search(r"recorded (\d+) items and (\d+) packets", text).groups())
        check(f"cut   {target.name:<5} the bucket has what the ledger says", packets == sum(bucket.packets.values()) and
              items == bucket.items(), f"{items} items, {packets} packets")
        # wrk goes away in the middle of its last calls: what it has not read, nginx has answered all the same.
        missing = answered - paths
        dropped = re.search(r"(\d+) packets DROPPED by the kernel", text)
        check(f"cut   {target.name:<5} all that nginx answered, or the ledger says that the kernel dropped packets",
              not missing or dropped, f"{len(missing)} of {len(answered)} are missing; {dropped[0] if dropped else 'nothing dropped'}")


def script_for(name):
    script = bench.folder / f"{name}.lua"
    script.write_text((WRK % name).replace("/n/", "/n/big/"))
    return script


need("ip", "nginx", "wrk", "tcpdump", root=True, node=True)
bench = Bench("faults-live")
bench.network()
enter(bench.namespaces[0])
bench.inside = []
log = bench.nginx("    location /n/big/ { set $k '" + "0123456789abcdef" * 64 + "'; return 200 '" + "$k" * 24 + "'; }\n")
bench.bucket()
process = bench.start(["node", EMULATORS / "s3_emulator.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
line = process.stdout.readline()
check("S3 is ready", line.startswith("ready "))
s3 = json.loads(line[6:])
secret = bench.folder / "s3-secret"
secret.write_text(s3["secret_key"])
for row in sys.argv[1:] or ["cut", "kill"]:
    {"cut": cut_row, "kill": kill_row}[row]()
