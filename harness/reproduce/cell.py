"""A published figure, and how ours compares with it. Pure.

Figures are compared by their ratios to the best that the links allow (bound.py). So bytes and rates can be scaled down
together: dividing both by one number leaves the bound as it is, except for delays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from harness.model.bound import LinkBound
from harness.model.capacity import Capacity
from harness.model.format import format_rate, format_share, format_time
from harness.model.link import LinkShape
from harness.model.make_plan import make_plan
from harness.model.pipe import payload_share
from harness.model.plan import NetworkPlan
from harness.model.profile import Profile
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Time
from harness.predict.exchanges import WIDTH

Kind = Literal["collective", "utilisation", "tcp"]


@dataclass(frozen=True)
class Cell:
    """A figure and its network.

    Args:
        kind: seconds of a collective, compute utilisation of a strategy, or goodput of a TCP connection.
        published: in seconds, as a share, or in bit/s.
        shape: of every link.
        uplink: of every node; None: no limit.
        nodes: number of nodes.
        collective: its name, for kind collective.
        size: in bytes, for kind collective.
        strategy: its name, for kind utilisation.
        options: of the strategy, by name.
        parameters: number of float32 parameters of the model.
        step_time: seconds of computing per step.
        congestion_control: for kind tcp.
    """

    kind: Kind
    published: float
    shape: LinkShape
    uplink: Rate | None = None
    nodes: int = 2
    collective: str = ""
    size: int = 0
    strategy: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    parameters: int = 0
    step_time: float = 0.0
    congestion_control: str = "cubic"

    def scaled(self, by: float) -> Cell:
        """The cell with bytes and rates divided, and for an all_reduce the delay multiplied.

        gloo cuts an all_reduce into segments of 1 MiB and waits a round trip for every two (model/gloo_time.py). With a
        tenth of the segments, the share of time that it waits stays the same at ten times the delay.
        """
        segmented = self.collective == "all_reduce"
        delay = Time(round(self.shape.delay.ns * by)) if segmented else self.shape.delay

        def rate(one: Rate | None) -> Rate | None:
            return None if one is None else Rate(round(one.bit_s / by))

        return replace(
            self,
            size=round(self.size / by),
            parameters=round(self.parameters / by),
            shape=replace(self.shape, rate=rate(self.shape.rate), delay=delay),
            uplink=rate(self.uplink),
        )

    @property
    def plan(self) -> NetworkPlan:
        """The plan of its network."""
        caps = {} if self.uplink is None else {"uplink": Capacity(self.uplink)}
        plan = make_plan(build_topology("fully_connected", self.nodes), Profile("none"), 0, caps=caps)
        return plan.changed([replace(edge, shape=self.shape) for edge in plan.edges.values()])

    @property
    def bound(self) -> float:
        """The best that the links allow: least seconds, largest share, or most bit/s."""
        if self.kind == "tcp":
            assert self.shape.rate is not None
            return self.shape.rate.bit_s * payload_share(self.shape.overhead)
        if self.kind == "collective":
            return LinkBound(self.plan).seconds(self.collective, self.size)
        least = LinkBound(self.plan).seconds("all_reduce", self.parameters * WIDTH)
        computing = self.step_time * int(self.options.get("H", 1))
        return computing / (computing + least)

    @property
    def words(self) -> str:
        """A description of the figure."""
        return _WORDS[self.kind](self)


def _network(cell: Cell) -> str:
    parts = [format_time(cell.shape.delay), *(format_rate(one) for one in (cell.uplink, cell.shape.rate) if one)]
    return ", ".join([*parts, *([f"loss {format_share(cell.shape.loss)}"] if cell.shape.loss.value else [])])


def _collective(cell: Cell) -> str:
    return f"{cell.collective}, {cell.nodes} nodes, {_network(cell)}"


def _utilisation(cell: Cell) -> str:
    options = " ".join(f"{name}={value}" for name, value in cell.options.items())
    return f"{cell.strategy} {options}, {_network(cell)}"


_WORDS: Final[Mapping[str, Callable[[Cell], str]]] = {
    "collective": _collective,
    "utilisation": _utilisation,
    "tcp": lambda cell: f"{cell.congestion_control}, {_network(cell)}",
}


@dataclass(frozen=True)
class Outcome:
    """A cell with the result on this machine.

    Args:
        cell: as published.
        scaled: as measured.
        ours: in the unit of ``Cell.published``; None: it could not be measured.
        tolerance: of ``ratio``.
        why: the reason where it could not be measured.
    """

    cell: Cell
    scaled: Cell
    ours: float | None
    tolerance: float
    why: str = ""

    @property
    def theirs_to_bound(self) -> float:
        """Published figure / its bound."""
        return self.cell.published / self.cell.bound

    @property
    def ours_to_bound(self) -> float | None:
        """Our figure / its bound."""
        return None if self.ours is None else self.ours / self.scaled.bound

    @property
    def ratio(self) -> float | None:
        """Our ratio to the bound / theirs; 1 is a perfect reproduction."""
        return None if self.ours_to_bound is None else self.ours_to_bound / self.theirs_to_bound

    @property
    def verdict(self) -> str:
        """``reproduced``, ``differs``, or ``not measured``."""
        if self.ratio is None:
            return "not measured"
        return "reproduced" if abs(self.ratio - 1) <= self.tolerance else "differs"
