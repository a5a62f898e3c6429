"""The qdiscs of queue disciplines, bfifo, codel, fq_codel, red and pie, as bytes (linux/pkt_sched.h), and back.

bfifo and red limit bytes. codel, fq_codel and pie limit packets, to as many as full frames make the limit, so they hold
fewer bytes of small packets. The kernel rounds times to its own ticks.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from harness.model.address import FRAME
from harness.model.queueing import Discipline, Queue, red_thresholds
from harness.model.units import Ratio, Size, Time
from harness.netlink.nlattr import attr, attrs

MAX_BYTES: Final = 2**32 - 1
"""The largest limit that the kernel takes."""
KINDS: Final[Mapping[Discipline, str]] = {
    "droptail": "bfifo",
    "codel": "codel",
    "fq_codel": "fq_codel",
    "red": "red",
    "pie": "pie",
}
"""The kernel's name of every discipline."""
_DISCIPLINES: Final = {kind: discipline for discipline, kind in KINDS.items()}
_TARGET, _LIMIT, _INTERVAL = 1, 2, 3
"""TCA_CODEL_..., TCA_FQ_CODEL_..., TCA_PIE_... (there the third one is TUPDATE): us, packets, us."""
_ECN: Final = {"codel": 4, "fq_codel": 4, "pie": 6}
_FQ_CODEL_MEMORY_LIMIT: Final = 9
_JIFFY_US: Final = 10_000
"""The longest jiffy: pie rounds its update interval up to jiffies."""
_RED_PARMS, _RED_STAB, _RED_MAX_P = 1, 2, 3
_RED: Final = struct.Struct("=IIIBBBB")
"""struct tc_red_qopt: limit, qth_min, qth_max, Wlog, Plog, Scell_log, flags."""
_RED_ECN: Final = 1
_RED_WEIGHT_LOG: Final = 9
"""An arrival's weight in the average is 1/512, Floyd's and Jacobson's 0.002."""
_RED_TYPICAL: Final = 1000
"""Bytes; their sending time counts as one arrival while the queue is empty, as in the examples of tc-red(8)."""
_RED_MOST: Final = 2**29
"""The highest threshold that leaves two bits of red's 32 for the average."""


@dataclass(frozen=True)
class Leaf:
    """A last qdisc.

    Args:
        queue: the discipline.
        limit: bytes that may wait; see the module for disciplines that count packets.
    """

    queue: Queue
    limit: int

    def __str__(self) -> str:
        return f"{self.queue} of {self.limit} bytes"


def passing(leaf: Leaf) -> Leaf:
    """The same discipline with room for everything, for a queue that must no longer limit."""
    queue = leaf.queue
    if queue.kind == "red":
        queue = replace(queue, min=Size(_RED_MOST - 1), max=Size(_RED_MOST))
    return Leaf(queue, MAX_BYTES)


def leaf_options(leaf: Leaf, rate_byte_s: int) -> tuple[str, bytes]:
    """Kind of the qdisc and the payload of its TCA_OPTIONS.

    Args:
        leaf: the qdisc.
        rate_byte_s: at which packets leave, by which red lowers its average while nothing waits.
    """
    queue, kind = leaf.queue, KINDS[leaf.queue.kind]
    if kind == "bfifo":
        return kind, struct.pack("=I", min(leaf.limit, MAX_BYTES))
    if kind == "red":
        return kind, _red(leaf, rate_byte_s)
    values = {
        _TARGET: _microseconds(queue.target),
        _LIMIT: _frames(leaf.limit),
        _INTERVAL: _microseconds(queue.interval),
        _ECN[kind]: int(queue.ecn),
    }
    if kind == "fq_codel":
        values[_FQ_CODEL_MEMORY_LIMIT] = MAX_BYTES  # it counts the memory that packets take, not their bytes
    return kind, b"".join(attr(name, struct.pack("=I", value)) for name, value in values.items())


