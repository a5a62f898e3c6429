"""Reads the counters of a node's edges ten times a second: far cheaper than an engine's ``observe``.

A Meter is opened in the node's network namespace and then works from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.shaping.counts import Counts
from harness.shaping.facts import NETEM


class Meter(Protocol):
    """The counters of one node."""

    def read(self) -> dict[int, Counts]:
        """The counters of every edge that the engine shapes at this node, by neighbour. Raises OSError."""
        ...

    def caps(self) -> dict[str, Counts]:
        """The counters of every shared capacity at this node, by name as in NodeStatus. Raises OSError."""
        ...

    def notes(self) -> list[str]:
        """What has happened to the engine, oldest first."""
        ...

    def close(self) -> None:
        """Close what it reads."""
        ...


def open_meter(engine: str, neighbours: Sequence[int]) -> Meter:
    """The meter of the node of the current network namespace.

    Args:
        engine: name of the engine that shapes its edges.
        neighbours: at the other ends of the edges.

    Raises:
        OSError: the counters cannot be read.
        UnavailableError: the shaper daemon does not run.
    """
    if engine == NETEM:
        from harness.shaping.netem_meter import NetemMeter

        return NetemMeter(neighbours)
    from harness.shaping.userspace.meter import UserspaceMeter

    return UserspaceMeter(neighbours)
