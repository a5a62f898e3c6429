"""When the shaper daemon looks at which link queue or shared capacity, and how it lets packets go then."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from typing import Final

from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import BACKLOG_BYTES
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.node_queues import NodeQueues
from harness.shaping.userspace.shared_cap import SharedCap
from harness.shaping.userspace.shared_caps import forward

LEAD_NS: Final = 80_000
MAX_LEAD_NS: Final = 150_000
_LEAD_STEP_NS: Final = 1_000
"""A packet is let go this long before its time, at first and at most: to wake up and to tell the kernel takes a while.
The lead shrinks by a step when a packet left early and grows when one left late, so that the median leaves on time."""


class Agenda:
    """A heap of times, each with a link queue and its node or with a shared capacity."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, LinkQueue | SharedCap, NodeQueues | None]] = []
        """Time (ns), turn (so that nothing behind it is compared), what to look at, its node."""
        self.lead = LEAD_NS
        self._turn = 0

    def next_look(self) -> int:
        """When the next packet leaves, ns; the agenda must not be empty.

        Puts off a link queue whose packets would only wait for a shared capacity.
        """
        entries = self.entries
        while True:
            at, _, item, node = entries[0]
            if isinstance(item, SharedCap) or item.flow is None:
                return at
            later = item.flow.cap.look_for(at)
            if later == at or at != item.scheduled:
                return at
            item.scheduled = later
            self._turn += 1
            heapq.heapreplace(entries, (later, self._turn, item, node))

    def release(self, until: int) -> None:
        """Let go of what is due by then (ns); the first entry must be."""
        entries = self.entries
        dirty: set[NodeQueues] = set()
        crossed: set[SharedCap] = set()
        behind: list[tuple[LinkQueue, NodeQueues]] = []
        due = entries[0][0]
        while entries and entries[0][0] <= until:
            at, _, item, node = heapq.heappop(entries)
            if at != item.scheduled:  # it has been scheduled for an earlier time since
                continue
            item.scheduled = NEVER
            if isinstance(item, SharedCap):
                crossed.add(item)
                continue
            assert node is not None
            item.release(until, node.out)
            if (flow := item.flow) is not None:
                crossed.add(flow.cap)
                behind.append((item, node))
                continue
            dirty.add(node)
            self.schedule(item, node)
            if item.copies:
                node.send_copies(item)
        if crossed:
            forward(crossed, until, dirty)
            self.schedule_caps(crossed)
            for link_queue, node in behind:
                self.schedule(link_queue, node)
        for node in dirty:
            node.flush()
        step = _LEAD_STEP_NS if time.monotonic_ns() > due else -_LEAD_STEP_NS
        self.lead = max(0, min(MAX_LEAD_NS, self.lead + step))

    def schedule(self, link_queue: LinkQueue, node: NodeQueues) -> None:
        """Look at a link queue when its next packet leaves; to be called after every change of it."""
        link_queue.counters[BACKLOG_BYTES] = link_queue.backlog_bytes
        due = link_queue.next
        if (flow := link_queue.flow) is not None:
            due = flow.cap.look_for(due)
        if due < link_queue.scheduled:
            link_queue.scheduled = due
            self._turn += 1
            heapq.heappush(self.entries, (due, self._turn, link_queue, node))

    def schedule_caps(self, caps: Iterable[SharedCap]) -> None:
        """Look at shared capacities when their next packets have crossed them; to be called after every change."""
        for cap in caps:
            if cap.next < cap.scheduled:
                cap.scheduled = cap.next
                self._turn += 1
                heapq.heappush(self.entries, (cap.next, self._turn, cap, None))
