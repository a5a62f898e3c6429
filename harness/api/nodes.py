"""What edges of a shaped network share: nodes' uplinks and downlinks, and trunks between regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, Unpack

from harness.api.arguments import whole
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
    """What there is to a limit beside its rate, written as for links: "codel", "100ms" or "64KiB", 24."""

    queue: str
    buffer: str
    overhead: int | str


class LimitTexts(PartTexts, total=False):
    """What ``set_node`` can change, written as for ``harness node set``: "20mbit", "25%", or "none" for no limit."""

    uplink: str
    downlink: str
    cpu: str


class TrunkTexts(PartTexts, total=False):
    """What ``set_trunk`` can change, written as for ``harness trunk set``: "1gbit", or "none" for no limit."""

    rate: str


@dataclass(frozen=True)
class Limit:
    """A shared capacity as it is.

    Args:
        requested: what was asked for; None: no limit.
        applied: what the node, or the bridge, reports; None: no limit.
        stats: what it counted: what passed, what it dropped, and what waits now.
    """

    requested: Capacity | None
    applied: Capacity | None
    stats: Stats

    @classmethod
    def of(cls, requested: Capacity | None, status: CapStatus | None) -> Limit:
        """Of what was asked for and what is reported."""
        return cls(requested, status.applied, status.stats) if status else cls(requested, None, Stats())


@dataclass(frozen=True)
class CpuLimit:
    """A node's share of a CPU as it is.

    Args:
        requested: what was asked for; None: no limit.
        applied: what the kernel holds; None: no limit.
        throttled_s: seconds for which it has kept programs from running, of each CPU that they wanted to run on.
    """

    requested: CpuShare | None
    applied: CpuShare | None
    throttled_s: float


@dataclass(frozen=True)
class NodeLimits:
    """What limits all that a node sends, all that it receives, and its programs."""

    uplink: Limit
    downlink: Limit
    cpu: CpuLimit


class NetworkNodes(NetworkLinks):
    """What ShapedNetwork is to its nodes and trunks.

    Ranks are written as on the command line: ``2``, ``"0,2"`` or ``"all"``; trunks as two regions: ``"eu-us"``,
    ``"eu-us,eu-asia"`` or ``"all"``, both directions unless one way.
    """

    def set_node(self, ranks: int | str = "all", **limits: Unpack[LimitTexts]) -> Reshaped:
        """Limit all edges of nodes together, beside each edge's own rate, while jobs run. What is not given stays.

        ``cpu`` is the share of one CPU core that a node's programs get together.

        Args:
            ranks: which.
            limits: see LimitTexts; queue, buffer and overhead are of the sides given beside them, or where neither is,
                of those that a node has.

        Raises:
            InputError: something of it makes no sense; nothing was changed.
            NodeError: a node refused; all is as it was.
        """
        texts = _texts("set_node", limits, LimitTexts)
        done = self._reshape(node_change(ranks if isinstance(ranks, str) else str(whole("ranks", ranks, 2)), texts))
        _warn_of_narrow_caps(done, lambda src, dst: src in done.nodes or dst in done.nodes)
        return done

    def set_trunk(self, trunks: str = "all", *, one_way: bool = False, **limit: Unpack[TrunkTexts]) -> Reshaped:
        """Limit all edges between two regions together, each direction apart, while jobs run.

        Args:
            trunks: which.
            one_way: only from the first region to the second.
            limit: see TrunkTexts. What is not given stays.

        Raises:
            InputError: something of it makes no sense, or nodes are containers; nothing was changed.
            HarnessError: a node or the bridge refused; all is as it was.
        """
        if not isinstance(trunks, str):
            raise InputError(f"trunks={trunks!r}: write two regions, e.g. 'eu-us', or 'all'")
        done = self._reshape(trunk_change(trunks, _texts("set_trunk", limit, TrunkTexts), one_way=one_way))
        crossing = {pair for trunk in done.plan.trunks if (trunk.src, trunk.dst) in done.trunks for pair in trunk.edges}
        _warn_of_narrow_caps(done, lambda src, dst: (src, dst) in crossing)
        return done

    def node(self, rank: int) -> NodeLimits:
        """What limits a node's edges together: requested, applied and counted. Raises PlanError, NodeError."""
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
        """The trunks by their regions, (from, to): requested, applied and counted. Raises HarnessError."""
        with self._lock:
            held = self._require().trunks()
        return {(one.src, one.dst): Limit.of(one.capacity, held.get(one.name)) for one in self.plan.trunks}


def _texts(what: str, given: PartTexts, known: type[PartTexts]) -> dict[str, str]:
    """As the command line would have them. Raises InputError for a name that is not known."""
    if unknown := given.keys() - known.__annotations__.keys():
        raise InputError(f"{what}: there is no {sorted(unknown)[0]!r}; there are {', '.join(known.__annotations__)}")
    return {name: str(value) for name, value in given.items()}


def _warn_of_narrow_caps(done: Reshaped, shares: Callable[[int, int], bool]) -> None:
    for text in narrow_caps(done.plan, [pair for pair in done.plan.edges if shares(*pair)]):
        warn(text)
