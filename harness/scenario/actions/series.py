"""Events that change links again and again: ramps and traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.plan_edit import shape_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, Series, ramp
from harness.scenario.fields import ActionReader, duration, edge_of, yes
from harness.scenario.trace_file import read_trace

_RAMPS: Final = ("rate", "delay", "jitter", "loss")
_STEP: Final = 0.1
_MOST_POINTS: Final = 100_000
"""Of a ramp."""


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
    step = duration(values["step"]) if "step" in values else _STEP
    if (steps := duration(values["over"]) / step) > _MOST_POINTS:
        raise place.fault(f"{steps:.0f} steps are more than {_MOST_POINTS}: take a longer step")
    try:
        points = ramp(ends, duration(values["over"]), step)
    except InputError as cause:
        raise place.fault(cause) from None
    return Series(f"ramp {edge}", points, lambda texts: shape_change(edge, texts, one_way=one_way))


def _trace(place: Entry, folder: Path, _: int) -> Action:
    values = place.mapping(["edge", "file", "loop", "speed", "one_way"])
    edge, one_way = edge_of(place, values), yes(values, "one_way")
    if "file" not in values:
        raise place.fault("file is missing: a CSV file, see docs/scenarios.md")
    speed = 1.0
    if "speed" in values:
        try:
            speed = float(values["speed"].word)
        except ValueError:
            speed = 0.0
        if not 0 < speed <= 1000:
            raise values["speed"].fault(f"{quoted(values['speed'].word)} is no speed; write e.g. 2 for twice as fast")
    name = values["file"].text("a file")
    try:
        points, period = read_trace(folder / name)
    except InputError as cause:
        raise values["file"].fault(cause) from None
    return Series(
        f"trace {edge} {name}",
        points,
        lambda texts: shape_change(edge, texts, one_way=one_way),
        speed,
        period if yes(values, "loop") else None,
    )


READERS: Final[Mapping[str, ActionReader]] = {
    "ramp": ActionReader(
        "Values go from one to another: `edge`, `[from, to]` by field, `over`, `step` (100 ms), `one_way`.",
        _ramp,
    ),
    "trace": ActionReader(
        "Values of links follow a file: `edge`, `file`, `loop`, `speed`, `one_way`.",
        _trace,
    ),
}
