"""A node's share of a CPU: how fast the computer is that its programs seem to run on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final, Self

from harness.errors import InputError, PlanError, UnitError, quoted
from harness.model.units import is_whole_number, parse_percent

if TYPE_CHECKING:
    from harness.model.plan import NetworkPlan

_LEAST: Final = 10
"""Thousandths: 1 ms, the least that the kernel gives, in each 100 ms."""
_MOST: Final = 1_000_000
"""Of no machine that there is."""


@dataclass(frozen=True, order=True)
class CpuShare:
    """CPU time that a node's programs get together, per time that passes.

    Args:
        thousandths: of one core; 250 is a quarter of one, 2500 are two and a half.
    """

    thousandths: int
    KIND: ClassVar[str] = "share of a CPU"
    EXAMPLES: ClassVar[str] = "25% (a quarter of one core) or 250%"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a percentage of one core. Raises UnitError."""
        thousandths = parse_percent(text, cls.KIND, cls.EXAMPLES) * 1000
        if thousandths.denominator != 1:
            raise UnitError(f"{quoted(text)} is finer than 0.1%, the smallest step of a {cls.KIND}")
        if not _LEAST <= thousandths <= _MOST:
            raise UnitError(f"{quoted(text)} is not between 1% and {_MOST // 10}% of one core")
        return cls(int(thousandths))

    @classmethod
    def from_json(cls, cores: float) -> Self:
        """The inverse of to_json, to a thousandth."""
        return cls(round(cores * 1000))

    def to_json(self) -> float:
        """Cores that it is as much as."""
        return self.thousandths / 1000

    def __float__(self) -> float:
        return self.to_json()

    def __str__(self) -> str:
        return f"{float(Fraction(self.thousandths, 10)):.9g}%"


def read_share(text: str) -> CpuShare | None:
    """A share, or None where the text is ``none``: no limit. Raises UnitError."""
    return None if text == "none" else CpuShare.parse(text)


@dataclass(frozen=True)
class CpuShares:
    """What ``--cpu`` says of the nodes of a network.

    Args:
        every: of all nodes that nothing else is said of; None: no limit.
        given: whether something is said of all nodes.
        ranks: of these nodes; None: no limit.
    """

    every: CpuShare | None
    given: bool
    ranks: Mapping[int, CpuShare | None]

    @classmethod
    def parse(cls, texts: Iterable[str], size: int) -> Self:
        """Read ``25%``, ``2=25%``, ``0-3=50%``, ``0,2=25%``, ``all=50%,3=none``, each perhaps given several times.

        What names a rank counts more than what is said of all, wherever it stands.

        Args:
            texts: of the option.
            size: number of nodes.

        Raises:
            InputError: it is none of these, names an unknown rank, or says two things of one node.
        """
        said: dict[int | None, CpuShare | None] = {}
        for text in texts:
            for who, share in _parts(text):
                for rank in [None] if who == "all" else ranks_in(who, size):
                    if rank in said:
                        named = "all nodes" if rank is None else f"node {rank}"
                        raise InputError(f"{quoted(text)}: the share of {named} is given twice")
                    said[rank] = share
        ranks = {rank: share for rank, share in said.items() if rank is not None}
        return cls(said.get(None), None in said, ranks)


def _parts(text: str) -> list[tuple[str, CpuShare | None]]:
    """Nodes as people name them, and their share; what precedes an item with a share names further nodes."""
    found, named = list[tuple[str, CpuShare | None]](), list[str]()
    for word in map(str.strip, text.split(",")):
        who, equals, share = word.rpartition("=")
        if equals:
            found.append((",".join([*named, who.strip()]), read_share(share.strip())))
            named.clear()
        elif is_whole_number(word.replace("-", "")):
            named.append(word)
        else:
            found.append(("all", read_share(word)))
    if named:
        raise InputError(f"{quoted(text)} has no share for {','.join(named)}; write e.g. 2=25%, 0-3=50% or all=50%")
    return found


def ranks_in(text: str, size: int) -> list[int]:
    """The ranks that ``2``, ``0,2``, ``0-3`` or ``all`` stands for, ascending.

    Raises:
        InputError: it is none of these.
        PlanError: the network has no such rank.
    """
    if text == "all":
        return list(range(size))
    ranks: set[int] = set()
    for word in map(str.strip, text.split(",")):
        first, dash, last = word.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(map(is_whole_number, ends)) or int(ends[0]) > int(ends[1]):
            raise InputError(f"{quoted(word)} is not a rank; write e.g. 2, or several as 0,2 or 0-3, or all")
        if int(ends[1]) >= size:
            raise PlanError(f"there is no rank {int(ends[1])}; this network has ranks 0 to {size - 1}")
        ranks.update(range(int(ends[0]), int(ends[1]) + 1))
    return sorted(ranks)


def changed_cpus(old: NetworkPlan, new: NetworkPlan) -> list[int]:
    """The ranks whose share is not as it was."""
    return [rank for rank in range(new.size) if old.node_shape(rank).cpu != new.node_shape(rank).cpu]


def check_cores(plan: NetworkPlan, cores: int) -> None:
    """Raise InputError where a node is to have more than the machine has cores."""
    for rank, shape in plan.nodes.items():
        if shape.cpu is not None and shape.cpu.thousandths > cores * 1000:
            raise InputError(
                f"node {rank}: {shape.cpu} of a CPU is more than this machine has: {cores} cores are {cores}00%"
            )
