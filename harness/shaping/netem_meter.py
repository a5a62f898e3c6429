"""The counters of a node's netem qdiscs, by one dump and without pyroute2; see shaping/meter.py."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Final

from harness.model.address import INTERFACE
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.meter import read_passed, read_tree
from harness.shaping.counts import Counts, edge_counts, read_counts
from harness.shaping.qdisc import LEAF_HANDLES, ROOT, UPLINK, Branch, Netem

_RTM_GETQDISC: Final = 38
_TCMSG: Final = struct.Struct("=BxxxiIII")
"""struct tcmsg (linux/rtnetlink.h): family, interface, handle, parent, info."""
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
