"""The qdisc tree that a node's ports ask for; qdisc_diff.py computes the changes that lead to it.

::

    eth0 root  htb 1:  default ffff
     |- class 1:fffe   the node's uplink; never limits where it has none
     |   `- class 1:(n+1)   one per neighbour n; shares the uplink fairly, or never limits
     |       `- netem (n+16):   the delay line: delay, jitter, loss, ...; sets no rate, but keeps packets in order
     |           `- netem (n+0x8010):   the queue for the rate; lets everything pass where there is none
     |               |- tbf (n+0x4010):   only where a burst, a buffer or a discipline was asked for; it makes the rate
     |               |   `- codel, fq_codel, red or pie:   only where one was asked for; what waits for tbf's rate
     |               `- bfifo, codel, ...:   only where there is an uplink and no tbf; what waits for the uplink
     |- class 1:ffff
     |   `- blackhole 7fff:   drops what matches no filter
     `- u32 filters: prio 1, IPv6 neighbour discovery -> 1:0, unshaped; IPv4 prio 2 and IPv6 prio 3, final destinations
        by the fewest prefixes -> class of the next hop, or 1:0 where that edge is unshaped; prio 4, ARP -> 1:0; prio 5
        and 6, in containers: beyond the gateway -> 1:0

The tree is built once and changed in place afterwards, so nothing queued is dropped and no moment is unshaped: only
another queue discipline than before, and red with other parameters, start with an empty queue.
A branch that is no longer needed stays, with a netem that does nothing.

A netem hands on what is due each time that htb asks it for a packet; so what waits for the uplink waits in the last
qdisc, which bounds it. A tbf hands on nothing by itself: behind one, the queue for the edge's rate is the queue for the
uplink too.

The engine in user space imitates a branch at the receiver: there are no qdiscs then, but the fields are these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from harness.model.address import MTU
from harness.model.delivery import Delivery
from harness.model.link import Distribution
from harness.model.queueing import DISCIPLINES, Queue
from harness.model.units import Rate
from harness.shaping.htb_class import HtbClass, never_limiting
from harness.shaping.leaf import Leaf

Prefix = IPv4Network | IPv6Network
ROOT: Final = 0x1_0000
DROPPING: Final = 0xFFFF
"""Minor number of the class of what matches no filter."""
UPLINK: Final = 0xFFFE
"""Minor number of the class above those of the neighbours."""
PASS: Final = -1
"""In place of a neighbour: packets cross an unshaped edge (class 1:0)."""
MAX_AUTO_LIMIT: Final = 1_000_000
UNLIMITED: Final = Rate(20 * 10**9)
"""Rate of a class that must not limit, and the most that a queue is sized for."""
PASSING_BYTE_S: Final = 2**37 - 1
"""Rate of a token bucket that is no longer wanted: 1.1 Tbit/s, which nobody has and nobody asks for to the byte."""
PASSING_BURST: Final = PASSING_BYTE_S // 1000
PASSING_UPLINK: Final = replace(never_limiting(), rate=PASSING_BYTE_S, ceil=PASSING_BYTE_S, quantum=0)
"""The class above those of the neighbours where nothing limits them together."""
LEAF_HANDLES: Final = {kind: 0xA010 + 0x1000 * number for number, kind in enumerate(DISCIPLINES)}
"""By discipline, the major number of the leaf of neighbour 0; the last of neighbour 4093 is 0xf00d."""


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
        htb: its class, where links are made by qdiscs.
        leaf: the qdisc that is last, where there is one behind netem or tbf.
        mtu: of the network; no qdisc knows it.
        delivery: a packet-delivery trace in place of a rate; no qdisc serves one.
    """

    neighbour: int
    netem: Netem
    tbf: Tbf | None = None
    queue: Queue | None = None
    buffer_bytes: int = 0
    htb: HtbClass | None = None
    leaf: Leaf | None = None
    mtu: int = field(default=MTU, compare=False)
    delivery: Delivery | None = None

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
    def leaf_handle(self) -> int:
        """Of the last qdisc: every kind has its own, for one can only take another's place with another handle."""
        kind = self.leaf.queue.kind if self.leaf else "droptail"
        return (self.neighbour + LEAF_HANDLES[kind]) << 16

    @property
    def leaf_parent(self) -> int:
        """Where the last qdisc hangs."""
        return (self.tbf_handle if self.tbf else self.queue_handle) | 1

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
    """A node's whole tree: branches by neighbour, and the branch of every prefix whose packets are classified.

    Args:
        rooted: whether the htb root is there.
        branches: by neighbour.
        filters: prefix of addresses at the far end -> neighbour. At the far end is the final destination for an engine
            at the sender, the original source for one at the receiver.
        stale: (IP version, handle by which the kernel knows it) of every filter whose prefix is not, or not any more,
            one of those that lead to, or come from, the neighbour that it names.
        passing: filters of prefixes behind unshaped edges, with the handle by which the kernel knows them.
        sealed: whether what matches no filter is dropped.
        uplink: the class above those of the branches, where links are made by qdiscs.
    """

    rooted: bool
    branches: Mapping[int, Branch]
    filters: Mapping[Prefix, int]
    stale: tuple[tuple[int, int], ...] = ()
    passing: Mapping[Prefix, int] = field(default_factory=dict)
    sealed: bool = False
    uplink: HtbClass | None = None


EMPTY: Final = Tree(False, {}, {})
