"""A node's share of a CPU, which makes its programs run as on a slower computer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final, Self

from harness.errors import InputError, UnitError, quoted
from harness.model.ranks import parse_ranks
from harness.model.units import is_whole_number, parse_percent

_LEAST: Final = 10
"""Thousandths of a core: 1 ms, the smallest quota that the kernel accepts, in each 100 ms."""
_MOST: Final = 1_000_000
"""More than any machine has."""


@dataclass(frozen=True, order=True)
class CpuShare:
    """CPU time that a node's programs get together per unit of time, in thousandths of one core."""

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
        """In cores."""
        return self.thousandths / 1000

    def __float__(self) -> float:
        return self.to_json()

    def __str__(self) -> str:
        return f"{float(Fraction(self.thousandths, 10)):.9g}%"


def read_share(text: str) -> CpuShare | None:
    """A share, or None for ``none``: no limit. Raises UnitError."""
    return None if text == "none" else CpuShare.parse(text)


@dataclass(frozen=True)
class CpuShares:
    """The value of ``--cpu``.

    Args:
        every: the share of nodes that ``ranks`` does not name; None: no limit.
        given: whether the user gave ``every``.
        ranks: shares by rank; None: no limit.
    """

    every: CpuShare | None
    given: bool
    ranks: Mapping[int, CpuShare | None]

    @classmethod
    def parse(cls, texts: Iterable[str], size: int) -> Self:
        """Read ``25%``, ``2=25%``, ``0-3=50%``, ``0,2=25%`` or ``all=50%,3=none``; the option may be given repeatedly.

        A share for a rank overrides the one for all, in any order.

        Raises:
            InputError: it is none of these, names an unknown rank, or gives one node two shares.
        """
        said: dict[int | None, CpuShare | None] = {}
        for text in texts:
            for who, share in _parts(text):
                for rank in [None] if who == "all" else parse_ranks(who, size):
                    if rank in said:
                        named = "all nodes" if rank is None else f"node {rank}"
                        raise InputError(f"{quoted(text)}: the share of {named} is given twice")
                    said[rank] = share
        ranks = {rank: share for rank, share in said.items() if rank is not None}
        return cls(said.get(None), None in said, ranks)


def _parts(text: str) -> list[tuple[str, CpuShare | None]]:
    """Nodes as the user names them, with their share; words before one with a share name further nodes."""
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
