"""The qdisc tree that a node's ports ask for; qdisc_diff.py computes the changes that lead to it.

::

    eth0 root  htb 1:  default ffff
     |- class 1:(n+1)   never limits; one per neighbour n
     |   `- netem (n+16):   the delay line: delay, jitter, loss, ...; sets no rate, but keeps packets in order
     |       `- netem (n+0x8010):   the queue for the rate; lets everything pass where there is none
     |           `- tbf (n+0x4010):   only where a burst was asked for; then it makes the rate
     |- class 1:ffff
     |   `- blackhole 7fff:   drops what matches no filter
     `- u32 filters: prio 1, IPv6 neighbour discovery -> 1:0, unshaped; IPv4 prio 2 and IPv6 prio 3, one per final
        destination -> class of the next hop, or 1:0 where that edge is unshaped; prio 4, ARP -> 1:0; prio 5 and 6, in
        containers: beyond the gateway -> 1:0

The tree is built once and changed in place afterwards, so nothing queued is dropped and no moment is unshaped.
A branch that is no longer needed stays, with a netem that does nothing.

The engine in user space imitates a branch at the receiver: there are no qdiscs then, but the fields are these.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from harness.model.address import FRAME, SMALLEST_FRAME
from harness.model.distribution import highest
from harness.model.link import Distribution, GilbertElliott, LinkShape
from harness.model.node_plan import NodePlan, Port
from harness.model.queueing import Queue, buffer_bytes
from harness.model.units import ZERO_RATIO, Rate, Ratio, Size, Time

ROOT: Final = 0x1_0000
DROPPING: Final = 0xFFFF
"""Minor number of the class of what matches no filter."""
PASS: Final = -1
"""In place of a neighbour: packets cross an unshaped edge (class 1:0)."""
MIN_QUEUE: Final = 32
"""Full frames that may wait for a rate, however low it is."""
MIN_LIMIT: Final = 1000
"""Packets of a queue without a rate: netem's own default."""
MAX_AUTO_LIMIT: Final = 1_000_000
MAX_PACKETS_PER_S: Final = 1_000_000
"""More than the sockets of one machine send: what a delay line is sized for where no rate allows less."""
UNLIMITED: Final = Rate(20 * 10**9)
"""Rate of a class that must not limit, and the most that a queue is sized for."""
PASSING_BYTE_S: Final = 2**37 - 1
"""Rate of a token bucket that is no longer wanted: 1.1 Tbit/s, which nobody has and nobody asks for to the byte."""
PASSING_BURST: Final = PASSING_BYTE_S // 1000
MIN_QUEUEING: Final = Time(50 * 10**6)
AQM_FRAMES: Final = 1000
"""Full frames that a discipline other than droptail has room for unless the buffer is given: tc's default of codel."""
TBF_QUEUEING: Final = Time(50 * 10**6)
"""How long a packet may wait for tokens unless the shape says otherwise (tbf's latency)."""


@dataclass(frozen=True)
class Netem:
    """Netem's parameters in the kernel's own fields; probabilities scaled so that 2**32 - 1 is 100 %."""

    delay_ns: int = 0
    jitter_ns: int = 0
    limit: int = 1000
    loss: int = 0
    chain: tuple[int, int, int, int] | None = None
    """Gilbert-Elliott: p, r, h (survival in the bad state), k1 (loss in the good state)."""
    duplicate: int = 0
    corrupt: int = 0
    reorder: int = 0
    gap: int = 0
    rate_byte_s: int = 0
    distribution: Distribution = "uniform"
    """Not readable: the kernel does not give its table back."""
    seed: int = 0
    """Of netem's random numbers; older kernels ignore it and do not give it back."""
    queue_bytes: int = 0
    """What may wait for the rate; 0: as much as the limit allows. The user-space engine enforces it."""
    queue_packets: int = 0
    """The same for the kernel, whose netem counts packets, whatever their size."""
    overhead: int = 0
    """Bytes that the rate counts beside each frame's own."""


