"""The machines of a network that is spread over several: paths between them, and how far their clocks are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

FILE = "machines.json"
"""Of a run; what ``to_json`` makes."""


@dataclass(frozen=True)
class Path:
    """Between two machines, beside the links: measured by agents over their own network, which nothing shapes.

    Args:
        ahead: seconds that the second machine's clock is ahead of the first one's.
        uncertainty: seconds that this may be more or less.
        rtt: seconds of the quickest round trip of a small message.
        rtt_median: of all.
        pings: how many there were.
        passes: whether a packet as large as the MTU passes undivided, by network: links, manage.
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
        """What to_json made. Raises TypeError."""
        return cls(**value)


@dataclass(frozen=True)
class Machines:
    """Who is where.

    Args:
        of_rank: a name of each rank's machine; "" where it is not known.
        paths: between two machines, by their names; from the first that ranks name to the later one.
        mtu: bytes of the largest packet, by network (links, manage), for each rank; of what answered.
        at: seconds since the epoch, by rank 0's clock, when this was measured.
    """

    of_rank: Sequence[str]
    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    mtu: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    at: float = 0.0

    @property
    def first_ranks(self) -> dict[str, int]:
        """The lowest rank on each machine, which speaks for it."""
        return {name: self.of_rank.index(name) for name in dict.fromkeys(self.of_rank) if name}

    def apart(self, a: int, b: int) -> bool:
        """Whether two ranks are on different machines, or it is not known."""
        return self.of_rank[a] != self.of_rank[b] or not self.of_rank[a]

    def path(self, a: int, b: int) -> Path | None:
        """From one rank's machine to another's; None where that is the same, or was not measured."""
        names = self.of_rank[a], self.of_rank[b]
        there, back = self.paths.get(names), self.paths.get(names[::-1])
        return there or (back.reversed() if back else None)

    def ahead(self, rank: int) -> float:
        """Seconds that a rank's clock is ahead of rank 0's, as far as is known."""
        path = self.path(0, rank)
        return path.ahead if path else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; docs/runs.md says what stands in it."""
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
        """What to_json made. Raises LookupError, TypeError, ValueError."""
        names = [str(one["machine"]) for one in value["ranks"]]
        paths = {}
        for one in value["paths"]:
            a, b = one["ranks"]
            paths[names[a], names[b]] = Path.from_json({key: part for key, part in one.items() if key != "ranks"})
        mtu = {int(one["rank"]): dict(one["mtu"]) for one in value["ranks"]}
        return cls(names, paths, mtu, float(value["time"]))
