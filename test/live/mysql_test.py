#!/usr/bin/python3
"""MariaDB's own general log, command by command and connection by connection, against the items; and the bytes that it
counted."""
from live import *

need("ip", "ss", "tcpdump", "tshark", "mariadbd", "mariadb", "mariadb-admin", "mariadb-install-db", "perl", root=True)
need_modules("pymysql")
import pymysql  # noqa: E402

if subprocess.run(["perl", "-MDBD::MariaDB", "-e", "1"], capture_output=True).returncode != 0:
    print("SKIPPED: this test needs DBD::MariaDB for Perl (prepared statements)")
    sys.exit(SKIPPED)

live = Live("mysql")
data, socket_file = live.folder / "db", live.folder / "db.sock"
run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
    "--skip-test-db", "--user=root")
live.serve("mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket_file}", f"--port={live.port}",
           f"--bind-address={SERVER}", "--user=root", "--log-output=TABLE", "--general-log=0", "--local-infile=1",
           f"--pid-file={live.folder}/db.pid", "--innodb-buffer-pool-size=16M", "--performance-schema=OFF",
           "--skip-name-resolve", "--max-connections=50")
live.listening()


def ask(sql, *options):
    """Behind Baleen's back: over the server's own socket."""
    out = run("mariadb", "--no-defaults", f"--socket={socket_file}", "-uroot", "-N", "-B", *options, "-e", sql)
    return [line.split("\t") for line in out.splitlines()]


ask("""CREATE DATABASE shop; CREATE USER 'u'@'%' IDENTIFIED BY 'geheim'; GRANT ALL ON *.* TO 'u'@'%';
       INSTALL SONAME 'auth_ed25519'; CREATE USER 'ed'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('geheim');
       GRANT ALL ON shop.* TO 'ed'@'%'; SET GLOBAL max_allowed_packet=67108864""")
ask("""CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100), amount DECIMAL(10,2), at DATETIME(6),
       ratio DOUBLE, small TINYINT UNSIGNED, big BIGINT UNSIGNED, raw LONGBLOB, UNIQUE KEY (name))""")
ask("CREATE PROCEDURE shop.three() BEGIN SELECT 1 AS a; SELECT id, name FROM shop.t LIMIT 2; SELECT 'x' AS b; END", "--delimiter=//")
live.become_client()
live.watch()
ask("SET GLOBAL general_log=1")
before = dict(ask("SHOW GLOBAL STATUS WHERE Variable_name IN ('Aborted_connects')"))
errors_seen = 0
cli = ["mariadb", "--no-defaults", f"--host={SERVER}", f"--port={live.port}", "-uu", "-pgeheim", "--skip-ssl", "shop"]

# The command line client: several statements, several results, an error, a file sent up, compression.
live.client(*cli, "-e", "INSERT INTO t(name, amount, at) VALUES ('a', 1.5, NOW(6)), ('b', 2, NOW(6)); SELECT * FROM t; "
                        "CALL three(); SELECT SLEEP(0.01); USE mysql; SELECT 1; USE shop; SHOW TABLES")
live.client(*cli, "-e", "SELECT * FROM nowhere", codes=(1,))
errors_seen += 1
(live.folder / "rows.txt").write_text("".join(f"file{i}\n" for i in range(5000)))
live.client(*cli, "--local-infile=1", "-e", f"LOAD DATA LOCAL INFILE '{live.folder}/rows.txt' INTO TABLE t (name)")
live.client(*cli, "--compress", "-e", "SELECT COUNT(*) FROM t; SELECT REPEAT('baleen', 200000) AS much; SELECT * FROM t")
live.client(*cli, "--binary-mode", stdin="SELECT 1;\n\n  SELECT\n 2 AS `two`;\n/* c */ SELECT 3;\n")
live.client("mariadb-admin", "--no-defaults", f"--host={SERVER}", f"--port={live.port}", "-uu", "-pgeheim", "--skip-ssl",
            "ping", "status", "processlist", "refresh")
