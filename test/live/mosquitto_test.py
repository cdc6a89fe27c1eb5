#!/usr/bin/python3
"""Mosquitto's own log, which names every packet in both directions, and its $SYS counters, against the items."""
import re
from live import *

need("ip", "ss", "tcpdump", "tshark", "mosquitto", "mosquitto_pub", "mosquitto_sub", root=True)
live = Live("mosquitto")
os.chmod(live.folder, 0o777)
(live.folder / "passwords").write_text("")
if shutil.which("mosquitto_passwd"):
    run("mosquitto_passwd", "-b", live.folder / "passwords", "u", "geheim")
os.chmod(live.folder / "passwords", 0o644)
(live.folder / "mosquitto.conf").write_text(
    f"listener {live.port} {SERVER}\nallow_anonymous true\npassword_file {live.folder}/passwords\nlog_type all\n"
    "log_dest stderr\nsys_interval 1\nmax_queued_messages 0\nmax_packet_size 2000000\nuser root\n")
log = live.folder / "server.log"
live.serve("mosquitto", "-c", live.folder / "mosquitto.conf")
live.listening()
live.become_client()
live.watch()
at = ["-h", SERVER, "-p", str(live.port)]
subscribers = []
for version in ("mqttv31", "mqttv311", "mqttv5"):
    for qos in ("0", "1", "2"):
        more = ["-D", "connect", "session-expiry-interval", "60", "-D", "subscribe", "user-property", "a", "b"] if version == "mqttv5" else []
        subscribers.append(live.start(live.outside + ["mosquitto_sub", *at, "-V", version, "-i", f"s-{version}-{qos}", "-q", qos,
                                                      "-t", "news/#", "-t", "more/+/x", "-U", "more/+/x", "-C", "100000", "-k", "5",
                                                      "--will-topic", "wills", "--will-payload", "gone", *more]))
eventually("all have subscribed", lambda: log.read_text().count("Sending UNSUBACK") == 9, 30)
for version in ("mqttv31", "mqttv311", "mqttv5"):
    for qos in ("0", "1", "2"):
        more = ["-D", "publish", "content-type", "text/plain", "-D", "publish", "message-expiry-interval", "100"] if version == "mqttv5" else []
        live.client("mosquitto_pub", *at, "-V", version, "-q", qos, "-t", f"news/{version}", "-m", "hello", "-r", *more)
        live.client("mosquitto_pub", *at, "-V", version, "-q", qos, "-t", "news/lines", "-l", stdin="one\ntwo\n")
live.client("mosquitto_pub", *at, "-V", "mqttv5", "-q", "2", "-t", "news/large", "-f", BALEEN if os.path.getsize(BALEEN) < 1 << 20 else __file__)
live.client("mosquitto_pub", *at, "-u", "u", "-P", "geheim", "-q", "1", "-t", "nobody/listens", "-m", "x", "-V", "mqttv5")
live.client("mosquitto_pub", *at, "-u", "u", "-P", "wrong", "-q", "1", "-t", "news/never", "-m", "x", "-V", "mqttv5", codes=(1, 4, 5, 135))
live.client("mosquitto_pub", *at, "-u", "u", "-P", "wrong", "-q", "1", "-t", "news/never", "-m", "x", codes=(1, 4, 5, 135))
dead = live.start(live.outside + ["mosquitto_sub", *at, "-i", "dies", "-t", "nothing", "--will-topic", "news/will",
                                  "--will-payload", "died", "--will-qos", "1"])
eventually("it is there", lambda: "as dies " in log.read_text())
time.sleep(0.5)
live.client("mosquitto_sub", *at, "-t", "$SYS/broker/clients/total", "-C", "1", "-W", "5")
for i in range(5):
    live.client("mosquitto_pub", *at, "-q", "1", "-t", "news/last", "-m", f"{i}")
dead.kill()
dead.wait()
time.sleep(7)  # keep-alives
for s in subscribers:
    s.terminate()
    s.wait()
time.sleep(0.5)
items = live.watched("mqtt")

# ---- what the server logged ----
said = log.read_text()
theirs = collections.Counter(re.findall(r": (?:Received|Sending) ([A-Z]+) ", said))
theirs["CONNECT"] = theirs["CONNACK"]  # it logs who connected in words of its own
ours = collections.Counter(i[side]["method"] for i in items for side in ("request", "response") if i[side])
for who in (ours, theirs):
    del who["DISCONNECT"]  # a client that was refused sends one which is not read any more
equal("packets of both directions by kind", dict(sorted(ours.items())), dict(sorted(theirs.items())))
refused = [i["response"]["status"] for i in items if i["request"] and i["request"]["method"] == "CONNECT"
           and i["response"]["reasonCode"] != 0]
check("log-ins that were refused", len(refused) == said.count("not authorised"), refused)
nobody = [i["response"]["status"] for i in items if (i["request"] or {}).get("topic") == "nobody/listens" and i["response"]]
equal("the reason of MQTT 5", nobody, ["No matching subscribers"])
check("the will", any(i["request"] and i["request"].get("message") == "died" and i["request"]["qos"] == 1 for i in items))
lost = [i for i in items if i["error"] and i["request"]["method"] not in ("PINGREQ",)]
check("what is acknowledged is paired", not lost, lost[:2])
kinds = live.tshark_count("mqtt", "mqtt.msgtype", options=("-d", f"tcp.port=={live.port},mqtt"))
NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE", 9: "SUBACK",
         10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}
ours = collections.Counter(i[side]["method"] for i in items for side in ("request", "response") if i[side])
equal("tshark counts the same packets", dict(sorted(ours.items())), dict(sorted((NAMES[int(k)], v) for k, v in kinds.items())))
