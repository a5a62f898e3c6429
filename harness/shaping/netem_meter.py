"""The counters of a node's netem qdiscs, by one dump and without pyroute2; see shaping/meter.py."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Final

from harness.model.address import INTERFACE
from harness.netlink.nlattr import attrs, each
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.meter import NOTHING, Counts
from harness.shaping.qdisc import LEAF_HANDLES, ROOT, UPLINK, Branch, Netem

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
_TBF: Final = Branch(0, Netem()).tbf_handle
_LEAVES: Final = [major << 16 for major in LEAF_HANDLES.values()]


class NetemMeter:
    """See Meter. Raises OSError where the node has no interface.

    Args:
        neighbours: at the other ends of its edges.
    """

    def __init__(self, neighbours: Iterable[int]) -> None:
        self._index = socket.if_nametoindex(INTERFACE)
        self._netlink = Rtnetlink()
        parts = [("line", _LINE), ("queue", _QUEUED), ("tbf", _TBF), *(("leaf", handle) for handle in _LEAVES)]
        self._ifb = 0
        """Index of the interface with the downlink's tree, as read last; no other one has a tree."""
        self._for_uplink: list[Counts] = []
        """Counters of the queues for the uplink, as read last."""
        self._parts = {handle + (near << 16): (near, name) for name, handle in parts for near in neighbours}

    def read(self) -> dict[int, Counts]:
        found: dict[int, dict[str, Counts]] = {}
        for body in self._netlink.dump(_RTM_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0)):
            _, index, handle, _, _ = _TCMSG.unpack_from(body)
            if index != self._index:
                self._ifb = index if handle == ROOT else self._ifb
                continue
            if (part := self._parts.get(handle)) is not None:
                near, name = part
                found.setdefault(near, {})[name] = read_counts(body)
        self._for_uplink = [one["leaf"] for one in found.values() if "leaf" in one and "tbf" not in one]
        return {near: edge_counts(**counts) for near, counts in found.items() if "line" in counts}

    def caps(self) -> dict[str, Counts]:
        from harness.shaping.caps.meter import read_passed, read_tree  # here, because it imports read_counts

        found = {}
        if passed := read_passed(self._netlink, self._index, UPLINK):
            dropped, backlog, queued = (sum(one[place] for one in self._for_uplink) for place in (2, 3, 4))
            found["uplink"] = *passed, dropped, backlog, queued
        if self._ifb and (downlink := read_tree(self._netlink, self._ifb)):
            found["downlink"] = downlink
        return found

    def notes(self) -> list[str]:
        """See Meter: none."""
        return []

    def close(self) -> None:
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
