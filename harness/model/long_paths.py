"""Warns of nodes that cannot reach each other because packets may not cross that many relays."""

from __future__ import annotations

from harness.model.address import MAX_HOPS
from harness.model.plan import NetworkPlan


def long_paths(plan: NetworkPlan) -> list[str]:
    """A warning where a path is longer than MAX_HOPS, or nothing.

    Looks from node 0 for the farthest node, and from there for the farthest again: in a tree, these two are the
    farthest of all.
    """
    if plan.size <= MAX_HOPS + 1:
        return []
    start, _ = _farthest(plan, 0)
    end, hops = _farthest(plan, start)
    if hops <= MAX_HOPS:
        return []
    return [
        f"nodes {start} and {end} are {hops} hops apart, and packets are dropped after {MAX_HOPS}: nodes"
        " farther apart than that cannot reach each other"
    ]


def _farthest(plan: NetworkPlan, src: int) -> tuple[int, int]:
    """The rank that is most hops away, and how many (see Topology.next_hops: routes are consistent)."""
    hops = {src: 0}
    for rank in range(plan.size):
        path = []
        while rank not in hops:
            path.append(rank)
            rank = plan.next_hops[rank][src]
        for number, passed in enumerate(reversed(path), hops[rank] + 1):
            hops[passed] = number
    far = max(hops, key=lambda rank: (hops[rank], -rank))
    return far, hops[far]
