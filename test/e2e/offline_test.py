#!/usr/bin/env python3
"""Offline analysis of folders and captures: every kind of input, every export, SQL, pages, following, dissecting anew."""
import base64
import csv
import gzip
import http.server
import io
import re
import tarfile
import threading

from offline_parts import *

need("tshark", "capinfos", "curl", "zstd")
bench = Bench("offline")
http_pcap = ROOT / "examples/captures/http.pcap"
truth = sorted(baleen(bench, "dissect", http_pcap, "-o", "ndjson")[0].splitlines())
check("the capture has items", len(truth) > 3, len(truth))


# ---- every kind of input gives the same ----
def made(name, content):
    path = bench.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


raw = http_pcap.read_bytes()
zstd = subprocess.run(["zstd", "-c", http_pcap], check=True, capture_output=True).stdout
bundle = io.BytesIO()
with tarfile.open(fileobj=bundle, mode="w:gz") as tar:
    for name, content in (("node-1/deep/http.pcap.gz", gzip.compress(raw)), ("README", b"what it is")):
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
run("tshark", "-r", http_pcap, "-w", bench.folder / "x.pcapng", "-F", "pcapng")
made("folder/a/http.pcap", raw)
inputs = [http_pcap, f"file://{http_pcap}", made("x.pcap.gz", gzip.compress(raw)), made("x.zst", zstd), made("x.tar.gz", bundle.getvalue()),
          bench.folder / "x.pcapng", bench.folder / "folder", "-"]
for where in inputs:
    found = baleen(bench, "query", "--from", where, "-o", "ndjson", stdin=raw if where == "-" else None)[0]
    check(f"query --from {str(where)[-20:]}", sorted(found.splitlines()) == truth)
tapped = baleen(bench, "tap", "-q", "--pcap", bench.folder / "x.tar.gz", "-o", "count", "--data-dir", bench.folder / "t1")[0]
check("tap --pcap reads an archive", tapped == baleen(bench, "dissect", http_pcap, "-o", "count")[0], tapped.decode().split())
check("what is no capture is an error", "README.md" in baleen(bench, "query", "--from", ROOT / "README.md", codes=(1, 2))[1])
check("so is what is not there", "nowhere" in baleen(bench, "query", "--from", bench.folder / "nowhere", codes=(1,))[1])

# ---- streams by what their packets are ----
scoped = bench.folder / "scoped"
baleen(bench, "tap", "-q", "--pcap", http_pcap, "--record-scope", "tcp port 80", "--to", scoped, "--data-dir", bench.folder / "t0")
baleen(bench, "query", "--from", scoped, "-o", "pcap", "--to", bench.folder / "scoped.pcap")
count = lambda file, display: len(run("tshark", "-n", "-r", file, "-Y", display).splitlines())
check("a scope takes whole streams, and no other", count(bench.folder / "scoped.pcap", "frame") == count(http_pcap, "tcp.port == 80") > 0)
check("a scope wants a destination", "--to" in baleen(bench, "tap", "--record-scope", "tcp", codes=(2,))[1])
check("and is a filter", "--record-scope" in baleen(bench, "tap", "--record-scope", "port port", "--to", scoped, codes=(2,))[1])
check("nothing found is said", "no item matches" in baleen(bench, "query", "--from", scoped, "--kfl", "redis")[1])

