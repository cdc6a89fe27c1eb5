#!/usr/bin/python3
"""PostgreSQL's own log (every statement, execution, error, connection and replication command, by process) against the
items."""
import re
import socket
import struct
from live import *

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
if not PROGRAMS:
    print("SKIPPED: this test needs PostgreSQL's server")
    sys.exit(SKIPPED)
os.environ["PATH"] += f":{PROGRAMS[-1]}"
need("ip", "ss", "tcpdump", "tshark", "initdb", "postgres", "psql", "pgbench", "pg_receivewal", "setpriv", root=True)
need_modules("psycopg2")
import psycopg2  # noqa: E402

live = Live("postgresql")
nobody = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
data, log = live.folder / "db", live.folder / "server.log"
os.chmod(live.folder, 0o777)
run(*nobody, "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C")
with open(data / "pg_hba.conf", "a") as rules:
    rules.write("host all scram all scram-sha-256\nhost all md5 all md5\nhost all plain all password\n"
                "host all all 10.88.0.0/24 trust\nhost replication all 10.88.0.0/24 trust\n")
live.serve(*nobody, "postgres", "-D", data, "-p", live.port, "-h", SERVER, "-k", live.folder, "-c", "fsync=off",
           "-c", "log_statement=all", "-c", "log_line_prefix=%p|", "-c", "log_connections=on", "-c", "lc_messages=C",
           "-c", "log_disconnections=on", "-c", "log_replication_commands=on", "-c", "wal_level=replica",
           "-c", "log_min_messages=info", "-c", "autovacuum=off")
live.listening()


def ask(sql):
    """Behind Baleen's back: over the server's own socket."""
    return run("psql", "-X", "-A", "-t", "-h", live.folder, "-p", live.port, "-U", "postgres", "-c", sql).splitlines()


ask("CREATE ROLE scram LOGIN PASSWORD 'geheim'")
ask("SET password_encryption=md5; CREATE ROLE md5 LOGIN PASSWORD 'geheim'; CREATE ROLE plain LOGIN PASSWORD 'geheim'")
ask("CREATE TABLE t(id int PRIMARY KEY, name text, raw bytea)")
ask("GRANT ALL ON t TO PUBLIC")
run("pgbench", "-i", "-q", "-s", "1", "-h", live.folder, "-p", live.port, "-U", "postgres", "postgres")
seen_before = len(log.read_text())
live.become_client()
live.watch()
at = ["-h", SERVER, "-p", live.port, "-U", "postgres"]

live.client("psql", "-X", *at, "-c", "SELECT 1", "-c", "INSERT INTO t SELECT i, 'n'||i FROM generate_series(1,1000) i",
            "-c", "SELECT * FROM t", "-c", "SELECT 1; SELECT 2; UPDATE t SET name=name WHERE id<5; SELECT 3", "-c", "",
            "-c", "DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'there'; END $$")
live.client("psql", "-X", *at, "-c", "SELECT nothing", codes=(1,))
live.client("psql", "-X", *at, "-c", "SELEC 1", codes=(1,))
live.client("psql", "-X", *at, stdin="\\copy t TO '/dev/null'\n\\copy t(id, name) FROM STDIN\n5001\tx\n5002\ty\n\\.\n"
            "\\copy t(id, name) FROM STDIN\nnonsense\tx\n\\.\nBEGIN;\nSELECT 1/0;\nSELECT 1;\nROLLBACK;\n"
            "LISTEN news;\nNOTIFY news, 'from psql';\nSELECT 2;\n")
for user, password, good in (("scram", "geheim", True), ("md5", "geheim", True), ("plain", "geheim", True),
                             ("scram", "wrong", False), ("nobody", "", True)):
    live.client("psql", "-X", "-h", SERVER, "-p", live.port, "-U", user, "postgres", "-c", "SELECT current_user",
                env={**os.environ, "PGPASSWORD": password, "PGSSLMODE": "prefer"}, codes=(0,) if good and user != "nobody" else (2,))
for mode in ("simple", "extended", "prepared"):
    live.client("pgbench", "-n", "-M", mode, "-c", "2", "-t", "60", *at, "postgres")
(live.folder / "pipe.sql").write_text("\\startpipeline\n" + "SELECT :client_id;\nUPDATE t SET name='p' WHERE id=1;\n" * 10
                                      + "\\endpipeline\n")
