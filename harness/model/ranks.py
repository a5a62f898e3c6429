"""Ranks as users write them: ``2``, ``0,2``, ``0-3`` or ``all``."""

from __future__ import annotations

from harness.errors import InputError, PlanError, quoted
from harness.model.units import is_whole_number


def parse_ranks(text: str, size: int) -> list[int]:
    """The ranks that the text names in a network of that many nodes, ascending.

    Raises:
        InputError: the text is not written like that.
        PlanError: the network has no such rank.
    """
    if text == "all":
        return list(range(size))
    ranks: set[int] = set()
    for word in map(str.strip, text.split(",")):
        first, dash, last = word.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(map(is_whole_number, ends)) or int(ends[0]) > int(ends[1]):
            raise InputError(f"{quoted(word)} is not a rank; write e.g. 2, or several as 0,2 or 0-3, or all")
        if int(ends[1]) >= size:
            raise PlanError(f"there is no rank {int(ends[1])}; this network has ranks 0 to {size - 1}")
        ranks.update(range(int(ends[0]), int(ends[1]) + 1))
    return sorted(ranks)


def named_ranks(text: str) -> frozenset[int]:
    """The ranks at which a text such as ``0,2`` or ``0-1,1-2`` (edges) has numbers, known or not; none for ``all``."""
    words = (word.strip() for word in text.replace("-", ",").split(","))
    return frozenset(int(word) for word in words if is_whole_number(word))
