"""A capacity that link queues share, as the shaper daemon has it: between an edge's own delay and the verdict.

A packet comes to it at the time at which its link queue lets it go, or the capacity before this one, however late the
daemon looks; so what waits here keeps its edge's delay.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from harness.model.address import full_frame
from harness.shaping.userspace.bottleneck import NEVER, UNLIMITED, Bottleneck, Flow
from harness.shaping.userspace.cap_order import CapOrder
from harness.shaping.userspace.disciplines.make import changed_discipline, looks_at_headers, make_discipline
from harness.shaping.userspace.link_queue import DROPPED, SENT_BYTES, SENT_PACKETS, Counts, LinkQueue
from harness.shaping.userspace.nfqueue import accept_until, verdict
from harness.shaping.userspace.packet import Packet
from harness.shaping.userspace.state import BACKLOG_BYTES, BACKLOG_PACKETS

if TYPE_CHECKING:
    from harness.shaping.userspace.node_queues import NodeQueues

_TIME: Final = itemgetter(0)


class CapFlow(Flow):
    """A link queue's part of a shared capacity.

    Args:
        cap: what it is a part of.
        link_queue: whose packets these are.
        node: that it belongs to.
    """

    def __init__(self, cap: SharedCap, link_queue: LinkQueue, node: NodeQueues) -> None:
        self._seed = link_queue.branch.netem.seed
        self._made_for = capacity = cap.order.capacity
        super().__init__(make_discipline(capacity.queue, cap.flow_bytes, capacity.rate.byte_s, self._seed))
        self.cap, self.link_queue, self.node = cap, link_queue, node
        self.entering = cap.entering
        """Where its packets are put, with their times and itself."""
        self.then: CapFlow | None = None
        """What its packets cross next; None: they are let go."""

    def change(self) -> None:
        """Have the queue that the capacity asks for now; what waits stays."""
        was, now = self._made_for, self.cap.order.capacity
        self._made_for = now
        self.queue = changed_discipline(
            self.queue, was.queue, now.queue, self.cap.flow_bytes, now.rate.byte_s, self._seed
        )


class SharedCap:
    """See the module.

    Args:
        order: what was asked for.
        counters: numbers of the state, which are counted up.
    """

    def __init__(self, order: CapOrder, counters: Counts) -> None:
        self.order, self.counters, self.own = order, counters, order.own
        self.scheduled = NEVER
        """Kept by the daemon, as LinkQueue.scheduled."""
        self.entering: list[tuple[int, CapFlow, Packet]] = []
        """Packets that come, with their times; taken by ``forward``."""
        self.flows: dict[LinkQueue, CapFlow] = {}
        self._bottleneck: Bottleneck[CapFlow] = Bottleneck(
            order.capacity.rate.byte_s, order.capacity.overhead, full_frame(order.mtu)
        )
        self.next = NEVER
        """When the next packet has crossed it, ns."""
        self._note()

    @property
    def flow_bytes(self) -> int:
        """How much of one flow may wait."""
        return self.order.capacity.flow_bytes(self.order.flows)

    @property
    def keeps_order(self) -> bool:
        """Whether packets of one link queue leave in the order in which they came."""
        return self.order.capacity.queue.kind != "fq_codel"

    @property
    def needs_header(self) -> bool:
        """Whether packets must come with their headers."""
        return looks_at_headers(self.order.capacity.queue)

    def look_for(self, due: int) -> int:
        """When a packet that comes then (ns) is to be looked at: when those have left that are before it anyway.

        So one look does for both. Packets that made room in a link queue for another one have come already.
        """
        if self.entering:
            due = 0
        return self.next if due < self.next < NEVER else due

    def flow(self, link_queue: LinkQueue, node: NodeQueues) -> CapFlow:
        """The link queue's part; made where it has none yet."""
        if link_queue not in self.flows:
            self.flows[link_queue] = CapFlow(self, link_queue, node)
        return self.flows[link_queue]

    def change(self, order: CapOrder, now: int) -> None:
        """Be another capacity from now on; what waits stays."""
        was, self.order = self.order, order
        if (was.capacity, was.flows) == (order.capacity, order.flows):
            return
        self._bottleneck.change(order.capacity.rate.byte_s, order.capacity.overhead, now)
        for flow in self.flows.values():
            flow.change()
        self._note()

    def open(self, now: int) -> None:
        """Limit nothing any more: what waits leaves when it is looked at next."""
        self._bottleneck.change(UNLIMITED, 0, now)
        self._note()

    def forward(self, until: int, touched: set[NodeQueues]) -> set[SharedCap]:
        """Take what enters, and send on what has crossed it by then (ns): to the next capacity, or by its verdict.

        Args:
            until: to when; all that came by then has entered.
            touched: nodes with new verdicts are added.

        Returns:
            The next capacities, where packets have entered.
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
    """Let all of the flow's packets go that have crossed everything, up to this id; 0: none."""
    if until:
        flow.node.out.append(accept_until(flow.link_queue.queue, until))
