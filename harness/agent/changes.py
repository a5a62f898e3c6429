"""Changes one node's links while the network is up: other shapes and limits, nodes that have moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from harness.agent.discovery import NameAddresses
from harness.agent.edits import Edits, LimitEdit, edited_plan
from harness.agent.links import NodeLinks
from harness.agent.log import say
from harness.agent.protocol import Message
from harness.errors import HarnessError, NodeError
from harness.linux import host
from harness.model.node_plan import PlannedEdge
from harness.model.status import NodeStatus
from harness.netlink.sockdiag import SockDiag


class Changes:
    """Applies changes that come from other nodes and from the command line.

    Args:
        links: of this node.
        edits: all changes of edges and nodes so far.
    """

    def __init__(self, links: NodeLinks, edits: Edits) -> None:
        self._links, self._edits = links, edits

    def merge(self, message: Message) -> None:
        """Apply changes from another node, as far as they concern this node's links; a failure is logged."""
        links, before = self._links, self._links.plan.network_wide
        taken = self._edits.merge(message)
        if not taken:
            return
        links.plan = edited_plan(links.plan, taken)
        edges = [one for one in taken if isinstance(one, PlannedEdge)]
        ours = [edge for edge in edges if links.engine.enforced_at(edge.pair) == links.rank]
        resized = any(isinstance(one, LimitEdit) and one.rank == links.rank for one in taken)
        if ours or resized or before != links.plan.network_wide:
            touched = {edge.dst if edge.src == links.rank else edge.src for edge in ours}
            self._attempt(lambda: links.apply(touched))

    def command(self, message: Message) -> tuple[NodeStatus | None, Message]:
        """Apply changes of the command line; the status read back, and a message for other nodes. Raises NodeError."""
        links = self._links
        for one in self._edits.newer(message):
            what, verb = (f"edge {one}", "link") if isinstance(one, PlannedEdge) else (str(one), "node")
            cause = "another command changed it in the meantime, or the clock of its machine is ahead"
            raise NodeError(links.rank, f"reshape {what}", cause, f"look at it (harness {verb} show) and try again")
        taken = self._edits.merge(message)
        links.plan = edited_plan(links.plan, taken)
        news = {"do": "edits", **self._edits.to_json(taken)}
        return (links.apply(message["touched"]) if message["do"] == "apply" else None), news

    def play(self, message: Message) -> NodeStatus | None:
        """Apply changes of the scenario, which other nodes make themselves; the status read back. Raises NodeError."""
        links = self._links
        links.plan = edited_plan(links.plan, self._edits.merge(message))
        return None if message["touched"] is None else links.apply(message["touched"])

    def moved(self, places: Mapping[int, NameAddresses]) -> Message | None:
        """A message with all nodes' addresses, if one of these places differs from the plan."""
        net = self._links.plan.addressing
        fours, sixes = list(net.given4), list(net.given6)
        for rank, place in places.items():
            fours[rank] = place.ipv4
            if sixes and place.ipv6 is not None:
                sixes[rank] = place.ipv6
        if (tuple(fours), tuple(sixes)) == (net.given4, net.given6):
            return None
        return {"do": "addresses", "ipv4": list(map(str, fours)), "ipv6": list(map(str, sixes))}

    def move(self, ipv4: Sequence[str], ipv6: Sequence[str]) -> None:
        """Set filters and routes to the nodes' new addresses; a failure is logged."""
        links = self._links
        given4, given6 = tuple(map(IPv4Address, ipv4)), tuple(map(IPv6Address, ipv6))
        old = links.plan.addressing
        before, now = zip(old.given4, old.given6 or old.given4, strict=True), zip(given4, given6 or given4, strict=True)
        moved = [rank for rank, (was, is_) in enumerate(zip(before, now, strict=True)) if was != is_]
        if links.rank in moved:  # the sender has an old address of ours
            return
        links.detach(moved)
        links.plan = replace(links.plan, addressing=replace(old, given4=given4, given6=given6))
        say(f"rank {', '.join(map(str, moved))} has another address now")
        self._attempt(links.shape)

    def cut(self, rank: int) -> None:
        """A node is gone: end connections with it now, instead of after TCP's quarter of an hour."""
        net = self._links.plan.addressing
        try:
            with SockDiag() as sockets:
                for version in net.versions:
                    sockets.end_connections(net.address(rank, version))
        except OSError as problem:
            why = host.explain(problem)
            say(f"this kernel cannot close TCP connections to it ({why}): a job may wait until they time out")

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except HarnessError as error:
            say(str(error))
