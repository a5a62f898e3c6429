"""Figures as people read them: three digits and a unit."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.experiment.report.groups import SeedSpread

NOTHING = "–"


def digits(value: float) -> str:
    """Three significant digits, without an exponent: 0.0123, 1.23, 12.3, 123, 1234."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "?"
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value) * 1.0005)))
    return f"{value:.{min(places, 8)}f}"


def seconds(value: float | None) -> str:
    """``850 ms``, ``12.3 s``, ``4 min 10 s``."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0 s"
    if abs(value) < 0.0009995:
        return f"{digits(value * 1e6)} µs"
    if abs(value) < 0.9995:
        return f"{digits(value * 1e3)} ms"
    if abs(value) < 299.5:
        return f"{digits(value)} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(value: float | None) -> str:
    """Decimal bytes: ``12.3 MB``."""
    return NOTHING if value is None else f"{_scaled(value)}B"


def rate(value: float | None) -> str:
    """``94.1 Mbit/s``, from bit/s."""
    return NOTHING if value is None else f"{_scaled(value)}bit/s"


def percent(value: float | None) -> str:
    """``12 %``; one decimal under 10 %."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{value * 100:.0f} %" if value >= 0.0995 or value == 0 else f"{value * 100:.1f} %"


def factor(value: float) -> str:
    """``6.1``: how many times; ``1.04`` where it is close to one."""
    return f"{value:.2f}" if value < 1.95 else f"{value:.1f}" if value < 19.5 else f"{value:.0f}"


def spread(value: SeedSpread | None, told: Callable[[float | None], str] = seconds, over: str = "") -> str:
    """``12.3 s (11.9–12.6)``; the value alone where there is one, or all are the same.

    Args:
        value: of several seeds.
        told: how one is told.
        over: what follows the range within the brackets, e.g. `` over 3 seeds``.
    """
    if value is None:
        return NOTHING
    middle, low, high = told(value.median), told(value.low), told(value.high)
    if value.count < 2 or (low == high and not over):
        return middle
    unit = middle.partition(" ")[2]
    if unit and low.partition(" ")[2] == high.partition(" ")[2] == unit:
        low, high = low.partition(" ")[0], high.partition(" ")[0]
    return f"{middle} ({low}–{high}{over})"


def _scaled(value: float) -> str:
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= scale * 0.9995:
            return f"{digits(value / scale)} {prefix}"
    return f"{digits(value)} "