@dataclass(frozen=True)
class Tbf:
    """A token bucket's parameters in the kernel's own fields."""

    rate_byte_s: int
    burst: int
    limit: int
    overhead: int = 0
    """Bytes that the rate counts beside each frame's own."""

    @property
    def passes(self) -> bool:
        """Whether it is no longer wanted and lets everything pass."""
        return self.rate_byte_s == PASSING_BYTE_S


@dataclass(frozen=True)
class Branch:
    """All that shapes one direction of the edge to one neighbour.

    Args:
        neighbour: the rank at the other end.
        netem: the delay line, and the rate unless tbf makes it.
        tbf: the rate where a burst, a buffer or a discipline was asked for.
        queue: what is done to packets that wait for tbf's tokens; None: droptail.
        buffer_bytes: how much may wait there; 0 where neither a buffer nor a discipline was asked for.
    """

    neighbour: int
    netem: Netem
    tbf: Tbf | None = None
    queue: Queue | None = None
    buffer_bytes: int = 0

    @classmethod
    def of_stages(cls, neighbour: int, line: Netem, queue: Netem | None, tbf: Tbf | None) -> Branch:
        """The branch whose stages these are."""
        if queue is not None and queue.rate_byte_s:
            line = replace(line, rate_byte_s=queue.rate_byte_s, queue_packets=queue.limit, overhead=queue.overhead)
        return cls(neighbour, line, tbf)

    @property
    def rate_byte_s(self) -> int:
        """What the class above must not limit; 0 where there is no rate."""
        return max(self.netem.rate_byte_s, self.tbf.rate_byte_s if self.tbf else 0)

    @property
    def classid(self) -> int:
        """Of the htb class."""
        return ROOT | (self.neighbour + 1)

    @property
    def netem_handle(self) -> int:
        """Of the netem qdisc."""
        return (self.neighbour + 0x10) << 16

    @property
    def queue_handle(self) -> int:
        """Of the netem that makes the rate."""
        return (self.neighbour + 0x8010) << 16

    @property
    def tbf_handle(self) -> int:
        """Of the tbf qdisc."""
        return (self.neighbour + 0x4010) << 16

    @property
    def stages(self) -> tuple[Netem, Netem]:
        """The netems that the kernel has: the delay line, and behind it the queue for the rate.

        What waits for the rate is bounded apart from what is in flight. With a limit of the user's, both are in one
        netem, as the limit says.
        """
        if not self.netem.queue_packets:
            return self.netem, Netem(limit=MAX_AUTO_LIMIT)
        netem = self.netem
        line = replace(netem, rate_byte_s=PASSING_BYTE_S, overhead=0)
        return line, Netem(limit=netem.queue_packets, rate_byte_s=netem.rate_byte_s, overhead=netem.overhead)


@dataclass(frozen=True)
class Tree:
    """A node's whole tree: branches by neighbour, and the branch of every rank whose packets are classified.

    Args:
        rooted: whether the htb root is there.
        branches: by neighbour.
        filters: (rank at the far end, IP version) -> neighbour. At the far end is the final destination for an engine
            at the sender, the original source for one at the receiver.
        stale: filters at the place of a rank that match an address which is not that rank's (any more), with the
            handle by which the kernel knows them.
        passing: filters of ranks behind unshaped edges, with the handle by which the kernel knows them.
        sealed: whether what matches no filter is dropped.
    """

    rooted: bool
    branches: Mapping[int, Branch]
    filters: Mapping[tuple[int, int], int]
    stale: Mapping[tuple[int, int], int] = field(default_factory=dict)
    passing: Mapping[tuple[int, int], int] = field(default_factory=dict)
    sealed: bool = False


EMPTY: Final = Tree(False, {}, {})


def branch_of(port: Port, seed: int) -> Branch:
    """The branch that makes the shape of a port's edge."""
    shape = port.edge.effective
    return Branch(port.neighbour, netem_of(port, seed), tbf_of(shape), shape.queue, waiting_bytes(shape))