def _microseconds(value: Time | None) -> int:
    return max(1, (value.ns if value else 0) // 1000)


def _frames(limit: int) -> int:
    return math.ceil(min(limit, MAX_BYTES) / FRAME)


def _red(leaf: Leaf, rate_byte_s: int) -> bytes:
    lowest, highest = red_thresholds(leaf.queue, leaf.limit)
    highest = min(highest, _RED_MOST)
    lowest = min(lowest, highest - 1)
    weight_log = min(_RED_WEIGHT_LOG, 31 - highest.bit_length())  # the kernel's average has 32 bits, these included
    cell_log, table = _idle_table(weight_log, rate_byte_s)
    flags = _RED_ECN if leaf.queue.ecn else 0
    parms = _RED.pack(min(leaf.limit, MAX_BYTES), lowest, highest, weight_log, 0, cell_log, flags)
    most = leaf.queue.probability.u32 if leaf.queue.probability else 0
    return attr(_RED_PARMS, parms) + attr(_RED_STAB, table) + attr(_RED_MAX_P, struct.pack("=I", most))


def _idle_table(weight_log: int, rate_byte_s: int) -> tuple[int, bytes]:
    """(log, table): by how many bits the average shrinks in an idle time, in cells of 2**log us (iproute2, tc_red.c).

    An idle time in which m typical packets would have left multiplies the average by (1 - weight)**m.
    """
    per_us = -math.log2(1 - 2**-weight_log) * rate_byte_s / (_RED_TYPICAL * 1e6)
    cell_log = min(31, max(0, math.ceil(math.log2(31 / per_us / 512))))
    shifts = [min(31, int((cell << cell_log) * per_us)) for cell in range(255)]
    return cell_log, bytes([*shifts, 31])


def read_leaf(kind: str, options: memoryview, wanted: Leaf | None, rate_byte_s: int) -> Leaf | None:
    """The leaf of a qdisc; None for other kinds of qdisc.

    It is ``wanted``, or one that lets everything pass, if these equal it up to the kernel's rounding.

    Args:
        kind: of the qdisc.
        options: the payload of its TCA_OPTIONS.
        wanted: what it should be.
        rate_byte_s: see leaf_options.
    """
    if kind not in _DISCIPLINES:
        return None
    held = _decoded(kind, options)
    for one in (wanted, passing(held)):
        if one is None or KINDS[one.queue.kind] != kind:
            continue
        if _same(_decoded(kind, memoryview(leaf_options(one, rate_byte_s)[1])), held):
            return one
    return held


def _decoded(kind: str, options: memoryview) -> Leaf:
    discipline = _DISCIPLINES[kind]
    if kind == "bfifo":
        return Leaf(Queue(), struct.unpack_from("=I", options)[0])
    found = attrs(options)
    if kind == "red":
        limit, lowest, highest, _, _, _, flags = _RED.unpack_from(found[_RED_PARMS])
        share = Ratio.from_u32(struct.unpack_from("=I", found[_RED_MAX_P])[0]) if _RED_MAX_P in found else None
        lowest, ecn = max(1, lowest), bool(flags & _RED_ECN)
        highest = max(lowest + 1, highest)
        return Leaf(Queue(discipline, min=Size(lowest), max=Size(highest), probability=share, ecn=ecn), limit)
    values = {name: struct.unpack_from("=I", payload)[0] for name, payload in found.items() if len(payload) >= 4}
    target, interval = (Time(1000 * max(1, values.get(name, 0))) for name in (_TARGET, _INTERVAL))
    queue = Queue(discipline, target=target, interval=interval, ecn=bool(values.get(_ECN[kind])))
    return Leaf(queue, values.get(_LIMIT, 0) * FRAME)


def _same(asked: Leaf, held: Leaf) -> bool:
    """Whether leaves are equal up to the kernel's rounding of times, to ticks of at most 1.024 us or pie's jiffies."""
    late = 1000 * _JIFFY_US if asked.queue.kind == "pie" else 0
    return (
        replace(asked.queue, target=None, interval=None) == replace(held.queue, target=None, interval=None)
        and asked.limit == held.limit
        and _near(asked.queue.target, held.queue.target, 0)
        and _near(asked.queue.interval, held.queue.interval, late)
    )


def _near(asked: Time | None, held: Time | None, late: int) -> bool:
    if asked is None or held is None:
        return asked is held
    return -2000 <= held.ns - asked.ns <= late
