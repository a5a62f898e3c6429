"""Who has not been heard of for too long: pure; the time is an argument."""

from __future__ import annotations

from typing import Final

BEAT_SECONDS: Final = 1.0
"""How often agents on a network of their own say that they are there, and ask Docker's name server."""
PEER_SECONDS: Final = 6.0
"""How long an agent may say nothing: it does little that takes a second, and TCP repeats a lost packet within one."""
DAEMON_SECONDS: Final = 7.0
"""How long Docker's name server may say nothing. A busy machine's takes seconds, one whose daemon has died refuses."""
_MOST: Final = 1.5 * BEAT_SECONDS
"""What counts of the time between two looks: who was held up itself could hear nobody."""


class Silence:
    """Counts for how long each of the others has said nothing.

    Args:
        limit: seconds after which it counts as gone.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._silent: dict[int, float] = {}
        self._looked: float | None = None

    def heard(self, rank: int) -> None:
        """It has said something; from the first time on it is expected to."""
        self._silent[rank] = 0.0

    def forget(self, rank: int) -> None:
        """It is expected to say nothing until it is heard again."""
        self._silent.pop(rank, None)

    def gone(self, now: float) -> list[int]:
        """Look; those whose silence has lasted too long, once each.

        Args:
            now: seconds, by a clock that nobody sets.
        """
        passed = 0.0 if self._looked is None else min(now - self._looked, _MOST)
        self._looked = now
        self._silent = {rank: silent + passed for rank, silent in self._silent.items()}
        found = sorted(rank for rank, silent in self._silent.items() if silent >= self._limit)
        for rank in found:
            self.forget(rank)
        return found
