#!/usr/bin/python3
"""RabbitMQ: the octets that it counts of each connection, what is left in its queues, and what two clients saw, against
the items."""
from live import *

need("ip", "ss", "tcpdump", "tshark", "rabbitmqctl", "amqp-publish", "amqp-get", "amqp-consume", root=True)
need_modules("pika")
import pika  # noqa: E402

live = Live("rabbitmq")
server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
if not os.path.exists(server):
    print(f"SKIPPED: this test needs {server}")
    sys.exit(SKIPPED)
env = {**os.environ, "HOME": str(live.folder), "RABBITMQ_NODENAME": "rabbit@localhost", "RABBITMQ_NODE_IP_ADDRESS": SERVER,
       "RABBITMQ_NODE_PORT": str(live.port), "RABBITMQ_MNESIA_BASE": f"{live.folder}/db", "RABBITMQ_LOG_BASE": f"{live.folder}/log",
       "RABBITMQ_ENABLED_PLUGINS_FILE": f"{live.folder}/plugins", "RABBITMQ_PID_FILE": f"{live.folder}/pid",
       "RABBITMQ_CONFIG_FILE": f"{live.folder}/rabbitmq", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1", "ERL_EPMD_ADDRESS": "127.0.0.1"}
(live.folder / "plugins").write_text("[].")
(live.folder / "rabbitmq.conf").write_text("loopback_users = none\ncollect_statistics_interval = 1000\n")
live.serve(server, env=env)


def ctl(*words):
    done = subprocess.run(live.inside + ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *words], capture_output=True, text=True, env=env, timeout=120)
    return [line.split("\t") for line in done.stdout.splitlines()]


live.listening()
live.become_client()
live.watch()
parameters = pika.ConnectionParameters(SERVER, live.port, credentials=pika.PlainCredentials("guest", "guest"), heartbeat=0)
connection = pika.BlockingConnection(parameters)
a, b = connection.channel(), connection.channel()
a.exchange_declare("ex", "topic", durable=True)
a.exchange_declare("ex2", "fanout")
a.exchange_bind("ex2", "ex", "#.all")
for name in ("q1", "q2", "q3"):
    a.queue_declare(name, arguments={"x-max-length": 10000, "x-nested": {"list": [1, "two", True, None]}})
    a.queue_bind(name, "ex", f"{name}.#")
a.confirm_delivery()
properties = pika.BasicProperties(content_type="text/plain", headers={"h": "v", "n": 7}, delivery_mode=2, priority=3,
                                  correlation_id="c", reply_to="r", expiration="60000", message_id="m", timestamp=1,
                                  type="t", user_id="guest", app_id="app")
for i in range(40):
    a.basic_publish("ex", f"q{i % 3 + 1}.x", f"message {i}".encode(), properties)
    b.basic_publish("ex", "q1.y", b"unconfirmed")
a.basic_publish("ex", "q2.big", b"\0\xce" * 200000, properties)  # several frames, full of frame ends
a.basic_publish("", "q3", b"")
returned = 0
try:
    a.basic_publish("ex", "nowhere", b"comes back", properties, mandatory=True)
except pika.exceptions.UnroutableError:
    returned = 1
b.basic_publish("ex", "nowhere.unconfirmed", b"comes back as well", mandatory=True)
connection.process_data_events(1)
got = [b.basic_get("q1", auto_ack=True) for _ in range(3)]
check("three messages were fetched", all(g[0] for g in got))
b.basic_qos(prefetch_count=20)
taken = 0
for method, _, body in b.consume("q2", inactivity_timeout=3):
    if method is None:
        break
    taken += 1
    if taken == 5:
        b.basic_nack(method.delivery_tag, requeue=False)
    elif taken == 6:
        b.basic_reject(method.delivery_tag, requeue=True)
    elif taken % 4 == 0:
        b.basic_ack(method.delivery_tag, multiple=True)
    else:
        b.basic_ack(method.delivery_tag)
    if taken == 14:
        break
b.cancel()
t = connection.channel()
t.tx_select()
t.basic_publish("", "q3", b"committed")
t.tx_commit()
t.basic_publish("", "q3", b"rolled back")
t.tx_rollback()
check("an empty queue", a.queue_declare("empty").method.message_count == 0 and b.basic_get("empty")[0] is None)
wrong = connection.channel()
try:
    wrong.queue_declare("not there", passive=True)
    check("an error was expected", False)
except pika.exceptions.ChannelClosedByBroker as e:
    check("the channel is closed", e.reply_code == 404)
a.queue_purge("empty")
a.queue_unbind("q1", "ex", "q1.#")
a.exchange_unbind("ex2", "ex", "#.all")
a.queue_delete("empty")
a.exchange_delete("ex2")
t.close()
octets = {}
eventually("the server has counted", lambda: octets.update(
    {int(r[0]): int(r[1]) + int(r[2]) for r in ctl("list_connections", "peer_port", "recv_oct", "send_oct", "--no-table-headers")}) or
    len(octets) == 1)
