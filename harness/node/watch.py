"""Which nodes are gone or have moved, by the names of their containers.

Docker's DNS forgets a container that has ended, and not one that is paused or cut off from the others: so this tells a
node that is gone from one that is only slow, without a packet on the links.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from harness.node import peers

_EVERY_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.25
_GLANCES: Final = 5
_ABSENT: Final = 2
"""A node whose name is unknown so many times in a row is gone."""


def places(names: Sequence[str], ranks: Iterable[int]) -> dict[int, peers.Place | None]:
    """Where nodes are now; None where they are not; without those of which nothing is known."""
    found = {}
    for rank in ranks:
        with contextlib.suppress(peers.Unanswered):
            found[rank] = peers.look_up(names[rank])
    return found


async def watch(
    names: Sequence[str],
    ranks: Sequence[int],
    lose: Callable[[int], None],
    follow: Callable[[Mapping[int, peers.Place]], None],
) -> None:
    """Look again and again, until cancelled.

    Args:
        names: host names of all nodes, by rank.
        ranks: whom to look for.
        lose: called when one is gone.
        follow: called with where those are that are there.
    """
    absent: dict[int, int] = {}
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        found = await asyncio.to_thread(places, names, ranks)
        for rank, place in found.items():
            absent[rank] = 0 if place else absent.get(rank, 0) + 1
            if absent[rank] == _ABSENT:
                lose(rank)
        follow({rank: place for rank, place in found.items() if place})


async def just_gone(names: Sequence[str], ranks: Sequence[int]) -> list[int]:
    """Those of the nodes that have ended in this moment.

    A collective fails within milliseconds of a kill, and Docker forgets the name when it has cleaned up behind the
    container: so they are looked at for a second.
    """
    for _ in range(_GLANCES):
        found = await asyncio.to_thread(places, names, ranks)
        if gone := [rank for rank, place in found.items() if place is None]:
            return gone
        await asyncio.sleep(_POLL_SECONDS)
    return []


async def until_gone(names: Sequence[str], rank: int) -> None:
    """Wait until a node's container has ended."""
    while (await asyncio.to_thread(places, names, (rank,))).get(rank, True) is not None:
        await asyncio.sleep(_POLL_SECONDS)
