"""Values over time, as traces have them, and what a scenario makes of them: begun later, faster, scaled; pure."""

from __future__ import annotations

from fractions import Fraction

from harness.errors import InputError
from harness.model.format import format_time
from harness.model.units import Rate

Points = list[tuple[float, dict[str, str]]]
"""Seconds from the beginning, and the texts of fields from then on; ascending."""


def scaled(points: Points, factor: Fraction) -> Points:
    """The points with every rate times this; delays, jitter and loss as they are.

    Raises:
        InputError: no point has a rate.
    """
    if not any("rate" in texts for _, texts in points):
        raise InputError("scale multiplies rates, and this trace has none")
    return [(at, {**texts, **_scaled_rate(texts, factor)}) for at, texts in points]


def _scaled_rate(texts: dict[str, str], factor: Fraction) -> dict[str, str]:
    if "rate" not in texts:
        return {}
    rate = Rate.parse(texts["rate"])
    return {"rate": str(Rate(max(8, round(rate.bit_s * factor))))}


def begun_later(points: Points, period: float, offset: float, *, loop: bool) -> Points:
    """The points as seen by who begins so far into the trace: what holds there comes first.

    Args:
        points: of the whole trace, the first at 0.
        period: seconds that it lasts.
        offset: seconds of the trace before it begins; with ``loop`` of its endless repetition.
        loop: whether what lies before comes after the end, so that the period is as long as before.

    Raises:
        InputError: the trace is over by then.
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
