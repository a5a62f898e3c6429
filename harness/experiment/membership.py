"""Which ranks were in the process group of a step in an elastic run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def members_at(groups: Sequence[tuple[int, Collection[int]]], step: int) -> Collection[int] | None:
    """The members of the last group that did a step; None where there are no groups.

    Args:
        groups: (last step before it, members) of each group, in the order in which they were formed.
        step: from 1; 0: before the first.
    """
    if not groups:
        return None
    return next((members for last, members in reversed(groups) if last < step), groups[0][1])
