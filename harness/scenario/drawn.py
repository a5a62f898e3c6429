"""Links and nodes that follow a model; each direction of each edge draws its own values; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from typing import Any, Final

from harness.errors import ShapeError
from harness.model.capacity import Capacity
from harness.model.capacity_edit import SIDES
from harness.model.format import format_rate, format_time
from harness.model.link_edit import ShapeEdit
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import parse_pairs, undirected
from harness.model.ranks import parse_ranks
from harness.model.units import ZERO_TIME, Rate
from harness.scenario.action import Step
from harness.scenario.models.model import WAYS, LinkModel, Sample, Way

Values = Callable[[str, Way], Sample]
"""A model's values at one moment, by the name of the link and the direction."""
Change = Callable[[NetworkPlan, Values], NetworkPlan]
_ANY: Final = Sample(rate=1e6, delay=0.01, loss=0.5)
"""A sample with all fields, to check whether a network can follow a model."""


@dataclass(frozen=True)
class Drawn:
    """Endless changes, drawn by a model. See Action.

    Args:
        text: for people.
        model: draws the values.
        seed: of all draws.
        step: seconds from one change to the next.
        change: sets the values.
        words: the values as text where a single link or node follows; otherwise an empty text.
        offset: seconds of the model's time to skip at the beginning.
        scale: multiplies the rates.
        speed: factor by which the model's time is shortened.
    """

    text: str
    model: LinkModel
    seed: int
    step: float
    change: Change
    words: Callable[[Values], str]
    offset: float = 0.0
    scale: float = 1.0
    speed: float = 1.0
    period: float = math.inf
    """It has no end."""

    def steps(self) -> Iterator[Step]:
        texts, made = _Streams(self), _Streams(self)  # the player reads a step's text before it makes the step before
        for index in count():
            values, words = partial(made.at, index), self.words(partial(texts.at, index))
            yield index * self.step, partial(self._edit, values), f"{self.text}: {words}" if words else self.text

    def _edit(self, values: Values, plan: NetworkPlan) -> NetworkPlan:
        return self.change(plan, values)

    def check(self, plan: NetworkPlan) -> None:
        self.change(plan, lambda *_: _ANY)


class _Streams:
    """A stream of draws for each link and direction."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn
        self._found: dict[tuple[str, Way], tuple[int, Sample, Iterator[Sample]]] = {}

    def at(self, index: int, name: str, way: Way) -> Sample:
        """The sample of a step. A step before the last one asked for draws the stream again from its beginning."""
        reached, sample, stream = self._found.get((name, way), (index + 1, _ANY, iter(())))
        if reached > index:
            reached, stream = -1, self._begin(name, way)
        if reached < index:
            sample = next(islice(stream, index - reached - 1, None))
            self._found[name, way] = index, sample, stream
        return sample

    def _begin(self, name: str, way: Way) -> Iterator[Sample]:
        drawn = self._drawn
        step = drawn.step * drawn.speed
        stream = drawn.model.draw(f"{drawn.seed}:{name}", way, step)
        return (sample.scaled(drawn.scale) for sample in islice(stream, round(drawn.offset / step), None))


def edges_change(edges: str, *, one_way: bool) -> tuple[Change, Callable[[Values], str]]:
    """Edges that follow a model.

    What the first rank of A-B sends follows the model's uplink; with ``all``, what the higher rank sends.

    Args:
        edges: as parse_pairs reads them.
        one_way: only what the first rank sends.

    Returns:
        The change, which raises InputError, and its words.
    """
    ways = WAYS[:1] if one_way else WAYS

    def change(plan: NetworkPlan, values: Values) -> NetworkPlan:
        pairs = parse_pairs(edges, plan, one_way=True)
        devices = [(high, low) for low, high in undirected(pairs)] if edges == "all" else pairs
        made = []
        for a, b in devices:
            for way in ways:
                edge = plan.edges[(a, b) if way == "up" else (b, a)]
                made.append(_shaped(edge, values(f"{a}-{b}", way)))
        return plan.changed(made)

    def words(values: Values) -> str:
        return ", ".join(_text(way, values(edges, way)) for way in ways) if edges != "all" and "," not in edges else ""

    return change, words


def _text(way: Way, sample: Sample) -> str:
    loss = f" loss {sample.exact_loss}" if sample.exact_loss else ""
    return f"{way} {format_rate(sample.exact_rate)} {format_time(sample.exact_delay)}{loss}"


def _shaped(edge: PlannedEdge, sample: Sample) -> PlannedEdge:
    fields: dict[str, Any] = {"rate": sample.exact_rate, "delay": sample.exact_delay, "jitter": ZERO_TIME}
    if sample.exact_loss is not None:
        fields["loss"] = sample.exact_loss
    try:
        return replace(edge, shape=ShapeEdit(fields).apply(edge.shape), origin="set")
    except ShapeError as error:
        raise ShapeError(f"edge {edge} ({edge.shape.describe()}): {error}") from None


def nodes_change(ranks: str, side: str | None) -> tuple[Change, Callable[[Values], str]]:
    """Nodes whose uplinks and downlinks follow a model's rates.

    Args:
        ranks: as parse_ranks reads them.
        side: ``uplink`` or ``downlink``; None: both.

    Returns:
        The change, which raises InputError, and its words.
    """
    sides = {each: way for each, way in zip(SIDES, WAYS, strict=True) if side in (None, each)}

    def change(plan: NetworkPlan, values: Values) -> NetworkPlan:
        shapes = {}
        for rank in parse_ranks(ranks, plan.size):
            shape = plan.node_shape(rank)
            rates = {each: values(f"node {rank}", way).exact_rate for each, way in sides.items()}
            made = {each: _at_rate(getattr(shape, each), rate) for each, rate in rates.items()}
            shapes[rank] = shape.changed(made)
        return plan.with_nodes(shapes)

    def words(values: Values) -> str:
        if ranks == "all" or "," in ranks:
            return ""
        rates = {each: values(f"node {ranks}", way).exact_rate for each, way in sides.items()}
        return ", ".join(f"{each} {format_rate(rate)}" for each, rate in rates.items())

    return change, words


def _at_rate(capacity: Capacity | None, rate: Rate) -> Capacity:
    return replace(capacity, rate=rate) if capacity else Capacity(rate)
