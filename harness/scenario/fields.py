"""Reads values that several kinds of event have in a scenario's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

from harness.errors import InputError, quoted
from harness.model.format import format_time
from harness.model.units import Time, parse_duration
from harness.model.yaml_file import Entry
from harness.scenario.action import Action

T = TypeVar("T")
LEAST: Final = 0.001
"""The shortest time in a scenario, in seconds."""
CAP_KEYS: Final = ("queue", "buffer", "overhead")
"""Keys of an uplink, a downlink and a trunk beside the rate."""

_MOST_TIMES: Final = 1000
_FINEST_FACTOR: Final = 10**6


@dataclass(frozen=True)
class ActionReader:
    """Reads one kind of event.

    Args:
        meaning: what its key means, one line for docs/reference/.
        read: makes the action from the value of the key, the file's folder and the scenario's seed.
    """

    meaning: str
    read: Callable[[Entry, Path, int], Action]


def duration(entry: Entry, *, zero: bool = False) -> float:
    """Seconds; at least LEAST, or 0 where ``zero`` is True. Raises InputError."""
    text = entry.text("a time, e.g. 500ms, 20s or 5m,")
    if zero and not text.strip(" 0.smin"):
        return 0.0
    fine = text.strip().lower().endswith(("ms", "us"))
    seconds = located(entry, lambda: Time.parse(text).seconds if fine else parse_duration(text))
    if seconds < LEAST:
        raise entry.fault(f"{quoted(text)} is under {format_time(LEAST)}, the finest step of a scenario")
    return seconds


def factor(entry: Entry, what: str, example: str) -> Fraction:
    """A factor over 0 and at most 1000. Raises InputError, which calls it ``what``."""
    try:
        value = float(entry.word)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MOST_TIMES:
        raise entry.fault(f"{quoted(entry.word)} is no {what}; write a number up to {_MOST_TIMES}, e.g. {example}")
    return Fraction(value).limit_denominator(_FINEST_FACTOR)


def yes(values: Mapping[str, Entry], key: str) -> bool:
    """Whether the key is there and true. Raises InputError where it is neither true nor false."""
    if key not in values:
        return False
    if values[key].word not in ("true", "false", "yes", "no"):
        raise values[key].fault(f"{quoted(values[key].word)} is neither true nor false")
    return values[key].word in ("true", "yes")


def refuse(values: Mapping[str, Entry], keys: tuple[str, ...], what: str) -> None:
    """Raise InputError where one of these keys is there: it does not go with ``what``."""
    for key in keys:
        if key in values:
            raise values[key].fault(f"{key} does not go with {what}")


def texts_of(values: Mapping[str, Entry], keys: tuple[str, ...]) -> dict[str, str]:
    """The texts of these keys, without those that are missing."""
    return {key: values[key].word for key in keys if key in values}


def edge_of(place: Entry, values: Mapping[str, Entry]) -> str:
    """The event's edges, as the user wrote them. Raises InputError where they are missing."""
    if "edge" not in values:
        raise place.fault("edge is missing: A-B, several as A-B,C-D, or all")
    return values["edge"].text("an edge, e.g. 0-1,")


def located(place: Entry, read: Callable[[], T]) -> T:
    """What ``read`` returns. Where it raises InputError, the message gets the place in the file."""
    try:
        return read()
    except InputError as cause:
        raise place.fault(cause) from None
