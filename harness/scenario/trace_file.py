"""Recorded traces of a link: a CSV file with times, and the link's values from then on.

::

    time_s,rate_mbit,delay_ms,loss_percent
    0,12.5,40,0
    0.1,11.8,42,0
    0.2,9.3,45,1

The heading gives quantity and unit of a column: ``time_s`` or ``time_ms``; ``rate_kbit``, ``rate_mbit``, ``rate_gbit``
or ``rate_MB`` (per second); ``delay_ms``, ``jitter_ms``, also in ``s`` or ``us``; ``loss_percent``, ``loss_share``. An
empty cell leaves the value as it is. See csv_table.py for separators and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.suggest import suggest
from harness.model.units import Rate, Ratio, Time
from harness.scenario.csv_table import read_table
from harness.scenario.points import Points

_RATES: Final = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "MB": 8 * 10**6}
_TIMES: Final = {"s": 10**9, "ms": 10**6, "us": 10**3}
_SHARES: Final = {"percent": Fraction(1, 100), "share": Fraction(1)}


def _rate(scale: int) -> Callable[[Fraction], str]:
    """A trace may have a rate of 0, which no link can have: it becomes 8 bit/s."""
    return lambda value: str(Rate(max(8, round(value * scale))))


def _time(scale: int) -> Callable[[Fraction], str]:
    return lambda value: str(Time(round(value * scale)))


def _share(scale: Fraction) -> Callable[[Fraction], str]:
    return lambda value: str(Ratio(Fraction(round(value * scale * 10**8), 10**8)))


_COLUMNS: Final[Mapping[str, tuple[str, Callable[[Fraction], str]]]] = {
    **{f"rate_{unit}": ("rate", _rate(scale)) for unit, scale in _RATES.items()},
    **{f"{name}_{unit}": (name, _time(scale)) for name in ("delay", "jitter") for unit, scale in _TIMES.items()},
    **{f"loss_{unit}": ("loss", _share(scale)) for unit, scale in _SHARES.items()},
}
_CLOCKS: Final = {f"time_{unit}": Fraction(scale, 10**9) for unit, scale in _TIMES.items()}


def read_trace(path: Path) -> tuple[Points, float]:
    """The points of a trace, the first at 0, and its length in seconds: its last step is as long as the one before.

    Raises:
        InputError: the file is missing or wrong; with file and line.
    """
    table = read_table(path, "a trace")
    heading = table.heading
    clock = _heading(table.place, heading)
    points: Points = []
    for place, cells in table.lines:
        numbers = [table.number(place, cell) if cell else None for cell in cells]
        at = numbers[clock]
        if at is None:
            raise InputError(f"{place}: the time is missing")
        seconds = float(at * _CLOCKS[heading[clock]])
        if points and seconds <= points[-1][0]:
            raise InputError(f"{place}: time {cells[clock]} is not after the one before")
        points.append((seconds, _texts(place, heading, numbers)))
    first = points[0][0]
    points = [(seconds - first, texts) for seconds, texts in points]
    if not any(texts for _, texts in points):
        raise InputError(f"{path}: no line has a value beside its time")
    step = points[-1][0] - points[-2][0] if len(points) > 1 else 1.0
    return [point for point in points if point[1]], points[-1][0] + step


def _heading(place: str, names: Sequence[str]) -> int:
    """The index of the time's column. Raises InputError for a wrong heading."""
    for name in names:
        if name not in _COLUMNS and name not in _CLOCKS:
            hint = suggest(name, [*_CLOCKS, *_COLUMNS])
            raise InputError(
                f"{place}: column {quoted(name)} is unknown; {hint} (name and unit, e.g. time_s,rate_mbit)"
            )
    fields = [_COLUMNS[name][0] for name in names if name in _COLUMNS]
    clocks = [index for index, name in enumerate(names) if name in _CLOCKS]
    if len(clocks) != 1 or not fields or len(set(fields)) < len(fields):
        raise InputError(f"{place}: write one time and at least one value, each once, e.g. time_s,rate_mbit")
    return clocks[0]


def _texts(place: str, heading: Sequence[str], numbers: Sequence[Fraction | None]) -> dict[str, str]:
    found = {}
    for name, value in zip(heading, numbers, strict=True):
        if name in _COLUMNS and value is not None:
            field, make = _COLUMNS[name]
            try:
                found[field] = make(value)
            except InputError as cause:
                raise InputError(f"{place}: {name}: {cause}") from None
    return found
