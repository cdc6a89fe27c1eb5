#!/usr/bin/python3
"""PyMongo against a scripted server (mockupdb, which listens on its own host only): what the driver's own monitoring
counts of commands, answers and failures, against the items. Legacy operations, checksums, exhaust and compression by hand."""
import logging
import socket
import struct
import threading
import zlib
from live import *

need("ip", "ss", "tcpdump", "tshark", root=True)
need_modules("pymongo", "mockupdb", "bson")
import bson  # noqa: E402
import mockupdb  # noqa: E402
import pymongo  # noqa: E402
from pymongo import monitoring  # noqa: E402

logging.disable(logging.CRITICAL)
live = Live("mongodb")
live.interface = "lo"
live.become_client(host=0)
ROWS = [{"_id": i, "text": "x" * 50} for i in range(300)]
ANSWERS = {"find": {"cursor": {"id": 77, "ns": "shop.items", "firstBatch": ROWS[:100]}},
           "getMore": {"cursor": {"id": 0, "ns": "shop.items", "nextBatch": ROWS[100:]}},
           "aggregate": {"cursor": {"id": 0, "ns": "shop.items", "firstBatch": ROWS[:3]}},
           "insert": {"n": 1}, "update": {"n": 1, "nModified": 1}, "ping": {}, "endSessions": {},
           "delete": {"n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "duplicate"}]},
           "drop": {"ok": 0, "code": 26, "codeName": "NamespaceNotFound", "errmsg": "ns not found"}}
server = mockupdb.MockupDB(port=live.port, auto_ismaster=True, max_wire_version=8)


def answer(request):
    name = next(iter(request.doc))
    if not isinstance(request, mockupdb.OpMsg) or name not in ANSWERS:
        return False
    if not request.flags & 2:  # moreToCome: nobody waits
        request.reply({"ok": 1, **ANSWERS[name]})
    return True


server.autoresponds(answer)
live.watch()
server.run()
started, succeeded, failed, beats = (collections.Counter() for _ in range(4))


class Counts(monitoring.CommandListener, monitoring.ServerHeartbeatListener):
    def started(self, event):
        if isinstance(event, monitoring.ServerHeartbeatStartedEvent):
            beats["started"] += 1
        else:
            started[event.command_name] += 1

    def succeeded(self, event):
        if isinstance(event, monitoring.ServerHeartbeatSucceededEvent):
            beats["succeeded"] += 1
        else:
            succeeded[event.command_name] += 1

    def failed(self, event):
        if not isinstance(event, monitoring.ServerHeartbeatFailedEvent):
            failed[event.command_name] += 1


client = pymongo.MongoClient(f"mongodb://localhost:{live.port}/", event_listeners=[Counts()], heartbeatFrequencyMS=1000,
                             serverSelectionTimeoutMS=10000)
items_of_shop = client.shop.items
for i in range(20):
    items_of_shop.insert_one({"_id": i, "name": f"n{i}", "price": i * 1.5, "tags": ["a", "b"]})
items_of_shop.insert_many([{"_id": i} for i in range(1000)])
items_of_shop.update_one({"_id": 1}, {"$set": {"name": "x"}})
list(items_of_shop.aggregate([{"$match": {"a": 1}}]))
check("a cursor of two batches", len(list(items_of_shop.find({"price": {"$gt": 3}}))) == 300)
client.admin.command("ping")
for wrong in (lambda: items_of_shop.delete_one({"_id": 1}), lambda: client.shop.command("drop", "nowhere")):
    try:
        wrong()
        check("an error was expected", False)
    except pymongo.errors.PyMongoError:
        pass
unanswered = pymongo.collection.Collection(client.shop, "items", write_concern=pymongo.WriteConcern(w=0))
unanswered.insert_one({"_id": 5000})
time.sleep(2.5)
client.close()
time.sleep(0.3)

# By hand, on another port: what no driver of today says any more.
listener = socket.create_server(("127.0.0.1", live.port + 1))
s = socket.create_connection(("127.0.0.1", live.port + 1))
peer, _ = listener.accept()
message = lambda number, answers, opcode, body: struct.pack("<iiii", len(body) + 16, number, answers, opcode) + body
text = lambda t: t.encode() + b"\0"
doc = bson.encode if hasattr(bson, "encode") else bson.BSON.encode
reply = lambda number, answers, *docs: message(number, answers, 1, struct.pack("<iqii", 8, 99, 0, len(docs)) + b"".join(map(doc, docs)))
msg = lambda number, answers, flags, d, more=b"": message(number, answers, 2013, struct.pack("<I", flags) + b"\0" + doc(d) + more)


def talk(asked, *answers):
    s.sendall(asked)
    peer.recv(len(asked), socket.MSG_WAITALL)  # or Nagle lets the answer overtake the request
    for a in answers:
        peer.sendall(a)
    time.sleep(0.02)


talk(message(1, 0, 2004, struct.pack("<i", 0) + text("admin.$cmd") + struct.pack("<ii", 0, -1) + doc({"isMaster": 1})), reply(100, 1, {"ok": 1.0}))
talk(message(2, 0, 2002, struct.pack("<i", 0) + text("old.c") + doc({"a": 1}) + doc({"a": 2})))
talk(message(3, 0, 2001, struct.pack("<i", 0) + text("old.c") + struct.pack("<i", 0) + doc({"a": 1}) + doc({"$set": {"a": 3}})))
talk(message(4, 0, 2004, struct.pack("<i", 0) + text("old.c") + struct.pack("<ii", 0, 2) + doc({})), reply(101, 4, {"a": 1}, {"a": 2}))
talk(message(5, 0, 2005, struct.pack("<i", 0) + text("old.c") + struct.pack("<iq", 2, 99)), reply(102, 5, {"a": 3}))
talk(message(6, 0, 2007, struct.pack("<iiq", 0, 1, 99)))
talk(message(7, 0, 2006, struct.pack("<i", 0) + text("old.c") + struct.pack("<i", 0) + doc({"a": 1})))
talk(message(8, 0, 2013, struct.pack("<I", 1) + b"\0" + doc({"ping": 1, "$db": "admin"}) + b"sum!"), msg(103, 8, 0, {"ok": 1}))
exhaust = [msg(104, 9, 2, {"ok": 1, "n": 1}), msg(105, 104, 2, {"ok": 1, "n": 2}), msg(106, 105, 0, {"ok": 1, "n": 3})]
talk(msg(9, 0, 1 << 16, {"hello": 1, "$db": "admin"}), *exhaust)
section = lambda name, docs: b"\1" + struct.pack("<i", 4 + len(name) + 1 + sum(map(len, docs))) + text(name) + b"".join(docs)
talk(msg(10, 0, 0, {"insert": "c", "$db": "new"}, section("documents", [doc({"i": i}) for i in range(5)])), msg(107, 10, 0, {"ok": 1, "n": 5}))
packed = lambda number, answers, whole: message(number, answers, 2012, struct.pack("<iib", struct.unpack("<i", whole[12:16])[0], len(whole) - 16, 2) + zlib.compress(whole[16:]))
talk(packed(11, 0, msg(11, 0, 0, {"find": "c", "$db": "zipped"})), packed(108, 11, msg(108, 11, 0, {"ok": 1, "cursor": {"id": 0, "firstBatch": [{"z": 1}]}})))
talk(msg(12, 0, 2, {"insert": "c", "$db": "nobody waits"}))
s.close()
peer.close()
items = live.watched("mongodb")
server.stop()

# ---- what the driver counted ----
driver = [i for i in items if str(live.port) in (i["src"]["port"], i["dst"]["port"])]
hello = ("ismaster", "isMaster", "hello")
ours = collections.Counter(i["request"]["command"] for i in driver if i["request"]["command"] not in hello)
equal("commands by name", dict(ours), dict(started))
# A write with w=0 succeeds without an answer; a writeErrors is a success to the monitoring.
errors = collections.Counter(i["request"]["command"] for i in driver if i["response"] and not i["response"]["success"])
equal("errors", dict(errors), {"delete": 1, **failed})
silent = [i["request"]["command"] for i in driver if not i["response"]]
equal("only one had no answer", silent, ["insert"])
equal("answers", sum(1 for i in driver if i["response"] and i["request"]["command"] not in hello), sum(succeeded.values()) + sum(failed.values()) - 1)
check("heartbeats", sum(i["request"]["command"] in hello for i in driver) >= beats["succeeded"] >= 3, beats)
many = [i for i in driver if i["request"].get("documentCount") == 1000]
equal("a command with a thousand documents", len(many), 1)
old = sorted((i for i in items if i not in driver), key=lambda i: i["startTime"])
equal("operations by hand", [(i["request"]["opcode"], i["request"]["command"], bool(i["response"])) for i in old if i["request"]], [
    ("OP_QUERY", "isMaster", True), ("OP_INSERT", "insert", False), ("OP_UPDATE", "update", False), ("OP_QUERY", "find", True),
    ("OP_GET_MORE", "getMore", True), ("OP_KILL_CURSORS", "killCursors", False), ("OP_DELETE", "delete", False),
    ("OP_MSG", "ping", True), ("OP_MSG", "hello", True), ("OP_MSG", "insert", True), ("OP_MSG", "find", True), ("OP_MSG", "insert", False)])
equal("later answers of an exhaust command", [i["data"]["body"]["n"] for i in old if i["data"]], [2, 3])
kinds = live.tshark_count("mongo", "mongo.opcode", options=("-d", f"tcp.port=={live.port},mongo", "-d", f"tcp.port=={live.port + 1},mongo"))
seen = sum(1 for i in items for side in ("request", "response", "data") if i[side])
# Within OP_COMPRESSED tshark names the operation that is packed, too.
equal("tshark counts the same messages", seen, sum(kinds.values()))
