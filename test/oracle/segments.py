"""How TCP brings its bytes: in other pieces, twice, in another order, under other numbers."""
import struct

import captures as c
from captures import Capture
from mutations import NEAR, SAME, is_ordered, of_packets, of_tcp, opened, same

# ---- TCP ----

def cut(p, t, size):
    if len(t.payload) <= size:
        return [p]
    out = []
    for at in range(0, len(t.payload), size):
        last = at + size >= len(t.payload)
        seq = t.seq + at + (1 if t.flags & 2 and at else 0)
        flags = t.flags if len(t.payload) <= size else t.flags & ~(0 if last else 9) & ~(2 if at else 0)
        out.append(c.segment(p, t, t.payload[at:at + size], seq, flags=flags))
    return out


def payload_bytes(capture):
    return sum(len(t.payload) for t in map(c.find_tcp, capture.packets) if t)


def recut(name, size):
    SAME[name] = lambda capture, rng: of_tcp(capture, lambda p, t: cut(p, t, size)) if payload_bytes(capture) / size < 40000 else None


recut("segments_1", 1)
recut("segments_7", 7)
recut("segments_100", 100)


@same
def segments_random(capture, rng):
    def change(p, t):
        out, at = [], 0
        while at < len(t.payload):
            size = rng.choice((1, 2, 3, 5, 20, 150, 700))
            seq = t.seq + at + (1 if t.flags & 2 and at else 0)
            last = at + size >= len(t.payload)
            out.append(c.segment(p, t, t.payload[at:at + size], seq, flags=t.flags & ~(0 if last else 9) & ~(2 if at else 0)))
            at += size
        return out or [p]
    return of_tcp(capture, change) if payload_bytes(capture) < 2_000_000 else None


def coalesced(capture, most, offload):
    """Neighbours of one direction become one segment, as a network card's offload does."""
    out, held = [], {}
    def flush(key=None):
        for k in [key] if key in held else list(held) if key is None else []:
            p, t, payload, flags, ack = held.pop(k)
            q = c.segment(p, t, payload, ack=ack, flags=flags)
            if offload:
                q = q.but(data=q.data[:t.ip.at + (2 if t.ip.version == 4 else 4)] + b"\0\0" + q.data[t.ip.at + 4 + (t.ip.version == 6) * 2:])
            out.append((p.time, q))
    for p in capture.packets:
        for key in [k for k, h in held.items() if not 0 <= p.time - h[0].time < NEAR]:
            flush(key)
        t = c.find_tcp(p)
        if t is None or not t.payload or t.flags & 0x26 or (t.ip.version == 6 and t.ip.protocol != 6):
            flush() if t is None else (flush((t.src, t.dst)), flush((t.dst, t.src)))
            out.append((p.time, p))
            continue
        key = (t.src, t.dst)
        flush((t.dst, t.src))
        before = held.get(key)
        if before and p.time - before[0].time < NEAR and (before[1].seq + len(before[2])) & 0xFFFFFFFF == t.seq and len(before[2]) + len(t.payload) <= most:
            held[key] = (before[0], before[1], before[2] + t.payload, before[3] | t.flags, t.ack)
        else:
            flush(key)
            held[key] = (p, t, t.payload, t.flags, t.ack)
    flush()
    return Capture([p for _, p in sorted(out, key=lambda pair: pair[0])] if is_ordered(capture) else [p for _, p in out], capture.secrets)


@same
def coalesced_64k(capture, rng):
    return coalesced(capture, 65000, False)


@same
def coalesced_offload(capture, rng):
    """With IP's length zero, as segmentation offload leaves it."""
    return coalesced(capture, 180000, True)


@same
def no_tcp_options(capture, rng):
    def change(p, t):
        if t.flags & 2:
            return [p]
        d = p.data[:t.ip.to + 12] + bytes([0x50]) + p.data[t.ip.to + 13:t.ip.to + 20] + t.payload
        return [c.with_length(p, t.ip, d)]
    return of_tcp(capture, change)


@same
def bad_checksums(capture, rng):
    return of_tcp(capture, lambda p, t: [p.but(data=p.data[:t.ip.to + 16] + b"\xde\xad" + p.data[t.ip.to + 18:])])


