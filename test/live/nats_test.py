#!/usr/bin/python3
"""The NATS server's trace, which names every operation in both directions, against the items; /varz counts messages."""
import re
import socket
import urllib.request
from live import *

need("ip", "ss", "tcpdump", "nats-server", root=True)
live = Live("nats")
log = live.folder / "server.log"
(live.folder / "nats.conf").write_text(
    f'listen: "{SERVER}:{live.port}"\nhttp: "127.0.0.1:{live.port + 1}"\njetstream {{ store_dir: "{live.folder}/js" }}\n'
    'authorization { users = [ {user: "u", password: "geheim"}, {token_user: "x"} ] }\nping_interval: "2s"\n'
    .replace(', {token_user: "x"}', ""))
live.serve("nats-server", "-c", live.folder / "nats.conf", "-D", "-V")
live.listening()


class Client:
    """The client protocol by hand: what it says, and what it has heard of each operation."""

    def __init__(self, **options):
        self.s = socket.create_connection((SERVER, live.port))
        self.s.settimeout(10)
        self.data = b""
        self.until(b"INFO ")
        self.until(b"\r\n")
        said = {"verbose": False, "pedantic": False, "user": "u", "pass": "geheim", "headers": True, "no_responders": True,
                "lang": "python", "version": "1", "protocol": 1, **options}
        self.say(f"CONNECT {json.dumps(said)}\r\nPING\r\n")
        self.until(b"PONG\r\n" if said["pass"] == "geheim" else b"-ERR")

    def say(self, text):
        self.s.sendall(text.encode())

    def until(self, mark):
        while mark not in self.data:
            more = self.s.recv(65536)
            if not more:
                break
            if b"PING\r\n" in more:
                self.say("PONG\r\n")
            self.data += more
        at = self.data.find(mark)
        got, self.data = self.data[:at + len(mark)], self.data[at + len(mark):]
        return got


live.become_client()
live.watch()
time.sleep(0.2)
a, b = Client(), Client(verbose=True)
a.say("SUB news.* 1\r\nSUB work queue 2\r\nSUB _INBOX.a.* 3\r\nPING\r\n")
a.until(b"PONG\r\n")
b.say("PUB news.x 5\r\nhello\r\nPUB news.y 0\r\n\r\nHPUB news.z 22 27\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhello\r\nPING\r\n")
b.until(b"PONG\r\n")
a.until(b"hello\r\n")
a.until(b"HMSG news.z 1 22 27")
b.say("SUB echo 9\r\nPING\r\n")
b.until(b"PONG\r\n")
a.say("PUB echo _INBOX.a.1 4\r\nask?\r\n")
b.until(b"ask?\r\n")
b.say("PUB _INBOX.a.1 6\r\nanswer\r\n")
a.until(b"answer\r\n")
a.say("PUB nobody.here _INBOX.a.2 1\r\nx\r\n")
a.until(b"NATS/1.0 503")
for i in range(500):  # pipelined, and large
    a.say(f"PUB news.{i % 7} {i}\r\n{'x' * i}\r\n")
a.say("PUB news.big 900000\r\n" + "y" * 900000 + "\r\nUNSUB 1 3\r\nUNSUB 2\r\nPING\r\n")
a.until(b"PONG\r\n")
js = "$JS.API.STREAM.CREATE.S"
body = json.dumps({"name": "S", "subjects": ["stored.*"], "storage": "memory"})
a.say(f"PUB {js} _INBOX.a.3 {len(body)}\r\n{body}\r\n")
a.until(b"stream_create_response")
for i in range(20):
    a.say(f"PUB stored.{i} _INBOX.a.s{i} 2\r\nok\r\n")
for i in range(20):
    a.until(b'"stream":"S"')
a.say("PUB $JS.API.STREAM.INFO.NONE _INBOX.a.4 0\r\n\r\n")
a.until(b"stream not found")
wrong = Client(**{"pass": "falsch"})
c = Client()
c.say("NONSENSE\r\n")
c.until(b"-ERR 'Unknown Protocol Operation'\r\n")
idle = Client()
time.sleep(5)
idle.until(b"PING\r\n")
v = json.loads(subprocess.run(live.inside + ["curl", "-s", f"http://127.0.0.1:{live.port + 1}/varz"], capture_output=True, check=True).stdout)
for who in (a, b, idle):
    who.s.close()
time.sleep(0.5)
items = live.watched("nats")
said = log.read_text()

# ---- what the server traced ----
theirs = collections.Counter(re.findall(r"cid:\d+ - (?:\"[^\"]*\" - )?(?:<<-|->>) \[([-+A-Z]+)", said))
ours = collections.Counter(i[side]["method"] for i in items for side in ("request", "response") if i[side])
theirs["+OK"] = theirs.pop("OK")
# It traces neither INFO, nor "503 no responders", nor what a refused client still says.
ours["INFO"] -= 5
ours["HMSG"] -= 1
ours["PING"] -= 1
equal("operations of both directions", dict(sorted((+ours).items())), dict(sorted(theirs.items())))
published = [i for i in items if i["request"] and i["request"]["method"] in ("PUB", "HPUB")]
equal("messages in, as /varz counts them", len(published), v["in_msgs"])
of = lambda subject: [i for i in published if i["request"]["subject"] == subject]
equal("nobody listens", [i["response"]["status"] for i in of("nobody.here")], ["503"])
equal("the stream's answer", [json.loads(i["response"]["payload"])["type"] for i in of(js)],
      ["io.nats.jetstream.api.v1.stream_create_response"])
stored = [json.loads(i["response"]["payload"])["seq"] for i in published if i["request"]["subject"].startswith("stored.")]
equal("what JetStream stored is acknowledged", stored, list(range(1, 21)))
errors = [i["request"]["error"] for i in items if i["request"] and i["request"]["method"] == "-ERR"]
equal("errors", errors, ["'Authorization Violation'", "'Unknown Protocol Operation'"])
equal("sizes", sum(i["request"]["payloadSize"] for i in published), v["in_bytes"] - 22)
check("passwords stand in request.credentials only", not any("geheim" in json.dumps({k: x for k, x in (i["request"] or {}).items()
                                                                                if k != "credentials"}) for i in items))
