#!/usr/bin/python3
"""What `INFO commandstats` and `INFO errorstats` of two real servers count, command by command, against the items."""
import socket
import threading
from live import *

need("ip", "ss", "tcpdump", "tshark", "redis-server", "redis-cli", "redis-benchmark", root=True)
need_modules("redis")
import redis  # noqa: E402

live = Live("redis")
PORTS = (live.port, live.port + 1, live.port + 2)  # alone; two nodes of a cluster
for port in PORTS:
    folder = live.folder / str(port)
    folder.mkdir()
    options = ["--cluster-enabled", "yes", "--protected-mode", "no"] if port != live.port else ["--requirepass", "geheim", "--user", "app", "on", ">geheim2", "~*", "&*", "+@all"]
    live.serve("redis-server", "--port", str(port), "--bind", SERVER, "--dir", folder, "--save", "", "--unixsocket",
               folder / "s", "--repl-diskless-sync", "no", *options, log=f"{port}.log")
for port in PORTS:
    live.listening(port)


def ask(port, *words):
    """Behind Baleen's back."""
    password = ["--no-auth-warning", "-a", "geheim"] if port == live.port else []
    return run("redis-cli", "-s", live.folder / str(port) / "s", *password, *words)


ask(PORTS[1], "cluster", "addslotsrange", "0", "8191")
ask(PORTS[2], "cluster", "addslotsrange", "8192", "16383")
ask(PORTS[1], "cluster", "meet", SERVER, str(PORTS[2]))
eventually("the cluster is whole", lambda: "cluster_state:ok" in ask(PORTS[1], "cluster", "info")
           and "cluster_state:ok" in ask(PORTS[2], "cluster", "info"), 30)
live.become_client()
live.watch()
for port in PORTS:
    ask(port, "config", "resetstat")

at = ["-h", SERVER, "-p", str(live.port)]
cli = ["redis-cli", *at, "--no-auth-warning", "-a", "geheim"]
env = {**os.environ}
live.client("redis-cli", *at, "GET", "a")  # NOAUTH
live.client(*cli, stdin="SET a 1\nGET a\nINCR a\nLPUSH l 1 2 3\nGET l\nHSET h f v g w\nHGETALL h\nNOSUCH\nGET\nSET a b\n"
            "INCR a\nMULTI\nSET b 1\nGET b\nEXEC\nMULTI\nNOSUCH\nSET b 2\nEXEC\nMULTI\nSET c 1\nDISCARD\nEXEC\nWATCH a\n"
            "UNWATCH\nEVAL \"return {1,'two',{3}}\" 0\nSCRIPT LOAD \"return 1\"\nEVALSHA ffffffffffffffffffffffffffffffffffffffff 0\n"
            "OBJECT ENCODING a\nCONFIG GET maxmemory\nCLIENT INFO\nEXPIRE a 100\nTTL a\nKEYS *\nSCAN 0\n")
live.client(*cli, "-3", stdin="HGETALL h\nCLIENT TRACKING ON\nGET a\nSET a 2\nCONFIG GET max*\nDEBUG PROTOCOL attrib\n"
            "DEBUG PROTOCOL bignum\nDEBUG PROTOCOL true\nDEBUG PROTOCOL double\nDEBUG PROTOCOL null\nDEBUG PROTOCOL verbatim\n"
            "DEBUG PROTOCOL map\nDEBUG PROTOCOL set\nDEBUG PROTOCOL push\nDEBUG PROTOCOL array\nPING\n")
live.client(*cli, "--pipe", stdin="".join(f"*3\r\n$3\r\nSET\r\n${len(str(i)) + 1}\r\nk{i}\r\n$5\r\nvalue\r\n" for i in range(3000)))
for pipeline in ("1", "16", "64"):
    live.client("redis-benchmark", *at, "-a", "geheim", "-q", "-n", "2000", "-c", "5", "-P", pipeline, "-t",
                "ping,set,get,incr,lpush,lrange_100,mset", "-d", "100")
r = redis.Redis(host=SERVER, port=live.port, username="app", password="geheim2")
with r.pipeline(transaction=True) as p:
    for i in range(50):
        p.set(f"p{i}", i).get(f"p{i}")
    p.execute()
with r.pipeline(transaction=False) as p:
    for i in range(50):
        p.get(f"p{i}").lpop("a")
    failed = sum(isinstance(x, Exception) for x in p.execute(raise_on_error=False))
check("50 of the pipeline fail", failed == 50, failed)
r.set("large", b"\0\r\n*" * (2 << 20))
check("8 MB come back", len(r.get("large")) == 8 << 20)
subscriber = r.pubsub()
subscriber.subscribe("news", "more")
subscriber.psubscribe("n*")
for _ in range(3):
    subscriber.get_message(timeout=5)
for i in range(20):
    r.publish("news", f"n{i}")
messages = [subscriber.get_message(timeout=5) for _ in range(40)]
check("every message comes by channel and by pattern", all(m and m["type"].endswith("message") for m in messages))
subscriber.ping()
subscriber.unsubscribe("more")
for _ in range(2):
    subscriber.get_message(timeout=5)
