"""Regions: groups of nodes, between which trunks may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.model.capacity import Capacity, Trunk
from harness.model.link import Pair

RegionPair = tuple[str, str]
"""The region that sends, and the one that receives."""


def crossed_trunks(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> list[RegionPair]:
    """The pairs of regions between which one of these directed edges goes, sorted."""
    return sorted(_crossing(regions, pairs))


def trunks_of(
    regions: Mapping[str, tuple[int, ...]], capacities: Mapping[RegionPair, Capacity], pairs: Iterable[Pair]
) -> tuple[Trunk, ...]:
    """The trunks with those of these directed edges that cross them, sorted by name."""
    crossing = _crossing(regions, pairs) if capacities else {}
    return tuple(Trunk(*ends, capacities[ends], tuple(sorted(crossing.get(ends, ())))) for ends in sorted(capacities))


def receivers_by_region(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> tuple[tuple[int, ...], ...]:
    """For each region that one of these directed edges enters: the ranks in it at which such edges end."""
    found: dict[str, set[int]] = {}
    for (_, region), crossing in _crossing(regions, pairs).items():
        found.setdefault(region, set()).update(dst for _, dst in crossing)
    return tuple(tuple(sorted(ranks)) for _, ranks in sorted(found.items()))


def _crossing(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> dict[RegionPair, list[Pair]]:
    home = {rank: name for name, ranks in regions.items() for rank in ranks}
    found: dict[RegionPair, list[Pair]] = {}
    for src, dst in pairs:
        if src in home and dst in home and home[src] != home[dst]:
            found.setdefault((home[src], home[dst]), []).append((src, dst))
    return found