live.client("mariadb", "--no-defaults", f"--host={SERVER}", f"--port={live.port}", "-uu", "-pwrong", "--skip-ssl", "-e",
            "SELECT 1", codes=(1,))
live.client("mariadb", "--no-defaults", f"--host={SERVER}", f"--port={live.port}", "-ued", "-pgeheim", "--skip-ssl",
            "shop", "-e", "SELECT CURRENT_USER()")

# PyMySQL: several statements in one command, rows one by one, ping, change of database, errors, 17 MB in one value.
db = pymysql.connect(host=SERVER, port=live.port, user="u", password="geheim", database="shop",
                     client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS, ssl_disabled=True,
                     max_allowed_packet=64 << 20)
with db.cursor() as c:
    c.execute("SET SESSION max_statement_time=60; SELECT 1; INSERT INTO t(name) VALUES ('multi'); SELECT 2")
    while c.nextset():
        pass
    for sql in ("INSERT INTO t(name) VALUES ('multi')", "SELEC 1", "CALL nothing()"):
        try:
            c.execute(sql)
            check("an error was expected", False, sql)
        except pymysql.MySQLError:
            errors_seen += 1
    c.execute("SELECT REPEAT('x', 1000), 1 UNION SELECT NULL, 2")
    c.fetchall()
db.ping()
db.select_db("mysql")
db.select_db("shop")
db.begin()
db.rollback()
with db.cursor(pymysql.cursors.SSCursor) as c:
    c.execute("SELECT seq FROM seq_1_to_30000")
    check("30,000 rows one by one", sum(1 for _ in c) == 30000)
db.close()
db = pymysql.connect(host=SERVER, port=live.port, user="u", password="geheim", database="shop", ssl_disabled=True,
                     max_allowed_packet=64 << 20)
with db.cursor() as c:
    c.execute("UPDATE t SET raw=%s WHERE id=1", (b"\x01" * (17 << 20),))
    c.execute("SELECT id, raw FROM t WHERE id=1")
    check("17 MB come back", len(c.fetchone()[1]) == 17 << 20)
    c.execute("SELECT 'after'")
db.close()

# Perl's driver: statements prepared on the server, every type of parameter, long data, cursors closed and reused.
perl = live.client("perl", "-e", r"""
use DBI; my $n = 0;
my $d = DBI->connect("DBI:MariaDB:host=$ARGV[0];port=$ARGV[1];database=shop;mariadb_server_prepare=1", "u", "geheim",
                     {RaiseError => 0, PrintError => 0});
my $s = $d->prepare("INSERT INTO t(name, amount, ratio, small, big, at, raw) VALUES (?,?,?,?,?,?,?)");
for my $i (1 .. 20) {
  $s->bind_param(1, "perl$i"); $s->bind_param(2, "12.5"); $s->bind_param(3, 0.25, DBI::SQL_DOUBLE);
  $s->bind_param(4, $i, DBI::SQL_INTEGER); $s->bind_param(5, "18446744073709551615", DBI::SQL_BIGINT);
  $s->bind_param(6, "2026-01-02 03:04:05.678901"); $s->bind_param(7, $i % 2 ? undef : "\0\1\2" x 100, DBI::SQL_BLOB);
  $s->execute() or die $d->errstr;
}
$s->bind_param(1, "perl1"); $s->execute() or $n++;
my $q = $d->prepare("SELECT id, name, amount, ratio, small, big, at, raw, ? FROM t WHERE name LIKE ? ORDER BY id");
for (1 .. 3) { $q->execute("p", "perl%"); my $all = $q->fetchall_arrayref(); die scalar @$all unless @$all == 20; }
my $e = $d->prepare("SELECT nothing FROM t"); $n++ unless $e && $e->execute();
$d->do("DELETE FROM t WHERE name = ?", undef, "perl20");
$d->ping(); $d->disconnect(); print $n;
""", SERVER, live.port)
errors_seen += int(perl)
check("Perl saw two errors", perl == "2", perl)

