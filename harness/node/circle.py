"""What keeps the nodes of a network together, as one node's agent sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.node.letters import Letter


class Circle(Protocol):
    """Rank 0's side of it is hub.py, everybody else's member.py. What they hear goes to the agent as letters."""

    watches: Sequence[int]
    """Ranks whose containers are to be watched: to lose one is told to ``lose``."""

    async def serve(self) -> None:
        """Be part of it, with links that are shaped, until cancelled. Raises HarnessError."""
        ...

    async def done(self, code: int) -> None:
        """Our job has ended with this exit code; where it failed, a node that is gone failed before it."""
        ...

    def stopped(self, code: int) -> None:
        """We are being stopped, before our job has ended: what happens to others' jobs comes of it."""
        ...

    def share(self, letter: Letter) -> None:
        """Let all other nodes know."""
        ...

    def lose(self, rank: int) -> None:
        """A node's container is gone."""
        ...

    async def leave(self) -> None:
        """After the end: stay until nobody needs what this node forwards."""
        ...
