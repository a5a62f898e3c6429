"""Absences of nodes: which nodes are away, from when, and for how long; pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from random import Random
from typing import Final

from harness.errors import InputError
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import set_down
from harness.networks.away import Cause
from harness.scenario.action import Step

_MOST_CHECKED: Final = 10_000


@dataclass(frozen=True)
class Chosen:
    """The nodes of an absence.

    Args:
        ranks: these nodes; empty: they are drawn. Rank 0, where jobs rendezvous, is never drawn.
        share: of all nodes to draw, at least one node; None: one node.
    """

    ranks: tuple[int, ...] = ()
    share: Fraction | None = None

    def drawn(self, size: int, seed: str) -> tuple[int, ...]:
        """The ranks, ascending, in a network of ``size`` nodes."""
        if self.ranks:
            return self.ranks
        count = 1 if self.share is None else max(1, min(size - 1, round(self.share * size)))
        return tuple(sorted(Random(seed).sample(range(1, size), count)))

    def check(self, plan: NetworkPlan) -> None:
        """Raise InputError or PlanError where the network has no such nodes."""
        for rank in self.ranks:
            plan.require_rank(rank)
        if not self.ranks and plan.size < 2:
            raise InputError("there is no node but rank 0, which is never drawn")


@dataclass(frozen=True)
class Absence:
    """One absence.

    Args:
        after: seconds after the event began.
        chosen: which nodes.
        lasts: seconds; None: until the event is over, if it ever is.
        text: for people.
    """

    after: float
    chosen: Chosen
    lasts: float | None
    text: str


@dataclass(frozen=True)
class Away:
    """An absence with its seed and its end.

    Args:
        cause: ``kill``, ``pause`` or ``cut``.
        chosen: which nodes.
        seed: of the draw of nodes.
        until: when they are back, seconds from the scenario's start; None: no end is planned.
    """

    cause: Cause
    chosen: Chosen
    seed: str
    until: float | None

    def ranks(self, size: int) -> tuple[int, ...]:
        """The ranks that are away, in a network of ``size`` nodes."""
        return self.chosen.drawn(size, self.seed)

    def cut(self, plan: NetworkPlan) -> NetworkPlan:
        """The plan with all edges of these nodes down."""
        ranks = set(self.ranks(plan.size))
        return set_down(plan, [pair for pair in plan.edges if ranks & set(pair)], True)


@dataclass(frozen=True)
class AwayAction:
    """One or several absences. See Action.

    Args:
        text: for people.
        cause: what happens to the nodes.
        absences: in the order of their times.
        period: seconds after which they repeat; infinity: ``absences`` is endless; None: they happen once.
    """

    text: str
    cause: Cause
    absences: Iterable[Absence]
    period: float | None = None

    def steps(self) -> Iterator[Step]:
        """None: absences are performed by Attendance."""
        return iter(())

    def check(self, plan: NetworkPlan) -> None:
        for absence in islice(self.absences, _MOST_CHECKED):
            absence.chosen.check(plan)

    def names(self, rank: int) -> bool:
        """Whether it names this rank; ranks that are drawn do not count."""
        return any(rank in absence.chosen.ranks for absence in islice(self.absences, _MOST_CHECKED))

    def changes(self, start: float, end: float, seed: str) -> Iterator[tuple[float, bool, Away, str]]:
        """The beginnings and ends of absences, ascending: time, whether it is a beginning, the absence, and a text.

        Args:
            start: when the event begins, seconds from the scenario's start.
            end: when it is over; infinity: never.
            seed: of its draws.
        """
        backs: list[tuple[float, int, Away, str]] = []
        for number, (after, absence) in enumerate(self._all()):
            at = start + after
            if at >= end:
                break
            while backs and backs[0][0] <= at:
                back, _, away, text = heapq.heappop(backs)
                yield back, False, away, text
            until = min(end, at + absence.lasts) if absence.lasts is not None else end
            away = Away(self.cause, absence.chosen, f"{seed}:{number}", None if until == float("inf") else until)
            yield at, True, away, absence.text
            if away.until is not None:
                heapq.heappush(backs, (away.until, number, away, f"{absence.text}: back"))
        while backs:
            back, _, away, text = heapq.heappop(backs)
            yield back, False, away, text

    def _all(self) -> Iterator[tuple[float, Absence]]:
        begun = 0.0
        while True:
            for absence in self.absences:
                yield begun + absence.after, absence
            if self.period is None:
                return
            begun += self.period