live.client("pgbench", "-n", "-M", "extended", "-c", "2", "-t", "20", "-f", live.folder / "pipe.sql", *at, "postgres")
live.client("pgbench", "-n", "-M", "prepared", "-c", "1", "-t", "20", "-f", live.folder / "pipe.sql", *at, "postgres")

# psycopg2: cancelled from beside, COPY both ways, large objects (FunctionCall), notifications while idle.
db = psycopg2.connect(host=SERVER, port=live.port, user="postgres", dbname="postgres")
other = psycopg2.connect(host=SERVER, port=live.port, user="postgres", dbname="postgres", sslmode="disable")
other.autocommit = True
cursor = db.cursor()
import io  # noqa: E402
import threading  # noqa: E402
threading.Timer(0.3, db.cancel).start()
try:
    cursor.execute("SELECT pg_sleep(20)")
    check("the query was cancelled", False)
except psycopg2.extensions.QueryCanceledError:
    db.rollback()
cursor.copy_expert("COPY t(id, name, raw) FROM STDIN", io.StringIO("".join(f"{i}\tcopy\t\\\\x00\n" for i in range(6000, 16000))))
out = io.StringIO()
cursor.copy_expert("COPY t TO STDOUT", out)
check("COPY brings the rows back", out.getvalue().count("\n") == 11002, out.getvalue().count("\n"))
try:
    class Broken:
        def read(self, n=0):
            raise ValueError("the client gives up")
    cursor.copy_expert("COPY t FROM STDIN", Broken())
except Exception:
    db.rollback()
large = db.lobject(0, "wb")
large.write(b"x" * 100000)
large.close()
db.commit()
listener = other.cursor()
listener.execute("LISTEN news")
cursor.execute("NOTIFY news, 'first'")
db.commit()
time.sleep(0.2)
other.poll()
check("the notification came", [n.payload for n in other.notifies] == ["first"])
db.close()
other.close()


# By hand what no client in Debian does: protocol 3.2, portals fetched in pieces, an error in a pipeline, 'H' without 'S'.
class Wire:
    def __init__(self, version=(3, 0), **options):
        self.s = socket.create_connection((SERVER, live.port))
        body = struct.pack("!HH", *version)
        for k, v in {"user": "postgres", "database": "postgres", **options}.items():
            body += k.encode() + b"\0" + v.encode() + b"\0"
        self.s.sendall(struct.pack("!I", len(body) + 5) + body + b"\0")
        self.file = self.s.makefile("rb")
        self.kinds = self.until("Z")

    @staticmethod
    def m(kind, body=b""):
        return kind.encode() + struct.pack("!I", len(body) + 4) + body

    def until(self, last, count=1):
        kinds = ""
        while kinds.count(last) < count:
            kind = self.file.read(1).decode()
            self.file.read(struct.unpack("!I", self.file.read(4))[0] - 4)
            kinds += kind
        return kinds


wire = Wire((3, 2), **{"_pq_.unknown": "1"})
check("the server negotiates the protocol", wire.kinds[0] == "v", wire.kinds)
m = wire.m
parse = lambda name, sql: m("P", name + b"\0" + sql + b"\0\0\0")
bind = lambda portal, name: m("B", portal + b"\0" + name + b"\0" + struct.pack("!HHH", 0, 0, 0))
execute = lambda portal, rows=0: m("E", portal + b"\0" + struct.pack("!I", rows))
wire.s.sendall(parse(b"s", b"SELECT * FROM generate_series(1,10)") + m("D", b"Ss\0") + m("S"))
check("Describe", wire.until("Z") == "1tTZ")
wire.s.sendall(bind(b"p", b"s") + m("D", b"Pp\0") + execute(b"p", 4) + execute(b"p", 4) + execute(b"p", 4) + m("C", b"Pp\0") + m("S"))
check("a portal in three pieces", wire.until("Z") == "2TDDDDsDDDDsDDC3Z")
wire.s.sendall(parse(b"", b"SELECT 1") + bind(b"", b"") + execute(b"") + parse(b"", b"SELECT 1/(x-1) FROM generate_series(1,1) x") + bind(b"", b"") + execute(b"")
               + parse(b"", b"SELECT 3") + bind(b"", b"") + execute(b"") + m("S")
               + parse(b"", b"SELECT 4") + bind(b"", b"") + execute(b"") + m("S"))