ask("SET GLOBAL general_log=0")
items = live.watched("mysql")

# ---- what the server logged ----
mine = {i["response"]["connectionId"]: i["stream"] for i in items if i["request"]["command"] == "LOGIN"}
rows = ask("SELECT thread_id, command_type, CONVERT(LEFT(argument, 200) USING utf8mb4) FROM mysql.general_log "
           "WHERE user_host LIKE '%10.88.0.2%' ORDER BY event_time, thread_id")
logged = collections.defaultdict(list)
for thread, kind, *argument in rows:
    logged[int(thread)].append((kind, argument))
check("as many connections as the server logged", sorted(mine) == sorted(logged), len(mine))

NAMES = {"COM_QUERY": "Query", "COM_INIT_DB": "Init DB", "COM_QUIT": "Quit", "COM_STATISTICS": "Statistics",
         "COM_PING": "Ping", "COM_STMT_PREPARE": "Prepare", "COM_STMT_EXECUTE": "Execute", "COM_STMT_CLOSE": "Close stmt",
         "COM_PROCESS_INFO": "Processlist", "COM_REFRESH": "Refresh", "COM_FIELD_LIST": "Field List", "LOGIN": "Connect",
         "COM_STMT_SEND_LONG_DATA": "Long Data", "COM_STMT_RESET": "Reset stmt", "COM_STMT_FETCH": "Fetch"}


def logs(item):
    """MariaDB logs neither pings nor what it could not prepare."""
    command = item["request"]["command"]
    return command != "COM_PING" and not (command == "COM_STMT_PREPARE" and not item["response"]["success"])


total = 0
for thread, stream in sorted(mine.items()):
    ours = [NAMES.get(i["request"]["command"], i["request"]["command"])
            for i in items if i["stream"] == stream and logs(i)]
    theirs = []
    for kind, _ in logged[thread]:
        # A refused log-in is logged twice ("Connect" and why not); statements of one COM_QUERY one by one.
        if kind == "Connect" and theirs[-1:] == ["Connect"]:
            continue
        theirs.append(kind)
    multi = [i for i in items if i["stream"] == stream and i["request"]["command"] == "COM_QUERY"
             and ";" in i["request"]["query"].rstrip("; \n") and i["response"].get("results", 0) > 1]
    if multi:  # one command, several Query lines
        check("statements of one command", theirs.count("Query") >= ours.count("Query"), len(multi))
        theirs = [k for k in theirs if k != "Query"]
        ours = [k for k in ours if k != "Query"]
    equal(f"commands of connection {thread}", collections.Counter(ours), collections.Counter(theirs))
    total += len(ours)
check("commands in all", total > 80, total)
answered = [i for i in items if i["request"]["command"] not in ("COM_QUIT", "COM_STMT_CLOSE", "COM_STMT_SEND_LONG_DATA")]
check("every command that is answered has its answer", all(i["response"] for i in answered), len(answered))
failed = [i for i in answered if not i["response"]["success"]]
equal("errors are those that the clients saw", len([i for i in failed if i["request"]["command"] != "LOGIN"]), errors_seen)
equal("one log-in was refused", [i["response"]["error"]["code"] for i in failed if i["request"]["command"] == "LOGIN"],
      [1045])
# tshark takes contents of files and of packets of 16 MB for commands, too: only what they cannot look like is compared.
commands = live.tshark_count("mysql.command", "mysql.command", options=("-d", f"tcp.port=={live.port},mysql"))
ours = collections.Counter(i["request"]["command"] for i in items)
for number, name in (("2", "COM_INIT_DB"), ("3", "COM_QUERY"), ("14", "COM_PING"), ("22", "COM_STMT_PREPARE"),
                     ("23", "COM_STMT_EXECUTE")):
    equal(f"tshark counts as many {name}", ours[name], commands[number])
