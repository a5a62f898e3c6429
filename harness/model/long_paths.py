"""Which nodes cannot reach each other, because more relays lie between them than a packet may cross."""

from __future__ import annotations

from harness.model.address import MAX_HOPS
from harness.model.plan import NetworkPlan


def long_paths(plan: NetworkPlan) -> list[str]:
    """One line where paths are longer than packets live, or none.

    From any node the farthest is at least half as far as any two are from each other; from that one on, the farthest is
    all the way where paths do not go around.
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
    """The rank that is most hops away, and how many. Routes are consistent: each rank goes on as the first would."""
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
