"""Reads the counters of a node's link queues in its shaper daemon's memory; see shaping/meter.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from harness.errors import UnavailableError
from harness.model.address import INTERFACE
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.meter import read_tree
from harness.shaping.caps.uplink import UPLINK
from harness.shaping.counts import Counts
from harness.shaping.userspace import control, nfqueue
from harness.shaping.userspace.node_queues import QUEUE_BASE
from harness.shaping.userspace.state import EVENTS, State


class UserspaceMeter:
    """See Meter.

    Args:
        neighbours: whose link queues to read.

    Raises:
        UnavailableError: the daemon does not run, or is of a version that cannot share its counters.
    """

    def __init__(self, neighbours: Sequence[int]) -> None:
        files: list[int] = []
        answer = control.ask({"do": "share"}, files)
        if not files:
            raise UnavailableError(
                "the shaper daemon is of an older version, without shared counters: 'harness down' and 'up' again"
            )
        self._file = files[0]
        self._state = State(self._file, answer["slots"], writable=False)
        self._links = [(near, self._state.counters(answer["first"] + near)) for near in neighbours]
        self._caps_text, self._generation = answer["caps"], -1
        self._caps: dict[str, memoryview] = {}
        self._queues = nfqueue.CounterFile()
        self._netlink, self._index = Rtnetlink(), socket.if_nametoindex(INTERFACE)

    def read(self) -> dict[int, Counts]:
        """See Meter; includes packets that the kernel dropped before the daemon saw them."""
        kernel, found = self._queues.read(), {}
        for near, numbers in self._links:
            waiting, overflow, unread = kernel.get(QUEUE_BASE + near, (0, 0, 0))
            packets, size, dropped, backlog, _ = numbers
            found[near] = packets, size, dropped + overflow + unread, backlog, waiting
        return found

    def caps(self) -> dict[str, Counts]:
        if (generation := self._state.generation(self._caps_text)) != self._generation:
            self._generation, text = generation, self._state.load(self._caps_text) or {"slots": {}}
            self._caps = {name: self._state.counters(slot) for name, slot in text["slots"].items()}
        found = {}
        for name, numbers in self._caps.items():
            packets, size, dropped, backlog_bytes, backlog_packets = numbers
            found[name] = packets, size, dropped, backlog_bytes, backlog_packets
        uplink = read_tree(self._netlink, self._index)
        return found | ({UPLINK: uplink} if uplink else {})

    def notes(self) -> list[str]:
        """See Meter: what has happened to the daemon."""
        return list(self._state.load(EVENTS) or ())

    def close(self) -> None:
        """See Meter; the memory is freed when nobody refers to it."""
        self._queues.close()
        self._netlink.close()
        os.close(self._file)
