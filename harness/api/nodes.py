"""The limits of a shaped network: nodes' uplinks, downlinks and CPU shares, and trunks between regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, Unpack

from harness.api.arguments import known_texts, whole
from harness.api.edges import NetworkLinks
from harness.api.failures import warn
from harness.errors import InputError
from harness.model.capacity import Capacity
from harness.model.capacity_edit import node_change, trunk_change
from harness.model.cpu import CpuShare
from harness.model.narrow_caps import narrow_caps
from harness.model.status import CapStatus, CpuStatus, Stats
from harness.networks.network import Reshaped


class PartTexts(TypedDict, total=False):
    """What a limit has beside its rate, written as for links: "codel", "100ms" or "64KiB", 24."""

    queue: str
    buffer: str
    overhead: int | str


class LimitTexts(PartTexts, total=False):
    """What ``set_node`` changes, written as for ``harness node set``: "20mbit", "25%", or "none" for no limit."""

    uplink: str
    downlink: str
    cpu: str


class TrunkTexts(PartTexts, total=False):
    """What ``set_trunk`` changes, written as for ``harness trunk set``: "1gbit", or "none" for no limit."""

    rate: str


@dataclass(frozen=True)
class Limit:
    """The state of a shared capacity.

    Args:
        requested: None: no limit.
        applied: as the node or the bridge reports it; None: no limit.
        stats: its counters.
    """

    requested: Capacity | None
    applied: Capacity | None
    stats: Stats

    @classmethod
    def of(cls, requested: Capacity | None, status: CapStatus | None) -> Limit:
        """The state from what was requested and what the node reports."""
        return cls(requested, status.applied, status.stats) if status else cls(requested, None, Stats())


@dataclass(frozen=True)
class CpuLimit:
    """The state of a node's CPU limit.

    Args:
        requested: None: no limit.
        applied: as the kernel reports it; None: no limit.
        throttled_s: seconds for which the kernel kept programs from running, summed over the CPUs.
    """

    requested: CpuShare | None
    applied: CpuShare | None
    throttled_s: float


@dataclass(frozen=True)
class NodeLimits:
    """The limits of all that a node sends, of all that it receives, and of its programs' CPU time."""

    uplink: Limit
    downlink: Limit
    cpu: CpuLimit


class NetworkNodes(NetworkLinks):
    """The methods of ShapedNetwork for its nodes and trunks.

    Ranks are written as on the command line: ``2``, ``"0,2"`` or ``"all"``; trunks as two regions: ``"eu-us"``,
    ``"eu-us,eu-asia"`` or ``"all"``; both directions, unless ``one_way`` is True.
    """

    def set_node(self, ranks: int | str = "all", **limits: Unpack[LimitTexts]) -> Reshaped:
        """Limit the sum over all edges of a node, in addition to each edge's rate. What is not given stays as it is.

        ``cpu`` is the share of one CPU core that a node's programs get together.

        Args:
            ranks: which nodes.
            limits: see LimitTexts; queue, buffer and overhead apply to the given ones of uplink and downlink, or to
                those that the node has where neither is given.

        Raises:
            InputError: an argument is wrong; nothing was changed.
            NodeError: a node refused; all is as before.
        """
        texts = known_texts("set_node", limits, LimitTexts)
        done = self._reshape(node_change(ranks if isinstance(ranks, str) else str(whole("ranks", ranks, 2)), texts))
        _warn_of_narrow_caps(done, lambda src, dst: src in done.nodes or dst in done.nodes)
        return done

    def set_trunk(self, trunks: str = "all", *, one_way: bool = False, **limit: Unpack[TrunkTexts]) -> Reshaped:
        """Limit the sum over all edges from one region to another. What is not given stays as it is.

        Args:
            trunks: which trunks.
            one_way: only from the first region to the second.
            limit: see TrunkTexts.

        Raises:
            InputError: an argument is wrong, or nodes are containers; nothing was changed.
            HarnessError: a node or the bridge refused; all is as before.
        """
        if not isinstance(trunks, str):
            raise InputError(f"trunks={trunks!r}: write two regions, e.g. 'eu-us', or 'all'")
        done = self._reshape(trunk_change(trunks, known_texts("set_trunk", limit, TrunkTexts), one_way=one_way))
        crossing = {pair for trunk in done.plan.trunks if (trunk.src, trunk.dst) in done.trunks for pair in trunk.edges}
        _warn_of_narrow_caps(done, lambda src, dst: (src, dst) in crossing)
        return done

    def node(self, rank: int) -> NodeLimits:
        """The limits of a node: requested, applied and counted. Raises PlanError, NodeError."""
        requested = self.plan.node_shape(whole("rank", rank, 2))
        with self._lock:
            found = self._require().observe([rank])[rank]
        up, down = found.caps.get("uplink"), found.caps.get("downlink")
        cpu = found.cpu or CpuStatus(None)
        return NodeLimits(
            Limit.of(requested.uplink, up),
            Limit.of(requested.downlink, down),
            CpuLimit(requested.cpu, cpu.applied, cpu.throttled_s),
        )

    def trunks(self) -> dict[tuple[str, str], Limit]:
        """The trunks by (from, to): requested, applied and counted. Raises HarnessError."""
        with self._lock:
            held = self._require().trunks()
        return {(one.src, one.dst): Limit.of(one.capacity, held.get(one.name)) for one in self.plan.trunks}


def _warn_of_narrow_caps(done: Reshaped, shares: Callable[[int, int], bool]) -> None:
    for text in narrow_caps(done.plan, [pair for pair in done.plan.edges if shares(*pair)]):
        warn(text)
