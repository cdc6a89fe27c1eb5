"""What was sent and what came back: captures with numbers in them, journals of a spool, blocks of a bucket."""
import collections
import json
import pathlib
import re
import struct

PacketKey = bytes  # a packet's own bytes: no two of a capture are alike


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Capture:
    """A pcap of HTTP streams, each with one call; every packet differs from every other."""

    def __init__(self, path, streams, body_bytes, start=1_700_000_000, first=0):
        self.path, self.packets, self.paths = pathlib.Path(path), [], []
        self.ident, self.time = 0, start * 1_000_000
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            self.out = out
            for n in range(first, first + streams):
                self.stream(n, body_bytes)
            del self.out

    def packet(self, n, to_server, seq, ack, flags, payload=b""):
        self.ident += 1
        self.time += 50
        client, server = (bytes([10, 9, n >> 8 & 255, n & 255]), 20000 + n), (b"\x0a\x08\x00\x01", 80)
        (source, sport), (target, tport) = (client, server) if to_server else (server, client)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), self.ident & 0xFFFF, 0, 64, 6, 0) + source + target
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        tcp = struct.pack(">HHIIBBHHH", sport, tport, seq, ack, 5 << 4, flags, 65000, 0, 0)
        pseudo = source + target + struct.pack(">BBH", 0, 6, 20 + len(payload))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
        frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + head + tcp + payload
        self.out.write(struct.pack("<IIII", self.time // 1_000_000, self.time % 1_000_000, len(frame), len(frame)) + frame)
        self.packets.append(frame)

    def stream(self, n, body_bytes):
        path = f"/m/{n}"
        self.paths.append(path)
        request = f"GET {path} HTTP/1.1\r\nHost: matrix\r\n\r\n".encode()
        body = (f"{n:08}" * (body_bytes // 8 + 1)).encode()[:body_bytes]
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {body_bytes}\r\n\r\n".encode() + body
        c, s = 1000 * n + 1, 5_000_000 + 1000 * n
        self.packet(n, True, c, 0, 0x02)
        self.packet(n, False, s, c + 1, 0x12)
        self.packet(n, True, c + 1, s + 1, 0x10)
        self.packet(n, True, c + 1, s + 1, 0x18, request)
        ack, at = c + 1 + len(request), s + 1
        for begin in range(0, len(answer), 32000):
            piece = answer[begin:begin + 32000]
            self.packet(n, False, at, ack, 0x18, piece)
            at += len(piece)
            self.packet(n, True, ack, at, 0x10)
        self.packet(n, True, ack, at, 0x11)
        self.packet(n, False, at, ack + 1, 0x11)
        self.packet(n, True, ack + 1, at + 1, 0x10)


def pcap_packets(path):
    """Of a classic pcap file that may still be written: a packet that is not whole ends it."""
    data, at, out = pathlib.Path(path).read_bytes(), 24, []
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        if at + 16 + size > len(data):
            break
        out.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return out


def pcapng_packets(data):
    """Bytes of the enhanced packet blocks, from a file that must be whole."""
    at, out = 0, []
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if size < 12 or at + size > len(data) or struct.unpack_from("<I", data, at + size - 4)[0] != size:
            raise ValueError(f"not a pcapng at byte {at}")
        if kind == 6:
            length = struct.unpack_from("<I", data, at + 20)[0]
            out.append(data[at + 28:at + 28 + length])
        at += size
    return out


def journal_packets(data):
    """Whole records of a packets journal (docs/design/recording-format.md), as a process that dies leaves them."""
    if not data.startswith(b"BLNPKTS2"):
        return []
    at, out = 8, []
    while at + 12 <= len(data):
        size, number, _ = struct.unpack_from("<III", data, at)
        if size < 12 or at + size > len(data):
            break
        if number < 0xFFFFFF00:  # a packet: its Enhanced Packet Block follows
            length = struct.unpack_from("<I", data, at + 12 + 20)[0]
            out.append(data[at + 12 + 28:at + 12 + 28 + length])
        at += size
    return out


def spooled(spool):
    """What a spool holds after a kill: (packets, paths of items), each once even where a file says it again."""
    packets, paths = set(), set()
    for folder in [f for part in ("open", "ready") for f in (pathlib.Path(spool) / part).glob("*")]:
        for journal, take in (("packets.journal", lambda d: packets.update(journal_packets(d))),
                              ("items.journal", lambda d: paths.update(re.findall(rb'"path":"(/m/\d+|/n/[^"]*)"', whole_rows(d)))),
                              ("packets.pcapng", lambda d: packets.update(pcapng_packets(d)))):
            file = folder / journal
            if file.exists():
                take(file.read_bytes())
    return packets, {p.decode() for p in paths}


def whole_rows(data):
    """An items journal without its torn tail."""
    at = 0
    while at + 4 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        if at + 4 + size > len(data):
            break
        at += 4 + size
    return data[:at]


class Bucket:
    """Blocks below a folder (a bucket, downloaded), each held to its own record. `problems` is what is wrong."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.problems, self.packets, self.records = [], collections.Counter(), []
        named = set()
        for file in sorted(self.folder.rglob("blocks/**/*.json")):
            record = json.loads(file.read_bytes())
            self.records.append(record)
            named.add(file)
            root = next(p.parent for p in file.parents if p.name.startswith("recording="))
            for kind, thing in record["objects"].items():
                path = root / thing["key"]
                named.add(path)
                if not path.exists() or path.stat().st_size != thing["size"]:
                    self.problems.append(f"{thing['key']} is not as its record says")
                elif kind == "packets":
                    self.take(path.read_bytes(), record)
            self.check_ledger(record)
        # A process that was killed leaves its temporary file in a folder; a later one removes it when it is old.
        strays = [f for f in self.folder.rglob("*") if f.is_file() and f not in named and ".baleen-tmp" not in f.parts]
        if strays:
            self.problems.append(f"{len(strays)} objects that no record names, as {strays[0].name}")

    def take(self, data, record):
        packets = pcapng_packets(data)
        if len(packets) != record["packets"]:
            self.problems.append(f"{len(packets)} packets, its record says {record['packets']}")
        self.packets.update(packets)

    def check_ledger(self, record):
        l = record["ledger"]
        items = sum(l.get(k, 0) for k in ("items_stored", "items_not_matched", "items_dropped_queue", "items_failed",
                                          "items_refused_spool", "items_in_flight"))
        packets = sum(l.get(k, 0) for k in ("packets_stored", "packets_lost_recorder", "packets_failed",
                                            "packets_refused_spool", "packets_in_flight"))
        if items != l["items_seen"] or packets != l["packets_matched"]:
            self.problems.append(f"the ledger of {record['block']} does not balance: {l}")

    def twice(self):
        return sum(1 for n in self.packets.values() if n > 1)

    def items(self):
        return sum(r["items"] for r in self.records)