# ---- a recording, and its exports ----
bucket = bench.folder / "bucket"
baleen(bench, "tap", "-q", "--pcap", http_pcap, "--record", "http or dns", "--to", bucket, "--data-dir", bench.folder / "t2")
items = items_of(baleen(bench, "query", "--from", bucket, "-o", "ndjson")[0])
check("the recording has items", len(items) > 3, len(items))
check("json is one list", json.loads(baleen(bench, "query", "--from", bucket, "-o", "json")[0]) == items)
check("json of nothing", json.loads(baleen(bench, "query", "--from", bucket, "-o", "json", "--kfl", "redis")[0]) == [])
rows = parquet(f"SELECT *, epoch_ns(time) FROM read_parquet('{bucket}/recording=default/items/*/*/*.parquet', hive_partitioning = false) ORDER BY time, node, stream, item_index")
schema = parquet(f"DESCRIBE SELECT * FROM read_parquet('{bucket}/recording=default/items/*/*/*.parquet', hive_partitioning = false)")
columns = [row[0] for row in schema]
text = baleen(bench, "query", "--from", bucket, "-o", "csv")[0]
check("csv ends its lines as RFC 4180 says", text.endswith(b"\r\n"))
table = list(csv.reader(io.StringIO(text.decode(), newline="")))
check("csv has the columns of the Parquet", table[0] == columns)
check("csv has their values", [r[1:] for r in table[1:]] == [r[1:-1] for r in rows], len(rows))
baleen(bench, "query", "--from", bucket, "-o", "parquet", "--to", "out.parquet", "--kfl", "http")
exported = parquet(f"SELECT *, epoch_ns(time) FROM '{bench.folder}/out.parquet'")
check("parquet is what DuckDB reads", exported == [r for r in rows if r[2] == "http"], len(exported))
out = baleen(bench, "query", "--from", bucket, "-o", "parquet")[0]
check("also on standard output", out[:4] == b"PAR1" and out[-4:] == b"PAR1")
redacted = baleen(bench, "query", "--from", bucket, "-o", "csv", "--kfl", 'http and redact("request.path")')[0].decode()
cut = list(csv.DictReader(io.StringIO(redacted, newline="")))
check("columns hold nothing that a filter cuts out", cut and all(i["path"] == "[REDACTED]" for i in cut), cut[0]["path"])
har = json.loads(baleen(bench, "query", "--from", bucket, "-o", "har")[0])
check("har", len(har["log"]["entries"]) == sum(i["protocol"]["name"] == "http" for i in items))

# ---- drill-down: item, stream, packets ----
one = items[-1]
alone = items_of(baleen(bench, "query", "--from", bucket, "--item", one["id"], "-o", "ndjson")[0])
check("one item by its id", alone == [one])
check("none by another", baleen(bench, "query", "--from", bucket, "--item", one["id"] + "x", "-o", "ndjson")[0] == b"")
of_stream = items_of(baleen(bench, "query", "--from", bucket, "--stream", one["stream"], "-o", "ndjson")[0])
check("the items of its stream", of_stream == [i for i in items if i["stream"] == one["stream"]])
for kind in ("pcapng", "pcap"):
    baleen(bench, "query", "--from", bucket, "--item", one["id"], "-o", kind, "--to", f"one.{kind}")
    baleen(bench, "query", "--from", bucket, "-o", kind, "--to", f"all.{kind}")
ports = set(tshark([bench.folder / "one.pcapng"], "tcp", "tcp.srcport", "tcp.dstport"))
check("the item's packets are those of its connection", all({one["src"]["port"], one["dst"]["port"]} == set(p.split("\t")) for p in ports), ports)
numbers = {}
for kind in ("pcapng", "pcap"):
    said = run("capinfos", "-M", "-c", "-E", bench.folder / f"all.{kind}")
    numbers[kind] = re.search(r"Number of packets\s*=?:?\s*(\d+)", said).group(1)
check("pcap has the packets of pcapng", numbers["pcap"] == numbers["pcapng"], numbers)
check("pcap is in order of time", "True" in run("capinfos", "-o", bench.folder / "all.pcap"))
captured = baleen(bench, "query", "--from", http_pcap, "--kfl", "http", "-o", "pcapng")[0]
made("again.pcapng", captured)
check("packets of captures, whole streams", len(tshark([bench.folder / "again.pcapng"], "http.request", "frame.number")) == len(
    tshark([http_pcap], "http.request", "frame.number")))

# ---- what waits for its bucket is read where it waits ----
waiting = bench.folder / "waiting"
blocked = made("no-bucket", b"in the way of a folder")
baleen(bench, "tap", "-q", "--pcap", http_pcap, "--record", "http or dns", "--to", blocked, "--data-dir", waiting, "--upload-wait", "0s", codes=(3,))
seen_there = lambda where: [(i["timestamp"], i["protocol"]["name"], i["src"], i["dst"], i["response"]) for i in items_of(
    baleen(bench, "query", "--from", where, "-o", "ndjson")[0])]
check("items that wait", seen_there(waiting) == seen_there(waiting / "spool") == seen_there(bucket))
baleen(bench, "query", "--from", waiting, "-o", "pcapng", "--to", "waiting.pcapng")
check("their packets", tshark([bench.folder / "waiting.pcapng"], "frame", "frame.time_epoch", "tcp.seq_raw") == tshark(
    [bench.folder / "all.pcapng"], "frame", "frame.time_epoch", "tcp.seq_raw"))
