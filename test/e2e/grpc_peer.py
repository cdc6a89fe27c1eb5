#!/usr/bin/env python3
"""A gRPC server and its client, of Debian's python3-grpcio, for the end-to-end test: each writes what it has done to standard
output, one call a line: path, messages received, messages sent, status.

    grpc_peer.py server ADDRESS shop.pb
    grpc_peer.py client ADDRESS shop.pb"""
import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

role, address, path = sys.argv[1:]
files = descriptor_pb2.FileDescriptorSet.FromString(open(path, "rb").read())
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
prototype = lambda name: message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))
Item, Order = prototype("shop.v1.Item"), prototype("shop.v1.Order")
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def say(*words):
    print(*words, flush=True)


def field(number, content):
    """A field with a length, by protobuf's wire format; contents here are short or long."""
    size, out = len(content), bytearray([number << 3 | 2])
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(out) + bytes([size]) + content


class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        asked, told = Order.FromString, Item.SerializeToString
        if details.method == REFLECTION:
            return grpc.stream_stream_rpc_method_handler(self.reflect)
        if not details.method.startswith("/shop.v1.Shop/"):
            return None
        if method == "Get":
            return grpc.unary_unary_rpc_method_handler(self.get, asked, told)
        if method == "Watch":
            return grpc.unary_stream_rpc_method_handler(self.watch, asked, told)
        if method == "Put":
            return grpc.stream_unary_rpc_method_handler(self.put, Item.FromString, Order.SerializeToString)
        if method == "Talk":
            return grpc.stream_stream_rpc_method_handler(self.talk, asked, told)
        return None

    def get(self, order, context):
        if order.id < 0:
            say("/shop.v1.Shop/Get", 1, 0, 5)
            context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05\x12\x02no"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no order -1: gibt's nicht, 100% sicher \u00e4")
        say("/shop.v1.Shop/Get", 1, 1, 0)
        return Item(name="item %d" % order.id, kind=1, tags=["x" * 500])

    def watch(self, order, context):
        for i in range(order.id):
            yield Item(name="item %d" % i)
        say("/shop.v1.Shop/Watch", 1, order.id, 0)

    def put(self, items, context):
        count = sum(1 for _ in items)
        say("/shop.v1.Shop/Put", count, 1, 0)
        return Order(id=count)

    def talk(self, orders, context):
        count = 0
        for order in orders:
            count += 1
            yield Item(name="item %d" % order.id)
        say("/shop.v1.Shop/Talk", count, count, 0)

    def reflect(self, questions, context):
        count = 0
        for question in questions:
            count += 1
            if question[0] == 7 << 3 | 2:  # list_services
                yield field(6, field(1, field(1, b"shop.v1.Shop")))
            else:
                yield field(4, b"".join(field(1, f.SerializeToString()) for f in files.file))
        say(REFLECTION, count, count, 0)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Shop()], compression=None)
    server.add_insecure_port(address)
    server.start()
    say("ready")
    server.wait_for_termination()


def ask():
    channel = grpc.insecure_channel(address)
    get = channel.unary_unary("/shop.v1.Shop/Get", Order.SerializeToString, Item.FromString)
    watch = channel.unary_stream("/shop.v1.Shop/Watch", Order.SerializeToString, Item.FromString)
    put = channel.stream_unary("/shop.v1.Shop/Put", Item.SerializeToString, Order.FromString)
    talk = channel.stream_stream("/shop.v1.Shop/Talk", Order.SerializeToString, Item.FromString)
    reflect = channel.stream_stream(REFLECTION)
    answers = list(reflect(iter([field(7, b"*"), field(4, b"shop.v1.Shop")])))
    assert len(answers) == 2
    for i in range(50):
        assert get(Order(id=i), timeout=10).name == "item %d" % i
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        big = Order(id=7, item=Item(name="n" * 2000))
        assert get(big, compression=compression).name == "item 7"
    try:
        get(Order(id=-1))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
    try:
        channel.unary_unary("/shop.v1.Shop/Nothing")(b"")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert len(list(watch(Order(id=20)))) == 20
    assert put(Item(name="i", picture=b"p" * 9000) for _ in range(30)).id == 30
    assert len(list(talk(Order(id=i) for i in range(15)))) == 15
    channel.close()
    say("done")


serve() if role == "server" else ask()
