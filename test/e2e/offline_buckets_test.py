#!/usr/bin/env python3
"""Offline analysis of buckets: captures that lie there under any names, SQL, the cache and its limit, what reading costs."""
import gzip

from offline_parts import *

need("tshark", node=True)
bench = Bench("offline-buckets")
http_pcap = ROOT / "examples/captures/http.pcap"
truth = sorted(baleen(bench, "dissect", http_pcap, "-o", "ndjson")[0].splitlines())
raw = http_pcap.read_bytes()


def emulator(script, *options):
    process = bench.start(["node", EMULATORS / script, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    check(f"{script} is ready", line.startswith("ready "))
    return json.loads(line[6:])


def secret(name, text):
    path = bench.folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def upload(program, environment, objects):
    """By the vendor's own client."""
    done = subprocess.run(["node", "-e", program, "/dev/stdin"], input=json.dumps({k: v.hex() for k, v in objects.items()}), text=True,
                          capture_output=True, timeout=60, cwd=EMULATORS, env={**os.environ, **environment})
    check("the vendor's client uploads", done.returncode == 0, done.stderr)


# As published scripts name what they upload: <node>_<address>_<run>/<file>.
objects = {"caps/node-1_10.0.0.1_42/000000000001.pcap": raw, "caps/node-1_10.0.0.1_42/name_resolution_history.json": b"{}",
           "caps-of-others/x.pcap": raw, "one/strange-name": gzip.compress(raw), "packed/x_kubeshark_1.tar.gz": b"", "rotated/trace.pcap3": raw}
tar = subprocess.run(["tar", "-C", ROOT / "examples/captures", "-czf", "-", "http.pcap"], check=True, capture_output=True).stdout
objects["packed/x_kubeshark_1.tar.gz"] = tar

s3 = emulator("s3_emulator.js")
keys = {"AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]}
upload("""const { S3Client, PutObjectCommand } = require('@aws-sdk/client-s3');
const client = new S3Client({ endpoint: '%s', region: '%s', forcePathStyle: true });
const objects = JSON.parse(require('fs').readFileSync(0));
(async () => { for (const [Key, hex] of Object.entries(objects)) await client.send(new PutObjectCommand({ Bucket: '%s', Key, Body: Buffer.from(hex, 'hex') })); })();
""" % (s3["endpoint"], s3["region"], s3["bucket"]), keys, objects)
s3_sets = ["--set", f"s3.endpoint={s3['endpoint']}", "--set", f"s3.region={s3['region']}", "--set", f"s3.accessKey={s3['access_key']}", "--set",
           f"s3.secretKeyFile={secret('s3-secret', s3['secret_key'])}"]

gcs = emulator("gcs_emulator.js", "--key", bench.folder / "key.json")
urllib.request.urlopen(urllib.request.Request(gcs["endpoint"] + "/__control", data=b'{"public_read": true}'), timeout=10).read()
gcs_environment = {"STORAGE_EMULATOR_HOST": gcs["endpoint"]}
gcs_sets = ["--set", f"gcs.serviceAccountKeyFile={bench.folder}/key.json"]

azure = emulator("azure_emulator.js")
upload("""const { BlobServiceClient, StorageSharedKeyCredential } = require('@azure/storage-blob');
const client = new BlobServiceClient('%s', new StorageSharedKeyCredential('%s', process.env.AZURE_STORAGE_KEY)).getContainerClient('%s');
const objects = JSON.parse(require('fs').readFileSync(0));
(async () => { for (const [name, hex] of Object.entries(objects)) await client.getBlockBlobClient(name).uploadData(Buffer.from(hex, 'hex')); })();
""" % (azure["endpoint"], azure["account"], azure["container"]), {"AZURE_STORAGE_KEY": azure["key"]}, objects)
azure_sets = ["--set", f"azblob.endpoint={azure['endpoint']}", "--set", f"azblob.keyFile={secret('azure-key', azure['key'])}"]

for url, sets in ((f"s3://{s3['bucket']}", s3_sets), (f"azblob://{azure['container']}@{azure['account']}", azure_sets)):
    for what in ("caps", "one/strange-name", "packed", "rotated", "packed/x_kubeshark_1.tar.gz"):
        found = baleen(bench, "query", "--from", f"{url}/{what}", "-o", "ndjson", *sets)[0]
        check(f"{url[:6]}: captures at {what}", sorted(found.splitlines()) == truth)
    tapped = baleen(bench, "tap", "-q", "--pcap", f"{url}/packed", "-o", "count", "--data-dir", bench.folder / "t", *sets)[0]
    check(f"{url[:6]}: tap --pcap", tapped == baleen(bench, "dissect", http_pcap, "-o", "count")[0])
    said = baleen(bench, "tap", "-q", "--pcap", f"{url}/nothing", "--data-dir", bench.folder / "t", *sets, codes=(1,))[1]
    check(f"{url[:6]}: nothing there is said", "no captures" in said, said.strip())

# ---- recordings: SQL, the cache, cost ----
for url, sets, environment, price in ((f"s3://{s3['bucket']}/rec", s3_sets, {}, "S3"), ("gs://baleen-test/rec", gcs_sets, gcs_environment, "Cloud Storage"),
                                      (f"azblob://{azure['container']}@{azure['account']}/rec", azure_sets, {}, "Azure Blob")):
    ask = lambda *a, **o: baleen(bench, *a, *sets, environment={**environment, "XDG_CACHE_HOME": str(bench.folder / "xdg")}, **o)
    shutil.rmtree(bench.folder / "xdg", ignore_errors=True)
    ask("tap", "-q", "--pcap", http_pcap, "--record", "http", "--to", url, "--data-dir", bench.folder / f"data-{price.split()[0]}")
    want = len(items_of(ask("query", "--from", url, "-o", "ndjson", "--no-cache")[0]))
    check(f"{price}: --no-cache keeps nothing", not (bench.folder / "xdg").exists())
    answered, said = ask("sql", "--from", url, "select count(*) n from items", "-o", "ndjson", "--explain")
    check(f"{price}: sql", json.loads(answered) == {"n": want}, want)
    check(f"{price}: the cost is estimated, with its prices", f"by {price}'s list prices" in said and "lists at $" in said, said.splitlines()[-1])
    kept = list((bench.folder / "xdg/baleen/items").iterdir())
    check(f"{price}: what was fetched is kept", len(kept) == 1 and kept[0].stat().st_mode & 0o077 == 0 or kept[0].parent.stat().st_mode & 0o077 == 0, kept)
    again, said = ask("sql", "--from", url, "select count(*) n from items", "-o", "ndjson", "--explain")
    check(f"{price}: and taken from there", again == answered and "1 taken from the cache" in said, said.splitlines()[0])
    ask("query", "--from", url, "-o", "count", "--kfl", 'request.path == "/"', "--cache-limit", "1")
    check(f"{price}: the limit holds", list((bench.folder / "xdg/baleen/items").iterdir()) == [])
    skipped = ask("query", "--from", url, "-o", "ndjson", "--since", "2030-01-01T00:00:00Z", "--explain")
    check(f"{price}: a time without blocks", skipped[0] == b"")
    ask("recordings", "redissect", "default", "--from", url)
    check(f"{price}: redissect", len(items_of(ask("query", "--from", url, "--recording", "default-redissected", "-o", "ndjson")[0])) == want)

# Several processes with one cache that is always over its limit.
url, sets = f"s3://{s3['bucket']}/rec", s3_sets
command = [BALEEN, "query", "--from", url, "-o", "ndjson", "--cache", bench.folder / "shared", "--cache-limit", "1", *sets]
many = [subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "HOME": str(bench.folder)}) for _ in range(6)]
answers = [p.communicate(timeout=60) for p in many]
check("processes share a cache", all(p.returncode == 0 for p in many) and len({a[0] for a in answers}) == 1, [a[1].decode() for a in answers if a[1]])