said = baleen(bench, "sql", "--from", waiting, "select count(*) as n from items", "-o", "ndjson")[0]
check("and by SQL", json.loads(said)["n"] == len(items), said)
shown = baleen(bench, "recordings", "show", "default", "--from", waiting)[0].decode()
check("what is known of them", "ledger of items (balances)" in shown, shown)
blocked.unlink()
anew = bench.folder / "anew"
for words in (["--from", waiting], ["--from", bucket, "--to", waiting], ["--from", bucket, "--to", waiting / "spool"]):
    said = baleen(bench, "recordings", "redissect", "default", *words, codes=(1, 2))[1]
    check(f"dissecting anew into a data folder is refused: {len(words)}", "data folder" in said and "--to" in said, said)
baleen(bench, "recordings", "redissect", "default", "--from", waiting, "--to", anew)
check("dissecting anew what waits", len(items_of(baleen(bench, "query", "--from", anew, "-o", "ndjson")[0])) == len(seen_there(bucket)))
baleen(bench, "tap", "-q", "--pcap", bench.folder / "one.pcap", "--record", "dns and http", "--to", blocked, "--data-dir", waiting)
check("nothing waits any more", "nothing waits" in baleen(bench, "query", "--from", waiting, codes=(1,))[1])
check("it is in the bucket", seen_there(blocked) == seen_there(bucket))

