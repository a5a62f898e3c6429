"""Samples the trunks that the engine makes on the bridge of a network of namespaces."""

from __future__ import annotations

from typing import Final

from harness.model.plan import NetworkPlan
from harness.netlink.rtnetlink import Rtnetlink
from harness.sampling.flow_table import FlowNews
from harness.sampling.node import NodeSample
from harness.shaping.caps.ifb import find_ifb
from harness.shaping.caps.meter import read_tree
from harness.shaping.caps.trunks import bridge_trunks

BRIDGE: Final = -1
"""Used in place of a rank."""


class BridgeSampler:
    """Reads in the network namespace in which it was made, and only trunks that exist then. Raises OSError."""

    def __init__(self, plan: NetworkPlan) -> None:
        devices = ((find_ifb(trunk.device), f"trunk {trunk.name}") for trunk in bridge_trunks(plan))
        self._names = {index: name for index, name in devices if index is not None}
        self._netlink = Rtnetlink()

    def sample(self, *, thorough: bool) -> NodeSample:
        """Read everything once. Raises OSError."""
        read = ((name, read_tree(self._netlink, index)) for index, name in self._names.items())
        caps = {name: counts for name, counts in read if counts}
        return NodeSample({}, None, FlowNews([], [], []), caps)

    def notes(self) -> list[str]:
        """None: the kernel does not restart."""
        return []
