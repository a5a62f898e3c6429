"""What is measured of a run of a user's command, and how values are found in its output or in a file. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from harness.errors import InputError, quoted
from harness.experiment.placeholders import fill

Kind = Literal["wall_time", "log", "regex", "jsonl"]
WALL: Final = "wall_time"
_STEP: Final = "step"
"""The group of a regular expression, and the key of a JSON line, with the step of a value."""


@dataclass(frozen=True)
class Measure:
    """What is measured.

    Args:
        kind: ``wall_time``: seconds from start to end; ``log``: a value of ``harness.log``; ``regex``: what a regular
            expression finds in the output of ranks; ``jsonl``: a key of the lines of a file.
        name: of the value, as in the experiment's ``target``.
        pattern: the regular expression, with a group for the value.
        path: of the file, with placeholders.
        key: of its lines.
    """

    kind: Kind = WALL
    name: str = WALL
    pattern: str = ""
    path: str = ""
    key: str = ""

    @classmethod
    def of_regex(cls, pattern: str) -> Self:
        """A measure by a regular expression. Raises InputError where it is invalid or has no group.

        The value is called as the first named group other than ``step``, else ``loss``.
        """
        try:
            found = re.compile(pattern)
        except re.error as problem:
            raise InputError(f"{quoted(pattern)} is not a regular expression: {problem}") from None
        named = [name for name in found.groupindex if name != _STEP]
        if found.groups == (_STEP in found.groupindex):
            raise InputError(
                f"{quoted(pattern)} has no group for the value: put it in parentheses, e.g. 'loss=([0-9.]+)'"
            )
        return cls("regex", named[0] if named else "loss", pattern=pattern)

    def at(self, values: Mapping[str, str]) -> Measure:
        """This measure with the placeholders of one run filled in."""
        return replace(self, path=fill(self.path, values))

    @property
    def sought(self) -> str:
        """Where a value is looked for, for messages."""
        return {
            WALL: "",
            "log": f"harness.log({self.name}=...) in the command",
            "regex": f"a match of {self.pattern!r} with a number in its group, in what the ranks print",
            "jsonl": f"a line of {self.path} with a number as {self.key!r}",
        }[self.kind]

    def to_json(self) -> dict[str, Any]:
        """As in run.json."""
        how = {WALL: {}, "log": {}, "regex": {"regex": self.pattern}, "jsonl": {"jsonl": self.path, "key": self.key}}
        return {"kind": self.kind, "name": self.name, **how[self.kind]}


@dataclass(frozen=True)
class MeasuredValue:
    """A measured value, which may be infinite or NaN. ``step`` counts the values where nothing names a step."""

    rank: int
    step: int
    value: float

    def line(self, name: str, now: float) -> dict[str, Any]:
        """A line of rank-R.jsonl (docs/runs.md); a value that is not finite is null there."""
        value = self.value if math.isfinite(self.value) else None
        return {"kind": "log", "time": now, "step": self.step, "values": {name: value}}


class OutputReader:
    """Finds values in the output of ranks by a regular expression."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        named = self._pattern.groupindex
        self._group = next((number for name, number in named.items() if name != _STEP), 0)
        self._group = self._group or next(n for n in range(1, self._pattern.groups + 1) if n != named.get(_STEP))
        self._found: Counter[int] = Counter()

    def find(self, rank: int, line: bytes) -> Iterator[MeasuredValue]:
        """The values in a line, without its newline."""
        for match in self._pattern.finditer(line.decode(errors="replace")):
            value = _number(match[self._group])
            if value is not None:
                self._found[rank] += 1
                step = _whole(match.groupdict().get(_STEP))
                yield MeasuredValue(rank, self._found[rank] if step is None else step, value)


class FileReader:
    """Finds the values of a key in the lines of a file; they count as rank 0's."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._found = 0

    def find(self, line: Mapping[str, Any]) -> Iterator[MeasuredValue]:
        """The value in a parsed line, if there is one."""
        value = _number(line.get(self._key))
        if value is not None:
            self._found += 1
            step = _whole(line.get(_STEP))
            yield MeasuredValue(0, self._found if step is None else step, value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _whole(value: object) -> int | None:
    found = _number(value)
    return int(found) if found is not None and 0 <= found < math.inf and found.is_integer() else None