time.sleep(2)
octets.update({int(r[0]): int(r[1]) + int(r[2]) for r in ctl("list_connections", "peer_port", "recv_oct", "send_oct", "--no-table-headers")})
mark = time.time() * 1000
time.sleep(0.1)
connection.close()
url = f"amqp://guest:guest@{SERVER}:{live.port}/%2f"
for i in range(5):
    live.client("amqp-publish", "-u", url, "-r", "q1", "-b", f"tool {i}")
live.client("amqp-get", "-u", url, "-q", "q1")
live.client("amqp-consume", "-u", url, "-q", "q1", "-c", "3", "cat")
try:
    pika.BlockingConnection(pika.ConnectionParameters(SERVER, live.port, credentials=pika.PlainCredentials("guest", "wrong"), heartbeat=0))
    check("the log-in was refused", False)
except pika.exceptions.AMQPError:
    pass
beating = pika.BlockingConnection(pika.ConnectionParameters(SERVER, live.port, credentials=pika.PlainCredentials("guest", "guest"), heartbeat=2))
beating.sleep(5)
beating.close()
time.sleep(1)
left = {r[0]: int(r[1]) for r in ctl("list_queues", "name", "messages", "--no-table-headers")}
items = live.watched("amqp")

# ---- what the server and its clients counted ----
ours = collections.Counter(i[side]["method"] for i in items for side in ("request", "response") if i[side])
for port, theirs in octets.items():
    seen = sum(i["size"] for i in items if str(port) in (i["src"]["port"], i["dst"]["port"]) and i["timestamp"] < mark)
    equal("octets of the connection, the protocol header among them", seen + len(b"AMQP\0\0\x09\x01"), theirs)
published = [i for i in items if i["request"] and i["request"]["method"] == "basic.publish"]
equal("what was published", len(published), 40 * 2 + 4 + 2 + 5)
big = [i for i in published if i["request"]["fields"]["routingKey"] == "q2.big"]
equal("a body of several frames", [i["request"]["fields"]["bodySize"] for i in big], [400000])
of = lambda method: [i for i in items for side in ("request", "response") if i[side] and i[side]["method"] == method]
equal("messages that came back", len(of("basic.return")), returned + 1)
confirmed = [i["request"] for i in published if i["request"].get("returned")]
equal("the publish that waited for its confirmation says so", [(r["fields"]["routingKey"], r["returned"]["replyCode"], r["confirm"]) for r in confirmed],
      [("nowhere", 312, "ACK")])
backs = {i["request"]["fields"]["routingKey"]: i["request"] for i in of("basic.return")}
equal("and its return names it", backs["nowhere"].get("deliveryTag"), confirmed[0]["deliveryTag"])
origin = [i["index"] for i in published if i["request"]["fields"]["routingKey"] == "nowhere.unconfirmed"]
equal("the other return names the item of its publish", [backs["nowhere.unconfirmed"].get("publishedBy")], origin)
delivered = sum(i["request"]["fields"]["routingKey"].startswith("q2") for i in of("basic.deliver"))
check("deliveries, some of them fetched ahead", delivered >= taken == 14, delivered)
equal("an empty queue and four messages", (len(of("basic.get-empty")), len(of("basic.get-ok"))), (1, 4))
check("what the queues keep is what was published, less what was taken", left == {"q1": 52, "q2": 1, "q3": 15}, left)
closed = [i["request"]["fields"]["replyCode"] for i in of("channel.close") if i["request"]["fields"].get("replyCode", 200) > 300]
equal("channels that the server closed", closed, [404])
refused = [i["request"]["fields"]["replyCode"] for i in of("connection.close") if i["request"]["fields"].get("replyCode", 200) > 300]
equal("connections that the server closed", refused, [403])
alone = [i["request"]["method"] for i in items if (i["error"] or {}).get("type") == "pair-not-found"]
equal("calls that only an error answered", sorted(alone), ["connection.close", "queue.declare"])
CLASSES = {"connection": "10", "channel": "20", "exchange": "40", "queue": "50", "basic": "60", "confirm": "85", "tx": "90"}
theirs = live.tshark_count("amqp", "amqp.method.class", options=("-d", f"tcp.port=={live.port},amqp"))
by_class = collections.Counter()
for method, n in ours.items():
    by_class[CLASSES[method.partition(".")[0]]] += n
equal("tshark counts the same methods by class", dict(by_class), dict(theirs))
check("credentials stand in fields.response only", not any(
    "wrong" in json.dumps({k: v for k, v in (i[side] or {}).get("fields", {}).items() if k != "response"})
    for i in items for side in ("request", "response")))
