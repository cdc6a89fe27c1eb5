#!/usr/bin/env python3
"""What happens at a terminal besides the main job: readers that go, full outputs, places that are nearly right, mistyped names. Without a
network: captures of examples/."""
import re
import threading
from parts import *

bench = Bench("usage")
HTTP = ROOT / "examples/captures/http.pcap"


def baleen(*words, code=0, **how):
    done = subprocess.run([BALEEN, *map(str, words)], capture_output=True, text=True, cwd=bench.folder, **how)
    check(f"baleen {' '.join(map(str, words))[:90]}: {code}", done.returncode == code, done.stderr.strip()[-300:] if done.returncode != code else "")
    return done.stdout, done.stderr


def record(name, *words, code=0, to="bucket", capture=HTTP):
    return baleen("tap", "-q", "--pcap", capture, "--record", "http or dns", "--name", name, "--to", to, "--data-dir", f"data-{name}-{to}", *words, code=code)


record("one")

# ---- standard streams that are closed, or full ----
for words in (["query", "--from", "nowhere"], ["recordings", "ls", "--from", "bucket"], ["tap", "--pcap", HTTP, "--record", "http", "--to", "closed", "--data-dir", "d2"]):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([BALEEN, *map(str, words)], stdout=write, stderr=write, cwd=bench.folder)
    os.close(write)
    check(f"{words[0]} goes on without anybody who reads", done.returncode == (1 if words[0] == "query" else 0), done.returncode)
check("and has recorded", "http 6" in baleen("query", "--from", "closed", "-o", "count")[0])

many = bench.folder / "many.pcap"
subprocess.run([sys.executable, ROOT / "bench/capture.py", many, "5000", "--body", "100"], check=True, stdout=subprocess.DEVNULL)
capture = many.read_bytes()


