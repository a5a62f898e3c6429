"""Scales the values of a trace, and starts it at an offset; pure."""

from __future__ import annotations

from fractions import Fraction

from harness.errors import InputError
from harness.model.format import format_time
from harness.model.units import Rate

Points = list[tuple[float, dict[str, str]]]
"""Seconds from the beginning, and texts of fields from then on; ascending."""


def scaled(points: Points, factor: Fraction) -> Points:
    """The points with rates multiplied by ``factor``. Raises InputError where no point has a rate."""
    if not any("rate" in texts for _, texts in points):
        raise InputError("scale multiplies rates, and this trace has none")
    return [(at, {**texts, **_scaled_rate(texts, factor)}) for at, texts in points]


def _scaled_rate(texts: dict[str, str], factor: Fraction) -> dict[str, str]:
    if "rate" not in texts:
        return {}
    rate = Rate.parse(texts["rate"])
    return {"rate": str(Rate(max(8, round(rate.bit_s * factor))))}


def begun_later(points: Points, period: float, offset: float, *, loop: bool) -> Points:
    """The points from ``offset`` on; the first has the values that hold there.

    Args:
        points: of the whole trace, the first at 0.
        period: length of the trace in seconds.
        offset: seconds of the trace to skip.
        loop: whether the trace repeats: then the skipped part comes at the end.

    Raises:
        InputError: the trace does not repeat, and is over by then.
    """
    if offset >= period and not loop:
        raise InputError(
            f"offset {format_time(offset)} is past the end of the trace, which lasts {format_time(period)}"
        )
    offset %= period
    held: dict[str, str] = {}
    for _, texts in [*(points if loop else []), *(point for point in points if point[0] <= offset)]:
        held |= texts
    later = [(at - offset, texts) for at, texts in points if at > offset]
    before = [(at + period - offset, texts) for at, texts in points if at < offset] if loop else []
    return [*([(0.0, held)] if held else []), *later, *before]
