"""A sender with a window as TCP Reno has it, behind a rate with a queue discipline; no clock, no kernel."""

import heapq
from dataclasses import dataclass, field

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.make import make_discipline
from harness.shaping.userspace.packet import CE, ecn

SECOND = 10**9
MS = 10**6
FRAME = 1514


def header(flow=0, bits=0):
    """An IPv4 header of a TCP flow, with ports behind it."""
    start = bytes((0x45, bits)) + bytes(7) + b"\x06" + bytes(2) + b"\x0a\0\0\1\x0a\0\0\2"
    return start + (5000 + flow).to_bytes(2) + b"\0\x50"


def packet(number, size=FRAME, came=0, head=b""):
    """A packet that reaches the queue at a time."""
    return (came, number, size, b"", came, head)


@dataclass
class Flow:
    """What became of one sender's packets."""

    ecn: bool = False
    window: float = 10.0
    threshold: float = 1e9
    flying: int = 0
    cut_at: int = -SECOND
    sojourns: list = field(default_factory=list)
    dropped: int = 0
    marked: int = 0
    delivered: int = 0


def run(queue, limit_bytes, *, rate=1_250_000, rtt=40 * MS, seconds=20, flows=1, ecn_flows=False, seed=1, pings=False):
    """Senders with endless data for so many seconds; returns their Flows, and the sojourns of a ping every 20 ms.

    Every packet is acknowledged a round trip after it left; a loss or mark halves the window, once in a round trip.
    """
    discipline = make_discipline(Queue.parse(queue), limit_bytes, rate, seed)
    senders = [Flow(ecn_flows) for _ in range(flows)]
    events, turn, busy, pinged = [], 0, False, []

    def at(time, what, who):
        nonlocal turn
        turn += 1
        heapq.heappush(events, (time, turn, what, who))

    def lost(now, who, how):
        flow = senders[who]
        at(now + rtt, how, who)
        if how == "loss":
            flow.dropped += 1

    def send(now, who):
        flow = senders[who]
        while flow.flying < flow.window:
            flow.flying += 1
            give(now, packet(who + 1, came=now, head=header(who, 2 if flow.ecn else 0)))

    def give(now, one):
        for gone in discipline.enqueue(now, one):
            if gone[1] <= flows:
                lost(now, gone[1] - 1, "loss")
        if not busy:
            serve(now)

    def serve(now):
        nonlocal busy
        found, dropped = discipline.dequeue(now)
        for gone in dropped:
            if gone[1] <= flows:
                lost(now, gone[1] - 1, "loss")
        busy = found is not None
        if found is None:
            return
        who = found[1] - 1
        free = now + found[2] * SECOND // rate
        at(free, "free", 0)
        if who >= flows:
            pinged.append(now - found[0])
            return
        flow = senders[who]
        flow.sojourns.append(now - found[0])
        flow.delivered += 1
        if ecn(found[5]) == CE:
            flow.marked += 1
        at(free + rtt, "mark" if ecn(found[5]) == CE else "ack", who)

    for who in range(flows):
        at(who * MS, "ack0", who)
    if pings:
        for number in range(seconds * 50):
            at(number * 20 * MS, "ping", 0)
    while events and events[0][0] < seconds * SECOND:
        now, _, what, who = heapq.heappop(events)
        flow = senders[who]
        if what == "free":
            serve(now)
        elif what == "ping":
            give(now, packet(flows + 1, 98, now, header(999)))
        else:
            if what in ("ack", "mark", "loss"):
                flow.flying -= 1
            if what in ("loss", "mark") and now - flow.cut_at > rtt:
                flow.cut_at = now
                flow.threshold = flow.window = max(2.0, flow.window / 2)
            elif what == "ack":
                flow.window += 1 if flow.window < flow.threshold else 1 / flow.window
            send(now, who)
    return senders, pinged


def standing(sojourns, share=0.5):
    """The sojourn below which that share of the second half of the packets lies, ms."""
    late = sorted(sojourns[len(sojourns) // 2 :])
    return late[int(share * (len(late) - 1))] / MS
