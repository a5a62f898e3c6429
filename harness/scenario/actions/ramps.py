"""Events that change links gradually: ramps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.model.plan_edit import shape_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, Series, ramp
from harness.scenario.fields import ActionReader, duration, edge_of, located, yes

_RAMPS: Final = ("rate", "delay", "jitter", "loss")
_STEP: Final = 0.1
"""Seconds between two points of a ramp, unless given."""
_MOST_POINTS: Final = 100_000


def _ramp(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["edge", "over", "step", "one_way", *_RAMPS])
    edge, one_way = edge_of(place, values), yes(values, "one_way")
    if "over" not in values:
        raise place.fault("over is missing: how long it takes")
    ends: dict[str, tuple[str, str]] = {}
    for key in _RAMPS:
        if key in values:
            parts = values[key].items()
            if len(parts) != 2:
                raise values[key].fault("write two values, [from, to]")
            ends[key] = (parts[0].word, parts[1].word)
    if not ends:
        raise place.fault(f"nothing to change: give one of {', '.join(_RAMPS)} as [from, to]")
    over, step = duration(values["over"]), duration(values["step"]) if "step" in values else _STEP
    if (steps := over / step) > _MOST_POINTS:
        raise place.fault(f"{steps:.0f} steps are more than {_MOST_POINTS}: take a longer step")
    points = located(place, lambda: ramp(ends, over, step))
    return Series(f"ramp {edge}", points, lambda texts: shape_change(edge, texts, one_way=one_way))


READERS: Final[Mapping[str, ActionReader]] = {
    "ramp": ActionReader(
        "Values go from one to another: `edge`, `[from, to]` by field, `over`, `step` (100 ms), `one_way`.", _ramp
    ),
}