subscriber.close()


class Wire:
    def __init__(self, port=live.port):
        self.s = socket.create_connection((SERVER, port))
        self.s.settimeout(5)

    def say(self, data, until):
        self.s.sendall(data)
        got = b""
        while not got.endswith(until):
            got += self.s.recv(65536)
        return got


w = Wire()
w.say(b"AUTH geheim\r\n", b"+OK\r\n")
w.say(b"SET inline 'with blanks'\r\n\r\nGET inline\r\n", b"\r\n$11\r\nwith blanks\r\n")
w.say(b"CLIENT REPLY OFF\r\nSET x 1\r\nSET x 2\r\nCLIENT REPLY ON\r\n", b"+OK\r\n")
w.say(b"CLIENT REPLY SKIP\r\nSET x 3\r\nGET x\r\n", b"$1\r\n3\r\n")
w.s.sendall(b"MONITOR\r\n")
time.sleep(0.3)
r.get("seen")
r.get("seen")
time.sleep(0.3)
check("the monitor sees two commands", w.s.recv(65536).count(b'"GET" "seen"') == 2)
w.s.close()
w = Wire()  # pushes between answers of one connection: RESP3
w.say(b"HELLO 3 AUTH default geheim\r\n", b"*0\r\n")
w.say(b"*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nown\r\n", b":1\r\n")
w.say(b"PING\r\nPUBLISH own m1\r\nPUBLISH own m2\r\nGET a\r\n", b"\r\n$1\r\n2\r\n")
w.s.close()
live.client("redis-cli", "-c", "-h", SERVER, "-p", str(PORTS[1]), stdin="".join(f"SET key{i} {i}\nGET key{i}\n" for i in range(20)))
live.client("redis-cli", "-h", SERVER, "-p", str(PORTS[1]), stdin="".join(f"SET key{i} {i}\nGET key{i}\n" for i in range(20)))

# A replica on the client's host: snapshot, stream, its acknowledgements.
folder = live.folder / "replica"
folder.mkdir()
replica = live.start(live.outside + ["redis-server", "--port", "7999", "--bind", CLIENT, "--dir", folder, "--save", "",
                                     "--masterauth", "geheim", "--replicaof", SERVER, str(live.port), "--unixsocket", folder / "s"])
eventually("the replica follows", lambda: "master_link_status:up" in subprocess.run(
    ["redis-cli", "-s", folder / "s", "info", "replication"], capture_output=True, text=True).stdout, 30)
for i in range(10):
    r.set("to-replica", i)
time.sleep(1.5)
replica.terminate()
replica.wait()
r.close()
time.sleep(0.3)
stats = {port: ask(port, "info", "commandstats") for port in PORTS}
faults = {port: ask(port, "info", "errorstats") for port in PORTS}
items = live.watched("redis")

# ---- what the servers counted ----
answered = 0
for port in PORTS:
    theirs, containers = collections.Counter(), set()
    for line in stats[port].splitlines():
        if line.startswith("cmdstat_"):
            name, _, rest = line[8:].partition(":")
            values = dict(kv.split("=") for kv in rest.split(","))
            theirs[name.replace("|", " ")] += int(values["calls"]) + int(values["rejected_calls"])
            containers |= {name.partition("|")[0]} if "|" in name else set()
    theirs["config resetstat"] -= 1  # our own, behind Baleen's back
    ours, wrong = collections.Counter(), collections.Counter()
    for i in items:
        if int(i["dst"]["port"]) != port or not i["request"]:
            continue
        name = i["request"]["command"].lower()
        if name in containers:
            name += " " + i["request"]["args"][0].lower()
        status = (i["response"] or {}).get("status", "")
        wrong[status] += status not in ("", "OK")
        # Commands that do not exist are no command's calls, only errors.
        if not (status == "ERR" and i["response"]["error"].startswith("ERR unknown")):
            ours[name] += 1
        answered += status != ""
    if port == live.port:
        theirs["auth"] -= 1  # of our own INFO
        ours["set"] -= 2  # one was queued and discarded, one queued behind a command that does not exist
    mistakes = collections.Counter()
    for line in faults[port].splitlines():
        if line.startswith("errorstat_"):
            name, _, count = line[10:].partition(":count=")
            mistakes[name] = int(count)
    check(f"commands of the server on {port}", +ours == +theirs, dict(+ours) if +ours == +theirs else
          f"only ours {ours - theirs}, only theirs {theirs - ours}")
    equal(f"errors of the server on {port}", dict(+wrong), dict(mistakes))
singles = [i for i in items if i["data"]]
heard = [i["data"]["value"] for i in singles if i["data"].get("keyword") in ("message", "pmessage")]
equal("messages of channels", sorted(heard), sorted([f"n{i}" for i in range(20)] * 2 + ["m1", "m2"]))
check("the replica's stream", sum(i["data"].get("command") == "SET" for i in singles) == 10)
secret = json.dumps([{k: v for k, v in (i["request"] or {}).items() if k != "password"} for i in items])
check("passwords stand in request.password only", "geheim" not in secret)
check("answered commands", answered > 50000, answered)