def _needs_bucket(shape: LinkShape) -> bool:
    """Whether tbf makes the rate: netem has no burst, counts its queue in packets, and does not drop early."""
    return any(one is not None for one in (shape.burst, shape.buffer, shape.queue))


def netem_of(port: Port, seed: int) -> Netem:
    """The netem that makes the shape of a port's edge (its rate too, unless tbf makes that)."""
    shape = port.edge.effective
    rate = None if _needs_bucket(shape) else shape.rate
    chain = None
    if model := shape.loss_chain:
        survives = Ratio(1 - model.loss_bad.value)
        chain = (model.p.u32, model.r.u32, survives.u32, model.loss_good.u32)
    return Netem(
        delay_ns=shape.delay.ns,
        jitter_ns=shape.jitter.ns,
        limit=queue_limit(shape),
        queue_bytes=queue_bytes(shape),
        queue_packets=queue_packets(shape),
        loss=0 if chain else shape.loss.u32,
        chain=chain,
        duplicate=shape.duplicate.u32,
        corrupt=shape.corrupt.u32,
        reorder=shape.reorder.u32,
        gap=1 if shape.reorder else 0,
        rate_byte_s=rate.byte_s if rate else 0,
        overhead=shape.overhead if rate else 0,
        distribution=shape.distribution,
        seed=edge_seed(seed, port.edge.src, port.edge.dst),
    )


def tbf_of(shape: LinkShape) -> Tbf | None:
    """The token bucket of a shape with a burst, a buffer or a discipline."""
    if shape.rate is None or not _needs_bucket(shape):
        return None
    burst = max(shape.burst.bytes, FRAME) if shape.burst else automatic_burst(shape.rate.byte_s)
    limit = waiting_bytes(shape) or default_limit(shape.rate.byte_s, burst)
    return Tbf(shape.rate.byte_s, burst, min(limit, 2**32 - 1), shape.overhead)


