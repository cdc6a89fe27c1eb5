#!/usr/bin/env python3
"""The spool's file system turns read-only in the middle of a recording (as ext4 does after an error): capture goes on, what is lost is
counted, what was synced arrives when the disk is back."""
from parts import *

os.environ["PATH"] += ":/usr/sbin:/sbin"
need("ip", "nginx", "curl", "wrk", "mkfs.ext4", "e2fsck", root=True)
bench = Bench("readonly")
image, disk = bench.folder / "disk.img", bench.folder / "disk"
disk.mkdir()
image.touch()
os.truncate(image, 4 << 30)  # sparse
run("mkfs.ext4", "-q", "-F", image)


def mount():
    return subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, disk], capture_output=True, text=True)


def facts():
    """Device and options, as the kernel has them."""
    return next(line.split() for line in open("/proc/mounts") if line.split()[1] == str(disk))


def unmount():
    subprocess.run(["umount", "-l", disk], capture_output=True)


bench.network()
bench.nginx()  # before the disk is there: each host's processes have mounts of their own, and would keep it
mounted = mount()
trigger = None
if mounted.returncode == 0:
    atexit.register(unmount)
    trigger = pathlib.Path("/sys/fs/ext4") / pathlib.Path(facts()[0]).name / "trigger_fs_error"
if trigger is None or not trigger.exists():
    print(f"SKIPPED: this machine mounts no ext4 image whose errors can be triggered: {mounted.stderr.strip()}")
    sys.exit(SKIPPED)

to = bench.folder / "bucket"
(disk / "data").mkdir()


def ledger():
    shown = json.loads(bench.baleen("recordings", "show", "default", "--data-dir", disk / "data", "-o", "ndjson"))
    return shown["ledger"]


tap = bench.tap("-i", "bl0", "--record", "http", "--to", to, data="disk/data")
for n in range(20):
    bench.curl(f"/before/{n}")
time.sleep(2.5)  # what was added is synced within a second
trigger.write_text("an error that a test has asked for")
check("the disk is read-only", {"ro", "emergency_ro"} & set(facts()[3].split(",")), facts()[3])
for n in range(20):
    bench.curl(f"/after/{n}")
run(*bench.outside, "wrk", "-c", "4", "-t", "1", "-d", "3", f"http://{SERVER}/wrk")  # into pages of the flight recorder that nobody has touched
time.sleep(2)
check("capture goes on", tap.poll() is None)
lost = ledger()
check("all items were seen", lost["items_seen"] > 1000, lost["items_seen"])
check("what the disk did not take is in the ledger", lost["items_failed"] > 1000 and lost["packets_failed"] > 1000,
      f'{lost["items_failed"]} items, {lost["packets_failed"]} packets')
check("the ledger balances", lost["items_seen"] == sum(lost[name] for name in (
    "items_stored", "items_not_matched", "items_dropped_queue", "items_failed", "items_refused_spool", "items_in_flight")))
said = bench.finish(tap, codes=(3,))  # as far as it went
check("it says what is lost, and what is not", "LOST" in said and "Read-only file system" in said and "for the next start" in said)
check("and says it once", said.count("error recording: ") <= 4, said.count("error recording: "))

eventually("nobody holds the disk", lambda: subprocess.run(["umount", disk], capture_output=True).returncode == 0)
check("the disk is mended", subprocess.run(["e2fsck", "-p", image], capture_output=True).returncode in (0, 1))
check("and comes back", mount().returncode == 0)
tap = bench.tap("-i", "bl0", "--record", "http", "--to", to, data="disk/data")
bench.curl("/again/1")
time.sleep(0.5)
bench.finish(tap)
paths = [i["request"]["path"] for i in items_of(bench.baleen("query", "--from", to, "-o", "ndjson")) if i["request"]]
check("what was synced before is there", {f"/before/{n}" for n in range(20)} <= set(paths), len(paths))
check("and what came when the disk was back", "/again/1" in paths)
check("nothing twice", len(paths) == len(set(paths)))
