"""Whose end ends a job: ``all`` ranks', the ``first`` one's, or that of one rank, ``rank:0``."""

from __future__ import annotations

from typing import Final, Literal

from harness.errors import InputError, quoted
from harness.model.units import is_whole_number

Until = int | Literal["all", "first"]
"""A rank, or which of all. A rank that fails ends a job whatever this says."""
ALL: Final[Literal["all"]] = "all"
FIRST: Final[Literal["first"]] = "first"


def parse_until(text: str, size: int) -> Until:
    """What ``--until`` says, for a network of that many nodes. Raises InputError."""
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
