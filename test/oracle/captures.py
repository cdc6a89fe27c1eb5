"""Captures in memory: read from pcap and pcapng, written in all their forms, and taken apart as far as TCP and UDP.

Independent of Baleen's own reader and writer on purpose. Only what the transformations of mutations.py need."""
import struct
from dataclasses import dataclass, field, replace

ETHERNET, NULL, LOOP, RAW, SLL, SLL2 = 1, 0, 108, 101, 113, 276


@dataclass
class Packet:
    time: int  # nanoseconds
    link: int
    data: bytes
    wire: int = 0  # bytes on the wire; 0: all of them are there
    interface: int = 0  # which of two interfaces of the same link saw it

    def length(self):
        return max(self.wire, len(self.data))

    def but(self, **changes):
        return replace(self, **changes)


@dataclass
class Capture:
    packets: list
    secrets: list = field(default_factory=list)  # of TLS: (type, bytes)
    ordinary: bool = True  # nothing in the file that this reader does not carry over


# ---- reading ----

def read_pcap(raw):
    for order in "<>":
        magic = struct.unpack_from(order + "I", raw)[0]
        if magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34):
            break
    else:
        return None
    major, minor, link = struct.unpack_from(order + "4xHH12xI", raw)
    if (major, minor) != (2, 4) or link >> 16:
        return None
    at, packets, header = 24, [], 24 if magic == 0xA1B2CD34 else 16
    while at + header <= len(raw):
        seconds, part, size, wire = struct.unpack_from(order + "IIII", raw, at)
        data = raw[at + header:at + header + size]
        if len(data) < size:
            break
        packets.append(Packet(seconds * 10**9 + part * (1 if magic == 0xA1B23C4D else 1000), link, data, wire))
        at += header + size
    return Capture(packets)


def options_of(raw, order):
    found, at = {}, 0
    while at + 4 <= len(raw):
        code, size = struct.unpack_from(order + "HH", raw, at)
        if code == 0:
            break
        found.setdefault(code, raw[at + 4:at + 4 + size])
        at += 4 + (size + 3) // 4 * 4
    return found


def read_pcapng(raw):
    capture, at, order, interfaces, last = Capture([]), 0, "<", [], 0
    while at + 12 <= len(raw):
        if raw[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order, interfaces = "<" if raw[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">", []
        kind, size = struct.unpack_from(order + "II", raw, at)
        if size < 12 or at + size > len(raw):
            break
        body = raw[at + 8:at + size - 4]
        at += size
        if kind == 1:
            options = options_of(body[8:], order)
            resolution = options.get(9, b"\x06")[0]
            units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10 ** (resolution & 0x7F)
            capture.ordinary &= 13 not in options and 14 not in options
            interfaces.append((struct.unpack_from(order + "H", body)[0], units))
        elif kind in (2, 6):
            if kind == 6:
                number, high, low, held, wire = struct.unpack_from(order + "IIIII", body)
            else:
                number, high, low, held, wire = struct.unpack_from(order + "H2xIIII", body)
            link, units = interfaces[number]
            last = (high << 32 | low) * 10**9 // units
            capture.packets.append(Packet(last, link, body[20:20 + held], wire))
        elif kind == 3:
            wire = struct.unpack_from(order + "I", body)[0]
            capture.packets.append(Packet(last, interfaces[0][0], body[4:4 + wire], wire))
        elif kind == 10:
            what, held = struct.unpack_from(order + "II", body)
            capture.secrets.append((what, body[8:8 + held]))
    return capture


def read(path):
    raw = path.read_bytes()
    try:
        return read_pcapng(raw) if raw[:4] == b"\x0a\x0d\x0d\x0a" else read_pcap(raw)
    except (struct.error, IndexError):
        return None  # a file that was made to be wrong


# ---- writing ----

def write_pcap(packets, order="<", nanoseconds=False, modified=False):
    link = packets[0].link if packets else ETHERNET
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 262144, link)]
    for p in packets:
        part = p.time % 10**9
        out.append(struct.pack(order + "IIII", p.time // 10**9, part if nanoseconds else part // 1000, len(p.data), p.length()))
        if modified:
            out.append(bytes(8))
        out.append(p.data)
    return b"".join(out)


def padded(raw):
    return raw + bytes(-len(raw) % 4)


def block(order, kind, body):
    size = len(padded(body)) + 12
    return struct.pack(order + "II", kind, size) + padded(body) + struct.pack(order + "I", size)


def options(order, *pairs):
    out = b"".join(struct.pack(order + "HH", code, len(value)) + padded(value) for code, value in pairs)
    return out + struct.pack(order + "HH", 0, 0) if pairs else b""


def write_pcapng(capture, order="<", resolution=9, kind=6, section_every=0, noise=False, secrets=True):
    """`resolution` as if_tsresol has it; `kind` of the packet blocks (2, 3 or 6); a new section, of the other byte order,
    after each `section_every` packets; `noise`: blocks and options that say nothing between all others."""
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10 ** resolution
    out, interfaces = [], {}

    def section():
        interfaces.clear()
        said = options(order, (1, b"a comment"), (2, b"x"), (0x4BBC, b"\0\0\0\x01abcde")) if noise else b""
        out.append(block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + said))
        if noise:
            out.append(block(order, 0x0BAD, struct.pack(order + "I", 1) + b"custom"))
            out.append(block(order, 0x40000BAD, struct.pack(order + "I", 1) + b"custom too"))
            out.append(block(order, 0x7777, b"a block that nobody knows"))
        for what, value in capture.secrets if secrets else []:
            out.append(block(order, 10, struct.pack(order + "II", what, len(value)) + value))

    section()
    for n, p in enumerate(capture.packets):
        if section_every and n and n % section_every == 0:
            order = ">" if order == "<" else "<"
            section()
        if (p.link, p.interface) not in interfaces:
            interfaces[p.link, p.interface] = len(interfaces)
            said = [(2, b"if0"), (3, b"odd")] if noise else []
            said += [(9, bytes([resolution]))] if resolution != 6 else []
            said += [(11, b"\0tcp or udp"), (8, struct.pack(order + "Q", 10**9))] if noise else []
            out.append(block(order, 1, struct.pack(order + "HHI", p.link, 0, 0) + options(order, *said)))
        number, ticks = interfaces[p.link, p.interface], p.time * units // 10**9
        said = options(order, (1, b"note"), (2, struct.pack(order + "I", 1)), (0x8001, b"?")) if noise and kind != 3 else b""
        if kind == 3 and len(interfaces) == 1 and p.length() == len(p.data):
            out.append(block(order, 3, struct.pack(order + "I", p.length()) + p.data))
        elif kind == 2:
            head = struct.pack(order + "HHIIII", number, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(p.data), p.length())
            out.append(block(order, 2, head + padded(p.data) + said))
        else:
            head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(p.data), p.length())
            out.append(block(order, 6, head + padded(p.data) + said))
        if noise and n % 3 == 0:
            out.append(block(order, 5, struct.pack(order + "III", number, ticks >> 32, ticks & 0xFFFFFFFF) +
                             options(order, (4, struct.pack(order + "Q", n)))))
            out.append(block(order, 4, struct.pack(order + "HH4s", 1, 6, b"\x01\x02\x03\x04") + b"a\0\0\0" + bytes(4)))
            out.append(block(order, 9, b"a journal's entry"))
    return b"".join(out)


