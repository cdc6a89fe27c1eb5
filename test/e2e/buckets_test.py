#!/usr/bin/env python3
"""Cloud Storage, S3 and Azure: recorded by `tap`, read by readers that are not ours (the vendors' clients, tshark, capinfos,
DuckDB, hyparquet) and by `query`, checked by `store check`; a private CA and a proxy in between."""
import base64
import socket
import ssl
import threading

from parts import *

need("tshark", "capinfos", "openssl", node=True)
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
    packets, items = list(folder.rglob("*.pcapng")), list(folder.rglob("*.parquet"))
    record = json.loads(next(folder.rglob("*.json")).read_text())
    check(f"{label}: the record's ledger balances", balances(record["ledger"]), record["ledger"])
    counted = run("capinfos", "-c", "-M", "-T", "-r", *packets).split()[-1]
    check(f"{label}: capinfos counts its packets", int(counted) == record["packets"], counted)
    rows = [json.loads(line) for line in run("node", EMULATORS / "parquet_reader.mjs", *items).splitlines()]
    check(f"{label}: hyparquet reads its items", sorted(json.dumps(r["path"]) for r in rows) == wanted and
          sorted(json.dumps(json.loads(r["json"])["request"]["path"]) for r in rows) == wanted, len(rows))
    table = parquet(f"select path from read_parquet('{folder}/**/*.parquet')")
    check(f"{label}: DuckDB reads its items", sorted(json.dumps(row[0]) for row in table) == wanted, len(table))
    check(f"{label}: what it read opens in tshark", len(tshark(packets, "http.request", "frame.number")) == len(
        tshark([capture], "http.request", "frame.number")))
    got = items_of(baleen("query", "--from", url, "-o", "ndjson", *sets))
    check(f"{label}: query finds every item, once", sorted(json.dumps(i["request"]["path"]) for i in got) == wanted, len(got))
    again = items_of(baleen("query", "--from", folder / "p", "-o", "ndjson"))
    check(f"{label}: and so in the client's copy", len(again) == len(wanted))
    return objects


def balances(ledger):
    items = sum(ledger.get(k, 0) for k in ("items_stored", "items_not_matched", "items_dropped_queue", "items_failed",
                                           "items_refused_spool", "items_in_flight"))
    packets = sum(ledger.get(k, 0) for k in ("packets_stored", "packets_lost_recorder", "packets_failed",
                                             "packets_refused_spool", "packets_in_flight"))
    return items == ledger["items_seen"] and packets == ledger["packets_matched"]


bench.bucket()
records("gs://buckets/p", [f"gcs.serviceAccountKeyFile={bench.key}", f"gcs.endpoint={bench.endpoint}", "store.metadata.team=net"],
        [EMULATORS / "gcs_reader.js", bench.endpoint, bench.key, "buckets"], {}, "gs")

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


# ---- a private CA, and a proxy that wants a password ----

def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def join(one, other):
    threading.Thread(target=pump, args=(one, other), daemon=True).start()
    pump(other, one)


def serve(handle):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def in_tls(client):
    """TLS with the private CA's certificate, the store behind it."""
    try:
        inside = tls.wrap_socket(client, server_side=True)
    except (ssl.SSLError, OSError):
        return
    join(inside, socket.create_connection(("127.0.0.1", int(s3["endpoint"].rsplit(":", 1)[1]))))


def proxy(client):
    """CONNECT (RFC 9110 9.3.6), for those who know the password."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    connects.append(head.split(b"\r\n")[0].decode())
    if b"Proxy-Authorization: Basic " + base64.b64encode(b"user:hush") not in head:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        return client.close()
    host, port = head.split()[1].decode().split(":")
    there = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    join(client, there)


run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a private CA", "-addext",
    "subjectAltName=IP:127.0.0.1", "-keyout", bench.folder / "ca.key", "-out", bench.folder / "ca.pem")
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(bench.folder / "ca.pem", bench.folder / "ca.key")
connects = []
secure, through = f"https://127.0.0.1:{serve(in_tls)}", serve(proxy)
order = urllib.request.Request(s3["endpoint"] + "/__control", data=json.dumps({"deny": []}).encode())
urllib.request.urlopen(order, timeout=10).read()
s3_settings[0] = f"s3.endpoint={secure}"
sets = [word for s in s3_settings for word in ("--set", s)]
text = baleen("store", "check", s3_url, *sets, codes=(1,))
check("a certificate of nobody whom we know is refused", "certificate" in text, text.splitlines()[-1])
trust = ["--set", f"store.caFile={bench.folder / 'ca.pem'}"]
page = baleen("store", "check", s3_url, *sets, *trust)
check("a private CA is trusted when it is named", "All is well." in page and connects == [])
wrong = baleen("store", "check", s3_url, *sets, *trust, "--set", f"store.proxy=http://user:wrong@127.0.0.1:{through}", codes=(1,))
check("a proxy that refuses us is said, without its password", "407" in wrong and "wrong@" not in wrong, wrong.splitlines()[-1])
page = baleen("store", "check", s3_url, *sets, *trust, "--set", f"store.proxy=http://user:hush@127.0.0.1:{through}")
check("and through a proxy", "All is well." in page and connects[-1].startswith("CONNECT 127.0.0.1:"), connects[-1])
found = items_of(baleen("query", "--from", s3_url, "-o", "ndjson", *sets, *trust, "--set", f"store.proxy=http://user:hush@127.0.0.1:{through}"))
check("query reads through both", len(found) == len(wanted))
