#!/usr/bin/python3
"""What librdkafka's clients log of their requests and answers, by kind and version, against the items. The brokers are
librdkafka's own mock cluster, which speaks to clients on its host only: watched on the loopback interface."""
import re
from live import *

need("ip", "ss", "tcpdump", "tshark", "kcat", root=True)
live = Live("kafka")
live.interface = "lo"
cluster = live.start(live.inside + ["kcat", "-b", "mock:1", "-P", "-t", "held", "-X", "test.mock.num.brokers=2"], stdin=subprocess.PIPE)
ports = set()


def found():
    ports.update(int(p) for p in re.findall(r"127.0.0.1:(\d+) ", subprocess.run(
        live.inside + ["ss", "-Hltn"], capture_output=True, text=True).stdout))
    return len(ports) == 2


eventually("the mock cluster listens", found)
brokers = ",".join(f"127.0.0.1:{p}" for p in sorted(ports))
live.watch()
sent, received = collections.Counter(), collections.Counter()


def kcat(*arguments, stdin=None):
    """Runs a client to its end and counts what it logs."""
    done = subprocess.run(live.inside + ["kcat", "-b", brokers, "-d", "protocol", *map(str, arguments)],
                          input=stdin, capture_output=True, text=True, timeout=60)
    check(f"kcat {' '.join(map(str, arguments))[:60]}", done.returncode == 0, done.stderr[-600:] if done.returncode else "")
    sent.update(re.findall(r"Sent (\w+)Request \(v(\d+), ", done.stderr))
    received.update(re.findall(r"Received (\w+)Response \(v(\d+), ", done.stderr))
    return done.stdout


messages = "".join(f"key{i}:value {i} {'x' * (i % 200)}\n" for i in range(500))
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    kcat("-P", "-t", f"t-{codec}", "-K", ":", "-z", codec, "-H", "h1=v1", stdin=messages)
    got = kcat("-C", "-t", f"t-{codec}", "-o", "beginning", "-e", "-K", ":", "-q")
    check(f"500 come back from {codec}", len(got.splitlines()) == 500, len(got.splitlines()))
kcat("-P", "-t", "unanswered", "-X", "acks=0", stdin="a\nb\nc\n")
kcat("-P", "-t", "sure", "-X", "enable.idempotence=true", stdin="a\nb\nc\n")
kcat("-P", "-t", "transacted", "-X", "transactional.id=tx1", stdin="a\nb\nc\n")
kcat("-L")
kcat("-L", "-t", "t-none")
kcat("-Q", "-t", "t-none:0:-1")
got = kcat("-G", "group1", "-e", "-q", "-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=100", "t-none", "t-gzip")
check("a group consumes two topics", len(got.splitlines()) == 1000, len(got.splitlines()))
items = live.watched("kafka")

# ---- what the clients logged ----
watched = [i for i in items if i["request"] and i["request"]["clientID"] == "rdkafka"]
ours = lambda some: collections.Counter((i["request"]["apiKeyName"].replace("_", ""), str(i["request"]["apiVersion"])) for i in some)
theirs = lambda counts: collections.Counter({((kind + "s" * (kind == "ApiVersion")).upper(), version): n for (kind, version), n in counts.items()})
equal("requests by kind and version", dict(sorted(ours(watched).items())), dict(sorted(theirs(sent).items())))
# The mock brokers answer what wanted no answer (acks=0), too; the client does not read it, and it is no pair.
zero = [i for i in watched if i["request"]["apiKeyName"] == "PRODUCE" and i["request"]["payload"]["acks"] == 0]
lone = [i for i in items if not i["request"]]
check("answers that nobody wanted", zero and len(lone) <= len(zero), len(lone))
left = ours(watched) - ours([i for i in watched if i["response"]])
equal("answers by kind and version", dict(sorted((ours(watched) - left).items())), dict(sorted(theirs(received).items())))
check("only what the client left as it ended, and Produce with acks=0, have none", {k for k, _ in left} <= {"FETCH", "METADATA", "PRODUCE"}
      and left[("PRODUCE", "7")] == len(zero), left)
produced = collections.Counter()
for i in watched:
    if i["request"]["apiKeyName"] == "PRODUCE":
        for topic in i["request"]["payload"]["topicData"]:
            for part in topic["partitionData"]:
                produced[topic["name"], part["records"]["compression"]] += part["records"]["count"]
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    equal(f"records of {codec}", produced[f"t-{codec}", codec], 500)
equal("brokers that know no newer version", sum((i["response"] or {}).get("status") == "UNSUPPORTED_VERSION" for i in items),
      received["ApiVersion", "3"])
decode = [a for p in sorted(ports) for a in ("-d", f"tcp.port=={p},kafka")]
tsharks = live.tshark_count("kafka", "kafka.request_key", options=decode)
numbers = collections.Counter(str(i["request"]["apiKey"]) for i in items if i["request"])
equal("tshark counts the same requests", dict(sorted(numbers.items())), dict(sorted(tsharks.items())))
