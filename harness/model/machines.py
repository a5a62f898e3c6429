"""The machines of a network that spans several: paths between them, and offsets of their clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

FILE = "machines.json"
"""The file of a run with the JSON of `Machines`."""


@dataclass(frozen=True)
class Path:
    """The unshaped path between two machines, measured by agents over their management network.

    Args:
        ahead: seconds that the second machine's clock is ahead of the first one's.
        uncertainty: of that, in seconds.
        rtt: seconds of the shortest round trip of a small message.
        rtt_median: of all round trips.
        pings: number of round trips.
        passes: whether a packet as large as the MTU passes unfragmented, by network: links, manage.
    """

    ahead: float
    uncertainty: float
    rtt: float
    rtt_median: float
    pings: int
    passes: Mapping[str, bool] = field(default_factory=dict)

    def reversed(self) -> Path:
        """Seen from the second machine."""
        return Path(-self.ahead, self.uncertainty, self.rtt, self.rtt_median, self.pings, self.passes)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "passes": dict(self.passes)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of to_json. Raises TypeError."""
        return cls(**value)


@dataclass(frozen=True)
class Machines:
    """Which rank is on which machine.

    Args:
        of_rank: the name of each rank's machine; empty: unknown.
        paths: between two machines, by their names; from the one with the lower rank.
        mtu: bytes of the largest packet, by rank and network (links, manage).
        at: when this was measured: seconds since the epoch by rank 0's clock.
    """

    of_rank: Sequence[str]
    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    mtu: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    at: float = 0.0

    @property
    def first_ranks(self) -> dict[str, int]:
        """The lowest rank on each machine."""
        return {name: self.of_rank.index(name) for name in dict.fromkeys(self.of_rank) if name}

    def apart(self, a: int, b: int) -> bool:
        """Whether two ranks are on different machines, or this is unknown."""
        return self.of_rank[a] != self.of_rank[b] or not self.of_rank[a]

    def path(self, a: int, b: int) -> Path | None:
        """From one rank's machine to another's; None where they are the same, or it was not measured."""
        names = self.of_rank[a], self.of_rank[b]
        there, back = self.paths.get(names), self.paths.get(names[::-1])
        return there or (back.reversed() if back else None)

    def ahead(self, rank: int) -> float:
        """Seconds that a rank's clock is ahead of rank 0's; 0 where unknown."""
        path = self.path(0, rank)
        return path.ahead if path else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as docs/runs.md describes it."""
        ranks = []
        for rank, name in enumerate(self.of_rank):
            path = self.path(0, rank) if self.apart(0, rank) else None
            of_path = path.to_json() if path else None
            ranks.append({"rank": rank, "machine": name, "mtu": dict(self.mtu.get(rank, {})), "path": of_path})
        first = self.first_ranks
        between = [{"ranks": [first[a], first[b]], **path.to_json()} for (a, b), path in self.paths.items()]
        return {"version": 1, "time": self.at, "ranks": ranks, "paths": between}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of to_json. Raises LookupError, TypeError, ValueError."""
        names = [str(one["machine"]) for one in value["ranks"]]
        paths = {}
        for one in value["paths"]:
            a, b = one["ranks"]
            paths[names[a], names[b]] = Path.from_json({key: part for key, part in one.items() if key != "ranks"})
        mtu = {int(one["rank"]): dict(one["mtu"]) for one in value["ranks"]}
        return cls(names, paths, mtu, float(value["time"]))
