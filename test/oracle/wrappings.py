"""What stands around the packets: files, links, tunnels, fragments, other addresses, copies."""
import gzip
import shutil
import struct
import subprocess
import zlib

import captures as c
from captures import Capture
from mutations import SAME, SMALL, of_packets, ordered, same

# ---- containers ----

def one_link(capture):
    return len({p.link for p in capture.packets}) == 1 and not capture.secrets


def container(name, make):
    SAME[name] = lambda capture, rng: make(capture)


container("pcap", lambda f: c.write_pcap(f.packets) if one_link(f) else None)
container("pcap_big", lambda f: c.write_pcap(f.packets, ">") if one_link(f) else None)
container("pcap_ns", lambda f: c.write_pcap(f.packets, "<", True) if one_link(f) else None)
container("pcap_big_ns", lambda f: c.write_pcap(f.packets, ">", True) if one_link(f) else None)
container("pcap_modified", lambda f: c.write_pcap(f.packets, "<", False, True) if one_link(f) else None)
container("ng", lambda f: c.write_pcapng(f))
container("ng_big", lambda f: c.write_pcapng(f, ">"))
container("ng_us", lambda f: c.write_pcapng(f, resolution=6))
container("ng_binary", lambda f: c.write_pcapng(f, resolution=0x80 | 30))
container("ng_8", lambda f: c.write_pcapng(f, resolution=8))
container("ng_sections", lambda f: c.write_pcapng(f, section_every=7))
container("ng_noise", lambda f: c.write_pcapng(f, noise=True))
container("ng_noise_big", lambda f: c.write_pcapng(f, ">", noise=True))
container("ng_simple", lambda f: c.write_pcapng(f, kind=3))
container("ng_obsolete", lambda f: c.write_pcapng(f, kind=2, noise=True))
container("gzip", lambda f: gzip.compress(c.write_pcapng(f), 1))
container("gzip_members", lambda f: (lambda raw: gzip.compress(raw[:len(raw) // 3], 1) + gzip.compress(raw[len(raw) // 3:], 1))(c.write_pcapng(f)))
container("zstd", lambda f: subprocess.run(["zstd", "-c", "-q"], input=c.write_pcapng(f), stdout=subprocess.PIPE, check=True).stdout
          if shutil.which("zstd") else None)


@same
def interfaces(capture, rng):
    """Both directions on interfaces of their own, every third packet on a third one of another link type."""
    def change(n, p):
        t = c.find_tcp(p) or c.find_tcp(p, udp=True)
        p = p.but(interface=int(t is not None and t.src > t.dst))
        ip = c.find_ip(p)
        return rewrap(p, ip, c.RAW) if n % 3 == 0 and ip else p
    return Capture([change(n, p) for n, p in enumerate(capture.packets)], capture.secrets)


# ---- links and tunnels ----

def ether_type(ip):
    return b"\x08\x00" if ip.version == 4 else b"\x86\xdd"


MACS = bytes.fromhex("02000000000102000000000a")


def rewrap(p, ip, link):
    """The packet on another link, without whatever its own has before IP."""
    if ip is None:
        return p
    kind = ether_type(ip)
    head = {c.RAW: b"", c.SLL: b"\0\4\0\1\0\6\2\0\0\0\0\1\0\0" + kind, c.SLL2: kind + b"\0\0\0\0\0\2\0\1\4\6\2\0\0\0\0\1\0\0",
            c.NULL: struct.pack("<I", 2 if ip.version == 4 else 30), c.LOOP: struct.pack(">I", 2 if ip.version == 4 else 24),
            c.ETHERNET: MACS + kind}[link]
    return p.but(link=link, data=head + p.data[ip.at:], wire=p.length() - ip.at + len(head))


for name, link in {"sll": c.SLL, "sll2": c.SLL2, "raw": c.RAW, "null": c.NULL, "loop": c.LOOP, "ethernet": c.ETHERNET}.items():
    SAME["link_" + name] = lambda capture, rng, link=link: Capture([rewrap(p, c.find_ip(p), link) for p in capture.packets], capture.secrets)


def behind(name, change):
    """`change` gives the bytes that stand between Ethernet's addresses and IP, for the length of what follows."""
    def run(capture, rng):
        def one(p):
            ip = c.find_ip(p)
            if ip is None:
                return [p]
            # Padding behind IP's end is not carried along, as no tunnel would.
            inner = p.data[ip.at:min(ip.end, len(p.data))]
            head = change(ip, ip.end - ip.at)
            return [p.but(link=c.ETHERNET, data=MACS + head + inner, wire=12 + len(head) + ip.end - ip.at)]
        return of_packets(capture, one)
    SAME[name] = run


def outer4(protocol, size):
    return b"\x08\x00" + struct.pack(">BBHHHBBHII", 0x45, 0, (20 + size) & 0xFFFF, 7, 0, 64, protocol, 0, 0xC0A80101, 0xC0A80102)


def outer6(protocol, size):
    return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, size & 0xFFFF, protocol, 64) + b"\xfc" + bytes(14) + b"\1\xfc" + bytes(14) + b"\2"


def outer_udp(port, head, size):
    size += len(head) + 8
    return outer4(17, size) + struct.pack(">HHHH", 49152, port, size & 0xFFFF, 0) + head


def gre(flags, kind, extra=b""):
    return struct.pack(">H", flags) + kind + extra


behind("vlan", lambda ip, n: b"\x81\x00\x00\x2a" + ether_type(ip))
behind("qinq", lambda ip, n: b"\x88\xa8\x00\x2a\x81\x00\x00\x2b" + ether_type(ip))
behind("mpls", lambda ip, n: b"\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40")
behind("pppoe", lambda ip, n: b"\x88\x64\x11\x00\x00\x01" + struct.pack(">H", (n + 2) & 0xFFFF) + (b"\0\x21" if ip.version == 4 else b"\0\x57"))
behind("gre", lambda ip, n: outer4(47, n + 4) + gre(0, ether_type(ip)))
behind("gre_key", lambda ip, n: outer4(47, n + 16) + gre(0xB000, ether_type(ip), bytes(4) + b"\0\0\0\7\0\0\0\1"))
behind("gre_ethernet", lambda ip, n: outer4(47, n + 22) + gre(0x2000, b"\x65\x58", b"\0\0\0\7") + MACS + ether_type(ip))
behind("gre6", lambda ip, n: outer6(47, n + 4) + gre(0, ether_type(ip)))
behind("vxlan", lambda ip, n: outer_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + MACS + ether_type(ip), n))
behind("geneve", lambda ip, n: outer_udp(6081, b"\x02\0\x65\x58\0\0\x2a\0" + b"\1\2\3\1" + bytes(4) + MACS + ether_type(ip), n))
behind("geneve_ip", lambda ip, n: outer_udp(6081, b"\0\0" + ether_type(ip) + b"\0\0\x2a\0", n))
behind("erspan1", lambda ip, n: outer4(47, n + 18) + gre(0, b"\x88\xbe") + MACS + ether_type(ip))
behind("erspan2", lambda ip, n: outer4(47, n + 30) + gre(0x1000, b"\x88\xbe", bytes(4)) + b"\x10\x01\0\1\0\0\0\0" + MACS + ether_type(ip))
behind("erspan3", lambda ip, n: outer4(47, n + 42) + gre(0x1000, b"\x22\xeb", bytes(4)) + b"\x20\x01\0\1\0\0\0\0\0\0\0\1" + bytes(8) + MACS + ether_type(ip))
behind("ipip", lambda ip, n: outer4(4 if ip.version == 4 else 41, n))
behind("ip_in_ip6", lambda ip, n: outer6(4 if ip.version == 4 else 41, n))
behind("gtpu", lambda ip, n: outer_udp(2152, b"\x30\xff" + struct.pack(">H", n & 0xFFFF) + b"\0\0\0\1", n))
behind("gtpu_pdu", lambda ip, n: outer_udp(2152, b"\x34\xff" + struct.pack(">H", (n + 8) & 0xFFFF) + b"\0\0\0\1\0\0\0\x85\1\0\1\0", n))
behind("mpls_udp", lambda ip, n: outer_udp(6635, b"\x00\x01\x01\x40", n))
behind("vxlan_qinq", lambda ip, n: b"\x88\xa8\x00\x2a\x81\x00\x00\x2b" + outer_udp(8472, b"\x08\0\0\0\0\0\x2a\0" + MACS + b"\x81\x00\x00\x07" + ether_type(ip), n))


@same
def vxlan_cut_into_fragments(capture, rng):
    """A tunnel whose outer packets did not fit."""
    whole = SAME["vxlan"](capture, rng)
    return of_packets(whole, lambda p: fragments(p, 1400)) if whole else None


@same
def padding(capture, rng):
    """Frames with a trailer behind IP's end, as Ethernet's minimum and switches' timestamps make it."""
    def one(p):
        ip = c.find_ip(p)
        whole = ip and p.link == c.ETHERNET and ip.end <= len(p.data) == p.length() and p.data[ip.at + 2:ip.at + 4] != b"\0\0"
        return [p.but(data=p.data + b"GET / HT" * 5, wire=len(p.data) + 40)] if whole and ip.version == 4 else [p]
    return of_packets(capture, one)


# ---- IP ----

def fragments(p, size, backwards=False):
    ip = c.find_ip(p)
    if ip is None or ip.fragment or len(p.data) < ip.end or ip.end - ip.to <= size or ip.protocol == 44:
        return [p]
    payload, out = p.data[ip.to:ip.end], []
    number = struct.unpack_from(">H", p.data, ip.at + 4)[0] if ip.version == 4 else zlib.crc32(p.data)
    for at in range(0, len(payload), size):
        piece, more = payload[at:at + size], at + size < len(payload)
        head = p.data[:ip.to]
        if ip.version == 4:
            head = head[:ip.at + 4] + struct.pack(">HH", number, at // 8 | (0x2000 if more else 0)) + head[ip.at + 8:]
        else:
            head = head[:ip.at + 6] + b"\x2c" + head[ip.at + 7:] + struct.pack(">BBHI", ip.protocol, 0, at | more, number)
        out.append(c.with_length(p, ip, head + piece))
    return out[::-1] if backwards else out


def unique_ids(capture):
    """IPv4 identifications that do not repeat, so that fragments of two packets cannot be confused."""
    def one(n, p):
        ip = c.find_ip(p)
        if ip is None or ip.version != 4 or ip.fragment or len(p.data) < ip.to:
            return p
        return p.but(data=p.data[:ip.at + 4] + struct.pack(">H", n & 0xFFFF) + p.data[ip.at + 6:])
    return Capture([one(n, p) for n, p in enumerate(capture.packets)], capture.secrets)


@same
def fragments_576(capture, rng):
    return of_packets(unique_ids(capture), lambda p: fragments(p, 552))


@same
def fragments_24(capture, rng):
    return of_packets(unique_ids(capture), lambda p: fragments(p, 24)) if len(capture.packets) < SMALL else None


@same
def fragments_backwards(capture, rng):
    return of_packets(unique_ids(capture), lambda p: fragments(p, 200, True))


@same
def fragments_twice(capture, rng):
    return of_packets(unique_ids(capture), lambda p: [q for q in fragments(p, 200) for _ in (0, 1)])


V6 = bytes.fromhex("0064ff9b0000000000000000")


@same
def ipv6(capture, rng):
    """IPv6 in place of IPv4 (RFC 6052's addresses); of TCP and UDP alone."""
    def one(p):
        ip = c.find_ip(p)
        if ip is None or ip.version != 4 or ip.fragment or ip.protocol not in (6, 17):
            return [p]
        d, size = p.data, ip.end - ip.to
        if d[ip.at + 2:ip.at + 4] == b"\0\0" or (ip.ether < 0 and p.link != c.RAW):
            return [p]
        head = (d[:ip.ether] + b"\x86\xdd" + d[ip.ether + 2:ip.at]) if ip.ether >= 0 else b""
        head += struct.pack(">IHBB", 6 << 28, size, ip.protocol, 64) + V6 + d[ip.at + 12:ip.at + 16] + V6 + d[ip.at + 16:ip.at + 20]
        return [p.but(data=head + d[ip.to:ip.end], wire=len(head) + size)]
    return of_packets(capture, one)


# ---- copies ----

def copy_of(p, later=0):
    """The same packet behind a bridge or router: other MAC addresses, one hop less."""
    ip = c.find_ip(p)
    if ip is None:
        return p.but(time=p.time + later)
    hop = ip.at + (8 if ip.version == 4 else 7)
    d = p.data[:hop] + bytes([max(p.data[hop] - 1, 1)]) + p.data[hop + 1:] if len(p.data) > hop else p.data
    if p.link == c.ETHERNET:
        d = MACS + d[12:]
    return p.but(data=d, time=p.time + later)


@same
def twice(capture, rng):
    return of_packets(capture, lambda p: [p, p])


@same
def twice_routed(capture, rng):
    return of_packets(capture, lambda p: [p, copy_of(p)])


@same
def twice_1ms(capture, rng):
    return Capture(ordered([q for p in capture.packets for q in (p, copy_of(p, 10**6))]), capture.secrets)


@same
def twice_vlan(capture, rng):
    tag = lambda p: p.but(data=p.data[:12] + b"\x81\x00\x00\x07" + p.data[12:], wire=p.length() + 4) if p.link == c.ETHERNET else p
    return of_packets(capture, lambda p: [tag(p), p.but(interface=1)])


@same
def twice_tunnelled(capture, rng):
    """Seen on the node's own interface inside VXLAN and on the pod's without."""
    inside = SAME["vxlan"](capture, rng)
    return Capture([q for pair in zip(inside.packets, capture.packets) for q in (pair[0], pair[1].but(interface=1))], capture.secrets)
