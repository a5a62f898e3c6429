"""The events of a timeline, for every format of the file. Times are seconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

Arguments: TypeAlias = Mapping[str, int | float | str]


class Track(NamedTuple):
    """A line of the timeline.

    Args:
        process: the group of the line: ``rank 0``, ``links``.
        name: of the line.
        unit: of a line of numbers; None: a line of slices and instants.
        overlaps: whether its slices overlap.
    """

    process: str
    name: str
    unit: str | None = None
    overlaps: bool = False


class Slice(NamedTuple):
    """An interval; ``within``: names and seconds of its parts, one after another from its start."""

    track: Track
    name: str
    start: float
    end: float
    args: Arguments
    within: tuple[tuple[str, float], ...] = ()

    def parts(self) -> Iterator[tuple[str, float, float]]:
        """(name, start, end) of each part, cut at the slice's end."""
        since = self.start
        for name, seconds in self.within:
            until = min(since + seconds, self.end)
            if until > since:
                yield name, since, until
            since = until


class Instant(NamedTuple):
    """A moment."""

    track: Track
    name: str
    time: float
    args: Arguments


class Value(NamedTuple):
    """A number, until the next one of its track."""

    track: Track
    time: float
    value: int | float


Event: TypeAlias = Slice | Instant | Value


def arguments(**values: float | str | None) -> Arguments:
    """The values that are not None; a number that is not finite becomes a text, since no format has it."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
        if value is not None
    }