check("an error in a pipeline", wire.until("Z", 2) == "12DC12EZ12DCZ")
wire.s.sendall(parse(b"", b"SELECT 5") + bind(b"", b"") + execute(b"") + m("H"))
check("flushed", wire.until("C") == "12DC")
wire.s.sendall(m("S") + parse(b"", b"") + bind(b"", b"") + execute(b"") + m("S") + m("Q", b"SELECT 6; SELECT 7\0"))
check("empty, and simple behind extended", wire.until("Z", 3) == "Z12IZTDCTDCZ")
wire.s.sendall(parse(b"", b"COPY t(id,name) FROM STDIN") + bind(b"", b"") + execute(b"") + m("S"))
wire.until("G")
wire.s.sendall(m("d", b"90001\tw\n") + m("c") + m("S"))
check("COPY by extended query", wire.until("Z").endswith("Z"))
wire.s.sendall(m("X"))
wire.s.close()
follower = live.start(live.outside + ["pg_receivewal", "-D", live.folder, "-h", SERVER, "-p", str(live.port), "-U", "postgres",
                                      "--no-loop"])
time.sleep(2)
follower.terminate()
follower.wait()
time.sleep(0.5)
items = live.watched("postgresql")

# ---- what the server logged ----
lines = re.split(r"\n(?=\d+\|)", log.read_text()[seen_before:].strip())
logged = collections.defaultdict(list)
remote = set()
for line in lines:
    pid, _, text = line.partition("|")
    if not pid.isdigit():
        continue
    if "connection received: host=10.88.0.2" in text:
        remote.add(int(pid))
    logged[int(pid)].append(text)
by_stream = collections.defaultdict(list)
for i in items:
    by_stream[i["stream"]].append(i)
of_process = {}
for stream, some in by_stream.items():
    for i in some:
        if i["request"] and i["request"]["type"] == "StartupMessage" and (i["response"] or {}).get("processId"):
            of_process[i["response"]["processId"]] = some
statements = executions = errors = 0
for pid, some in sorted(of_process.items()):
    texts = logged[pid]
    ours = collections.Counter(i["request"]["type"] for i in some if i["request"])
    said = lambda start: sum(t.startswith(start) for t in texts)
    failed_early = sum("syntax error" in t for t in texts if t.startswith("ERROR:"))
    replication = said("LOG:  received replication command")
    # What cannot be parsed is logged as an error alone.
    executed = [i for i in some if i["request"] and i["request"]["type"] == "Execute" and i["response"]]
    never = sum(1 for i in executed if not i["request"].get("query"))
    equal(f"simple queries of process {pid}", ours["Query"], said("LOG:  statement:") + replication + failed_early)
    theirs = sum(bool(re.match(r"LOG:  execute (?!fetch)", t)) for t in texts)
    fetched = sum(bool(re.match(r"LOG:  execute fetch", t)) for t in texts)
    equal(f"executions of process {pid}", len(executed) - never, theirs + fetched)
    wrong = [i for i in some if (i["response"] or i["data"] or {}).get("error", {}).get("severity") in ("ERROR", "FATAL", "PANIC")]
    equal(f"errors of process {pid}", len(wrong), said("ERROR:") + said("FATAL:"))
    statements, executions, errors = statements + ours["Query"], executions + len(executed), errors + len(wrong)
check("statements, executions and errors in all", statements > 400 and executions > 1000 and errors > 5,
      (statements, executions, errors))
refused = [i for i in items if i["request"] and i["request"]["type"] == "StartupMessage" and not i["response"].get("processId")]
equal("log-ins that were refused", len(refused), 2)
equal("connections", len(of_process) + len(refused), len([p for p in remote if any("authorized" in t or "FATAL" in t for t in logged[p])]))
cancels = [i for i in items if i["request"] and i["request"]["type"] == "CancelRequest"]
equal("cancel requests", len(cancels), sum("canceling statement" in t for texts in logged.values() for t in texts))
secrets = json.dumps([i["request"] for i in items if i["request"]])
notified = [i["data"]["payload"] for i in items if i["data"] and i["data"].get("type") == "NotificationResponse"]
equal("notifications", sorted(notified), ["first", "from psql"])
kinds = live.tshark_count("pgsql", "pgsql.type", options=("-d", f"tcp.port=={live.port},pgsql"))
ours = sum(1 for i in items if i["request"] and i["request"]["type"] in ("Query", "Execute"))
equal("tshark counts as many queries and executions", ours, kinds["Simple query"] + kinds["Execute"])
