"""Tables of real places: regions of a cloud, with delays and rates measured between them.

A table is a YAML file (tc_profiles/regions/NAME.yaml ships; ``regions:./mine.yaml`` is one of yours)::

    description: where the numbers are from
    regions:                        # name: place, in the order of the columns below
      eu: Frankfurt
      us: Oregon
    delay:                          # one way, from the row's region to the column's
      eu: [~, 68ms]
      us: [68ms, ~]
    rate:                           # optional, likewise; ~ where it is not known
      eu: [~, 404mbit]
      us: [404mbit, ~]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Final, TypeVar

from harness.errors import TopologyError, UnitError, quoted
from harness.model.link import LinkShape
from harness.model.profile_file import is_profile_path, shipped_directory
from harness.model.regions import RegionPair
from harness.model.suggest import suggest
from harness.model.topology import Topology, TopologyEdge, check_clash
from harness.model.units import Rate, Time
from harness.model.yaml_file import Entry, read_yaml

T = TypeVar("T", Rate, Time)

REGION_TABLE_KEYS: Final = {
    "description": "What it is, in one line.",
    "regions": "The place of each region by its name, in the order of the columns of the other keys.",
    "delay": "One-way delays: by region a list of times to each; ~ where there is none.",
    "rate": "Rates, likewise; what is not known is drawn from the profile of the edges between regions.",
}
"""The keys of a table's file, with what they mean (docs/reference/)."""


@dataclass(frozen=True)
class RegionTable:
    """A cloud's regions.

    Args:
        name: of the shipped table, or the file's name without its ending.
        description: one line for people.
        regions: the place of each, by its name.
        delays: one way.
        rates: where they are known.
    """

    name: str
    description: str
    regions: Mapping[str, str]
    delays: Mapping[RegionPair, Time]
    rates: Mapping[RegionPair, Rate]

    def placed(self, nodes: int | None, place: str | None) -> list[str]:
        """The region of every rank; where there are more ranks than names, the names repeat from the first.

        Args:
            nodes: how many ranks; None: as many as names are given, or 4.
            place: ``eu-west-1,us-east-1``; None: the table's regions in its order.

        Raises:
            TopologyError: an unknown region, or more names than nodes.
        """
        names = [word.strip() for word in place.split(",")] if place else list(self.regions)
        for name in names:
            if name not in self.regions:
                raise TopologyError(f"--place: there is no region {quoted(name)}; {suggest(name, self.regions)}")
        size = nodes or (len(names) if place else 4)
        if place and len(names) > size:
            raise TopologyError(f"--place names {len(names)} regions, but --nodes is {size}")
        return [names[rank % len(names)] for rank in range(size)]

    def topology(self, nodes: int | None = None, place: str | None = None) -> Topology:
        """A full mesh of ranks in these regions.

        An edge between two regions has the table's delay and rate of either direction; its other fields come from the
        profile between regions. An edge inside a region is drawn from the network's profile.

        Raises:
            TopologyError: see ``placed``; or the table has no delay between two of the regions.
        """
        homes = self.placed(nodes, place)
        check_clash(f"regions:{self.name}", len(homes), nodes)
        edges = [self._edge(a, b, homes[a], homes[b]) for a, b in combinations(range(len(homes)), 2)]
        regions = {
            name: tuple(rank for rank, home in enumerate(homes) if home == name) for name in dict.fromkeys(homes)
        }
        return Topology(f"regions:{self.name}", len(homes), tuple(edges), regions=regions)

    def _edge(self, a: int, b: int, there: str, here: str) -> TopologyEdge:
        if there == here:
            return TopologyEdge(a, b)
        for way in ((there, here), (here, there)):
            if way not in self.delays:
                raise TopologyError(
                    f"regions:{self.name} knows no delay from {way[0]} to {way[1]}; place ranks {a} and {b} elsewhere"
                    " with --place"
                )
        known = {"delay", "rate"} if {(there, here), (here, there)} <= self.rates.keys() else {"delay"}
        inherits = frozenset(field.name for field in fields(LinkShape)) - known

        def shape(way: RegionPair) -> LinkShape:
            return LinkShape(delay=self.delays[way], rate=self.rates[way] if "rate" in known else None)

        return TopologyEdge(a, b, 1, shape((there, here)), shape((here, there)), inherits)


def _directory() -> Path:
    return shipped_directory() / "regions"


def shipped_tables() -> list[str]:
    """The names of the tables that come with the package."""
    return sorted(path.stem for path in _directory().glob("*.yaml"))


def load_regions(name_or_path: str) -> RegionTable:
    """A table by its shipped name or its path. Raises TopologyError with file, line and YAML path."""
    if is_profile_path(name_or_path):
        return _read(Path(name_or_path))
    if name_or_path not in (names := shipped_tables()):
        hint = suggest(name_or_path, names)
        raise TopologyError(f"there is no table of regions {quoted(name_or_path)}; {hint} (of your own: ./NAME.yaml)")
    return _read(_directory() / f"{name_or_path}.yaml")


def _read(path: Path) -> RegionTable:
    root = read_yaml(path, TopologyError)
    values = root.mapping(REGION_TABLE_KEYS)
    for key in ("regions", "delay"):
        if key not in values:
            raise root.fault(f"{key} is missing")
    regions = {name: place.text("a place") for name, place in values["regions"].named("eu-west-1").items()}
    if not regions:
        raise values["regions"].fault("there is no region")
    description = values["description"].text("a line of text") if "description" in values else ""
    delays = _cells(values["delay"], list(regions), Time.parse)
    rates = _cells(values["rate"], list(regions), Rate.parse) if "rate" in values else {}
    return RegionTable(path.stem, description, regions, delays, rates)


def _cells(table: Entry, names: Sequence[str], parse: Callable[[str], T]) -> dict[RegionPair, T]:
    cells: dict[RegionPair, T] = {}
    for src, row in table.mapping(names).items():
        columns = row.items()
        if len(columns) != len(names):
            raise row.fault(f"{len(columns)} values for {len(names)} regions")
        for dst, cell in zip(names, columns, strict=True):
            if cell.says("~") or src == dst:
                continue
            try:
                cells[src, dst] = parse(cell.text("a value with its unit, or ~,"))
            except UnitError as cause:
                raise cell.fault(cause) from None
    return cells
