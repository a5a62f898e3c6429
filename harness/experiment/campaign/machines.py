"""Which machines of a cluster can take a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from harness.errors import HarnessError, UnavailableError
from harness.model.format import count

MOST_LOST: Final = 3
"""How many machines may be lost during one run: it may be what ends them, e.g. by the memory that it takes."""


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster.

    Args:
        id: Ray's, of the node.
        name: that ``ray start --node-name`` gave, or else its host's.
        host: its host's name.
        cores: that Ray may hand out there, busy or not.
    """

    id: str
    name: str
    host: str
    cores: float

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Self:
        """A machine, as ray.nodes() describes it."""
        host, given = str(node["NodeManagerHostname"]), str(node.get("NodeName") or "")
        name = host if given in ("", node.get("NodeManagerAddress")) else given
        return cls(str(node["NodeID"]), name, host, float(node["Resources"].get("CPU", 0)))

    def runs(self, cores: float) -> int:
        """How many runs it can do at a time that take so many cores each."""
        return int(self.cores // cores)


def alive(nodes: Iterable[Mapping[str, Any]]) -> list[Machine]:
    """Those that take tasks: a head with ``--num-cpus 0`` does not."""
    return [machine for node in nodes if node["Alive"] and (machine := Machine.of(node)).cores > 0]


def check_cores(machines: Sequence[Machine], cores: Mapping[str, float]) -> None:
    """Raise UnavailableError where a run would wait for ever.

    Args:
        machines: of the cluster.
        cores: that each run takes, by its slug.
    """
    largest = max(machines, key=lambda one: one.cores, default=None)
    if largest is None:
        raise UnavailableError(
            "no machine of the cluster has a core for tasks: add one, 'ray start --address HOST:6379'"
        )
    slug, most = max(cores.items(), key=lambda one: one[1])
    if most > largest.cores:
        raise UnavailableError(
            f"no machine has {most:g} cores for {slug}, one per node; the largest, {largest.name}, has "
            f"{largest.cores:g}: add a machine, or let nodes share cores with --cores {largest.cores:g}"
        )


@dataclass
class History:
    """What has become of a run's earlier tries.

    Args:
        refused: why a machine could not do it, by the machine's id.
        lost: names of machines that were lost while they did it.
    """

    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def check(self, slug: str, cores: float, machines: Sequence[Machine]) -> None:
        """Raise HarnessError where the run is not to be tried again, or no machine is left that could do it.

        Args:
            slug: of the run.
            cores: that it takes.
            machines: those that are alive.
        """
        if len(self.lost) >= MOST_LOST:
            raise HarnessError(
                f"{slug}: {count(len(self.lost), 'machine')} lost while they did it ({', '.join(self.lost)}): does it "
                "take more memory than they have?"
            )
        if any(one.runs(cores) and one.id not in self.refused for one in machines):
            return
        reasons = [f"{name} {why}" for name, why in self.refused.values()]
        if self.lost:
            reasons.append(f"lost: {', '.join(self.lost)}")
        raise UnavailableError(f"{slug}: no machine is left that can do it: {'; '.join(reasons) or 'all are gone'}")
