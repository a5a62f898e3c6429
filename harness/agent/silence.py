"""Finds peers that have been silent for too long. Pure."""

from __future__ import annotations

from typing import Final

BEAT_SECONDS: Final = 1.0
"""How often agents on a network of their own send a heartbeat, and ask Docker's name server."""
PEER_SECONDS: Final = 6.0
"""After this an agent counts as gone: it does little that takes a second, and TCP resends a lost packet within one."""
DAEMON_SECONDS: Final = 7.0
"""The same of Docker's name server: on a busy machine it takes seconds; after the daemon's end it refuses."""
_MOST: Final = 1.5 * BEAT_SECONDS
"""The most that one interval between two looks counts: while this process was delayed, it could hear nobody."""


class Silence:
    """Counts for how long each peer has been silent.

    Args:
        limit: seconds after which a peer counts as gone.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._silent: dict[int, float] = {}
        self._looked: float | None = None

    def heard(self, rank: int) -> None:
        """A peer has sent something; from the first time on, it is expected to."""
        self._silent[rank] = 0.0

    def forget(self, rank: int) -> None:
        """Expect nothing from a peer until it is heard again."""
        self._silent.pop(rank, None)

    def gone(self, now: float) -> list[int]:
        """The peers that have been silent for too long; each is returned once.

        Args:
            now: seconds of a monotonic clock.
        """
        passed = 0.0 if self._looked is None else min(now - self._looked, _MOST)
        self._looked = now
        self._silent = {rank: silent + passed for rank, silent in self._silent.items()}
        found = sorted(rank for rank, silent in self._silent.items() if silent >= self._limit)
        for rank in found:
            self.forget(rank)
        return found
