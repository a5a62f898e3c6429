"""Events in which links or nodes follow a recorded trace or a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

from harness.model.capacity_edit import SIDES, node_change
from harness.model.plan_edit import shape_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, PlanEdit, Series
from harness.scenario.actions import deliveries
from harness.scenario.drawn import Drawn, edges_change, nodes_change
from harness.scenario.fields import ActionReader, duration, edge_of, factor, located, refuse, yes
from harness.scenario.models.catalogue import find_model
from harness.scenario.points import Points, begun_later, scaled
from harness.scenario.trace_file import read_trace

Values = Mapping[str, Entry]
_TARGET: Final = ("edge", "one_way", "node", "side")
_OF_FILES: Final = ("file", "loop")
_OF_MODELS: Final = ("model", "seed", "step")
_OF_BOTH: Final = ("offset", "scale", "speed")
MODEL_STEP: Final = 0.1
"""Seconds between two changes of a model, unless given."""
Change = Callable[[Mapping[str, str]], PlanEdit]
"""Makes the change that sets these fields."""


def _trace(place: Entry, folder: Path, seed: int) -> Action:
    values = place.mapping([*_TARGET, *_OF_FILES, *_OF_MODELS, *_OF_BOTH, *deliveries.KEYS])
    recorded = any(key in values for key in ("file", *deliveries.KEYS))
    if recorded == ("model" in values):
        raise place.fault("give file: a CSV file or a packet-delivery trace, or model: see harness scenarios")
    kind, unfit = ("file", _OF_MODELS) if recorded else ("model", _OF_FILES)
    refuse(values, unfit, kind)
    if recorded and deliveries.follows_delivery(values, folder):
        return deliveries.read_event(place, values, folder)
    where = _where(place, values)
    return _recorded(values, where, folder) if kind == "file" else _drawn(values, where, seed)


def _where(place: Entry, values: Values) -> str:
    """The edge or node that follows, for people. Raises InputError where that is not clear."""
    if "node" not in values:
        if "side" in values:
            raise values["side"].fault("side is a node's: give node, or leave it out")
        return edge_of(place, values)
    refuse(values, ("edge", "one_way"), "node: give one of them")
    side = values["side"].word if "side" in values else ""
    if side not in SIDES and (side or "file" in values):
        raise values.get("side", place).fault(f"give side: {' or '.join(SIDES)}")
    return f"node {_ranks(values)} {side}".strip()


def _ranks(values: Values) -> str:
    """The ranks as parse_ranks reads them, from 2, [2, 3], 2,3 or all. Raises InputError."""
    node = values["node"]
    if node.is_list and not node.items():
        raise node.fault("give a rank, several as [2, 3], or all")
    return ",".join(one.text("a rank, e.g. 2, or all,") for one in (node.items() if node.is_list else [node]))


def _recorded(values: Values, where: str, folder: Path) -> Series:
    name, loop = values["file"].text("a file"), yes(values, "loop")
    points, period = located(values["file"], lambda: read_trace(folder / name))
    if "node" in values and (others := {field for _, texts in points for field in texts} - {"rate"}):
        raise values["file"].fault(f"a node has a rate, and no {' or '.join(sorted(others))}: those are of edges")
    points = _played(values, points, period, loop)
    change = _node_change(values) if "node" in values else _edge_change(values)
    return Series(f"trace {where} {name}", points, change, float(_speed(values)), period if loop else None)


def _edge_change(values: Values) -> Change:
    edge, one_way = values["edge"].word, yes(values, "one_way")
    return lambda texts: shape_change(edge, texts, one_way=one_way)


def _node_change(values: Values) -> Change:
    ranks, side = _ranks(values), values["side"].word
    return lambda texts: node_change(ranks, {side: texts["rate"]})


def _played(values: Values, points: Points, period: float, loop: bool) -> Points:
    """The points with the event's scale and offset."""
    if "scale" in values:
        times = _scale(values)
        points = located(values["scale"], lambda: scaled(points, times))
    if "offset" in values and (offset := duration(values["offset"], zero=True)):
        return located(values["offset"], lambda: begun_later(points, period, offset, loop=loop))
    return points


def _drawn(values: Values, where: str, seed: int) -> Drawn:
    name = values["model"].text("the name of a model")
    model = located(values["model"], lambda: find_model(name))
    if "node" in values:
        side = values["side"].word if "side" in values else None
        change, words = nodes_change(_ranks(values), side)
    else:
        change, words = edges_change(values["edge"].word, one_way=yes(values, "one_way"))
    return Drawn(
        f"trace {where} {model.name}",
        model,
        values["seed"].whole_number("a seed") if "seed" in values else seed,
        duration(values["step"]) if "step" in values else MODEL_STEP,
        change,
        words,
        duration(values["offset"], zero=True) if "offset" in values else 0.0,
        float(_scale(values)),
        float(_speed(values)),
    )


def _scale(values: Values) -> Fraction:
    return factor(values["scale"], "scale", "0.5 for half the rates") if "scale" in values else Fraction(1)


def _speed(values: Values) -> Fraction:
    return factor(values["speed"], "speed", "2 for twice as fast") if "speed" in values else Fraction(1)


READERS: Final[Mapping[str, ActionReader]] = {
    "trace": ActionReader(
        "Values follow a file or a model: `edge`, `one_way` or `node`, `side`; `file`, `loop`, `format` (csv or"
        " mahimahi), or `up`, `down`, or `model`, `seed`, `step`; and `offset`, `scale`, `speed`.",
        _trace,
    ),
}
