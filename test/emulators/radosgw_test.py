#!/usr/bin/env python3
"""Ceph's radosgw as a second implementation of S3: the stores' conformance test, a recording and its readers, `store check`,
and a lifecycle rule that is installed beside another one and does what it says (a day is two seconds long there).

    radosgw_test.py STORE_TEST          skips with 77 when Ceph's packages are not installed"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from parts import *

need(node=True)
bench = Bench("radosgw")
process = bench.start([EMULATORS / "radosgw.py", "--day-seconds", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
line = process.stdout.readline()
if not line.startswith("ready "):
    print(f"SKIPPED: radosgw: {line.strip() or 'it did not start'}", flush=True)
    sys.exit(SKIPPED)
server = json.loads(line[6:])
check("radosgw answers", True, server["endpoint"])
done = subprocess.run([sys.argv[1], "--gtest_filter=*/ceph"], env={**os.environ, "BALEEN_CEPH": line[6:]}, capture_output=True, text=True)
print("\n".join(l for l in done.stdout.splitlines() if l.startswith(("[", "/", " ", "Expected")) and "RUN" not in l))
check("the stores' contract holds", done.returncode == 0 and "PASSED" in done.stdout)

secret = bench.folder / "secret"
secret.write_text(server["secret_key"])
settings = [w for k, v in {"endpoint": server["endpoint"], "region": server["region"], "accessKey": server["access_key"],
                           "secretKeyFile": secret}.items() for w in ("--set", f"s3.{k}={v}")]
url, capture = f"s3://{server['bucket']}/p", ROOT / "examples/captures/http.pcap"


def baleen(*arguments):
    return bench.baleen(*arguments, *settings).decode()


wanted = sorted(json.dumps(i["request"]["path"]) for i in items_of(bench.baleen("dissect", capture, "-o", "ndjson", "--kfl", "http")))
check("store check finds all well", "All is well." in baleen("store", "check", url))
for place in (url, f"s3://{server['bucket']}/keep"):
    baleen("tap", "-q", "--pcap", capture, "--record", "http", "--to", place, "--data-dir", bench.folder / place.rsplit("/", 1)[1])
read = items_of(baleen("query", "--from", url, "-o", "ndjson"))
check("query finds every item, once", sorted(json.dumps(i["request"]["path"]) for i in read) == wanted, len(read))
down = subprocess.run(["node", EMULATORS / "s3_reader.js", server["endpoint"], server["region"], server["bucket"], bench.folder / "down", "p/"],
                      capture_output=True, text=True, env={**os.environ, "AWS_ACCESS_KEY_ID": server["access_key"],
                                                           "AWS_SECRET_ACCESS_KEY": server["secret_key"]})
check("Amazon's client reads it", down.returncode == 0 and len(down.stdout.splitlines()) == 3, down.stderr)

# Rules: one of somebody else's stays; ours removes what lies below its prefix, and nothing else.
other = f"s3://{server['bucket']}/theirs"
check("there are no rules", "no lifecycle rules" in baleen("store", "lifecycle", "show", url))
baleen("store", "lifecycle", "install", other, "--expire", "1000d")
said = baleen("store", "lifecycle", "install", url, "--expire", "1d", "--dry-run")
check("a dry run shows what it would do", "<Days>1</Days>" in said and "<Days>1000</Days>" in said and "stays:" in said)
check("and does nothing", baleen("store", "lifecycle", "show", url).count("remove after") == 1)
baleen("store", "lifecycle", "install", url, "--expire", "1d")
check("the rule is there, beside the other", baleen("store", "lifecycle", "show", url).count("remove after") == 2)
check("once", "nothing changes" in baleen("store", "lifecycle", "install", url, "--expire", "1d"))


def left(place, codes=(0,)):
    return len(items_of(bench.baleen("query", "--from", place, "-o", "ndjson", *settings, codes=codes).decode()))


# An object that goes while it is asked for is said to be left out: exit code 3.
eventually("the bucket removes what is old below the prefix", lambda: left(url, (0, 3)) == 0, 60)
check("and nothing else", left(f"s3://{server['bucket']}/keep") == len(wanted))
