"""Quantities for people: three significant digits and the unit, ``767 Mbit/s``, ``24.1 ms``, ``0.1 %``.

The functions take a value of `harness.model.units`, a number in SI units (bit/s, seconds, a share of 1, bytes), or None
for no value. ``str(value)`` is the exact text, which programs and files can read back (``766.687848Mbit``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from harness.model.capacity import DROPTAIL, Capacity
from harness.model.cpu import CpuShare
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LinkShape
from harness.model.units import Rate, Ratio, Size, Time

NOTHING: Final = "–"
"""The text for no value."""
DIGITS: Final = 3
_MOST_DIGITS: Final = 12
_DECIMAL: Final = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))
_SECONDS: Final = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_BINARY: Final = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
T = TypeVar("T")


def format_number(value: float, digits: int = DIGITS) -> str:
    """``0.0123``, ``1.2``, ``123``, ``1234``: significant digits without exponent or trailing zeros."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, places):.{max(0, places)}f}" if places > 0 else str(round(value))
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_rate(value: Rate | float | None, digits: int = DIGITS) -> str:
    """``94.1 Mbit/s``, from bit/s."""
    number = value.bit_s if isinstance(value, Rate) else value
    return NOTHING if number is None else _scaled(number, _DECIMAL, digits, "bit/s")


def format_part(part: float, whole: Rate | float | None, digits: int = DIGITS) -> str:
    """``9.1 of 767 Mbit/s``, from bit/s; ``900 kbit/s of 1 Mbit/s`` where the units differ."""
    first, second = format_rate(part, digits), format_rate(whole)
    number, _, unit = first.partition(" ")
    return f"{number if unit == second.partition(' ')[2] else first} of {second}"


def format_time(value: Time | float | None, digits: int = DIGITS) -> str:
    """``850 µs``, ``24.1 ms``, ``2.29 s``, ``1 min 30 s``, ``2 h 5 min``, from seconds."""
    number = value.seconds if isinstance(value, Time) else value
    if number is None:
        return NOTHING
    if number == 0:
        return "0 s"
    if abs(number) < 59.95 or not math.isfinite(number):
        return _scaled(number, _SECONDS, digits)
    minutes, seconds = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    first, second = ((hours, "h"), (minutes, "min")) if hours else ((minutes, "min"), (seconds, "s"))
    return f"{first[0]} {first[1]}" + (f" {second[0]} {second[1]}" if second[0] else "")


def format_share(value: Ratio | CpuShare | float | None, digits: int = DIGITS) -> str:
    """``12.3 %``, from a share of 1, or of one CPU core."""
    return NOTHING if value is None else f"{format_number(float(value) * 100, digits)} %"


def format_size(value: Size | float | None, digits: int = DIGITS) -> str:
    """``1.04 MB``, from bytes; a `Size` in whole binary units keeps them: ``64 KiB``."""
    if isinstance(value, Size):
        for unit, scale in _BINARY:
            if value.bytes >= scale and value.bytes % scale == 0:
                return f"{value.bytes // scale} {unit}"
        value = value.bytes
    return NOTHING if value is None else _scaled(value, _DECIMAL, digits, "B")


def format_factor(value: float | None) -> str:
    """``1.24 ×``: how many times as much."""
    return NOTHING if value is None else f"{format_number(value)} ×"


def format_value(value: object, digits: int = DIGITS) -> str:
    """A quantity by the formatter of its class; other values as text."""
    if isinstance(value, Rate):
        return format_rate(value, digits)
    if isinstance(value, Time):
        return format_time(value, digits)
    if isinstance(value, Ratio):
        return format_share(value, digits)
    if isinstance(value, Size):
        return format_size(value, digits)
    return NOTHING if value is None else str(value)


def format_range(low: T, high: T, text: Callable[[T], str] = format_value) -> str:
    """``10 – 50 ms``; the value alone where both read the same."""
    first, last = text(low), text(high)
    if first == last:
        return last
    number, _, unit = first.partition(" ")
    same_unit = " " not in unit and unit == last.partition(" ")[2]
    return f"{number if number == '0' or same_unit else first} – {last}"


def format_shape(shape: LinkShape, digits: int = DIGITS) -> str:
    """``rate 767 Mbit/s, delay 24.1 ms, jitter 2.41 ms, loss 0.1 %``; ``unshaped`` where the link does nothing."""
    words = []
    for name, value in shape.effects.items():
        if isinstance(value, GilbertElliott):
            chances = (f"{part} {format_share(share, digits)}" for part, share in vars(value).items())
            words.append(f"{name} ({', '.join(chances)})")
        else:
            words.append(f"{name} {format_value(value, digits)}")
    return ", ".join(words) or "unshaped"


def format_capacity(capacity: Capacity | None, digits: int = DIGITS) -> str:
    """``20 Mbit/s, queue codel, buffer 100 ms, overhead 24``, without what has its default value."""
    if capacity is None:
        return NOTHING
    words = [format_rate(capacity.rate, digits)]
    words += [f"queue {capacity.queue}"] if capacity.queue != DROPTAIL else []
    words += [f"buffer {format_value(capacity.buffer, digits)}"] if capacity.buffer is not None else []
    words += [f"overhead {capacity.overhead}"] if capacity.overhead else []
    return ", ".join(words)


def format_limit(limit: Capacity | CpuShare | None, digits: int = DIGITS) -> str:
    """A capacity, a share of a CPU (``25 %``), or ``no limit``."""
    if isinstance(limit, CpuShare):
        return format_share(limit, digits)
    return "no limit" if limit is None else format_capacity(limit, digits)


def format_distinct(text: Callable[[T, int], str], values: Sequence[T]) -> list[str]:
    """Format values with three digits, or as many more as different values need to read differently."""
    texts: list[str] = []
    for digits in range(DIGITS, _MOST_DIGITS + 1):
        texts = [text(value, digits) for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts


def count(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def first_few(items: Sequence[object], most: int = 4) -> str:
    """The first items as a list, and how many more there are: ``a, b, c, d and 3 more``."""
    return ", ".join(map(str, items[:most])) + (f" and {len(items) - most} more" if len(items) > most else "")


def _scaled(value: float, units: Sequence[tuple[str, float]], digits: int, suffix: str = "") -> str:
    """The number in the largest unit in which it rounds to at least 1."""
    fits = (one for one in units if float(format_number(abs(value) / one[1], digits)) >= 1)
    unit, scale = units[0] if not math.isfinite(value) else next(fits, units[-1])
    return f"{format_number(value / scale, digits)} {unit}{suffix}"
