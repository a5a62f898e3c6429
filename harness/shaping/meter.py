"""Reads the counters of a node's edges ten times a second: far cheaper than an engine's ``observe``.

A Meter is opened in the node's network namespace and then works from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from harness.shaping.facts import NETEM

Counts = tuple[int, int, int, int, int]
"""What Stats has, in its order: packets and bytes sent, packets dropped, bytes and packets queued. A dataclass would
take longer to make than the numbers take to read."""
NOTHING: Final[Counts] = (0, 0, 0, 0, 0)


class Meter(Protocol):
    """Of one node."""

    def read(self) -> dict[int, Counts]:
        """What was counted on every edge that the node's engine shapes here, by neighbour. Raises OSError."""
        ...

    def caps(self) -> dict[str, Counts]:
        """What was counted at every shared capacity that is enforced here, by name as in NodeStatus. Raises OSError."""
        ...

    def notes(self) -> list[str]:
        """What has happened to the engine, oldest first."""
        ...

    def close(self) -> None:
        """Read no more."""
        ...


def open_meter(engine: str, neighbours: Sequence[int]) -> Meter:
    """The meter of the node whose network namespace we are in.

    Args:
        engine: the name of the one that shapes its edges.
        neighbours: at the other ends of those.

    Raises:
        OSError: what it reads cannot be opened.
        UnavailableError: the shaper daemon does not run.
    """
    if engine == NETEM:
        from harness.shaping.netem_meter import NetemMeter

        return NetemMeter(neighbours)
    from harness.shaping.userspace.meter import UserspaceMeter

    return UserspaceMeter(neighbours)