def left_by_its_reader(*words):
    """tap of a capture whose second half comes after the reader of the items has gone."""
    tap = subprocess.Popen([BALEEN, "tap", "--pcap", "-", "-o", "ndjson", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=bench.folder)
    gone = threading.Event()

    def feed():
        try:
            tap.stdin.write(capture[: len(capture) // 2])
            gone.wait()
            time.sleep(1)
            tap.stdin.write(capture[len(capture) // 2 :])
            tap.stdin.close()
        except BrokenPipeError:
            pass

    feeding = threading.Thread(target=feed)
    feeding.start()
    read = tap.stdout.readline()
    tap.stdout.close()
    gone.set()
    said = tap.stderr.read().decode()
    feeding.join()
    return tap.wait() == 0 and read.startswith(b"{"), said


ended, said = left_by_its_reader("--record", "http", "--to", "unread", "--data-dir", "d3")
check("a reader that goes does not end a recording", ended and "nobody reads" in said and "http 5000" in baleen("query", "--from", "unread", "-o", "count")[0], said)
ended, said = left_by_its_reader()
check("... but what was for it alone", ended and " 5000 items" not in said, said)

for words in (["dissect", HTTP], ["dissect", HTTP, "-o", "ndjson"], ["recordings", "ls", "--from", "bucket"], ["query", "--from", "bucket", "-o", "ndjson"]):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BALEEN, *map(str, words)], stdout=full, stderr=subprocess.PIPE, cwd=bench.folder)
    check(f"{words[0]} says that its output is full", done.returncode == 1 and b"No space left" in done.stderr, done.stderr)

# ---- counting, and names of items ----
ids = [i["id"] for i in items_of(baleen("query", "--from", "bucket", "-o", "ndjson")[0].encode())]
check("counting one item", baleen("query", "--from", "bucket", "--item", ids[0], "-o", "count")[0] == "http 1\n")
stream = ids[0].split("/")[1].split("-")[0]
check("counting a stream's items", baleen("query", "--from", "bucket", "--stream", stream, "-o", "count")[0] == f"http {sum(f'/{stream}-' in i for i in ids)}\n")
check("counting those of none", baleen("query", "--from", "bucket", "--stream", "x", "-o", "count")[0] == "")
record("two")  # another capture's streams have the same names
check("an id of two runs is told", "2 items have this id" in baleen("query", "--from", "bucket", "--item", ids[0])[1])

# ---- numbers that JSON does not have ----
def no_json(word):
    raise ValueError(f"{word} is no JSON")


out = baleen("sql", "--from", "bucket", "select ['nan'::double, 1.5] l, {'x': '-inf'::double} s, 'NaN' t, avg(elapsed_us) filter (status = 1) from items", "-o", "ndjson")[0]
read = json.loads(out, parse_constant=no_json)
check("sql writes null for them", read["l"] == [None, 1.5] and read["s"] == {"x": None} and read["t"] == "NaN" and out.endswith("\n"), out)

# ---- damaged objects ----
def damaged(pattern, begin, end, to):
    """A copy of the bucket in which one object has other bytes there."""
    shutil.copytree(bench.folder / "bucket", bench.folder / to)
    file = sorted((bench.folder / to).rglob(pattern))[0]
    content = bytearray(file.read_bytes())
    for at in range(begin, min(end, len(content) - 100)):
        content[at] ^= 0x5A
    file.write_bytes(content)
    return file.name


name = damaged("*.parquet", 100, 6000, "bad-items")
out, said = baleen("sql", "--from", "bad-items", "select count(json) n, min(host) from items", "-o", "ndjson", code=3)
check("sql leaves a damaged file out and names it", json.loads(out)["n"] == 6 and name in said, out + said)
(bench.folder / "kept.csv").write_text("before")
said = baleen("sql", "--from", "bad-items", "select no_such_column from items", "--to", "kept.csv", code=2)[1]
check("a wrong statement stays one", "no_such_column" in said, said)
check("and takes no file", (bench.folder / "kept.csv").read_text() == "before")
name = damaged("*.pcapng", 400, 1000, "bad-packets")
out, said = baleen("query", "--from", "bad-packets", "-o", "pcapng", "--to", "left.pcapng", code=3)
check("damaged packets are left out", name in said and "damaged" in said, said)
if shutil.which("capinfos"):
    told = subprocess.run(["capinfos", "-c", "-M", str(bench.folder / "left.pcapng")], capture_output=True, text=True)
    check("what is left is whole", told.returncode == 0 and int(re.search(r"packets:\s+(\d+)", told.stdout)[1]) == int(re.search(r"(\d+) packets", said)[1]), told.stderr)

# ---- places and names that are nearly right ----
(bench.folder / "above").mkdir()
shutil.copytree(bench.folder / "bucket", bench.folder / "above/bucket")
for place, where in (("above", "above/bucket"), ("bucket/recording=one", "bucket"), ("bucket/recording=one/packets", "bucket")):
    for words in (["query", "--from", place], ["sql", "--from", place, "select 1"], ["recordings", "ls", "--from", place]):
        said = baleen(*words, code=1)[1]
        check(f"{words[0]} says where recordings are", f"--from {where} reads" in said, said)
for words in (["query"], ["query", "-o", "count"], ["sql", "select count(*) from items"]):
    said = baleen(words[0], "--from", "bucket", "--recording", "onne", *words[1:], code=1)[1]
    check(f"{words[0]} knows no such recording, and one like it", "no recording 'onne'" in said and "'one'" in said, said)
for words in (["expire", "onne", "--older-than", "1d"], ["compact", "onne"]):
    check(f"{words[0]} says so, too", "no recording 'onne'" in baleen("recordings", *words, "--from", "bucket")[1])
for name in ("a/b", "..", "a=b,c"):
    check("no name of a recording", "name" in baleen("recordings", "redissect", "one", "--from", "bucket", "--name", name, code=2)[1])

# ---- a block that an earlier run left open, and nobody can read ----
broken = bench.folder / "data-three-bucket/spool/open/1"
broken.mkdir(parents=True)
(broken / "owner.json").write_text("{")
(broken / "packets.journal").write_text("what once were packets")
said = baleen("tap", "--pcap", HTTP, "--record", "http", "--name", "three", "--to", "bucket", "--data-dir", "data-three-bucket", code=3)[1]
check("it is told, and stays", "cannot be read" in said and broken.is_dir(), said)

# ---- a recording that asks for another one ----
(bench.folder / "pair.yaml").write_text("""recording:
  - {name: aa, pattern: 'record("zz") and response.status == 200', to: pair}
  - {name: zz, pattern: http, to: pair}
""")
baleen("tap", "-q", "--pcap", HTTP, "--config", "pair.yaml", "--data-dir", "data-pair", "-o", "none")
counted = {name: baleen("query", "--from", "pair", "--recording", name, "-o", "count")[0] for name in ("aa", "zz")}
wanted = baleen("query", "--from", "pair", "--recording", "zz", "--kfl", "response.status == 200", "-o", "count")[0]
check("has what matches both", counted["aa"] == wanted != "" and counted["zz"] == "http 6\n", counted)

# ---- what is left out, or wrong, is said before it matters ----
mixed = bench.folder / "mixed"
baleen("tap", "-q", "--pcap", ROOT / "examples/captures", "--record", "true", "--to", mixed, "--data-dir", "data-mixed")
entries = json.loads(baleen("query", "--from", mixed, "-o", "har", "--to", "mixed.har")[1] and (bench.folder / "mixed.har").read_text())["log"]["entries"]
said = baleen("query", "--from", mixed, "-o", "har", "--to", "mixed.har")[1]
total = len(items_of(baleen("query", "--from", mixed, "-o", "ndjson")[0].encode()))
check("har says how many items it has no place for", f"{total - len(entries)} items have no HTTP request" in said and 0 < len(entries) < total, said)
for wrong, part in (("pattern: 'http and'", "http and"), ("pattern: http, to: 'ftp://x'", "ftp"), ("pattern: http, timezone: Mars/Olympus", "Mars"),
                    ("pattern: http, redact: {patterns: ['(']}", "redact"), ("pattern: http, iterations: 3", "duration")):
    (bench.folder / "wrong.yaml").write_text("recording: {name: a, to: x, " .replace("to: x, ", "" if "to:" in wrong else "to: x, ") + wrong + "}\n")
    said = baleen("config", "--config", "wrong.yaml", code=2)[1]
    check(f"config finds {part}", part in said, said)
