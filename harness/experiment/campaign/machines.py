"""Which machines of a cluster can take a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from harness.errors import HarnessError, UnavailableError
from harness.model.format import count

MOST_LOST: Final = 3
"""How many machines may be lost during one run: the run itself may be the reason, e.g. its use of memory."""


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster.

    Args:
        id: of Ray's node.
        name: given by ``ray start --node-name``, else the host's name.
        host: the host's name.
        cores: that Ray may use there, busy or not.
    """

    id: str
    name: str
    host: str
    cores: float

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Self:
        """The machine of an entry of ray.nodes()."""
        host, given = str(node["NodeManagerHostname"]), str(node.get("NodeName") or "")
        name = host if given in ("", node.get("NodeManagerAddress")) else given
        return cls(str(node["NodeID"]), name, host, float(node["Resources"].get("CPU", 0)))

    def runs(self, cores: float) -> int:
        """How many runs with so many cores each fit on it at a time."""
        return int(self.cores // cores)


def alive(nodes: Iterable[Mapping[str, Any]]) -> list[Machine]:
    """The machines that take tasks; a head with ``--num-cpus 0`` takes none."""
    return [machine for node in nodes if node["Alive"] and (machine := Machine.of(node)).cores > 0]


def check_cores(machines: Sequence[Machine], cores: Mapping[str, float]) -> None:
    """Raise UnavailableError where no machine has the cores of a run, given by its slug: it would wait for ever."""
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
    """The failed attempts at a run.

    Args:
        refused: name of a machine that could not do it, and the reason, by the machine's id.
        lost: names of machines that were lost during the run.
    """

    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def check(self, slug: str, cores: float, machines: Sequence[Machine]) -> None:
        """Raise HarnessError where the run lost too many machines, or none of these can do it."""
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