# ---- curl: what was sent is sent again ----
seen = []


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen.append((self.command, self.path, sorted((k.lower(), v) for k, v in self.headers.items() if k.lower() != "content-length"), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"127.0.0.1:{server.server_port}".encode()


def request(line, headers=b"", body=None):
    length = b"" if body is None else b"Content-Length: " + str(len(body)).encode() + b"\r\n"
    return line + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + headers + length + b"\r\n" + (body or b"")


nasty = b"it's \"$(touch hacked)\" `id` \\ ${HOME} !x\n#%'; rm -rf * &"
binary = bytes(range(256)) * 3 + b"\xff\xfe\0'"
calls = [request(b"GET /plain?a=1&b=$(id)", b"Accept: */*\r\nUser-Agent: me\r\n"),
         request(b"POST /nasty", b"Content-Type: text/plain\r\nX-Quote: it's; `touch hacked`\r\n", nasty),
         request(b"PUT /binary", b"Content-Type: application/octet-stream\r\n", binary),
         request(b"POST /at", b"Content-Type: text/plain\r\n", b"@/etc/passwd"),
         request(b"GET /../up/./here[1-3]{a,b}", b"X-Twice: one\r\nX-Twice: two\r\nX-Empty:\r\n"),
         request(b"DELETE /gone"), request(b"HEAD /head"), request(b"POST /none", b"", b"")]
made("calls.pcap", http_capture([(c, answer(b"") if c.startswith(b"HEAD") else answer()) for c in calls]))
commands = baleen(bench, "query", "--from", "calls.pcap", "-o", "curl")[0].decode()
script = made("again.sh", commands.encode())
done = subprocess.run(["sh", "-e", script], capture_output=True, text=True, timeout=30, cwd=bench.folder)
check("the commands run", done.returncode == 0, done.stderr if done.returncode else "")
check("no shell ran what was in them", not (bench.folder / "hacked").exists())


def sent(text):
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    fields = [line.split(":", 1) for line in lines[1:]]
    return method, path, sorted((k.lower(), v.strip()) for k, v in fields if k.lower() != "content-length"), body


for wanted, got in zip(map(sent, calls), seen):
    check(f"sent again: {wanted[0]} {wanted[1]}", got == wanted, "" if got == wanted else (wanted, got))
check("all of them", len(seen) == len(calls), len(seen))
made("evil.pcap", http_capture([(b"GET file:///etc/passwd HTTP/1.1\r\nHost: a/b\r\n@/etc/passwd: x\r\n\r\n", answer())]))
evil = baleen(bench, "query", "--from", "evil.pcap", "-o", "curl")[0].decode()
check("a request makes curl read no file", "file:" not in evil and "@/etc" not in evil, evil.strip())
check("items without a request are said", "left out" in baleen(bench, "query", "--from", ROOT / "examples/captures", "--kfl", "dns", "-o", "curl", codes=(0, 3))[1])

# ---- pages ----
pages, after = [], []
for _ in range(100):
    page, said = baleen(bench, "query", "--from", bucket, "-o", "ndjson", "--limit", 2, *after)
    pages += items_of(page)
    word = re.search(r"--after (\S+)", said)
    if not word:
        break
    after = ["--after", word.group(1)]
check("pages of two are all items, once, in order", pages == items, len(pages))
check("a wrong word is said", "--after" in baleen(bench, "query", "--from", bucket, "--after", "nonsense", codes=(2,))[1])

# ---- following ----
log = open(bench.folder / "followed", "w+")
live = bench.folder / "live"
live.mkdir()
tail = bench.start([BALEEN, "query", "--from", live, "--follow", "--poll", "100ms", "-o", "ndjson"], stdout=log,
                   stderr=open(bench.folder / "followed.err", "w"))
followed = lambda: (bench.folder / "followed").read_text().splitlines()
for number in range(3):
    baleen(bench, "tap", "-q", "--pcap", http_pcap, "--record", "http", "--name", f"r{number % 2}", "--to", live, "--data-dir", bench.folder / f"f{number}")
    count = (number + 1) * sum(i["protocol"]["name"] == "http" for i in items)
    eventually(f"{count} items have come", lambda: len(followed()) >= count)
time.sleep(0.5)
tail.send_signal(signal.SIGINT)
check("Ctrl-C ends it well", tail.wait(timeout=10) == 0, (bench.folder / "followed.err").read_text())
everything = baleen(bench, "query", "--from", live, "-o", "ndjson")[0].decode().splitlines()
check("no item twice, none left out", sorted(followed()) == sorted(everything), len(everything))

# ---- SQL ----
answered = json.loads(baleen(bench, "sql", "--from", bucket, "-o", "ndjson", "select count(*) n, count(distinct stream) streams, any_value(recording) r from items")[0])
check("sql counts the items", answered == {"n": len(items), "streams": len({i["stream"] for i in items}), "r": "default"}, answered)
joined = baleen(bench, "sql", "--from", bucket, "-o", "csv", "select sum(s.packets) p, any_value(b.packets) q from streams s join blocks b using (block)")[0].decode().split()
check("sql knows blocks and streams", joined[0] == "p,q" and len(set(joined[1].split(","))) == 1 and int(joined[1].split(",")[0]) > 0, joined)
shown = baleen(bench, "sql", "--from", bucket, "-", stdin=b"-- from a file\nfrom items select json->>'$.request.path' as path where protocol = 'http' order by time;\n")[0].decode()
check("sql from standard input, as a table", shown.splitlines()[0].strip() == "path" and len(shown.splitlines()) - 1 == len(har["log"]["entries"]))
baleen(bench, "sql", "--from", bucket, "select time, host from items order by time", "-o", "parquet", "--to", "sql.parquet")
check("sql to Parquet", len(parquet(f"SELECT * FROM '{bench.folder}/sql.parquet'")) == len(items))
check("sql over captures", b'"n":' in baleen(bench, "sql", "--from", bench.folder / "x.tar.gz", "select count(*) n from items", "-o", "ndjson")[0])
first, last = items[0]["startTime"], items[-1]["startTime"]
some = json.loads(baleen(bench, "sql", "--from", bucket, "--since", last, "select count(*) n from items", "-o", "ndjson")[0])
check("--since narrows it", 1 <= some["n"] < len(items), some)
check("sql of no recording", "no recording 'none'" in baleen(bench, "sql", "--from", bucket, "--recording", "none", "select count(*) n from items", codes=(1,))[1])
check("DESCRIBE lists the columns", b"packets_offset" in baleen(bench, "sql", "--from", bucket, "describe items")[0])
before = {p: p.read_bytes() for p in bucket.rglob("*") if p.is_file()}
said = baleen(bench, "sql", "--from", bucket, "select count(*)\nfrom itemz", codes=(2,))[1]
check("an error says where", "LINE 2" in said and "^" in said and "items" in said, said)
items_file = next(bucket.rglob("*.parquet"))
for attack in ("select * from read_text('/etc/passwd')", "select * from '/etc/passwd'", "select * from read_csv('/proc/self/environ')",
               "select * from glob('/*')", f"copy (select 1) to '{items_file}'", f"copy items to '{bench.folder}/stolen.csv'",
               "attach 'x.db'", "install httpfs", "load httpfs", "set enable_external_access = true", "create table t as select 1",
               "drop view items", "select 1; select 2", "pragma database_list", "export database 'x'", "select ?",
               "select 1) to 'stolen' --", "call pragma_version()", "use x", "delete from blocks", ""):
    out, said = baleen(bench, "sql", "--from", bucket, attack, codes=(1, 2))
    check(f"refused: {attack[:40]}", out == b"" and len(said) > 20, said.splitlines()[0] if said else "")
check("nothing was written", before == {p: p.read_bytes() for p in bucket.rglob("*") if p.is_file()} and not (bench.folder / "stolen.csv").exists())

# ---- encrypted items ----
key = made("key", base64.b64encode(b"k" * 32))
sealed = bench.folder / "sealed"
baleen(bench, "tap", "-q", "--pcap", http_pcap, "--record", "http", "--to", sealed, "--data-dir", bench.folder / "t3", "--set",
       f"encryption.keyFiles=[{key}]", "--set", "encryption.items=true")
out, said = baleen(bench, "sql", "--from", sealed, "select count(*) n from items", "-o", "ndjson", codes=(1, 3))
check("encrypted items need their key", "key" in said, said)
opened = json.loads(baleen(bench, "sql", "--from", sealed, "--decryption-key", key, "select count(*) n from items", "-o", "ndjson")[0])
check("sql over encrypted items", opened["n"] == len(har["log"]["entries"]), opened)

# ---- dissecting anew ----
said = baleen(bench, "recordings", "redissect", "default", "--from", bucket)[0].decode()
check("redissect says what it did", "recording 'default-redissected'" in said, said.strip())
same = lambda name: [{**i, "record": "", "id": i["id"].split("/")[-1]} for i in items_of(
    baleen(bench, "query", "--from", bucket, "--recording", name, "-o", "ndjson")[0])]
check("the same items come out of the same dissectors", same("default-redissected") == same("default"))
whole = [baleen(bench, "query", "--from", bucket, "--recording", name, "-o", "pcapng")[0] for name in ("default", "default-redissected")]
check("and the same packets", whole[0] == whole[1] and len(whole[0]) > 1000, len(whole[0]))
check("the old one is as it was", all(p.read_bytes() == content for p, content in before.items()))
check("a name is taken once", "already" in baleen(bench, "recordings", "redissect", "default", "--from", bucket, codes=(1,))[1])
elsewhere = bench.folder / "elsewhere"
baleen(bench, "recordings", "redissect", "default", "--from", bucket, "--to", elsewhere, "--kfl", "")
check("another place has the packets too", len(list(elsewhere.rglob("*.pcapng"))) == 1)

# ---- docs/warehouses.md ----
page = (ROOT / "docs/warehouses.md").read_text()
types = {"TIMESTAMP_NS": ("INT64", "BIGINT"), "BIGINT": ("INT64", "BIGINT"), "INTEGER": ("INT64", "INT"), "BOOLEAN": ("BOOL", "BOOLEAN"), "VARCHAR": ("STRING", "STRING")}
for engine, begin, extra in ((0, "CREATE EXTERNAL TABLE capture.items (", []), (1, "CREATE TABLE items (", ["date DATE", "hour STRING"])):
    body = page.split(begin, 1)[1].split("\n)", 1)[0]
    listed = [part.strip() for part in body.replace("\n", " ").split(",")]
    check(f"its columns are the files' ({begin[:21]})", listed == [f"{r[0]} {types[r[1]][engine]}" for r in schema] + extra)
statement = page.split("## DuckDB", 1)[1].split("```sql\n", 1)[1].split("```", 1)[0]
found = parquet(statement.strip().rstrip(";").replace("gs://bucket/prefix", str(bucket)).replace("'shop'", "'default'"))
check("its statement for DuckDB runs", sum(int(r[2]) for r in found) == len(items), found)

# ---- completion ----
words = lambda *before, current="": baleen(bench, "completion", "--words", "--current", current, *before)[0].decode().split()
check("completion knows the options", {"--after", "--follow", "--item", "--cache-limit"} <= set(words("query", current="--")))
check("and their values", words("query", "-o", current="p") == ["parquet", "pcapng", "pcap"], words("query", "-o", current="p"))
check("of sql, too", words("sql", "--output") == ["table", "ndjson", "csv", "parquet"] and "redissect" in words("recordings"))
