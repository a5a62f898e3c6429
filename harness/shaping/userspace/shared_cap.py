"""A capacity that link queues share in the shaper daemon: packets cross it between their edge's delay and the verdict.

A packet enters it at the time when its link queue, or the capacity before this one, lets it go, however late the daemon
looks; so packets that wait here keep their edge's delay.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from harness.model.address import full_frame
from harness.shaping.userspace.bottleneck import UNLIMITED, Bottleneck, Flow
from harness.shaping.userspace.cap_order import CapOrder
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import (
    BACKLOG_BYTES,
    BACKLOG_PACKETS,
    DROPPED,
    SENT_BYTES,
    SENT_PACKETS,
    Counts,
)
from harness.shaping.userspace.disciplines.make import changed_discipline, looks_at_headers, make_discipline
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.nfqueue import accept_until, verdict
from harness.shaping.userspace.packet import Packet

if TYPE_CHECKING:
    from harness.shaping.userspace.node_queues import NodeQueues

_TIME: Final = itemgetter(0)


class CapFlow(Flow):
    """The packets of one link queue in a shared capacity.

    Args:
        cap: the capacity.
        link_queue: whose packets these are.
        node: that it belongs to.
    """

    def __init__(self, cap: SharedCap, link_queue: LinkQueue, node: NodeQueues) -> None:
        self._seed = link_queue.branch.netem.seed
        self._made_for = capacity = cap.order.capacity
        super().__init__(make_discipline(capacity.queue, cap.flow_bytes, capacity.rate.byte_s, self._seed))
        self.cap, self.link_queue, self.node = cap, link_queue, node
        self.entering = cap.entering
        """Where packets enter, with their times and this flow."""
        self.then: CapFlow | None = None
        """What its packets cross next; None: they are let go."""

    def change(self) -> None:
        """Follow a change of the capacity; packets that wait stay."""
        was, now = self._made_for, self.cap.order.capacity
        self._made_for = now
        self.queue = changed_discipline(
            self.queue, was.queue, now.queue, self.cap.flow_bytes, now.rate.byte_s, self._seed
        )


class SharedCap:
    """A bottleneck with the link queues that share it.

    Args:
        order: what the engine asked for.
        counters: it keeps them up to date.
    """

    def __init__(self, order: CapOrder, counters: Counts) -> None:
        self.order, self.counters, self.own = order, counters, order.own
        self.scheduled = NEVER
        """Set by the agenda, as LinkQueue.scheduled."""
        self.entering: list[tuple[int, CapFlow, Packet]] = []
        """Packets that have come, with their times; ``forward`` takes them."""
        self.flows: dict[LinkQueue, CapFlow] = {}
        self._bottleneck: Bottleneck[CapFlow] = Bottleneck(
            order.capacity.rate.byte_s, order.capacity.overhead, full_frame(order.mtu)
        )
        self.next = NEVER
        """When the next packet will have crossed it, ns."""
        self._note()

    @property
    def flow_bytes(self) -> int:
        """How many bytes of one flow may wait."""
        return self.order.capacity.flow_bytes(self.order.flows)

    @property
    def keeps_order(self) -> bool:
        """Whether each link queue's packets leave in the order in which they came."""
        return self.order.capacity.queue.kind != "fq_codel"

    @property
    def needs_header(self) -> bool:
        """Whether it needs packets' headers."""
        return looks_at_headers(self.order.capacity.queue)

    def look_for(self, due: int) -> int:
        """When to look at a packet that comes at ``due`` (ns): no sooner than the next packet here leaves.

        So one look serves both.
        """
        if self.entering:  # packets that made room in a link queue have come already
            due = 0
        return self.next if due < self.next < NEVER else due

    def flow(self, link_queue: LinkQueue, node: NodeQueues) -> CapFlow:
        """The flow of a link queue; makes it where there is none yet."""
        if link_queue not in self.flows:
            self.flows[link_queue] = CapFlow(self, link_queue, node)
        return self.flows[link_queue]

    def change(self, order: CapOrder, now: int) -> None:
        """Change the capacity; packets that wait stay."""
        was, self.order = self.order, order
        if (was.capacity, was.flows) == (order.capacity, order.flows):
            return
        self._bottleneck.change(order.capacity.rate.byte_s, order.capacity.overhead, now)
        for flow in self.flows.values():
            flow.change()
        self._note()

    def open(self, now: int) -> None:
        """Limit nothing any more: what waits leaves at the next look."""
        self._bottleneck.change(UNLIMITED, 0, now)
        self._note()

    def forward(self, until: int, touched: set[NodeQueues]) -> set[SharedCap]:
        """Take the packets that enter, and pass on those that have crossed it: to the next capacity, or by verdicts.

        Args:
            until: ns; every packet that came by then must have entered.
            touched: takes the nodes with new verdicts.

        Returns:
            The capacities that packets have entered.
        """
        bottleneck, entering = self._bottleneck, self.entering
        if entering:
            if len(entering) > 1:
                entering.sort(key=_TIME)
            for at, flow, packet in entering:
                bottleneck.arrive(at, flow, packet)
            entering.clear()
        departures = bottleneck.release(until)
        if bottleneck.dropped:
            self._drop(touched)
        onward: set[SharedCap] = set()
        if departures:
            last: dict[CapFlow, int] = {}
            size = 0
            for at, flow, packet in departures:
                size += packet[2]
                if (then := flow.then) is not None:
                    then.entering.append((at, then, packet))
                    onward.add(then.cap)
                elif packet[1] > flow.link_queue.unordered and not packet[3]:
                    last[flow] = packet[1]
                else:
                    _accept(flow, last.pop(flow, 0))
                    flow.node.let_go(flow.link_queue, packet)
                    touched.add(flow.node)
            for flow, number in last.items():
                _accept(flow, number)
                touched.add(flow.node)
            self.counters[SENT_PACKETS] += len(departures)
            self.counters[SENT_BYTES] += size
        self._note()
        return onward

    def _drop(self, touched: set[NodeQueues]) -> None:
        dropped = self._bottleneck.dropped
        self.counters[DROPPED] += len(dropped)
        for flow, packet in dropped:
            if packet[1] > 0:
                flow.node.out.append(verdict(flow.link_queue.queue, packet[1], False))
                touched.add(flow.node)
        dropped.clear()

    def _note(self) -> None:
        bottleneck, counters = self._bottleneck, self.counters
        self.next = bottleneck.next
        counters[BACKLOG_BYTES], counters[BACKLOG_PACKETS] = bottleneck.backlog_bytes, bottleneck.backlog_packets


def _accept(flow: CapFlow, until: int) -> None:
    """Let the flow's packets go up to an id; 0: none."""
    if until:
        flow.node.out.append(accept_until(flow.link_queue.queue, until))
