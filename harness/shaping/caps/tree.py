"""The htb tree of a shared capacity that is not part of a node's own tree.

::

    root  htb 1:   default fffe
     `- class 1:ffff              the capacity: rate = ceil; overhead
         |- class 1:m             one per flow, m > 0: a small rate of its own, and up to the whole capacity; what is
         |   `- bfifo (auto)      free goes round frame by frame (quantum)
         `- class 1:fffe          what belongs to no flow
             `- bfifo (auto)

The tree is built once and changed in place: a capacity that is removed becomes one that never limits. No queued packet
is lost, unless the queue discipline changes.

A tree, wanted or read from the kernel, is two mappings, of classes and of leaves; their differences must be sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from harness.model.address import full_frame
from harness.model.capacity import Capacity
from harness.model.super_packets import max_segments, most_segments_at
from harness.model.units import Rate, Size
from harness.shaping.htb_class import HtbClass
from harness.shaping.leaf import Leaf
from harness.shaping.qdisc import PASSING_BYTE_S

TOTAL: Final = 0xFFFF
"""Minor number of the class that has the capacity's rate."""
REST: Final = 0xFFFE
"""Minor number of the class for packets that belong to no flow."""
TICK_NS: Final = 64
"""Of the kernel's times in htb (include/net/pkt_sched.h: PSCHED_SHIFT)."""
_U32_MAX: Final = 0xFFFFFFFF
_OWN_SHARE: Final = 10
"""A flow's own rate is a tenth of an equal share, because the sum of own rates must not exceed the capacity."""
_BURST_SECONDS: Final = 1e-3
"""Depth of the bucket: a timer may be so late without a loss of rate."""
_PASSING_QUANTUM: Final = 60_000
"""Bytes, where nothing limits."""


@dataclass(frozen=True)
class CapTree:
    """A tree, wanted or read.

    Args:
        classes: by minor number.
        leaves: by minor number of their classes.
        shortening: bytes by which a frame counts less than it has (a negative overhead, which htb itself lacks).
    """

    classes: Mapping[int, HtbClass] = field(default_factory=dict)
    leaves: Mapping[int, Leaf] = field(default_factory=dict)
    shortening: int = 0


def cap_tree(capacity: Capacity | None, flows: int, mtu: int) -> CapTree:
    """The tree of a capacity.

    Args:
        capacity: the limit; None: the tree never limits, and any leaves will do.
        flows: how many share it; their classes are 1:1 and following.
        mtu: of the network. The tree is made for the largest super-packets that this capacity allows, so that it does
            not depend on the network's other limits.
    """
    numbers = (*range(1, flows + 1), REST)
    if capacity is None:
        one = _class(PASSING_BYTE_S, PASSING_BYTE_S, _PASSING_QUANTUM, 0)
        return CapTree({TOTAL: replace(one, quantum=0), **dict.fromkeys(numbers, one)})
    rate, extra = capacity.rate.byte_s, max(0, capacity.overhead)
    packet = (most_segments_at(capacity.rate, mtu) or max_segments(mtu)) * full_frame(mtu)
    own = max(1, rate // (_OWN_SHARE * max(1, flows)))
    total = replace(_class(rate, rate, packet, extra), quantum=0)
    one, leaf = _class(own, rate, packet, extra), Leaf(capacity.queue, capacity.flow_bytes(flows))
    return CapTree(
        {TOTAL: total, **dict.fromkeys(numbers, one)}, dict.fromkeys(numbers, leaf), max(0, -capacity.overhead)
    )


def _class(rate: int, ceil: int, packet: int, overhead: int) -> HtbClass:
    burst = ceil * _BURST_SECONDS + packet
    return HtbClass(
        rate, ceil, _ticks(burst if rate == ceil else packet, rate), _ticks(burst, ceil), packet + overhead, overhead
    )


def _ticks(size: float, rate: int) -> int:
    return min(round(size / rate * 1e9 / TICK_NS), _U32_MAX)


def held_capacity(found: CapTree, wanted: Capacity | None, flows: int) -> Capacity | None:
    """The capacity that a tree enforces, in the wanted one's units where they are equal.

    Args:
        found: the tree that was read.
        wanted: the capacity that it should enforce.
        flows: how many share it.
    """
    total = found.classes.get(TOTAL)
    if total is None or total.rate == PASSING_BYTE_S:
        return None
    rate = wanted.rate if wanted and wanted.rate.byte_s == total.rate else Rate(total.rate * 8)
    overhead = -found.shortening or total.overhead
    leaf = found.leaves.get(REST)
    if leaf is None:
        return Capacity(rate, overhead=overhead)
    queue = wanted.queue if wanted and wanted.queue == leaf.queue else leaf.queue
    same = wanted is not None and wanted.flow_bytes(flows) == leaf.limit
    return Capacity(rate, queue, wanted.buffer if wanted and same else Size(leaf.limit), overhead)


def differences(wanted: CapTree, found: CapTree) -> Iterator[str]:
    """How the tree that was read differs from the wanted one, in words."""
    for number, class_ in wanted.classes.items():
        if number not in found.classes:
            yield f"class {number:x} is missing"
        elif (other := found.classes[number]) != class_:
            names = [name for name, value in vars(class_).items() if getattr(other, name) != value]
            yield f"class {number:x}: " + ", ".join(
                f"{name} {getattr(class_, name)} -> {getattr(other, name)}" for name in names
            )
    for number, leaf in wanted.leaves.items():
        if number not in found.leaves:
            yield f"the queue of class {number:x} is missing"
        elif (held := found.leaves[number]) != leaf:
            yield f"queue of class {number:x}: {leaf.queue} {leaf.limit} bytes -> {held.queue} {held.limit} bytes"
    if wanted.shortening != found.shortening:
        yield f"overhead {-wanted.shortening} -> {-found.shortening}"