@same
def wrapping(capture, rng):
    """Sequence numbers that pass zero in the middle of each direction."""
    first, most = {}, {}
    for p in capture.packets:
        t = c.find_tcp(p)
        if t and (t.payload or t.flags & 3):
            key = t.src, t.dst
            first.setdefault(key, t.seq)
            far = (t.seq + len(t.payload) - first[key]) & 0xFFFFFFFF
            if far < 1 << 30:
                most[key] = max(most.get(key, 0), far)
    shift = {key: -(first[key] + most.get(key, 0) // 2) for key in first}
    return of_tcp(no_tcp_options(capture, rng), lambda p, t: [c.segment(
        p, t, t.payload, t.seq + shift.get((t.src, t.dst), 0), t.ack + shift.get((t.dst, t.src), 0) if t.flags & 16 else t.ack)])


def again(capture, rng, copies):
    """`copies` gives segments that come some packets after the one they repeat."""
    out, due = [], []
    for p in capture.packets:
        out.append(p)
        due = [(n - 1, q) for n, q in due]
        out += [q.but(time=p.time) for n, q in due if n <= 0 and abs(p.time - q.time) < 10**9]
        due = [(n, q) for n, q in due if n > 0]
        t = c.find_tcp(p)
        if t and t.payload and not t.flags & 7 and rng.random() < 0.3:
            due += [(rng.randint(1, 5), q) for q in copies(p, t)]
    return Capture(out, capture.secrets)


@same
def retransmissions(capture, rng):
    return again(capture, rng, lambda p, t: [p])


@same
def overlaps(capture, rng):
    """Repeated are the end of the one before and the beginning of this one, and then all from its middle on."""
    before = {}
    def copies(p, t):
        key, half = (t.src, t.dst), len(t.payload) // 2
        b = before.get(key)
        out = [c.segment(p, t, t.payload[half:], t.seq + half)]
        if b and (b[0] + len(b[1])) & 0xFFFFFFFF == t.seq:
            tail = b[1][len(b[1]) // 2:]
            out.append(c.segment(p, t, (tail + t.payload[:half])[:1400], t.seq - len(tail)))
        before[key] = t.seq, t.payload
        return out
    return again(capture, rng, copies)


@same
def overlaps_first(capture, rng):
    """Each segment's first half comes before all of it."""
    return of_tcp(capture, lambda p, t: [c.segment(p, t, t.payload[:len(t.payload) // 2], flags=t.flags & ~9), p]
                  if len(t.payload) > 1 and not t.flags & 6 else [p])


def reordered(capture, rng, width, keep_times):
    """TCP packets change places with others of their connection among `width` neighbours."""
    def shuffled(run):
        return [m for _, m in sorted((i + rng.uniform(0, width), m) for i, m in enumerate(run))]
    out = list(capture.packets)
    flows, known = {}, opened(capture)
    for n, p in enumerate(out):
        t = c.find_tcp(p)
        if t and frozenset((t.src, t.dst)) in known:
            flows.setdefault(frozenset((t.src, t.dst)), []).append(n)
    for places in flows.values():
        # A reset or a SYN is a border: what comes before a connection's beginning or after its end is another question.
        order, run = [], []
        for n in places + [None]:
            border = n is None or c.find_tcp(capture.packets[n]).flags & 6
            # Nor does anything overtake what was sent long before.
            if run and n is not None and capture.packets[n].time - capture.packets[run[-1]].time > NEAR:
                order += shuffled(run)
                run = []
            if border:
                order += shuffled(run)
                order += [n] if n is not None else []
                run = []
            else:
                run.append(n)
        for place, n in zip(places, order):
            p = capture.packets[n]
            out[place] = p if keep_times else p.but(time=capture.packets[place].time)
    return Capture(out, capture.secrets)


@same
def reordered_3(capture, rng):
    return reordered(capture, rng, 3, False)


@same
def reordered_10(capture, rng):
    return reordered(capture, rng, 10, False)


@same
def reordered_10_keep_times(capture, rng):
    return reordered(capture, rng, 10, True)
