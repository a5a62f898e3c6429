"""When a job is over: when ``all`` ranks have ended, the ``first`` one has, or a certain one has (``rank:0``)."""

from __future__ import annotations

from typing import Final, Literal

from harness.errors import InputError, quoted
from harness.model.units import is_whole_number

Until = int | Literal["all", "first"]
"""The rank whose exit code 0 ends the job, or ``all`` or ``first``. It says nothing about failures."""
ALL: Final[Literal["all"]] = "all"
FIRST: Final[Literal["first"]] = "first"


def parse_until(text: str, size: int) -> Until:
    """Read ``--until`` for a network of ``size`` nodes. Raises InputError."""
    if text == ALL:
        return ALL
    if text == FIRST:
        return FIRST
    word, _, rank = text.partition(":")
    if word != "rank" or not is_whole_number(rank):
        raise InputError(f"--until {quoted(text)}: write all, first, or a rank as rank:0")
    if int(rank) >= size:
        raise InputError(f"--until {text}: there is no such rank; this network has ranks 0 to {size - 1}")
    return int(rank)
