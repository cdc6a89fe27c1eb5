"""Writes captures of HTTP/1.1 keep-alive exchanges whose counts are known: used by run.py, and by hand:

    capture.py OUT.pcap EXCHANGES [--connections 64] [--body 1500]

Ethernet, IPv4, TCP with handshake and FIN; checksums of IP are right, those of TCP are left to the card. One answer in fifty
is a 500. Segments are at most 1448 bytes, answers of many connections interleave."""
import argparse
import random
import struct

MSS = 1448
FIN, SYN, PSH, ACK = 1, 2, 8, 16
ETHERNET = bytes.fromhex("020000000002020000000001" + "0800")


def ip_checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    def __init__(self, path: str):
        self.file = open(path, "wb", buffering=1 << 22)
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        self.time_us = 1_700_000_000_000_000
        self.packets = 0

    def write(self, frame: bytes):
        self.time_us += 3
        self.packets += 1
        size = len(frame)
        self.file.write(struct.pack("<IIII", *divmod(self.time_us, 1_000_000), size, size) + frame)


class Connection:
    """Two halves of one TCP connection to port 80."""

    def __init__(self, capture: Capture, number: int, rng: random.Random):
        self.capture = capture
        self.client = struct.pack("!BBH", 10, 1, number & 0xFFFF), 32768 + number % 28000
        self.server = struct.pack("!BBBB", 10, 2, 0, 1 + number % 200), 80
        self.next = [rng.getrandbits(32), rng.getrandbits(32)]
        self.segment(0, SYN)
        self.segment(1, SYN | ACK)
        self.segment(0, ACK)

    def segment(self, side: int, flags: int, data: bytes = b""):
        (a, a_port), (b, b_port) = (self.client, self.server) if side == 0 else (self.server, self.client)
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 1, 0x4000, 64, 6, 0, a, b)
        header = header[:10] + struct.pack("!H", ip_checksum(header)) + header[12:]
        ack = self.next[1 - side] if flags & ACK else 0
        tcp = struct.pack("!HHIIBBHHH", a_port, b_port, self.next[side], ack, 0x50, flags, 65535, 0, 0)
        self.capture.write(ETHERNET + header + tcp + data)
        self.next[side] = (self.next[side] + len(data) + (flags & (SYN | FIN) != 0)) & 0xFFFFFFFF

    def send(self, side: int, data: bytes):
        for at in range(0, len(data), MSS):
            self.segment(side, PSH | ACK, data[at:at + MSS])

    def close(self):
        self.segment(0, FIN | ACK)
        self.segment(1, FIN | ACK)
        self.segment(0, ACK)


def request(number: int, connection: int) -> bytes:
    return (f"GET /catalogue/items/{number % 9973}?page={number % 17} HTTP/1.1\r\nHost: catalogue.shop.svc\r\n"
            f"User-Agent: bench/1.0\r\nAccept: application/json\r\nX-Request-Id: {number:016x}\r\n"
            f"Cookie: session={connection:08x}\r\n\r\n").encode()


def answer(number: int, body: bytes) -> bytes:
    status = "500 Internal Server Error" if number % 50 == 49 else "200 OK"
    return (f"HTTP/1.1 {status}\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {number:016x}\r\nCache-Control: no-cache\r\n\r\n").encode() + body


def make(path: str, exchanges: int, connections: int = 64, body_bytes: int = 1500) -> dict:
    """What the file holds: exchanges, errors (500), packets, bytes."""
    rng = random.Random(11)
    capture = Capture(path)
    open_ones = [Connection(capture, i, rng) for i in range(connections)]
    body = (b'{"name":"sock","price":7.99,"tags":["blue","wool"]},' * (body_bytes // 50 + 1))[:body_bytes]
    for number in range(exchanges):
        i = rng.randrange(connections)
        open_ones[i].send(0, request(number, i))
        open_ones[i].send(1, answer(number, body))
    for connection in open_ones:
        connection.close()
    capture.file.close()
    return {"exchanges": exchanges, "errors": exchanges // 50, "packets": capture.packets,
            "bytes": exchanges * body_bytes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("exchanges", type=int)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--body", type=int, default=1500)
    args = parser.parse_args()
    print(make(args.out, args.exchanges, args.connections, args.body))
