"""Events that follow values over time: recorded traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.model.capacity_edit import SIDES, node_change
from harness.model.plan_edit import shape_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, PlanEdit, Series
from harness.scenario.fields import ActionReader, duration, edge_of, factor, yes
from harness.scenario.points import Points, begun_later, scaled
from harness.scenario.trace_file import read_trace

Values = Mapping[str, Entry]
Change = Callable[[Mapping[str, str]], PlanEdit]
"""Makes the change that sets these fields."""


def _trace(place: Entry, folder: Path, _: int) -> Action:
    values = place.mapping(["edge", "node", "side", "file", "offset", "scale", "speed", "loop", "one_way"])
    where, change = _target(place, values)
    if "file" not in values:
        raise place.fault("file is missing: a CSV file, see docs/scenarios.md")
    name, loop = values["file"].text("a file"), yes(values, "loop")
    try:
        points, period = read_trace(folder / name)
    except InputError as cause:
        raise values["file"].fault(cause) from None
    if "node" in values and (others := {field for _, texts in points for field in texts} - {"rate"}):
        raise values["file"].fault(f"a node has a rate, and no {' or '.join(sorted(others))}: those are of edges")
    speed = float(factor(values["speed"], "speed", "2 for twice as fast")) if "speed" in values else 1.0
    points = _played(values, points, period, loop)
    return Series(f"trace {where} {name}", points, change, speed, period if loop else None)


def _target(place: Entry, values: Values) -> tuple[str, Change]:
    """Whose values follow the trace, for people, and the change that sets them."""
    if "node" not in values:
        if "side" in values:
            raise values["side"].fault("side is a node's: give node, or leave it out")
        edge, one_way = edge_of(place, values), yes(values, "one_way")
        return edge, lambda texts: shape_change(edge, texts, one_way=one_way)
    for key in ("edge", "one_way"):
        if key in values:
            raise values[key].fault(f"{key} does not go with node: give one of them")
    side = values["side"].word if "side" in values else ""
    if side not in SIDES:
        raise values.get("side", place).fault(f"give side: {' or '.join(SIDES)}")
    ranks = values["node"].text("a rank, e.g. 2, or all,")
    return f"node {ranks} {side}", lambda texts: node_change(ranks, {side: texts["rate"]})


def _played(values: Values, points: Points, period: float, loop: bool) -> Points:
    """The points as scale and offset say."""
    for key in ("scale", "offset"):
        if key in values:
            try:
                if key == "scale":
                    points = scaled(points, factor(values[key], key, "0.5 for half the rates"))
                elif offset := duration(values[key], zero=True):
                    points = begun_later(points, period, offset, loop=loop)
            except InputError as cause:
                raise values[key].fault(cause) from None
    return points


READERS: Final[Mapping[str, ActionReader]] = {
    "trace": ActionReader(
        "Values follow a file: `edge` (`one_way`) or `node` and `side`; `file`, `offset`, `scale`, `speed`, `loop`.",
        _trace,
    ),
}
