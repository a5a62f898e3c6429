"""Which ranks were in the process group of a step, where ranks come and go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def members_at(groups: Sequence[tuple[int, Collection[int]]], step: int) -> Collection[int] | None:
    """The members of the group that did a step, as it counts in the end; None where there are no groups.

    Args:
        groups: of each, in the order in which they were formed, the last step before it, and its members.
        step: from 1; 0: before the first.
    """
    if not groups:
        return None
    return next((members for last, members in reversed(groups) if last < step), groups[0][1])
