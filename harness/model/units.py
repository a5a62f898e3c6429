"""Quantities: rate, time, ratio, size. Parsed from text and formatted back, both exactly.

Accepted texts: rates ``80mbit``, ``80Mbit/s``, ``10MB/s``; times ``80ms``, ``1.5s``, ``250us``; ratios ``1%``,
``0.1%``; sizes ``1500B``, ``64KiB``, ``10MB``; of tc's also ``80msec`` and ``10MB/sec``. Prefixes are decimal (k, M, G,
T) or binary (Ki, Mi, Gi, Ti). ``bps`` is refused: tc reads it as bytes per second, most people mean bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, Self

from harness.errors import UnitError, quoted

_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([^\s\d].*?)?\s*", re.IGNORECASE | re.ASCII)
_PREFIX = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    f"{letter}i": 1024**power for power, letter in enumerate("kmgt", 1)
}
_RATE_UNIT = re.compile(r"(ki?|mi?|gi?|ti?|)(bits?(?:/s(?:ec)?)?|[bB]/s(?:ec)?)", re.IGNORECASE | re.ASCII)
_BPS = re.compile(r"(?<![a-z])[kmgt]?i?bps\s*$", re.IGNORECASE | re.ASCII)
_SIZE_UNIT = re.compile(r"(ki?|mi?|gi?|ti?|)b", re.IGNORECASE | re.ASCII)
_TIME_UNIT = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_TIME_UNIT |= {f"{prefix}sec{end}": _TIME_UNIT[f"{prefix}s"] for prefix in ("n", "u", "m", "") for end in ("", "s")}
_DURATION_UNIT = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATIONS = "90s, 10min or 1.5h"
_YES, _NO = ("yes", "true", "on"), ("no", "false", "off")
_MAX_DIGITS = 30
_MAX_WHOLE_DIGITS = 18


def _bits(unit: str) -> int | None:
    match = _RATE_UNIT.fullmatch(unit)
    return match and _PREFIX[match[1].lower()] * (8 if match[2].startswith("B/") else 1)


def _nanoseconds(unit: str) -> int | None:
    return _TIME_UNIT.get(unit.lower())


def _bytes(unit: str) -> int | None:
    match = _SIZE_UNIT.fullmatch(unit or "B")
    return match and _PREFIX[match[1].lower()]


def _read(text: str, of: type[Rate | Time | Size], scale: Callable[[str], int | None], smallest: str) -> int:
    """A number and its unit, in the smallest unit of its kind; a bare 0 needs no unit. Raises UnitError."""
    value, unit = _split(text, of.KIND, of.EXAMPLES)
    factor = scale(unit)
    if factor is None and (unit or value):
        why = f"unknown unit {quoted(unit)}" if unit else "it has no unit"
        raise UnitError(f"{quoted(text)} is not a {of.KIND}: {why}; write e.g. {of.EXAMPLES}")
    return _whole(value * (factor or 0), text, of.KIND, smallest)


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``10m`` (minutes), ``2min`` or ``1.5h``. Raises UnitError."""
    value, unit = _split(text, "time", _DURATIONS)
    factor = _DURATION_UNIT.get(unit.lower())
    if factor is None:
        raise UnitError(f"{quoted(text)} is not a time; write e.g. {_DURATIONS}")
    if value <= 0:
        raise UnitError(f"{quoted(text)}: the time must be more than 0; write e.g. {_DURATIONS}")
    return float(value * factor)


def parse_percent(text: str, kind: str, examples: str) -> Fraction:
    """The share of a percentage of any size; a bare 0 needs no sign. Raises UnitError."""
    value, unit = _split(text, kind, examples)
    if unit != "%" and (unit or value):
        raise UnitError(f"{quoted(text)} is not a {kind}; write a percentage, e.g. {examples}")
    return value / 100


def parse_yes_no(text: str) -> bool:
    """Read ``yes``, ``true``, ``on``, or ``no``, ``false``, ``off``. Raises UnitError."""
    if text.lower() not in (*_YES, *_NO):
        raise UnitError(f"{quoted(text)} is neither yes nor no")
    return text.lower() in _YES


def is_whole_number(text: str) -> bool:
    """Whether this is a number from 0 up in at most 18 ASCII digits; ``int`` accepts more."""
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_WHOLE_DIGITS


def _split(text: str, kind: str, examples: str) -> tuple[Fraction, str]:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS + 10:
        raise UnitError(f"{quoted(text)} is not a {kind}; write e.g. {examples}")
    mantissa, _, exponent = match[1].lower().partition("e")
    if abs(int(exponent or 0)) > _MAX_DIGITS:
        raise UnitError(f"{quoted(text)} is too large or too small for a {kind}")
    value = Fraction(mantissa)
    return value * Fraction(10) ** int(exponent) if exponent else value, match[2] or ""


