"""A node's qdisc tree as a value; qdisc_diff.py computes the changes that lead to it.

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

The tree is built once and then changed in place, so that no queued packet is lost and packets are always shaped. Only a
new queue discipline, and red with new parameters, start with an empty queue. A branch that is no longer needed stays,
with a netem that does nothing.

When htb asks a netem for a packet it passes on all that are due, so packets that wait for the uplink wait in the last
qdisc, which limits them. A tbf passes on nothing by itself: the queue for the edge's rate is then the queue for the
uplink, too.

The user-space engine has no qdiscs, but describes its links by the same fields.
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
"""Minor number of the class for packets that match no filter."""
UPLINK: Final = 0xFFFE
"""Minor number of the uplink's class, the parent of the neighbours' classes."""
PASS: Final = -1
"""Instead of a neighbour: packets cross an unshaped edge (class 1:0)."""
MAX_AUTO_LIMIT: Final = 1_000_000
UNLIMITED: Final = Rate(20 * 10**9)
"""Rate of a class that must not limit, and the highest rate for which a queue is sized."""
PASSING_BYTE_S: Final = 2**37 - 1
"""Rate of a token bucket that is no longer wanted: 1.1 Tbit/s, a number that no user asks for."""
PASSING_BURST: Final = PASSING_BYTE_S // 1000
PASSING_UPLINK: Final = replace(never_limiting(), rate=PASSING_BYTE_S, ceil=PASSING_BYTE_S, quantum=0)
"""The uplink's class of a node without an uplink."""
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
    """The kernel does not report it."""
    seed: int = 0
    """Of netem's random numbers; older kernels ignore it and do not report it."""
    queue_bytes: int = 0
    """Bytes that may wait for the rate in the user-space engine; 0: as much as the limit allows."""
    queue_packets: int = 0
    """The same for the kernel, whose netem counts packets of any size."""
    overhead: int = 0
    """Bytes that the rate counts per frame beside the frame's own."""


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
    """All that shapes one direction of an edge.

    Args:
        neighbour: the rank at the other end.
        netem: the delay line, and the rate unless tbf makes it.
        tbf: the rate of a shape with a burst, a buffer or a discipline.
        queue: the discipline for packets that wait for tbf's tokens; None: droptail.
        buffer_bytes: how much may wait there; 0 for a shape without buffer and discipline.
        htb: its class (netem engine only).
        leaf: the last qdisc, if there is one behind netem or tbf (netem engine only).
        mtu: of the network.
        delivery: a packet-delivery trace instead of a rate (user-space engine only).
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
        """The branch that has these stages."""
        if queue is not None and queue.rate_byte_s:
            line = replace(line, rate_byte_s=queue.rate_byte_s, queue_packets=queue.limit, overhead=queue.overhead)
        return cls(neighbour, line, tbf)

    @property
    def rate_byte_s(self) -> int:
        """The rate of the edge, which its class must not limit; 0 without one."""
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
        """Of the last qdisc: each kind has its own, because a qdisc can replace another only under a new handle."""
        kind = self.leaf.queue.kind if self.leaf else "droptail"
        return (self.neighbour + LEAF_HANDLES[kind]) << 16

    @property
    def leaf_parent(self) -> int:
        """The parent of the last qdisc."""
        return (self.tbf_handle if self.tbf else self.queue_handle) | 1

    @property
    def stages(self) -> tuple[Netem, Netem]:
        """The kernel's two netems: the delay line, and behind it the queue for the rate.

        So packets that wait for the rate have a limit of their own. With the user's own limit, which counts all
        packets, the first netem does both.
        """
        if not self.netem.queue_packets:
            return self.netem, Netem(limit=MAX_AUTO_LIMIT)
        netem = self.netem
        line = replace(netem, rate_byte_s=PASSING_BYTE_S, overhead=0)
        return line, Netem(limit=netem.queue_packets, rate_byte_s=netem.rate_byte_s, overhead=netem.overhead)


@dataclass(frozen=True)
class Tree:
    """A node's whole tree.

    Args:
        rooted: whether the htb root is there.
        branches: by neighbour.
        filters: neighbour by prefix of the far end's addresses: of final destinations for an engine at the sender, of
            original sources for one at the receiver.
        stale: (IP version, kernel's handle) of every filter that sends a prefix to a wrong neighbour.
        passing: kernel's handles of the filters for prefixes behind unshaped edges, by prefix.
        sealed: whether packets that match no filter are dropped.
        uplink: the class of the uplink (netem engine only).
    """

    rooted: bool
    branches: Mapping[int, Branch]
    filters: Mapping[Prefix, int]
    stale: tuple[tuple[int, int], ...] = ()
    passing: Mapping[Prefix, int] = field(default_factory=dict)
    sealed: bool = False
    uplink: HtbClass | None = None


EMPTY: Final = Tree(False, {}, {})
