"""The shaper daemon: ``daemon.py JSON``; see main.

It owns the NFQUEUEs of one or more nodes, each in its network namespace, and lets packets go when their link queue says
so. It needs only the standard library and CAP_NET_ADMIN in those namespaces; CAP_NET_RAW, too, to duplicate packets.
supervisor.py starts it, and starts it again when it ends; until then the kernel drops every packet of its queues.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

import contextlib
import gc
import json
import select
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.linux import syscalls
from harness.model.delivery import remember_traces
from harness.shaping.qdisc import Branch
from harness.shaping.userspace import clock, control, nfqueue
from harness.shaping.userspace.agenda import Agenda
from harness.shaping.userspace.cap_order import CapOrder
from harness.shaping.userspace.control_server import ControlServer, Sources
from harness.shaping.userspace.node_queues import NodeQueues
from harness.shaping.userspace.shared_caps import SharedCaps
from harness.shaping.userspace.state import EVENTS, Layout, State

TICK_NS: Final = 300_000
"""The least time between two looks at queues and agenda, so that a busy link does not cost a wake-up per packet."""
MAX_AGE_NS: Final = 10**10
"""The daemon ignores an older stamp: somebody has set the clock."""
BEAT_SECONDS: Final = 0.5
MAX_EVENTS: Final = 100
_SO_TIMESTAMPNS: Final = 35


class ShaperDaemon:
    """All nodes of this process, and its loop.

    Args:
        namespaces: file descriptors of the nodes' network namespaces; see NodeQueues.
        size: nodes of the whole network.
        state: where it saves link queues and counts.
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
        self._sources = Sources()  # first, for a low file number: see main
        self._state = state
        self._layout = Layout(len(namespaces), size)
        self._caps = SharedCaps(state, self._layout, ranks)
        self._nodes = []
        for index, namespace in enumerate(namespaces):
            state.beat(time.monotonic_ns())  # many link queues take longer than the supervisor waits for a sign of life
            self._nodes.append(NodeQueues(namespace, state, self._layout, index))
            self._caps.load(self._nodes[-1])
        self._agenda = Agenda()
        self._events: list[str] | None = None
        """What happened to daemons of these nodes before this one began; read on the first request."""
        server = ControlServer(self._sources, self._answer, state.readable())
        for node, listener in zip(self._nodes, listeners, strict=True):
            self._sources.add(node.queue.fileno(), partial(self._take, node))
            server.listen(node, socket.socket(fileno=listener))
        self._stamps = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stamps.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # has the kernel stamp what comes in

    def run(self) -> None:
        """Delay packets until the process is ended."""
        agenda, entries, monotonic, looked = self._agenda, self._agenda.entries, time.monotonic_ns, 0
        poll, handlers = self._sources.poll, self._sources.handlers
        while True:
            now = monotonic()
            if (early := looked + TICK_NS - now) > 0:
                time.sleep(early / 1e9)
                now = monotonic()
            looked = now
            self._state.beat(now)
            for fd, _ in poll.poll(0):
                handlers[fd]()
            until = monotonic() + agenda.lead
            if entries and entries[0][0] <= until:
                agenda.release(until)
            wait = BEAT_SECONDS
            if entries:
                wait = min(wait, (agenda.next_look() - agenda.lead - monotonic()) / 1e9)
            if wait > 0:
                select.select([poll], (), (), wait)

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
            if link_queue is not None:  # even if it dropped the packet it may have queued a copy
                touched.add(link_queue)
        schedule = self._agenda.schedule
        for link_queue in touched:
            schedule(link_queue, node)
        if out:
            node.flush()

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
            self._agenda.schedule_caps(self._caps.of(node).values())
            for link_queue in node.link_queues.values():  # at a higher rate the first packet leaves earlier
                self._agenda.schedule(link_queue, node)


def remember(state: State, what: str) -> None:
    """Add an event to those that later answers report."""
    events = [*(state.load(EVENTS) or []), f"{time.strftime('%H:%M:%S')}: the shaper daemon {what}"]
    state.save(EVENTS, events[-MAX_EVENTS:])


def hurry() -> None:
    """Be woken in time: with precise timers, as a real-time process where that is allowed, without garbage collection;
    be killed last."""
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
    if os.getppid() != order["parent"]:  # it ended before die_with_parent
        return
    os.close(0)  # for the epoll: select, whose timeout is in microseconds, takes file numbers below 1024 only
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