def automatic_burst(rate_byte_s: int) -> int:
    """Depth of a bucket that nobody asked for: what is sent in a millisecond, by which a timer may be late."""
    return max(2 * FRAME, rate_byte_s // 1000)


def default_limit(rate_byte_s: int, burst: int) -> int:
    """Bytes that a bucket has room for where a burst was asked for, and no buffer: tc's, for a latency of 50 ms."""
    return burst + max(buffer_bytes(TBF_QUEUEING, Rate(8 * rate_byte_s)), MIN_QUEUE * FRAME)


def has_automatic_burst(tbf: Tbf) -> bool:
    """Whether nobody asked for this burst. The kernel reports it in ticks of 64 ns of the rate."""
    tick = math.ceil(tbf.rate_byte_s * 128e-9) + 1
    return abs(tbf.burst - automatic_burst(tbf.rate_byte_s)) <= tick


def waiting_bytes(shape: LinkShape) -> int:
    """Bytes that may wait for the rate where a buffer or a discipline was asked for, else 0."""
    if shape.rate is None:
        return 0
    if shape.buffer is not None:
        return max(buffer_bytes(shape.buffer, shape.rate), FRAME)
    return max(_delay_product(shape.rate, shape.delay), AQM_FRAMES * FRAME) if shape.queue else 0


def queue_bytes(shape: LinkShape) -> int:
    """Bytes that may wait for netem's rate; 0 where there is none, or the user gave a limit.

    One bandwidth-delay product of the round trip over this edge (2 x delay), at least 50 ms and 32 full frames: the
    classical rule that lets one TCP flow fill the link (Villamizar and Song 1994).
    """
    if shape.rate is None or shape.limit is not None or _needs_bucket(shape):
        return 0
    return _delay_product(shape.rate, shape.delay)


def _delay_product(rate: Rate, delay: Time) -> int:
    seconds = max(2 * delay.ns, MIN_QUEUEING.ns) / 1e9
    return max(math.ceil(min(rate, UNLIMITED).bit_s * seconds / 8), MIN_QUEUE * FRAME)


def queue_packets(shape: LinkShape) -> int:
    """Packets that may wait for the rate in the kernel: queue_bytes of full frames, and what jitter brings at once.

    A link with a rate does not reorder: a packet that jitter holds for long holds those behind it, so what was sent
    within the span of the jitter (twice its value) comes to the queue together, in the smallest frames at worst.
    """
    if not (waiting := queue_bytes(shape)) or shape.rate is None:
        return 0
    return math.ceil(waiting / FRAME) + _smallest_frames(shape.rate, 2 * shape.jitter.ns / 1e9)


def queue_limit(shape: LinkShape) -> int:
    """Packets that the delay line has room for, and those behind it.

    A packet in flight is not to be dropped, whatever its size: with a rate there are at most rate x (delay + the most
    that the jitter adds) / SMALLEST_FRAME. Before a token bucket packets are in flight at any rate.
    """
    if shape.limit is not None:
        return shape.limit
    longest = (shape.delay.ns + highest(shape.distribution) * shape.jitter.ns) / 1e9
    rate = shape.rate if shape.rate and not _needs_bucket(shape) else UNLIMITED
    packets = _smallest_frames(rate, longest) + queue_packets(shape)
    return min(max(packets, MIN_QUEUE if shape.rate else MIN_LIMIT), MAX_AUTO_LIMIT)


def _smallest_frames(rate: Rate, seconds: float) -> int:
    return math.ceil(min(rate.bit_s / (8 * SMALLEST_FRAME), MAX_PACKETS_PER_S) * seconds)


def edge_seed(seed: int, src: int, dst: int) -> int:
    """A 64-bit seed of netem's random numbers, its own for every direction of every edge."""
    return int.from_bytes(hashlib.sha256(f"netem {seed} {src} {dst}".encode()).digest()[:8], "little")


def tree_of(node: NodePlan, ports: Iterable[Port], versions: Collection[int] = (4, 6)) -> Tree:
    """The tree that makes a node's outgoing or its incoming edges; an unshaped edge needs no branch.

    Args:
        node: whose tree it is.
        ports: the node's, of one direction.
        versions: of IP that the nodes have addresses of.
    """
    if not node.guarded:
        return EMPTY
    branches: dict[int, Branch] = {}
    filters: dict[tuple[int, int], int] = {}
    passing: dict[tuple[int, int], int] = {}
    for port in ports:
        far, shape = [(rank, version) for rank in port.ranks for version in versions], port.edge.effective
        if shape.is_unshaped:
            passing |= dict.fromkeys(far, 0)
        else:
            branches[port.neighbour] = branch_of(port, node.seed)
            filters |= dict.fromkeys(far, port.neighbour)
    return Tree(True, branches, filters, passing=passing, sealed=True)


def shape_of(branch: Branch) -> LinkShape:
    """What a branch does to packets, in the words of a link shape: how what the kernel reports is shown to people."""
    netem, tbf = branch.netem, None if branch.tbf and branch.tbf.passes else branch.tbf
    rate_byte_s, overhead = (tbf.rate_byte_s, tbf.overhead) if tbf else (netem.rate_byte_s, netem.overhead)
    chain = None
    if netem.chain:
        p, r, survive, loss_good = (Ratio.from_u32(raw) for raw in netem.chain)
        chain = GilbertElliott(p, r, Ratio(1 - survive.value), loss_good)
    return LinkShape.unchecked(
        rate=Rate(8 * rate_byte_s) if rate_byte_s else None,
        delay=Time(netem.delay_ns),
        jitter=Time(netem.jitter_ns),
        distribution=netem.distribution,
        loss=ZERO_RATIO if chain else Ratio.from_u32(netem.loss),
        gilbert_elliott=chain,
        duplicate=Ratio.from_u32(netem.duplicate),
        corrupt=Ratio.from_u32(netem.corrupt),
        reorder=Ratio.from_u32(netem.reorder),
        limit=netem.limit,
        burst=Size(tbf.burst) if tbf and not (branch.buffer_bytes and has_automatic_burst(tbf)) else None,
        queue=branch.queue,
        buffer=Size(branch.buffer_bytes) if branch.buffer_bytes else None,
        overhead=overhead,
    )