# ---- taking apart ----

@dataclass
class Ip:
    """A packet's innermost-but-untunnelled IP layer: `at` its offset, `to` its payload's, `end` behind it."""
    at: int
    to: int
    end: int
    version: int
    protocol: int
    fragment: bool
    ether: int  # where the two bytes of its EtherType stand, -1: nowhere


def find_ip(packet):
    d, link, ether = packet.data, packet.link, -1
    if link == ETHERNET:
        ether = 12
        while len(d) >= ether + 2 and d[ether:ether + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            ether += 4
    elif link in (SLL, SLL2):
        ether = 14 if link == SLL else 0
    elif link not in (RAW, NULL, LOOP, 12, 14, 228, 229):
        return None
    at = {SLL2: 20, NULL: 4, LOOP: 4}.get(link, ether + 2 if ether >= 0 else 0)
    if ether >= 0 and d[ether:ether + 2] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    if len(d) < at + 20:
        return None
    if d[at] >> 4 == 4:
        total, frag = struct.unpack_from(">H2xH", d, at + 2)
        to = at + (d[at] & 15) * 4
        end = at + total if total else at + packet.length() - at
        if to < at + 20 or end < to:
            return None
        return Ip(at, to, end, 4, d[at + 9], frag & 0x3FFF != 0, ether)
    if d[at] >> 4 == 6 and len(d) >= at + 40:
        size = struct.unpack_from(">H", d, at + 4)[0]
        end = at + 40 + size if size else packet.length()
        return Ip(at, at + 40, end, 6, d[at + 6], False, ether)
    return None


@dataclass
class Tcp:
    ip: Ip
    src: tuple
    dst: tuple
    seq: int
    ack: int
    flags: int
    to: int  # offset of the payload
    payload: bytes


def find_tcp(packet, udp=False):
    """Of packets that are whole and no fragments; else None."""
    ip = find_ip(packet)
    d = packet.data
    if ip is None or ip.protocol != (17 if udp else 6) or ip.fragment or len(d) < ip.end or len(d) < ip.to + (8 if udp else 20):
        return None
    a, b = (d[ip.at + 12:ip.at + 16], d[ip.at + 16:ip.at + 20]) if ip.version == 4 else (d[ip.at + 8:ip.at + 24], d[ip.at + 24:ip.at + 40])
    sport, dport, seq, ack, off, flags = struct.unpack_from(">HHIIBB", d.ljust(ip.to + 14, b"\0"), ip.to)
    to = ip.to + (8 if udp else (off >> 4) * 4)
    if to > ip.end or (not udp and to < ip.to + 20):
        return None
    return Tcp(ip, (a, sport), (b, dport), seq, ack, flags, to, d[to:ip.end])


def with_length(packet, ip, data):
    """The packet with `data` in place of its bytes, whose IP layer ends where they end."""
    size = len(data) - ip.at if ip.version == 4 else len(data) - ip.at - 40
    at = ip.at + (2 if ip.version == 4 else 4)
    data = data[:at] + struct.pack(">H", size if size < 65536 else 0) + data[at + 2:]
    return packet.but(data=data, wire=len(data))


def segment(packet, t, payload, seq=None, ack=None, flags=None):
    """The packet with another payload, number, acknowledgement, flags; its checksums are wrong from now on."""
    head = bytearray(packet.data[:t.to])
    struct.pack_into(">II", head, t.ip.to + 4, (t.seq if seq is None else seq) & 0xFFFFFFFF, (t.ack if ack is None else ack) & 0xFFFFFFFF)
    head[t.ip.to + 13] = t.flags if flags is None else flags
    return with_length(packet, t.ip, bytes(head) + payload)
