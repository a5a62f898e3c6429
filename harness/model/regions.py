"""Regions: groups of nodes, between which trunks may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.model.link import Pair


def crossed_trunks(regions: Mapping[str, tuple[int, ...]], pairs: Iterable[Pair]) -> list[tuple[str, str]]:
    """The (from, to) of all regions between which one of these directed edges goes, sorted."""
    home = {rank: name for name, ranks in regions.items() for rank in ranks}
    ways = {(home.get(src, ""), home.get(dst, "")) for src, dst in pairs}
    return sorted((src, dst) for src, dst in ways if src and dst and src != dst)
