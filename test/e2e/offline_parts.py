"""What the tests of offline analysis share: captures that are made here, and Baleen without a network of its own."""
import socket
import struct

from parts import *


def baleen(bench, *arguments, codes=(0,), stdin=None, environment=None):
    """Runs to the end; standard output and what was said beside it."""
    done = subprocess.run([BALEEN, *map(str, arguments)], capture_output=True, timeout=60, cwd=bench.folder, input=stdin,
                          env={**os.environ, "HOME": str(bench.folder), **(environment or {})})
    if done.returncode not in codes:
        check(f"baleen {' '.join(map(str, arguments))[:200]}", False, f"exit {done.returncode}: {done.stderr.decode()}")
    return done.stdout, done.stderr.decode()


def tcp_packet(source, target, sequence, acknowledged, flags, payload=b""):
    (source_ip, source_port), (target_ip, target_port) = source, target
    tcp = struct.pack(">HHIIBBHHH", source_port, target_port, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, socket.inet_aton(source_ip), socket.inet_aton(target_ip))
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + tcp


def http_capture(calls, begin=1_790_000_000.0, client_port=40000):
    """A pcap file: for each (request, response) a connection of its own, a tenth of a second after the one before."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for number, (request, response) in enumerate(calls):
        client, server = ("10.7.0.1", client_port + number), ("10.7.0.2", 8080)
        packets = [(client, server, 100, 0, 0x02, b""), (server, client, 900, 101, 0x12, b""), (client, server, 101, 901, 0x18, request),
                   (server, client, 901, 101 + len(request), 0x18, response),
                   (client, server, 101 + len(request), 901 + len(response), 0x11, b""),
                   (server, client, 901 + len(response), 102 + len(request), 0x11, b"")]
        for i, (source, target, sequence, acknowledged, flags, payload) in enumerate(packets):
            at = begin + number / 10 + i / 1000
            packet = tcp_packet(source, target, sequence, acknowledged, flags, payload)
            out += struct.pack("<IIII", int(at), round((at - int(at)) * 1e6), len(packet), len(packet)) + packet
    return out


def answer(body=b"ok", status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
