"""How flows share capacity: their fair rates, and those measured. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set
from math import inf
from typing import Final, TypeVar

from harness.verify.samples import BulkSample, Point

F = TypeVar("F")
_INSTANTS: Final = 128
"""Instants at which the bytes of several flows are added."""


def fair_shares(flows: Mapping[F, float], shared: Iterable[tuple[Set[F], float]]) -> dict[F, float]:
    """Max-min fair rates by progressive filling (Bertsekas and Gallager, Data Networks, 2nd ed., 1992, 6.5.2).

    Args:
        flows: the rate of each flow alone.
        shared: sets of flows, and the rate that each set shares.
    """
    rates: dict[F, float] = {}
    groups = list(shared)
    while growing := flows.keys() - rates.keys():
        levels = [
            (max(0.0, rate - sum(rates.get(flow, 0.0) for flow in members)) / len(members & growing), members & growing)
            for members, rate in groups
            if members & growing
        ]
        levels += [(flows[flow], {flow}) for flow in growing]
        level = min(rate for rate, _ in levels)
        full = set[F]().union(*(members for rate, members in levels if rate <= level * (1 + 1e-9)))
        rates |= dict.fromkeys(full, level)
    return rates


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all are equal, 1/n where one has all (Jain, Chiu and Hawe 1984, DEC TR-301).

    Args:
        shares: each flow's rate over its fair rate.
    """
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def together(samples: Sequence[BulkSample], busiest_cpu: float) -> tuple[BulkSample, list[float]] | None:
    """Several flows as one train over the time in which all arrived, and the bit/s of each in the second half of it.

    None where there is no such time. A flow of which nothing arrived does not count for that time, and has 0 bit/s.
    """
    curves = [list(one.points if len(one.points) > 1 else one.ends) for one in samples]
    arrived = [curve for curve in curves if len(curve) > 1]
    begin = max((curve[0][0] for curve in arrived), default=inf)
    end = min((curve[-1][0] for curve in arrived), default=-inf)
    if begin >= end:
        return None
    instants = [begin + (end - begin) * number / _INSTANTS for number in range(_INSTANTS + 1)]
    first = sum(_at(curve, begin) for curve in curves)
    points = tuple((at, round(sum(_at(curve, at) for curve in curves) - first)) for at in instants)
    half = instants[_INSTANTS // 2]
    rates = [8 * (_at(curve, end) - _at(curve, half)) / (end - half) for curve in curves]
    sent, longest = sum(one.sent_bytes for one in samples), max(one.sent_s for one in samples)
    return BulkSample(sent, longest, points[-1][1], points, busiest_cpu, (points[0], points[-1])), rates


def _at(curve: Sequence[Point], at: float) -> float:
    """Bytes that had arrived by then, interpolated between two reads."""
    after = bisect_right(curve, at, key=lambda point: point[0])
    if not 0 < after < len(curve):
        return curve[-1][1] if after and curve else curve[0][1] if curve else 0.0
    (start, first), (end, last) = curve[after - 1], curve[after]
    return first + (last - first) * (at - start) / (end - start)
