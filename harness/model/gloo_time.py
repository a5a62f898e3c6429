"""How long gloo's collectives take on a plan: its algorithms, simulated message by message. Pure.

Read in pytorch/gloo at commit 70dc360. *all_reduce* (allreduce.cc, ``ring``): the tensor is cut into segments of at
most 1 MiB, a multiple of the ranks and at least two per rank; each rank receives from the next one and sends to the
one before; it has two receives under way: the i-th is posted when the (i - 2)-th has come. Reduce-scatter, then
all-gather, of (segments - segments per rank) each. *all_gather* (allgather.cc): a ring too, of halves of blocks.
*broadcast* (broadcast.cc): a binomial tree, the whole tensor at each hop. *Rendezvous* (transport/tcp): data leave when
both sides are ready: the receiver tells the sender that it is, which takes a link's delay.

Flows share the links and capacities on their paths evenly, and get no more than TCP gets where packets are lost
(tcp.py). After a pause TCP begins with ten segments and adds one for each that was acknowledged (RFC 6928, RFC 5681):
x bytes take rtt ln(1 + x / w) with a window of w, until the window fills the path.

Not included: computing (adding up, copying), the kernel's and an engine's own time per packet, jitter, other traffic.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness.model.address import full_segment
from harness.model.link import Pair
from harness.model.pipe import payload_share
from harness.model.plan import NetworkPlan
from harness.model.tcp import cubic_rate, loss_events

SEGMENT: Final = 1 << 20
"""Bytes; kMaxSegmentSize in gloo/allreduce.h."""
FIRST_WINDOW: Final = 10
"""Segments; RFC 6928."""
LEAST_RTO: Final = 0.2
"""Seconds: Linux's TCP_RTO_MIN. TCP halves its window after each such time (plus the RTT) without sending."""
_SIMULATED: Final = 24
"""Segments per rank that are simulated; each further one takes as long as the one before."""


@dataclass(frozen=True)
class RankPath:
    """The path of one rank's data to another.

    Args:
        delay: seconds, one way.
        back: seconds, in the other direction.
        byte_s: payload bytes per second; infinity where nothing limits it.
        first: bytes of TCP's first window after a pause.
    """

    delay: float
    back: float
    byte_s: float
    first: float

    @property
    def rtt(self) -> float:
        """Seconds."""
        return self.delay + self.back


