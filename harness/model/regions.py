"""Regions: groups of nodes, between which trunks may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.model.capacity import Capacity, Trunk
from harness.model.link import Pair

Ways = tuple[str, str]
"""The region that sends, and the one that receives."""


def crossed_trunks(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> list[Ways]:
    """The regions between which one of these directed edges goes, sorted."""
    return sorted(_crossing(regions, pairs))


def trunks_of(
    regions: Mapping[str, tuple[int, ...]], capacities: Mapping[Ways, Capacity], pairs: Iterable[Pair]
) -> tuple[Trunk, ...]:
    """The trunks with those of these directed edges that cross them, sorted by name."""
    crossing = _crossing(regions, pairs) if capacities else {}
    return tuple(Trunk(*ways, capacities[ways], tuple(sorted(crossing.get(ways, ())))) for ways in sorted(capacities))


def _crossing(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> dict[Ways, list[Pair]]:
    home = {rank: name for name, ranks in regions.items() for rank in ranks}
    found: dict[Ways, list[Pair]] = {}
    for src, dst in pairs:
        if src in home and dst in home and home[src] != home[dst]:
            found.setdefault((home[src], home[dst]), []).append((src, dst))
    return found
