"""What a topology file says of shared capacity: its regions, the trunks between them and the caps of its nodes.

And of its nodes' shares of a CPU, which stand among the caps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.capacity import Capacity
from harness.model.capacity_range import CapacityRange
from harness.model.cpu import CpuShare, read_share
from harness.model.profile import NODE_KEYS, Profile
from harness.model.profile_file import is_profile_path, load_profile
from harness.model.range import quantile_of
from harness.model.regions import Ways
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
"""Of one node: "uplink", "downlink" and "cpu", None where one is not limited."""


def read_regions(entry: Entry, rank_of: Callable[[Entry], int]) -> dict[str, tuple[int, ...]]:
    """The ranks of each region. What is wrong raises the entry's error, as everywhere here."""
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
    values: Mapping[str, Entry], regions: Mapping[str, object], crossed: list[Ways], seed: int
) -> dict[Ways, Capacity]:
    """The capacity of every trunk, by the keys ``trunk`` (of all pairs of regions) and ``trunks``.

    Args:
        values: of the file.
        regions: by name.
        crossed: the (from, to) that some edge crosses.
        seed: of the draws, where the file has ranges.
    """
    if (place := values.get("trunk")) is not None:
        capacity = read_capacity(place)
        if len(regions) < 2:
            raise place.fault("a trunk joins two regions; write e.g. regions: {eu: [0], us: [1]}")
        found = {ways: _drawn(capacity, seed, ways) for ways in crossed}
    else:
        found = {}
    given: dict[Ways, Entry] = {}
    for place in values["trunks"].items() if "trunks" in values else []:
        if not place.is_mapping:
            raise place.fault("a trunk is a mapping, e.g. {between: [eu, us], rate: 1gbit}")
        capacity = read_capacity(place, TRUNK_KEYS)
        for ways in _ways(place, regions):
            if ways in given:
                raise place.fault(f"{'->'.join(ways)} is given twice (first in line {given[ways].line})")
            if ways not in crossed:
                raise place.fault(f"no edge goes from {ways[0]} to {ways[1]}, so nothing can share a trunk")
            given[ways] = place
            found[ways] = _drawn(capacity, seed, ways)
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


def _ways(place: Entry, regions: Mapping[str, object]) -> list[Ways]:
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


def _drawn(capacity: CapacityRange, seed: int, ways: Ways) -> Capacity:
    """Both directions get the same, as those of an edge do."""
    first, second = sorted(ways)
    return capacity.at(lambda part: quantile_of(f"{seed}:trunk {first} {second}{part}"))


def read_caps(
    entry: Entry, path: Path, size: int, regions: Mapping[str, tuple[int, ...]], seed: int
) -> dict[int, NodeCaps]:
    """What the file says of uplink, downlink and CPU of nodes: of all, of a region's, of one; the narrowest counts.

    Args:
        entry: the mapping.
        path: of the file, beside which profiles are.
        size: number of nodes.
        regions: by name.
        seed: of the draws.
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
        profile, named = _read_caps(values[name], path)
        cpu = _read_cpu(values[name])
        for rank in ranks:
            drawn = vars(profile.sample_node(seed, rank))
            caps.setdefault(rank, {}).update({key: drawn[key] for key in named} | cpu)
    return caps


def _read_caps(place: Entry, path: Path) -> tuple[Profile, list[str]]:
    """A profile with these caps, and which of the two it decides."""
    values = place.mapping(CAPS_KEYS)
    own, base = read_node(values), Profile(place.path)
    if "profile" in values:
        name = values["profile"].text("the name or path of a profile")
        try:
            loaded = load_profile(str(path.parent / name) if is_profile_path(name) else name)
        except InputError as cause:
            raise values["profile"].fault(cause) from None
        return _with_caps(loaded, own), list(NODE_KEYS)
    return _with_caps(base, own), list(own)


def _read_cpu(place: Entry) -> NodeCaps:
    """The share of a CPU, where there is one."""
    if (entry := place.mapping(CAPS_KEYS).get("cpu")) is None:
        return {}
    try:
        return {"cpu": read_share(entry.word)}
    except InputError as cause:
        raise entry.fault(cause) from None


def _with_caps(profile: Profile, own: Mapping[str, CapacityRange | None]) -> Profile:
    return replace(profile, uplink=own.get("uplink", profile.uplink), downlink=own.get("downlink", profile.downlink))


def _is_rank(name: str, size: int) -> bool:
    return name.isdecimal() and str(int(name)) == name and int(name) < size