class _Wire:
    """A flow over time: bytes leave in order, and TCP's window grows by them."""

    def __init__(self, flow: RankPath, idle: float) -> None:
        self.flow, self.free, self.arrived = flow, 0.0, 0.0
        self.full = flow.byte_s * flow.rtt
        """Bytes under way that fill the path."""
        halved = 2.0 ** min(60.0, idle // (LEAST_RTO + flow.rtt))
        self.window = max(flow.first, self.full / halved) if self.full < math.inf else flow.first
        if idle == 0:
            self.window = math.inf

    def send(self, ready: float, size: float) -> float:
        """When that many bytes, which may leave from ``ready`` on, have arrived."""
        start = max(ready, self.free)
        flow, seconds, left = self.flow, 0.0, size
        if self.window < self.full and flow.rtt:
            growing = min(left, self.full - self.window)
            seconds += flow.rtt * math.log1p(growing / self.window)
            self.window, left = self.window + growing, left - growing
        seconds += left / flow.byte_s if flow.byte_s else math.inf
        self.free = start + seconds
        self.arrived = self.free + flow.delay
        return self.arrived


def flows(plan: NetworkPlan, pairs: Iterable[Pair]) -> dict[Pair, RankPath]:
    """The flow of each of these (src, dst) while all of them send; its rate is 0 over a link that is down."""
    paths = {pair: [edge.pair for edge in plan.path(*pair)] for pair in pairs}
    crossed = {pair: dict(_limits(plan, path)) for pair, path in paths.items()}
    users: Counter[Hashable] = Counter(key for limits in crossed.values() for key in limits)
    found = {}
    for (src, dst), limits in crossed.items():
        there, back = paths[src, dst], [edge.pair for edge in plan.path(dst, src)]
        ahead, behind = (sum(plan.edges[pair].shape.delay.seconds for pair in path) for path in (there, back))
        byte_s = min((bit_s / 8 / users[key] for key, bit_s in limits.items()), default=math.inf)
        loss = 1 - math.prod(1 - loss_events(plan.edges[pair].effective) for pair in there)
        mss = full_segment(plan.mtu)
        if loss > 0 and ahead + behind > 0:
            byte_s = min(byte_s, cubic_rate(mss, ahead + behind, loss) / 8 if loss < 1 else 0.0)
        found[src, dst] = RankPath(ahead, behind, byte_s, FIRST_WINDOW * mss)
    return found


def _limits(plan: NetworkPlan, path: Iterable[Pair]) -> Iterable[tuple[Hashable, float]]:
    """What a path crosses (as a key), and the payload bit/s that it passes."""
    for pair in path:
        shape = plan.edges[pair].effective
        if shape.rate is not None:
            yield pair, shape.rate.bit_s * payload_share(shape.overhead, plan.mtu)
        for kind, cap in plan.caps_on(pair).items():
            owner = pair[0] if kind == "uplink" else pair[1] if kind == "downlink" else plan.trunk_of(pair)
            yield (kind, owner), cap.rate.bit_s * payload_share(cap.overhead, plan.mtu)


def collective_seconds(plan: NetworkPlan, collective: str, size: float, idle: float = math.inf) -> float:
    """Seconds until the last rank has its result; infinity where a link that is needed is down.

    Args:
        plan: of the network.
        collective: all_reduce, all_gather (``size``: of all blocks together), broadcast or send_recv.
        size: bytes.
        idle: seconds since connections were last used; 0: TCP's windows are as large as they need to be.
    """
    ranks = plan.size
    if ranks < 2 or size <= 0:
        return 0.0
    if collective == "broadcast":
        return _broadcast(plan, size, idle)
    if collective == "send_recv":
        pairs = {(src, other) for src in range(ranks) for other in plan.neighbours(src)}
        return max((_Wire(flow, idle).send(flow.back, size) for flow in flows(plan, pairs).values()), default=0.0)
    step = -1 if collective == "all_reduce" else 1
    ring = flows(plan, [(rank, (rank + step) % ranks) for rank in range(ranks)])
    if collective == "all_gather":
        return _ring(ring, ranks, step, 2, size / ranks / 2, idle, rounds=1)
    count = max(math.ceil(size / SEGMENT), 2 * ranks)
    per_rank = -(-count // ranks)
    each = size / (per_rank * ranks)
    if per_rank <= _SIMULATED:
        return _ring(ring, ranks, step, per_rank, each, idle)
    shorter, longer = (_ring(ring, ranks, step, number, each, idle) for number in (_SIMULATED // 2, _SIMULATED))
    return longer + (longer - shorter) * (per_rank - _SIMULATED) / (_SIMULATED - _SIMULATED // 2)


def _ring(
    ring: Mapping[Pair, RankPath], ranks: int, step: int, per_rank: int, size: float, idle: float, rounds: int = 2
) -> float:
    """Each rank forwards ``per_rank`` segments of ``size`` bytes ``ranks - 1`` times per round."""
    wires = [_Wire(ring[rank, (rank + step) % ranks], idle) for rank in range(ranks)]
    done: list[list[float]] = [[0.0, 0.0] for _ in range(ranks)]
    """When each rank's last two receives were complete."""
    for _ in range(rounds):
        done = [[max(own), max(own)] for own in done]
        for number in range(per_rank * (ranks - 1)):
            posted = [own[number % 2] for own in done]
            for rank, wire in enumerate(wires):
                receiver = (rank + step) % ranks
                receiver_ready = posted[receiver] + wire.flow.back
                done[receiver][number % 2] = wire.send(max(posted[rank], receiver_ready), size)
    return max(map(max, done))


def _broadcast(plan: NetworkPlan, size: float, idle: float) -> float:
    """Rank 0 sends to 1, then both to 2 and 3, and so on."""
    has = {0: 0.0}
    bit = 1
    sends: dict[int, list[int]] = {}
    order = []
    while bit < plan.size:
        for rank in range(min(bit, plan.size - bit)):
            sends.setdefault(rank, []).append(rank + bit)
            order.append((rank, rank + bit))
        bit *= 2
    shared = flows(plan, order)
    ends: dict[int, float] = {}
    for src, dst in order:
        flow = flows(plan, [(src, other) for other in sends[src]])[src, dst] if src else shared[src, dst]
        has[dst] = ends[dst] = _Wire(flow, idle).send(has[src] + flow.back, size)
    return max(has.values())
