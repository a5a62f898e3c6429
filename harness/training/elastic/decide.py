"""Decides how long rank 0 waits for the ranks of a new group, and says what has changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long rank 0 waits for the members of the group before, in seconds.

    Args:
        silent: for those that do not answer: they are dead, stopped or cut off.
        answered: for those that answered: they have to finish what they compute.
    """

    silent: float
    answered: float


def complete(
    before: Collection[int], here: Collection[int], answered: Collection[int], waited: float, patience: Patience
) -> bool:
    """Whether rank 0 waits no longer.

    Args:
        before: the ranks of the group before; of the first group, all.
        here: the ranks that are here for the new group.
        answered: those that have noticed that the group before has ended.
        waited: seconds since then.
        patience: how long to wait.
    """
    missing = set(before) - set(here)
    if not missing:
        return True
    return waited >= (patience.answered if missing & set(answered) else patience.silent)


@dataclass(frozen=True)
class Roster:
    """Who is in a group.

    Args:
        generation: the number of the group, from 1.
        processes: the process of each rank: a rank that was started again is another process.
        lost: ranks whose process was in the group before and is not in this one.
        joined: ranks whose process was not in the group before.
    """

    generation: int
    processes: Mapping[int, str]
    lost: tuple[int, ...]
    joined: tuple[int, ...]

    @property
    def members(self) -> tuple[int, ...]:
        """The ranks, ascending."""
        return tuple(sorted(self.processes))


def next_roster(generation: int, before: Mapping[int, str], now: Mapping[int, str]) -> Roster:
    """The roster of a new group.

    Args:
        generation: its number.
        before: the processes of the group before; empty for the first.
        now: the processes of the new group.
    """
    lost = (rank for rank in before if now.get(rank) != before[rank])
    joined = (rank for rank in now if before.get(rank) != now[rank])
    return Roster(generation, dict(now), tuple(sorted(lost)), tuple(sorted(joined)))
