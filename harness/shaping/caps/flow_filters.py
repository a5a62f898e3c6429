"""Filters that send packets to the classes of a capacity's tree, by the node's ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.model.node_plan import NodePlan, Port
from harness.shaping.caps.htb import FilterKey
from harness.shaping.qdisc import ROOT
from harness.shaping.u32 import Filter, by_prefix

IP: Final = {4: 2, 6: 3}
"""Priorities of filters by version of IP."""


def flow_filters(end: str, node: NodePlan, ports: Sequence[Port]) -> dict[FilterKey, Filter]:
    """By ``src`` or ``dst`` address, the fewest prefixes for each port, to the classes 1:1 and following."""
    flows = {port.neighbour: flow for flow, port in enumerate(ports, 1)}
    return {
        (IP[version], number): by_prefix(end, prefix, ROOT | flows[neighbour])
        for version in node.addressing.versions
        for number, (prefix, neighbour) in enumerate(node.ways(ports, [version]).items(), 1)
    }