def _whole(value: Fraction, text: str, kind: str, smallest: str) -> int:
    if value < 0:
        raise UnitError(f"{quoted(text)}: a {kind} cannot be negative")
    if value.denominator != 1:
        raise UnitError(f"{quoted(text)} is finer than {smallest}, the smallest step of a {kind}")
    if value >= 2**63:
        raise UnitError(f"{quoted(text)} is too large or too small for a {kind}")
    return int(value)


def _decimal(value: Fraction) -> str:
    """A value from 0 up as a decimal: exact, so that parse returns it; to 6 digits where it does not terminate."""
    places = next((places for places in range(_MAX_DIGITS + 1) if 10**places % value.denominator == 0), None)
    if places is None:
        return f"{float(value):.6g}"
    whole, part = divmod(value.numerator * 10**places // value.denominator, 10**places)
    return f"{whole}.{part:0{places}}" if places else str(whole)


@dataclass(frozen=True, order=True)
class Rate:
    """A data rate in whole bit/s."""

    bit_s: int
    KIND: ClassVar[str] = "rate"
    EXAMPLES: ClassVar[str] = "80mbit, 80Mbit/s or 10MB/s"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate. Raises UnitError."""
        if _BPS.search(text):
            raise UnitError(f"{quoted(text)}: 'bps' means bytes to tc and bits to most people; write {cls.EXAMPLES}")
        rate = cls(_read(text, cls, _bits, "1 bit/s"))
        if rate.bit_s < 8:
            raise UnitError(f"{quoted(text)}: a rate must be at least 8 bit/s (the kernel counts whole bytes)")
        return rate

    @property
    def byte_s(self) -> int:
        """Whole bytes per second, rounded down: the kernel's unit."""
        return self.bit_s // 8

    def seconds(self, size_bytes: float) -> float:
        """Time in seconds to send that many bytes."""
        return size_bytes * 8 / self.bit_s

    def __str__(self) -> str:
        for prefix, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
            if self.bit_s >= factor:
                return f"{_decimal(Fraction(self.bit_s, factor))}{prefix}bit"
        return f"{self.bit_s}bit"


@dataclass(frozen=True, order=True)
class Time:
    """A length of time in whole nanoseconds."""

    ns: int
    KIND: ClassVar[str] = "time"
    EXAMPLES: ClassVar[str] = "80ms, 1.5s or 250us"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a time; a bare 0 needs no unit. Raises UnitError."""
        return cls(_read(text, cls, _nanoseconds, "1 ns"))

    @classmethod
    def from_seconds(cls, seconds: float) -> Self:
        """The nearest whole nanosecond."""
        return cls(round(seconds * 1e9))

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return self.ns / 1e9

    def __add__(self, other: Time) -> Time:
        return Time(self.ns + other.ns)

    def __str__(self) -> str:
        for unit, factor in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
            if self.ns >= factor:
                return f"{_decimal(Fraction(self.ns, factor))}{unit}"
        return f"{self.ns}ns" if self.ns else "0ms"


@dataclass(frozen=True, order=True)
class Ratio:
    """An exact share between 0 and 1."""

    value: Fraction
    KIND: ClassVar[str] = "ratio"
    EXAMPLES: ClassVar[str] = "1% or 0.05%"

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise UnitError(f"{float(self.value) * 100:g}% is not between 0% and 100%")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a percentage; a bare 0 needs no sign. Raises UnitError."""
        value = parse_percent(text, cls.KIND, cls.EXAMPLES)
        if not 0 <= value <= 1:
            raise UnitError(f"{quoted(text)} is not between 0% and 100%")
        return cls(value)

    @classmethod
    @lru_cache(256)
    def from_float(cls, share: float) -> Self:
        """The exact ratio from which the float was written."""
        return cls(Fraction(repr(share)))

    @classmethod
    @lru_cache(1024)
    def from_u32(cls, raw: int) -> Self:
        """From a kernel field scaled so that 2**32 - 1 is 100 %."""
        return cls(Fraction(raw, 2**32 - 1))

    @property
    def u32(self) -> int:
        """The kernel's scale: 2**32 - 1 is 100 %."""
        return round(self.value * (2**32 - 1)) if self.value else 0

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __str__(self) -> str:
        return f"{_decimal(self.value * 100)}%"


@dataclass(frozen=True, order=True)
class Size:
    """A size in whole bytes."""

    bytes: int
    KIND: ClassVar[str] = "size"
    EXAMPLES: ClassVar[str] = "1500B, 64KiB or 10MB"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a size; a bare number is bytes. Raises UnitError."""
        return cls(_read(text, cls, _bytes, "1 byte"))

    def __str__(self) -> str:
        for prefix, factor in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
            if self.bytes >= factor and self.bytes % factor == 0:
                return f"{self.bytes // factor}{prefix}B"
        return f"{self.bytes}B"


ZERO_TIME = Time(0)
ZERO_RATIO = Ratio(Fraction(0))
WHOLE = Ratio(Fraction(1))
