"""Trunks of the netem engine: in the bridge's namespace, frames between regions pass an htb tree on an ifb.

::

    n0 ingress   u32  prio 1          IPv6 neighbour discovery: passes, as ARP does
    (the port         prio 2, prio 3  IPv4, IPv6, by final destination where the next hop is across a trunk
     of node 0)
        `- skbedit priority 1:m, mirred redirect -> ifb7, whose root is caps/tree.py: a class per edge of the trunk

The port gives the edge's sender, the final destination its receiver. So the ifb needs no filters, of which each packet
would have to try as many as there are pairs of nodes with a path across the trunk.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.errors import HarnessError
from harness.model.capacity import Capacity
from harness.model.link import Pair
from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping import u32
from harness.shaping.caps.flow_filters import IP
from harness.shaping.caps.htb import FilterKey, make_filters, make_tree, missing_filters, read_cap
from harness.shaping.caps.ifb import find_ifb, make_ifb
from harness.shaping.caps.messages import INGRESS
from harness.shaping.caps.tree import cap_tree
from harness.shaping.qdisc import ROOT
from harness.shaping.u32 import Filter

MAX_EDGES: Final = 30_000
"""Edges of a trunk at most: the kernel has 32767 handles for the queues of one tree."""
_DISCOVERY: Final = 1


@dataclass(frozen=True)
class BridgeTrunk:
    """A trunk as the bridge makes it.

    Args:
        name: e.g. ``eu->us``.
        device: name of its ifb.
        capacity: what its edges share; None: it does not limit.
        edges: that cross it; their classes are 1:1 and following.
    """

    name: str
    device: str
    capacity: Capacity | None
    edges: tuple[Pair, ...]


def bridge_trunks(plan: NetworkPlan) -> list[BridgeTrunk]:
    """Every ordered pair of regions as a trunk, with or without a limit."""
    home = {rank: region for region, ranks in plan.regions.items() for rank in ranks}
    crossing: dict[tuple[str, str], list[Pair]] = {(a, b): [] for a in plan.regions for b in plan.regions if a != b}
    for src, dst in sorted(plan.edges):
        if (ways := (home.get(src, ""), home.get(dst, ""))) in crossing:
            crossing[ways].append((src, dst))
    return [
        BridgeTrunk("->".join(ways), f"ifb{number}", plan.trunk_capacities.get(ways), tuple(edges))
        for number, (ways, edges) in enumerate(crossing.items())
    ]


def apply_trunks(plan: NetworkPlan) -> dict[str, CapStatus]:
    """Limit a network's trunks in the bridge's namespace, the current one, and read them back. Raises HarnessError."""
    with Rtnetlink() as netlink:
        for trunk in _made(plan):
            if len(trunk.edges) > MAX_EDGES:
                raise HarnessError(f"trunk {trunk.name}: {len(trunk.edges)} edges cross it; netem takes {MAX_EDGES}")
            try:
                device = make_ifb(netlink, trunk.device)
                make_tree(netlink, device, cap_tree(trunk.capacity, len(trunk.edges), plan.mtu), {})
            except OSError as problem:
                raise HarnessError(f"limit trunk {trunk.name}: {problem.strerror}") from None
        for port, filters in _filters(plan).items():
            try:
                make_filters(netlink, socket.if_nametoindex(port), filters)
            except OSError as problem:
                raise HarnessError(f"send what crosses a trunk from {port} through it: {problem.strerror}") from None
        return _read(netlink, plan)


def observe_trunks(plan: NetworkPlan) -> dict[str, CapStatus]:
    """Read the trunks back. Raises HarnessError where a tree or a filter is wrong."""
    with Rtnetlink() as netlink:
        return _read(netlink, plan)


def _made(plan: NetworkPlan) -> list[BridgeTrunk]:
    """The trunks that have a limit, or had one."""
    return [one for one in bridge_trunks(plan) if one.capacity is not None or find_ifb(one.device) is not None]


def _read(netlink: Rtnetlink, plan: NetworkPlan) -> dict[str, CapStatus]:
    found = {}
    for trunk in _made(plan):
        if (device := find_ifb(trunk.device)) is None:
            raise HarnessError(f"trunk {trunk.name}: there is no {trunk.device}")
        found[f"trunk {trunk.name}"], wrong = read_cap(netlink, device, trunk.capacity, len(trunk.edges), plan.mtu)
        if wrong:
            raise HarnessError(f"trunk {trunk.name}: {wrong[0]}")
    for port, filters in _filters(plan).items():
        if wrong := missing_filters(netlink, socket.if_nametoindex(port), INGRESS, filters):
            raise HarnessError(f"trunks from {port}: {wrong[0]}")
    return found


def _filters(plan: NetworkPlan) -> dict[str, dict[FilterKey, Filter]]:
    """The filters of every port of the bridge: by final destination, to the trunk's class for the edge."""
    crossing = {
        edge: (ROOT | flow, device)
        for trunk in _made(plan)
        for device in [find_ifb(trunk.device) or 0]
        for flow, edge in enumerate(trunk.edges, 1)
    }
    return {f"n{src}": _of_port(plan.node(src), crossing) for src in sorted({src for src, _ in crossing})}


def _of_port(node: NodePlan, crossing: Mapping[Pair, tuple[int, int]]) -> dict[FilterKey, Filter]:
    ports = [port for port in node.egress if port.edge.pair in crossing]
    return {(_DISCOVERY, number): spec for number, spec in enumerate(u32.discovery(), 1)} | {
        (IP[version], number): u32.by_prefix("dst", prefix, *crossing[node.rank, neighbour])
        for version in node.addressing.versions
        for number, (prefix, neighbour) in enumerate(node.ways(ports, [version]).items(), 1)
    }
