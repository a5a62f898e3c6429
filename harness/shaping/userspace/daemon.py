"""The shaper daemon: ``daemon.py JSON``; see main.

It owns the NFQUEUEs of one or more nodes, each in its network namespace, and lets packets go when their link queue says
so. It needs CAP_NET_ADMIN there and nothing but the standard library; CAP_NET_RAW as well to send packets twice. It is
started by supervisor.py, and again when it ends: the kernel drops every packet of its queues meanwhile.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

import contextlib
import gc
import heapq
import json
import select
import socket
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.linux import syscalls
from harness.model.delivery import remember_traces
from harness.shaping.qdisc import Branch
from harness.shaping.userspace import clock, control, nfqueue
from harness.shaping.userspace.cap_order import CapOrder
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.node_queues import NodeQueues
from harness.shaping.userspace.shared_cap import SharedCap
from harness.shaping.userspace.shared_caps import SharedCaps, forward
from harness.shaping.userspace.state import BACKLOG_BYTES, EVENTS, Layout, State
from harness.shaping.userspace.supervisor import MAX_CONVERSATIONS
from harness.shaping.userspace.token_bucket import NEVER

LEAD_NS: Final = 80_000
MAX_LEAD_NS: Final = 150_000
_LEAD_STEP_NS: Final = 1_000
"""How much before its time a packet is let go, at first and at most: to be woken and to tell the kernel takes a while.
It is shortened by a step when a packet left early and lengthened when one left late, so that the median leaves on time.
"""
TICK_NS: Final = 300_000
"""The least time between two looks at queues and agenda, so that a busy link costs no wake-up per packet."""
MAX_AGE_NS: Final = 10**10
"""Older stamps are not believed: the clock was set."""
BEAT_SECONDS: Final = 0.5
MAX_EVENTS: Final = 100
_SO_TIMESTAMPNS: Final = 35


class ShaperDaemon:
    """All nodes of this process, and its loop.

    Args:
        namespaces: file descriptors of the nodes' network namespaces; see Node.
        size: nodes of the whole network.
        state: where link queues are remembered.
        listeners: file descriptors of the nodes' control sockets.
        ranks: of the nodes.
    """

    def __init__(
        self,
        namespaces: Sequence[int | None],
        size: int,
        state: State,
        listeners: Sequence[int],
        ranks: Sequence[int],
    ) -> None:
        self._poll = select.epoll()
        self._state, self._readable = state, state.readable()
        self._layout = Layout(len(namespaces), size)
        self._caps = SharedCaps(state, self._layout, ranks)
        self._nodes = []
        for index, namespace in enumerate(namespaces):
            state.beat(time.monotonic_ns())  # many link queues take longer than we may show no sign of life
            self._nodes.append(NodeQueues(namespace, state, self._layout, index))
            self._caps.load(self._nodes[-1])
        self._agenda: list[tuple[int, int, LinkQueue | SharedCap, NodeQueues | None]] = []
        self._turn = 0
        self._lead = LEAD_NS
        self._conversations: list[socket.socket] = []
        self._events: list[str] | None = None
        """What happened to daemons of these nodes until this one had begun; read when it is first asked for."""
        self._sources: dict[int, Any] = {}
        for node, listener in zip(self._nodes, listeners, strict=True):
            node.listener = socket.socket(fileno=listener)
            self._watch(node.queue.fileno(), lambda node=node: self._take(node))
            self._watch(node.listener.fileno(), lambda node=node: self._accept(node))
        self._stamps = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stamps.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # has the kernel stamp what comes in

    def _watch(self, fd: int, handle: Any) -> None:
        self._sources[fd] = handle
        self._poll.register(fd, select.EPOLLIN)

    def run(self) -> None:
        """Delay packets until the process is ended."""
        agenda, monotonic, poll, looked = self._agenda, time.monotonic_ns, self._poll, 0
        while True:
            now = monotonic()
            if (early := looked + TICK_NS - now) > 0:
                time.sleep(early / 1e9)
                now = monotonic()
            looked = now
            self._state.beat(now)
            for fd, _ in poll.poll(0):
                self._sources[fd]()
            until = monotonic() + self._lead
            if agenda and agenda[0][0] <= until:
                self._release(until)
            wait = BEAT_SECONDS
            if agenda:
                wait = min(wait, (self._next_look() - self._lead - monotonic()) / 1e9)
            if wait > 0:
                select.select([poll], (), (), wait)

    def _next_look(self) -> int:
        """When the next packet leaves, ns. A link queue is looked at later where its packets would wait in any case."""
        agenda = self._agenda
        while True:
            at, _, item, node = agenda[0]
            if isinstance(item, SharedCap) or item.flow is None:
                return at
            later = item.flow.cap.look_for(at)
            if later == at or at != item.scheduled:
                return at
            item.scheduled = later
            self._turn += 1
            heapq.heapreplace(agenda, (later, self._turn, item, node))

    def _release(self, until: int) -> None:
        agenda = self._agenda
        dirty: set[NodeQueues] = set()
        crossed: set[SharedCap] = set()
        behind: list[tuple[LinkQueue, NodeQueues]] = []
        due = agenda[0][0]
        while agenda and agenda[0][0] <= until:
            at, _, item, node = heapq.heappop(agenda)
            if at != item.scheduled:  # it was scheduled for an earlier time since
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
            self._schedule(item, node)
            if item.copies:
                node.send_copies(item)
        if crossed:
            forward(crossed, until, dirty)
            self._schedule_caps(crossed)
            for link_queue, node in behind:
                self._schedule(link_queue, node)
        for node in dirty:
            node.flush()
        step = _LEAD_STEP_NS if time.monotonic_ns() > due else -_LEAD_STEP_NS
        self._lead = max(0, min(MAX_LEAD_NS, self._lead + step))

    def _schedule(self, link_queue: LinkQueue, node: NodeQueues) -> None:
        """Called after every change of a link queue: look at it when its next packet leaves."""
        link_queue.counters[BACKLOG_BYTES] = link_queue.backlog_bytes
        due = link_queue.next
        if (flow := link_queue.flow) is not None:
            due = flow.cap.look_for(due)
        if due < link_queue.scheduled:
            link_queue.scheduled = due
            self._turn += 1
            heapq.heappush(self._agenda, (due, self._turn, link_queue, node))

    def _schedule_caps(self, caps: Iterable[SharedCap]) -> None:
        """Called after every change of shared capacities: look at each when its next packet has crossed it."""
        for cap in caps:
            if cap.next < cap.scheduled:
                cap.scheduled = cap.next
                self._turn += 1
                heapq.heappush(self._agenda, (cap.next, self._turn, cap, None))

    def _take(self, node: NodeQueues) -> None:
        packets = node.queue.receive()
        (now, ahead), link_queues, out = clock.ahead(), node.link_queues, node.out
        touched = set()
        for number, packet_id, stamp, length, payload in packets:
            link_queue = link_queues.get(number)
            came = stamp - ahead
            if not now - MAX_AGE_NS < came <= now:
                came = now
            if link_queue is None or not link_queue.arrive(came, packet_id, length, payload, out):
                out.append(nfqueue.verdict(number, packet_id, False))
            if link_queue is not None:  # a copy of a packet that it dropped may be queued
                touched.add(link_queue)
        for link_queue in touched:
            self._schedule(link_queue, node)
        if out:
            node.flush()

    def _accept(self, node: NodeQueues) -> None:
        assert node.listener is not None
        with contextlib.suppress(OSError):
            connection, _ = node.listener.accept()
            if not control.may_command(connection):
                connection.close()
                return
            connection.setblocking(False)
            pending = bytearray()
            self._watch(connection.fileno(), lambda: self._serve(node, connection, pending))
            self._conversations.append(connection)
            if len(self._conversations) > MAX_CONVERSATIONS:
                self._hang_up(self._conversations[0])  # who still needs it connects again

    def _hang_up(self, connection: socket.socket) -> None:
        self._poll.unregister(connection.fileno())
        del self._sources[connection.fileno()]
        self._conversations.remove(connection)
        connection.close()

    def _serve(self, node: NodeQueues, connection: socket.socket, pending: bytearray) -> None:
        try:
            data = connection.recv(1 << 20)
            pending += data
            if data:
                if pending.endswith(b"\n"):
                    answer = self._answer(node, json.loads(pending))
                    pending.clear()
                    line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
                    connection.settimeout(1)
                    control.send_line(connection, line, [self._readable] if "first" in answer else [])
                return
        except (OSError, ValueError):
            pass
        self._hang_up(connection)

    def _answer(self, node: NodeQueues, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if request["do"] == "set":
                remember_traces(request.get("deliveries", {}))
                branches = [control.branch_from_json(branch) for branch in request["branches"]]
                self._set(node, branches, tuple(map(CapOrder.from_json, request["caps"])))
            if request["do"] == "share":
                first = self._layout.link_queue(node.index, 0)
                return {"slots": self._state.slots, "first": first, "caps": self._layout.caps(node.index)}
            if self._events is None:
                self._events = self._state.load(EVENTS) or []
            return {"links": node.reading(), "caps": self._caps.reading(node), "events": self._events}
        except control.Refused as refusal:
            return {"error": refusal.text, "neighbour": refusal.neighbour}
        except (KeyError, TypeError, HarnessError) as problem:
            return {"error": f"does not understand the request: {problem!r}"}

    def _set(self, node: NodeQueues, branches: list[Branch], caps: tuple[CapOrder, ...]) -> None:
        try:
            node.set(branches)
            for other in self._caps.limit(node, caps, time.monotonic_ns()):
                other.flush()
        finally:
            self._schedule_caps(self._caps.of(node).values())
            for link_queue in node.link_queues.values():  # at a higher rate the first packet leaves earlier
                self._schedule(link_queue, node)


def remember(state: State, what: str) -> None:
    """Keep something for those who ask later."""
    events = [*(state.load(EVENTS) or []), f"{time.strftime('%H:%M:%S')}: the shaper daemon {what}"]
    state.save(EVENTS, events[-MAX_EVENTS:])


def hurry() -> None:
    """Be woken in time: by timers without slack, and before other processes where that is allowed; be killed last."""
    syscalls.precise_timers()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-500")
    gc.collect()
    gc.freeze()
    gc.disable()


def main(orders: str) -> None:
    """Shape links as ``orders`` says: ``{"namespaces": [fd, ...], "size": nodes, "state": fd, "listeners": [fd, ...],
    "ranks": [rank, ...], "parent": pid, "after": text}``."""
    order = json.loads(orders)
    syscalls.die_with_parent()
    if os.getppid() != order["parent"]:  # it ended before we asked to end with it
        return
    os.close(0)  # for the epoll: select, which waits for microseconds, takes file numbers below 1024 only
    state = State(order["state"], Layout(len(order["namespaces"]), order["size"]).slots)
    last_beat = state.last_beat
    try:
        daemon = ShaperDaemon(order["namespaces"], order["size"], state, order["listeners"], order["ranks"])
        if order["after"]:
            down = (time.monotonic_ns() - last_beat) / 1e9
            lost = f"for {down:.2f} s no packet passed, and what was queued was lost"
            remember(state, f"{order['after']}, and was started again; {lost}")
        hurry()
        daemon.run()
    except Exception as problem:
        remember(state, f"failed: {problem!r} in {traceback.extract_tb(problem.__traceback__)[-1].name}")
        raise


if __name__ == "__main__":
    main(sys.argv[1])
