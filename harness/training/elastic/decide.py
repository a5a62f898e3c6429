"""Decides how long rank 0 waits for the members of a new group, and who has left and joined. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long rank 0 waits for members of the last group, in seconds.

    Args:
        silent: for those that have not answered: they are dead, stopped or cut off.
        answered: for those that have answered: they finish a computation.
    """

    silent: float
    answered: float


def complete(
    before: Collection[int], here: Collection[int], answered: Collection[int], waited: float, patience: Patience
) -> bool:
    """Whether rank 0 has waited long enough.

    Args:
        before: the ranks of the last group; for the first group, all ranks.
        here: the ranks that want to be in the new group.
        answered: the ranks that have noticed the end of the last group.
        waited: seconds since that end.
        patience: how long to wait.
    """
    missing = set(before) - set(here)
    if not missing:
        return True
    return waited >= (patience.answered if missing & set(answered) else patience.silent)


@dataclass(frozen=True)
class Roster:
    """The members of a group.

    Args:
        generation: number of the group, from 1.
        processes: the process of each rank: a rank that was started again is another process.
        lost: ranks whose process was in the last group and is not in this one.
        joined: ranks whose process was not in the last group.
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
        before: the processes of the last group; empty for the first group.
        now: the processes of the new group.
    """
    lost = (rank for rank in before if now.get(rank) != before[rank])
    joined = (rank for rank in now if before.get(rank) != now[rank])
    return Roster(generation, dict(now), tuple(sorted(lost)), tuple(sorted(joined)))
