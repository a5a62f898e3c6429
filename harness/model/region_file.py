"""Reads from a topology file: its regions, the trunks between them, and the caps of nodes (uplink, downlink, CPU)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from harness.errors import InputError, quoted
from harness.model.capacity import Capacity
from harness.model.capacity_range import CapacityRange
from harness.model.cpu import CpuShare, read_share
from harness.model.profile import NODE_KEYS, Profile
from harness.model.profile_file import named_profile
from harness.model.range import quantile_of
from harness.model.regions import RegionPair
from harness.model.shape_file import read_capacity, read_node
from harness.model.yaml_file import Entry

TRUNK_KEYS: Final = {
    "between": "Two regions, `[eu, us]`: each of the two directions gets this capacity.",
    "from": "Instead of `between`, with `to`: one direction.",
    "to": "See `from`.",
}
"""The keys of a trunk beside those of a capacity, with what they mean (docs/reference/)."""
CAPS_KEYS: Final = {
    **NODE_KEYS,
    "cpu": "The share of one CPU core that the node's programs get together: `25%`, `250%`, or none.",
    "profile": "Profile from which uplink and downlink are drawn where they are not given: a name, or a file in the "
    "same folder.",
}
"""The keys of one entry of `caps`."""
_EVERY: Final = "all"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")

NodeCaps = dict[str, Capacity | CpuShare | None]
"""One node's "uplink", "downlink" and "cpu"; None: no limit."""


def read_regions(entry: Entry, rank_of: Callable[[Entry], int]) -> dict[str, tuple[int, ...]]:
    """The ranks of each region. Raises the entry's error, as all functions here do."""
    regions: dict[str, tuple[int, ...]] = {}
    home: dict[int, str] = {}
    for name, value in entry.named("eu").items():
        if not _NAME.fullmatch(name) or name == _EVERY:
            raise value.fault(
                f"{quoted(name)} is not a name of a region: use up to 32 letters, digits, '_' and '-', begin with a"
                f" letter, and leave {_EVERY!r} for all nodes"
            )
        ranks = [(rank_of(item), item) for item in value.items()]
        if not ranks:
            raise value.fault("a region has at least one rank, e.g. [0, 1]")
        for rank, item in ranks:
            if rank in home:
                raise item.fault(f"rank {rank} is in region {home[rank]} already")
            home[rank] = name
        regions[name] = tuple(sorted(rank for rank, _ in ranks))
    return regions


def read_trunks(
    values: Mapping[str, Entry], regions: Mapping[str, object], crossed: list[RegionPair], seed: int
) -> dict[RegionPair, Capacity]:
    """The capacity of every trunk, by the file's keys ``trunk`` (for all pairs of regions) and ``trunks``.

    Args:
        values: of the file.
        regions: by name.
        crossed: the pairs of regions that some edge joins.
        seed: of draws from ranges.
    """
    if (place := values.get("trunk")) is not None:
        capacity = read_capacity(place)
        if len(regions) < 2:
            raise place.fault("a trunk joins two regions; write e.g. regions: {eu: [0], us: [1]}")
        found = {pair: _drawn(capacity, seed, pair) for pair in crossed}
    else:
        found = {}
    given: dict[RegionPair, Entry] = {}
    for place in values["trunks"].items() if "trunks" in values else []:
        if not place.is_mapping:
            raise place.fault("a trunk is a mapping, e.g. {between: [eu, us], rate: 1gbit}")
        capacity = read_capacity(place, TRUNK_KEYS)
        for pair in _pairs(place, regions):
            if pair in given:
                raise place.fault(f"{'->'.join(pair)} is given twice (first in line {given[pair].line})")
            if pair not in crossed:
                raise place.fault(f"no edge goes from {pair[0]} to {pair[1]}, so nothing can share a trunk")
            given[pair] = place
            found[pair] = _drawn(capacity, seed, pair)
    return found


def two_ends(place: Entry, keys: Mapping[str, Entry], what: str, between: str) -> list[Entry]:
    """The ends of a trunk or an edge: ``between: [A, B]``, or ``from: A`` and ``to: B``. Raises InputError."""
    if "between" in keys and not keys.keys() & {"from", "to"}:
        ends = keys["between"].items()
        if len(ends) != 2:
            raise keys["between"].fault(f"{what} is between two {between}; this list has {len(ends)}")
        return ends
    if "between" not in keys and keys.keys() >= {"from", "to"}:
        return [keys["from"], keys["to"]]
    raise place.fault(f"{what} has either between: [A, B], for both directions, or from: A and to: B, for one")


def _pairs(place: Entry, regions: Mapping[str, object]) -> list[RegionPair]:
    keys = place.named("between")
    ends = two_ends(place, keys, "a trunk", "regions, e.g. [eu, us]")
    names = [end.text("the name of a region") for end in ends]
    for name, end in zip(names, ends, strict=True):
        if name not in regions:
            raise end.fault(f"there is no region {quoted(name)}; regions: {', '.join(regions) or 'none'}")
    src, dst = names
    if src == dst:
        raise place.fault(f"region {src} needs no trunk to itself")
    return [(src, dst), (dst, src)] if "between" in keys else [(src, dst)]


def _drawn(capacity: CapacityRange, seed: int, pair: RegionPair) -> Capacity:
    """A capacity drawn from the ranges: the same for both directions, as for those of an edge."""
    first, second = sorted(pair)
    return capacity.at(lambda part: quantile_of(f"{seed}:trunk {first} {second}{part}"))


def read_caps(entry: Entry, size: int, regions: Mapping[str, tuple[int, ...]], seed: int) -> dict[int, NodeCaps]:
    """The caps by rank, from entries for all nodes, for a region's and for one; the most specific entry wins.

    Args:
        entry: the mapping.
        size: number of nodes.
        regions: by name.
        seed: of draws from ranges.
    """
    caps: dict[int, NodeCaps] = {}
    values = entry.named("all")
    for name, value in values.items():
        if name != _EVERY and name not in regions and not _is_rank(name, size):
            known = ", ".join([_EVERY, *regions])
            raise value.fault(f"{quoted(name)} is not a rank from 0 to {size - 1}, and none of {known}")
    whole = [(name, range(size)) for name in values if name == _EVERY]
    parts = [(name, regions[name]) for name in values if name in regions]
    single = [(name, [int(name)]) for name in values if _is_rank(name, size)]
    for name, ranks in [*whole, *parts, *single]:
        profile, named = _read_caps(values[name])
        cpu = _read_cpu(values[name])
        for rank in ranks:
            drawn = vars(profile.sample_node(seed, rank))
            caps.setdefault(rank, {}).update({key: drawn[key] for key in named} | cpu)
    return caps


def _read_caps(place: Entry) -> tuple[Profile, list[str]]:
    """A profile with these caps, and those of "uplink" and "downlink" that the entry sets."""
    values = place.mapping(CAPS_KEYS)
    own: dict[str, Any] = {**read_node(values)}
    if "profile" in values:
        return replace(named_profile(values["profile"]), **own), list(NODE_KEYS)
    return replace(Profile(place.path), **own), list(own)


def _read_cpu(place: Entry) -> NodeCaps:
    if (entry := place.mapping(CAPS_KEYS).get("cpu")) is None:
        return {}
    try:
        return {"cpu": read_share(entry.word)}
    except InputError as cause:
        raise entry.fault(cause) from None


def _is_rank(name: str, size: int) -> bool:
    return name.isdecimal() and str(int(name)) == name and int(name) < size
