"""The counters of a qdisc in a message of a dump, and those of an edge, which has several qdiscs."""

from __future__ import annotations

import struct
from typing import Final

from harness.netlink.nlattr import attrs, each

Counts = tuple[int, int, int, int, int]
"""The fields of Stats in order: packets and bytes sent, packets dropped, bytes and packets queued. Making a dataclass
would take longer than reading the numbers."""
NOTHING: Final[Counts] = (0, 0, 0, 0, 0)
_TCMSG_BYTES: Final = 20
"""The size of struct tcmsg (linux/rtnetlink.h), which comes before the attributes."""
_STATS2: Final = 7
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8
"""TCA_STATS_...: struct gnet_stats_basic and gnet_stats_queue (linux/gen_stats.h), and packets of more than 32 bits."""
_BASIC_STATS: Final = struct.Struct("=QI")
_QUEUE_STATS: Final = struct.Struct("=III")
_PACKETS: Final = struct.Struct("=Q")


def read_counts(body: bytes | memoryview) -> Counts:
    """The counters in a message of a dump of qdiscs."""
    packets = size = queued = backlog = drops = 0
    for kind, stats in each(attrs(memoryview(body)[_TCMSG_BYTES:]).get(_STATS2, b"")):
        if kind == _BASIC:
            size, packets = _BASIC_STATS.unpack_from(stats)
        elif kind == _QUEUE:
            queued, backlog, drops = _QUEUE_STATS.unpack_from(stats)
        elif kind == _PACKETS64:
            packets = _PACKETS.unpack_from(stats)[0]
    return packets, size, drops, backlog, queued


def edge_counts(line: Counts, queue: Counts = NOTHING, tbf: Counts = NOTHING, leaf: Counts = NOTHING) -> Counts:
    """The counters of an edge, computed from those of its qdiscs.

    A qdisc also counts what is dropped below it (qdisc_tree_reduce_backlog), and since Linux 6.13 a netem counts what
    waits below it. What is in a leaf belongs to the edge behind a tbf, and to the uplink otherwise.
    """
    packets, size, dropped, backlog, queued = line
    if backlog < queue[3]:
        backlog, queued = backlog + queue[3], queued + queue[4]
    if tbf is not NOTHING:
        return packets, size, dropped, backlog, queued
    return packets, size, max(0, dropped - leaf[2]), max(0, backlog - leaf[3]), max(0, queued - leaf[4])
