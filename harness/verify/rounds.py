"""Which edges are measured at the same time: those that share no node and no trunk. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import undirected

T = TypeVar("T")
MAX_PARALLEL: Final = 8
"""Edges measured at once by default."""


def rounds(
    plan: NetworkPlan, pairs: Iterable[Pair] | None = None, max_parallel: int = MAX_PARALLEL
) -> list[list[Pair]]:
    """Group edges so that those of a group share no node (hence no uplink or downlink) and no trunk.

    Without trunks that is a proper edge colouring. Takes the better result of first fit in two orders: ordered by
    (a + b) mod n, consecutive edges of a complete graph are a matching, which gives n rounds; an even ring takes two.
    """
    edges = undirected(plan.edges if pairs is None else pairs)
    by_sum = sorted(edges, key=lambda pair: (sum(pair) % plan.size, pair))

    def taken(pair: Pair) -> set[int | str]:
        trunks = {trunk.name for way in (pair, pair[::-1]) if (trunk := plan.trunk_of(way))}
        return {*pair, *trunks}

    return min((first_fit(order, taken, max_parallel) for order in (by_sum, edges)), key=len)


def first_fit(items: Iterable[T], taken: Callable[[T], AbstractSet[int | str]], max_parallel: int) -> list[list[T]]:
    """Group items so that no two of a group take the same thing: each joins the first group where it fits."""
    groups: list[tuple[list[T], set[int | str]]] = []
    for item in items:
        takes = taken(item)
        for members, busy in groups:
            if len(members) < max_parallel and busy.isdisjoint(takes):
                break
        else:
            members, busy = [], set()
            groups.append((members, busy))
        members.append(item)
        busy.update(takes)
    return [members for members, _ in groups]
