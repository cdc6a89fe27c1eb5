#!/usr/bin/python3
"""Apache's own Python library on both sides, in all its protocols and transports: what the server counted is what we count."""
from wire import *

need("ip", "ss", "tcpdump", root=True)
need_modules("thrift")
wire = Wire("thrift")
port = 20000 + os.getpid() % 20000
KINDS = [(p, t) for p in ("TBinaryProtocol", "TCompactProtocol") for t in ("TBufferedTransport", "TFramedTransport")]
library = """
import importlib, sys
from thrift.Thrift import TMessageType, TType, TApplicationException
def protocol(kind, transport):
    return getattr(importlib.import_module("thrift.protocol." + kind), kind)(transport)
def wrap(kind, socket):
    from thrift.transport import TTransport
    return getattr(TTransport, kind)(socket)
def write(p, name, message, number, fields, exception=None):
    p.writeMessageBegin(name, message, number)
    if exception:
        exception.write(p)
    else:
        p.writeStructBegin("x")
        for i, (t, v) in enumerate(fields):
            p.writeFieldBegin("f", t, i)
            put(p, t, v)
            p.writeFieldEnd()
        p.writeFieldStop()
        p.writeStructEnd()
    p.writeMessageEnd()
    p.trans.flush()
def put(p, t, v):
    if t == TType.STRING: p.writeString(v)
    if t == TType.I32: p.writeI32(v)
    if t == TType.I64: p.writeI64(v)
    if t == TType.BOOL: p.writeBool(v)
    if t == TType.DOUBLE: p.writeDouble(v)
    if t == TType.LIST:
        p.writeListBegin(TType.I32, len(v))
        for e in v: p.writeI32(e)
        p.writeListEnd()
    if t == TType.MAP:
        p.writeMapBegin(TType.STRING, TType.BOOL, len(v))
        for k, e in v.items():
            p.writeString(k)
            p.writeBool(e)
        p.writeMapEnd()
"""
(wire.folder / "library.py").write_text(library)
server = wire.folder / "server.py"
server.write_text("""
import threading
from library import *
from thrift.transport import TSocket
kinds, host, port, log = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3]), open(sys.argv[4], "w", buffering=1)
def serve(kind, number):
    listening = TSocket.TServerSocket(host, number)
    listening.listen()
    while client := listening.accept():
        threading.Thread(target=talk, args=(kind, client), daemon=True).start()
def talk(kind, client):
    p = protocol(kind[0], wrap(kind[1], client))
    while True:
        try:
            name, message, number = p.readMessageBegin()
        except Exception:
            return
        p.skip(TType.STRUCT)
        p.readMessageEnd()
        print(name, message, file=log)
        if message == TMessageType.ONEWAY:
            continue
        if name.endswith("unknown"):
            write(p, name, TMessageType.EXCEPTION, number, [], TApplicationException(TApplicationException.UNKNOWN_METHOD, "what?"))
        else:
            write(p, name.split(":")[-1], TMessageType.REPLY, number, [(TType.STRING, "r" * (number * 300))])
threads = [threading.Thread(target=serve, args=(k, port + i)) for i, k in enumerate(kinds)]
for t in threads: t.start()
for t in threads: t.join()
""")
client = wire.folder / "client.py"
client.write_text("""
from library import *
from thrift.transport import TSocket
kinds, host, port = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i, kind in enumerate(kinds):
    socket = TSocket.TSocket(host, port + i)
    p = protocol(kind[0], wrap(kind[1], socket))
    socket.open()
    fields = [(TType.STRING, "zero"), (TType.I32, -7), (TType.I64, 1 << 40), (TType.BOOL, True), (TType.DOUBLE, 1.5), (TType.LIST, list(range(20))), (TType.MAP, {"k": False})]
    number = 0
    for name in ("add", "Users:get", "unknown", "sum"):
        number += 1
        write(p, name, TMessageType.CALL, number, fields)
        p.readMessageBegin()
        p.skip(TType.STRUCT)
        p.readMessageEnd()
    write(p, "log", TMessageType.ONEWAY, 9, fields)
    for number in range(20, 25):  # without waiting
        write(p, "many", TMessageType.CALL, number, fields)
    for number in range(20, 25):
        p.readMessageBegin()
        p.skip(TType.STRUCT)
        p.readMessageEnd()
    socket.close()
""")
log = wire.folder / "calls.log"
wire.serve("/usr/bin/python3", server, repr(KINDS), SERVER, port, log)
wire.listening(port + len(KINDS) - 1)
wire.watch()
wire.client("/usr/bin/python3", client, repr(KINDS), SERVER, port)
items = wire.watched("thrift")
logged = collections.Counter(line.split()[0] for line in log.read_text().splitlines())
equal("every call that the server counted", dict(collections.Counter(i["request"]["method"] for i in items)), dict(logged))
equal("all but oneway are answered", len([i for i in items if not i.get("response")]), logged["log"])
equal("exceptions", [i["response"]["errorType"] for i in items if i.get("response") and i["response"]["status"] == "exception"], ["unknown method"] * 4)
equal("protocols", collections.Counter(i["request"]["protocol"] for i in items).keys(),
      {"binary buffered", "binary framed", "compact buffered", "compact framed"})
arguments = {json.dumps(i["request"]["arguments"]) for i in items}
equal("arguments are the same in all", len(arguments), 1)
check("and they are what was sent", json.loads(arguments.pop()) == {"0": "zero", "1": -7, "2": 1 << 40, "3": True, "4": 1.5, "5": list(range(20)), "6": [{"key": "k", "value": False}]})
