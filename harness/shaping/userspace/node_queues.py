"""One node's link queues and their NFQUEUEs in the kernel."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from harness.linux import syscalls
from harness.model.address import SMALLEST_FRAME
from harness.model.delivery import packed_traces, remember_traces
from harness.shaping.qdisc import Branch
from harness.shaping.userspace import control, nfqueue
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import BACKLOG_BYTES, DROPPED, SENT_BYTES, SENT_PACKETS
from harness.shaping.userspace.guard import COPY_MARK
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.packet import HEADER_BYTES, Packet
from harness.shaping.userspace.state import Layout, State

if TYPE_CHECKING:
    from harness.shaping.userspace.shared_cap import CapFlow

QUEUE_BASE: Final = 0x4800
"""Number of the queue for packets from neighbour 0, away from the low numbers that other programs take."""
_ROOM: Final = 10_000
"""Packets that may wait for us to read them, beyond those in a link queue."""
_VERDICTS: Final = 256
"""At most so many per send."""


class NodeQueues:
    """One node's queues.

    Args:
        namespace: file descriptor of its network namespace; None: the current one, as in a container, where we may not
            enter any.
        state: where it saves its link queues, and counts.
        layout: of the state.
        index: of this node among those of the process.
    """

    def __init__(self, namespace: int | None, state: State, layout: Layout, index: int) -> None:
        self.namespace, self._state, self._layout, self.index = namespace, state, layout, index
        self.enter()
        self.queue = nfqueue.Nfqueue()
        self._kernel = nfqueue.CounterFile()
        self.link_queues: dict[int, LinkQueue] = {}
        self._crossed: dict[int, Sequence[CapFlow]] = {}
        """What a queue's packets cross before they are let go, by the queue's number."""
        self.out: list[bytes] = []
        """Verdicts to send."""
        self._raw: dict[int, socket.socket] = {}
        self._saved_traces: set[str] = set()
        if saved := state.load(layout.branches(index)):
            remember_traces(state.load(layout.deliveries(index)) or {})
            begun = {branch["neighbour"]: branch["begun"] for branch in saved}
            self.set([control.branch_from_json(branch) for branch in saved], begun)

    def enter(self) -> None:
        """Enter its network namespace."""
        if self.namespace is not None:
            syscalls.setns(self.namespace, syscalls.CLONE_NEWNET)

    def set(self, branches: list[Branch], begun: Mapping[int, int] = MappingProxyType({})) -> None:
        """Make these link queues, or change them in place, and save them.

        Args:
            branches: one for each.
            begun: when traces began that an earlier daemon has served, ns by neighbour.

        Raises:
            Refused: the kernel refuses, or there is no room for so many traces.
        """
        try:
            self._set(branches, begun)
        finally:
            self._save()

    def _save(self) -> None:
        held = [link_queue.branch.delivery for link_queue in self.link_queues.values()]
        digests = {one.digest for one in held if one is not None}
        if digests != self._saved_traces:
            try:
                self._state.save(self._layout.deliveries(self.index), packed_traces(held))
            except ValueError as problem:
                raise control.Refused(None, f"its links have too many packet-delivery traces: {problem}") from None
            self._saved_traces = digests
        texts = [
            {**control.branch_to_json(link_queue.branch), "begun": link_queue.begun}
            for link_queue in self.link_queues.values()
        ]
        self._state.save(self._layout.branches(self.index), texts)

    def _set(self, branches: list[Branch], begun: Mapping[int, int]) -> None:
        for branch in branches:
            number = QUEUE_BASE + branch.neighbour
            link_queue = self.link_queues.get(number)
            try:
                if branch.netem.duplicate:
                    self._open_raw()
                if link_queue is None:
                    self._bind(number, branch, begun.get(branch.neighbour) or time.monotonic_ns())
                else:
                    link_queue.configure(branch, time.monotonic_ns())
                    self._tune(number, link_queue)
            except OSError as problem:
                raise control.Refused(branch.neighbour, problem.strerror or str(problem)) from None

    def _bind(self, number: int, branch: Branch, begun: int) -> None:
        counters = self._state.counters(self._layout.link_queue(self.index, branch.neighbour))
        counters[BACKLOG_BYTES] = 0  # a killed daemon has left its own
        link_queue = LinkQueue(number, branch, counters, begun)
        self.enter()  # bind looks up who owns the queue, where somebody else does
        self.queue.bind(number, **self._settings(number, link_queue))
        self.link_queues[number] = link_queue

    def cross(self, number: int, flows: Sequence[CapFlow]) -> None:
        """Send a link queue's packets through shared capacities, one after the other, before they are let go."""
        link_queue = self.link_queues[number]
        for flow, then in zip_longest(flows, flows[1:]):
            flow.then = then
        link_queue.flow = flows[0] if flows else None
        if not all(flow.cap.keeps_order for flow in flows):
            link_queue.unordered = NEVER
        if flows or self._crossed.get(number):
            self._crossed[number] = flows
            self._tune(number, link_queue)

    def _tune(self, number: int, link_queue: LinkQueue) -> None:
        self.queue.set(number, **self._settings(number, link_queue))

    def _settings(self, number: int, link_queue: LinkQueue) -> dict[str, Any]:
        branch, caps = link_queue.branch, [flow.cap for flow in self._crossed.get(number, ())]
        waiting = branch.tbf.limit if branch.tbf else branch.netem.queue_bytes
        waiting += branch.buffer_bytes if branch.delivery else 0
        waiting += sum(cap.flow_bytes for cap in caps)
        needs_header = link_queue.needs_header or any(cap.needs_header for cap in caps)
        copied = HEADER_BYTES if needs_header else nfqueue.LENGTH_ONLY
        return {
            "max_length": min(branch.netem.limit + waiting // SMALLEST_FRAME, 1 << 30) + _ROOM,
            "copy_bytes": nfqueue.FULL_COPY if link_queue.needs_payload else copied,
            "segment": link_queue.per_packet,
        }

    def _open_raw(self) -> None:
        for family in (socket.AF_INET, socket.AF_INET6):
            if family not in self._raw:
                self.enter()
                try:
                    self._raw[family] = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
                    self._raw[family].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, COPY_MARK)
                except PermissionError:
                    raise OSError(0, "duplicating packets needs CAP_NET_RAW in the node") from None
                except OSError as problem:
                    if problem.errno != errno.EAFNOSUPPORT:  # no IPv6 on this host
                        raise

    def let_go(self, link_queue: LinkQueue, packet: Packet) -> None:
        """Let a packet go that has crossed every shared capacity."""
        link_queue.let_go(packet, self.out)
        self.send_copies(link_queue)

    def send_copies(self, link_queue: LinkQueue) -> None:
        """Send the copies that are due to their destinations."""
        for copy in link_queue.copies:
            self._repeat(copy)
        link_queue.copies.clear()

    def _repeat(self, packet: bytes) -> None:
        version_4 = packet[0] >> 4 == 4
        family = socket.AF_INET if version_4 else socket.AF_INET6
        target = socket.inet_ntop(family, packet[16:20] if version_4 else packet[24:40])
        with contextlib.suppress(OSError, KeyError):
            self._raw[family].sendto(packet, (target, 0))

    def flush(self) -> None:
        """Send the verdicts in ``out``."""
        out, self.out = self.out, []
        for start in range(0, len(out), _VERDICTS):
            self.queue.send(b"".join(out[start : start + _VERDICTS]))

    def reading(self) -> dict[int, dict[str, Any]]:
        """Every link queue with its counters, as JSON by neighbour."""
        kernel: dict[int, nfqueue.Counters] = {}
        with contextlib.suppress(OSError):
            kernel = self._kernel.read()
        links = {}
        for number, link_queue in self.link_queues.items():
            lost = kernel.get(number, nfqueue.Counters(0, 0, 0))
            links[number - QUEUE_BASE] = {
                "branch": control.branch_to_json(link_queue.branch),
                "sent_packets": link_queue.counters[SENT_PACKETS],
                "sent_bytes": link_queue.counters[SENT_BYTES],
                "dropped": link_queue.counters[DROPPED] + lost.overflow + lost.unread,
                "backlog_bytes": link_queue.backlog_bytes,
                "backlog_packets": max(lost.waiting, link_queue.queued),
            }
        return links
