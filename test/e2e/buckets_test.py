#!/usr/bin/env python3
"""S3 and Azure as Cloud Storage: recorded by `tap`, read by the vendors' own clients and by `query`, checked by `store check`."""
from parts import *

need("tshark", node=True)
bench = Bench("buckets")
capture = ROOT / "examples/captures/http.pcap"
wanted = sorted(json.dumps(i["request"]["path"]) for i in items_of(bench.baleen("dissect", capture, "-o", "ndjson", "--kfl", "http")))
check("the capture has items", len(wanted) > 0, len(wanted))


def emulator(script):
    process = bench.start(["node", EMULATORS / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    check(f"{script} is ready", line.startswith("ready "))
    return json.loads(line[6:])


def secret(name, text):
    path = bench.folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def baleen(*arguments, environment=None, codes=(0,)):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AZURE_"))}
    done = subprocess.run([BALEEN, *map(str, arguments)], capture_output=True, timeout=60, cwd=bench.folder,
                          env={**clean, "HOME": str(bench.folder), **(environment or {})})
    if done.returncode not in codes:
        check(f"baleen {arguments[0]}", False, f"exit {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    return done.stdout.decode()


def records(url, settings, reader, reader_environment, label):
    sets = [word for s in settings for word in ("--set", s)]
    page = baleen("store", "check", url, *sets)
    check(f"{label}: store check finds all well", "All is well." in page, page.splitlines()[2])
    baleen("tap", "-q", "--pcap", capture, "--record", "http", "--to", url, "--data-dir", bench.folder / f"{label}-data", *sets)
    folder = bench.folder / f"{label}-down"
    done = subprocess.run(["node", *map(str, reader), str(folder), "p/"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **reader_environment})
    check(f"{label}: the vendor's client reads all of it", done.returncode == 0, done.stderr if done.returncode else "")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    check(f"{label}: three objects", len(objects) == 3, [o["name"] for o in objects])
    check(f"{label}: their types and labels", all(o["metadata"].get("team") == "net" for o in objects)
          and {o["type"] for o in objects} == {"application/x-pcapng", "application/vnd.apache.parquet", "application/json"},
          [o["type"] for o in objects])
    packets = list(folder.rglob("*.pcapng"))
    check(f"{label}: what it read opens in tshark", len(tshark(packets, "http.request", "frame.number")) == len(
        tshark([capture], "http.request", "frame.number")))
    got = items_of(baleen("query", "--from", url, "-o", "ndjson", *sets))
    check(f"{label}: query finds every item, once", sorted(json.dumps(i["request"]["path"]) for i in got) == wanted, len(got))
    again = items_of(baleen("query", "--from", folder / "p", "-o", "ndjson"))
    check(f"{label}: and so in the client's copy", len(again) == len(wanted))
    return objects


s3 = emulator("s3_emulator.js")
s3_settings = [f"s3.endpoint={s3['endpoint']}", f"s3.region={s3['region']}", f"s3.accessKey={s3['access_key']}",
               f"s3.secretKeyFile={secret('s3-secret', s3['secret_key'])}", "s3.storageClass=STANDARD_IA",
               "store.metadata.team=net"]
s3_environment = {"AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]}
s3_url = f"s3://{s3['bucket']}/p"
records(s3_url, s3_settings, [EMULATORS / "s3_reader.js", s3["endpoint"], s3["region"], s3["bucket"]], s3_environment, "s3")

# The same without a configuration: the environment, and a profile.
elsewhere = {"AWS_ENDPOINT_URL_S3": s3["endpoint"], "AWS_REGION": s3["region"]}
found = items_of(baleen("query", "--from", s3_url, "-o", "ndjson", environment={**elsewhere, **s3_environment}))
check("s3: keys of the environment", len(found) == len(wanted))
(bench.folder / ".aws").mkdir()
secret(".aws/credentials", f"[mine]\naws_access_key_id={s3['access_key']}\naws_secret_access_key={s3['secret_key']}")
found = items_of(baleen("query", "--from", s3_url, "-o", "ndjson", "--set", "s3.profile=mine", environment=elsewhere))
check("s3: keys of a profile", len(found) == len(wanted))

# What is missing is named, and no secret is told.
order = urllib.request.Request(s3["endpoint"] + "/__control", data=json.dumps({"deny": ["s3:GetObject", "s3:ListBucket"]}).encode())
urllib.request.urlopen(order, timeout=10).read()
sets = [word for s in s3_settings for word in ("--set", s)]
text = baleen("store", "check", s3_url, *sets, "--json", codes=(1,))
report = json.loads(text)
check("s3: store check names what is missing", sorted(report["missing"]) == ["s3:GetObject", "s3:ListBucket"], report["missing"])
check("s3: and nobody's secret", s3["secret_key"] not in text and s3["access_key"] in report["identity"], report["identity"])

azure = emulator("azure_emulator.js")
records(f"azblob://{azure['container']}@{azure['account']}/p",
        [f"azblob.endpoint={azure['endpoint']}", f"azblob.keyFile={secret('azure-key', azure['key'])}", "azblob.accessTier=Cool",
         "store.metadata.team=net"],
        [EMULATORS / "azure_reader.js", azure["endpoint"], azure["account"], azure["container"]],
        {"AZURE_STORAGE_KEY": azure["key"]}, "azblob")
page = baleen("store", "check", f"azblob://{azure['container']}@{azure['account']}/p", "--set", f"azblob.endpoint={azure['endpoint']}",
              "--set", f"azblob.sasFile={secret('sas', azure['read_only_sas'])}", codes=(1,))
check("azblob: a signature that may only read", "blobs/write" in page and "sig=" not in page)
