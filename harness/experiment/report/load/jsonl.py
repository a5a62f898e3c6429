"""Reads files that may have been cut off anywhere: what cannot be read becomes a note, never an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.experiment.report.load.records import Note

_MOST_NOTES: Final = 3
"""Notes per file about lines that cannot be read; the rest are only counted."""
_LARGEST: Final = 1e18
"""No time, size or loss is larger."""


T = TypeVar("T")


class Oddities:
    """Collects notes about the files of one folder.

    Args:
        folder: what paths in notes are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: list[Note] = []

    def add(self, path: Path, what: str, line: int | None = None) -> None:
        """Note something about a file."""
        name = str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path)
        self.notes.append(Note(name if line is None else f"{name}:{line}", what))


class Malformed(Exception):
    """A record lacks a field, or a field has an invalid value."""


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


def loss(record: Mapping[str, Any]) -> float:
    """A loss, which may be infinite or NaN, which is null in the file. Raises Malformed."""
    value = record.get("loss")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return math.nan if value is None else value
    return number(record, "loss")


def mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object; an empty one where the key is missing. Raises Malformed."""
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise Malformed(f"{key} is {value!r}, not an object")
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
    """(line number, object) for every line that has one. A missing file yields nothing; the caller reports it."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as problem:
        oddities.add(path, f"cannot be read ({problem}); ignored")
        return
    bad = 0
    lines = text.split("\n")
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield place, value
        elif place == len(lines):
            oddities.add(path, "the last line was cut off; ignored", place)
        else:
            bad += 1
            if bad <= _MOST_NOTES:
                oddities.add(path, "no JSON object; ignored", place)
    if bad > _MOST_NOTES:
        oddities.add(path, f"{bad - _MOST_NOTES} more such lines ignored")


def parsed(path: Path, oddities: Oddities, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """Every line's object as `parse` reads it; a line for which it raises Malformed becomes a note."""
    for line, record in read_lines(path, oddities):
        try:
            yield parse(record)
        except Malformed as problem:
            oddities.add(path, f"{problem}; line ignored", line)
