"""Routes, which topology.py computes, by next hop and as JSON: to which neighbour a node sends for a destination."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.prefixes import spans


def destinations_by_hop(hops: Mapping[int, int]) -> dict[int, list[int]]:
    """Of one rank: the destinations that it reaches through each neighbour, ascending."""
    found: dict[int, list[int]] = {}
    for dst, hop in sorted(hops.items()):
        found.setdefault(hop, []).append(dst)
    return found


def routes_to_json(hops: Mapping[int, int]) -> dict[str, int]:
    """One rank's next hops by destination: ``7``, or ``7-12`` where consecutive ranks share one."""
    return {
        str(first) if first == last else f"{first}-{last}": hop
        for hop, ranks in destinations_by_hop(hops).items()
        for first, last in spans(ranks)
    }


def routes_from_json(routes: Mapping[str, int]) -> dict[int, int]:
    """The inverse of routes_to_json."""
    hops: dict[int, int] = {}
    for ranks, hop in routes.items():
        first, _, last = ranks.partition("-")
        hops |= dict.fromkeys(range(int(first), int(last or first) + 1), hop)
    return hops
