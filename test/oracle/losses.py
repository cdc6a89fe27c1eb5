"""Other times, and captures that have not all."""
import captures as c
from captures import Capture
from mutations import LESS, less, of_packets, opened, ordered, same

# ---- times ----

def skewed(capture, by, in_order):
    """The servers' direction has a clock that is late by `by` nanoseconds, so that answers precede their requests."""
    first, known = {}, opened(capture)
    def change(p):
        t = c.find_tcp(p)
        if t is None or frozenset((t.src, t.dst)) not in known:
            return [p]
        client = first.setdefault(frozenset((t.src, t.dst)), t.src)
        return [p if t.src == client else p.but(time=max(p.time - by, 0), interface=1)]
    out = of_packets(capture, change)
    return Capture(ordered(out.packets), out.secrets) if in_order else out


@same
def skewed_3ms(capture, rng):
    return skewed(capture, 3 * 10**6, False)


@same
def skewed_3ms_in_order(capture, rng):
    return skewed(capture, 3 * 10**6, True)


@same
def skewed_udp_3ms_in_order(capture, rng):
    """Likewise where datagrams say whose answers they are: DNS, NTP, RADIUS."""
    first = {}
    def change(p):
        t = c.find_tcp(p, udp=True)
        if t is None or not {t.src[1], t.dst[1]} & {53, 123, 1812, 1813}:
            return [p]
        client = first.setdefault(frozenset((t.src, t.dst)), t.src)
        return [p if t.src == client else p.but(time=max(p.time - 3 * 10**6, 0), interface=1)]
    out = of_packets(capture, change)
    return Capture(ordered(out.packets), out.secrets) if first else None


@same
def times_equal(capture, rng):
    first = capture.packets[0].time
    return of_packets(capture, lambda p: [p.but(time=first)])


@same
def times_zero(capture, rng):
    return of_packets(capture, lambda p: [p.but(time=0)])


@same
def times_backwards(capture, rng):
    most = max(p.time for p in capture.packets)
    return of_packets(capture, lambda p: [p.but(time=most - (p.time - capture.packets[0].time) // 1000)])


# ---- less ----

for share in (1, 5, 20):
    LESS[f"loss_{share}"] = lambda capture, rng, share=share: Capture([p for p in capture.packets if rng.random() * 100 >= share], capture.secrets)
for number in (3, 10, 0.3, 0.5):
    LESS[f"without_first_{number}"] = lambda capture, rng, number=number: Capture(
        capture.packets[number if number >= 1 else int(len(capture.packets) * number):], capture.secrets)
for number in (3, 10):
    LESS[f"without_last_{number}"] = lambda capture, rng, number=number: Capture(capture.packets[:-number], capture.secrets)
for size in (64, 96, 128, 256, 512):
    LESS[f"snap_{size}"] = lambda capture, rng, size=size: of_packets(capture, lambda p: [p.but(data=p.data[:size], wire=p.length())])


def one_sided(capture, of_client, what):
    first = {}
    def keep(p):
        t = c.find_tcp(p) or c.find_tcp(p, udp=True)
        if t is None:
            return [p]
        client = first.setdefault(frozenset((t.src, t.dst)), t.src)
        return [p] if (t.src == client) == of_client or not what(t, p) else []
    return of_packets(capture, keep)


@less
def only_clients(capture, rng):
    return one_sided(capture, True, lambda t, p: True)


@less
def only_servers(capture, rng):
    return one_sided(capture, False, lambda t, p: True)


@less
def every_flows_first_6(capture, rng):
    """Each connection is joined in the middle."""
    seen = {}
    def keep(p):
        t = c.find_tcp(p)
        if t is None:
            return [p]
        key = frozenset((t.src, t.dst))
        seen[key] = seen.get(key, 0) + 1
        return [p] if seen[key] > 6 else []
    return of_packets(capture, keep)


@less
def middle_of_messages(capture, rng):
    """Each connection's SYNs and a random number of further packets are missing."""
    skip = {}
    def keep(p):
        t = c.find_tcp(p)
        if t is None:
            return [p]
        key = frozenset((t.src, t.dst))
        skip.setdefault(key, rng.randint(4, 12))
        skip[key] -= 1
        return [p] if skip[key] < 0 else []
    return of_packets(capture, keep)


def cut_file(capture, rng):
    raw = c.write_pcapng(capture)
    return raw[:rng.randrange(28, len(raw))]


for number in range(3):
    LESS[f"cut_file_{number}"] = lambda capture, rng, number=number: cut_file(capture, rng)
