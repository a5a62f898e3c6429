"""The counters of a node's netem qdiscs, by one dump and without pyroute2; see shaping/meter.py."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Final

from harness.model.address import INTERFACE
from harness.netlink.nlattr import attrs, each
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.meter import Counts
from harness.shaping.qdisc import Branch, Netem

_RTM_GETQDISC: Final = 38
_TCMSG: Final = struct.Struct("=BxxxiIII")
"""struct tcmsg (linux/rtnetlink.h): family, interface, handle, parent, info."""
_STATS2: Final = 7
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8
"""TCA_STATS_...: struct gnet_stats_basic and gnet_stats_queue (linux/gen_stats.h), and packets of more than 32 bits."""
_BASIC_STATS: Final = struct.Struct("=QI")
_QUEUE_STATS: Final = struct.Struct("=III")
_PACKETS: Final = struct.Struct("=Q")
_LINE: Final = Branch(0, Netem()).netem_handle
_QUEUED: Final = Branch(0, Netem()).queue_handle


class NetemMeter:
    """See Meter. Raises OSError where the node has no interface.

    Args:
        neighbours: at the other ends of its edges.
    """

    def __init__(self, neighbours: Iterable[int]) -> None:
        self._index = socket.if_nametoindex(INTERFACE)
        self._netlink = Rtnetlink()
        self._lines = {_LINE + (near << 16): near for near in neighbours}
        self._queues = {_QUEUED + (near << 16): near for near in neighbours}

    def read(self) -> dict[int, Counts]:
        """See Meter."""
        lines: dict[int, Counts] = {}
        queues: dict[int, Counts] = {}
        for body in self._netlink.dump(_RTM_GETQDISC, _TCMSG.pack(0, self._index, 0, 0, 0)):
            _, index, handle, _, _ = _TCMSG.unpack_from(body)
            if index != self._index:
                continue
            if (near := self._lines.get(handle)) is not None:
                lines[near] = read_counts(body)
            elif (near := self._queues.get(handle)) is not None:
                queues[near] = read_counts(body)
        return {near: with_queue(line, queues[near]) if near in queues else line for near, line in lines.items()}

    def notes(self) -> list[str]:
        """See Meter: nothing happens to the kernel."""
        return []

    def close(self) -> None:
        """See Meter."""
        self._netlink.close()


def read_counts(body: bytes | memoryview) -> Counts:
    """The counters in a message of a dump of qdiscs."""
    packets = size = queued = backlog = drops = 0
    for kind, stats in each(attrs(memoryview(body)[_TCMSG.size :]).get(_STATS2, b"")):
        if kind == _BASIC:
            size, packets = _BASIC_STATS.unpack_from(stats)
        elif kind == _QUEUE:
            queued, backlog, drops = _QUEUE_STATS.unpack_from(stats)
        elif kind == _PACKETS64:
            packets = _PACKETS.unpack_from(stats)[0]
    return packets, size, drops, backlog, queued


def with_queue(line: Counts, queue: Counts) -> Counts:
    """What both stages hold: before Linux 6.13 a netem did not count what stands in the one below it."""
    packets, size, dropped, backlog, queued = line
    if backlog >= queue[3]:
        return line
    return packets, size, dropped, backlog + queue[3], queued + queue[4]
