"""Transformations of captures. SAME must change nothing in the items; LESS may only take some away.

Each is a function of a Capture and a random generator, and gives a Capture, a file's bytes, or None where it makes no sense.
They stand in wrappings.py, segments.py and losses.py, which register them here."""
import captures as c
from captures import Capture

SAME, LESS = {}, {}
NEAR = 20 * 10**6  # nanoseconds between packets, within which one may overtake the other
SMALL = 4000  # packets of a capture, up to which each may become many


def same(function):
    SAME[function.__name__] = function
    return function


def less(function):
    LESS[function.__name__] = function
    return function


def of_packets(capture, change):
    """`change` gives the packets that take a packet's place."""
    return Capture([q for p in capture.packets for q in change(p)], capture.secrets)


def of_tcp(capture, change):
    def one(p):
        t = c.find_tcp(p)
        return change(p, t) if t else [p]
    return of_packets(capture, one)


def ordered(packets):
    return sorted(packets, key=lambda p: p.time)  # stable


def is_ordered(capture):
    return all(a.time <= b.time for a, b in zip(capture.packets, capture.packets[1:]))


def opened(capture):
    """The connections whose SYN and its answer are there: of others nobody knows which bytes came first."""
    syns = {}
    for t in map(c.find_tcp, capture.packets):
        if t and t.flags & 2:
            syns.setdefault(frozenset((t.src, t.dst)), set()).add(t.src)
    return {key for key, ends in syns.items() if len(ends) == 2}


def apply(name, capture, rng):
    """The transformed file's bytes, or None."""
    out = (SAME.get(name) or LESS[name])(capture, rng)
    return c.write_pcapng(out) if isinstance(out, Capture) else out
