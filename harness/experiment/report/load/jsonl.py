"""Reads JSON and JSONL files that may be cut off anywhere: what cannot be read becomes a note, not an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.experiment.report.load.clocks import by_clock_of_rank_0, clock_ahead
from harness.experiment.report.load.records import Note

_MOST_NOTES: Final = 3
"""The most notes about unreadable lines of a file; further lines are only counted."""
_LARGEST: Final = 1e18
"""No time, size or loss is larger."""
_INTEGERS: Final = frozenset((int,))
_NUMBERS: Final = frozenset((int, float))


T = TypeVar("T")


class Oddities:
    """Collects notes about files, whose paths are relative to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: list[Note] = []

    def add(self, path: Path, what: str, line: int | None = None) -> None:
        """Note something about a file."""
        name = str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path)
        self.notes.append(Note(name if line is None else f"{name}:{line}", what))


class Malformed(Exception):
    """A record lacks a field or has an invalid value."""


def number(record: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """A finite number. Raises Malformed."""
    value = record.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{key} is {value!r}, not a number")
    if not abs(value) < _LARGEST:
        raise Malformed(f"{key} is {value!r}, which is too large")
    return float(value)


def number_or_none(record: Mapping[str, Any], key: str) -> float | None:
    """A finite number where there is one."""
    try:
        return number(record, key)
    except Malformed:
        return None


def whole(record: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A whole number of 0 or more. Raises Malformed."""
    value = number(record, key, default)
    if value < 0:
        raise Malformed(f"{key} is {value!r}, not a count")
    return int(value)


def are_counts(values: Sequence[Any]) -> bool:
    """Whether all values, at least one, are finite numbers of 0 or more; quicker than `whole` one by one."""
    return _NUMBERS.issuperset(map(type, values)) and min(values) >= 0 and sum(values) < _LARGEST


def are_whole(values: Sequence[Any]) -> bool:
    """Whether all values, at least one, are integers of 0 or more."""
    return _INTEGERS.issuperset(map(type, values)) and min(values) >= 0 and sum(values) < _LARGEST


def loss(record: Mapping[str, Any], key: str = "loss") -> float:
    """A loss, which may be infinite, or NaN (null in the file). Raises Malformed."""
    value = record.get(key)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return math.nan if value is None else value
    return number(record, key)


def mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object; an empty one where the key is missing. Raises Malformed."""
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise Malformed(f"{key} is {value!r}, not an object")
    return value


def objects(record: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects; an empty one where the key is missing. Raises Malformed."""
    value = record.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Malformed(f"{key} is not a list of objects")
    return value


def read_object(path: Path, oddities: Oddities) -> dict[str, Any] | None:
    """A file with one JSON object; None where it is missing or cannot be read."""
    try:
        value = json.loads(path.read_text(errors="replace"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        oddities.add(path, f"cannot be read ({problem}); ignored")
        return None
    if not isinstance(value, dict):
        oddities.add(path, "contains no JSON object; ignored")
        return None
    return value


def read_lines(path: Path, oddities: Oddities) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) for every line that has one; nothing for a missing file, which the caller reports.

    Times are converted to the clock of rank 0's machine.
    """
    try:
        file = path.open(errors="replace")
    except FileNotFoundError:
        return
    except OSError as problem:
        oddities.add(path, f"cannot be read ({problem}); ignored")
        return
    noted, ahead = _Noted(path, oddities), clock_ahead(path)
    with file:
        for place, line in enumerate(file, 1):
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                yield place, by_clock_of_rank_0(value, ahead) if ahead else value
            elif not line.strip():
                continue
            elif not line.endswith("\n"):
                oddities.add(path, "the last line was cut off; ignored", place)
            else:
                noted.add("no JSON object; ignored", place)
    noted.sum_up()


class _Noted:
    """Notes the first lines of a file that cannot be read, and counts the others."""

    def __init__(self, path: Path, oddities: Oddities) -> None:
        self._path, self._oddities, self._bad = path, oddities, 0

    def add(self, what: str, line: int) -> None:
        """Note a line, or count it."""
        self._bad += 1
        if self._bad <= _MOST_NOTES:
            self._oddities.add(self._path, what, line)

    def sum_up(self) -> None:
        """Note how many lines were only counted."""
        if self._bad > _MOST_NOTES:
            self._oddities.add(self._path, f"{self._bad - _MOST_NOTES} more such lines ignored")


def parsed(path: Path, oddities: Oddities, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """What `parse` makes of the object of every line; a line for which it raises Malformed becomes a note."""
    noted = _Noted(path, oddities)
    for line, record in read_lines(path, oddities):
        try:
            value = parse(record)
        except Malformed as problem:
            noted.add(f"{problem}; line ignored", line)
        else:
            yield value
    noted.sum_up()
