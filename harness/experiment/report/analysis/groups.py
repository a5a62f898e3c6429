"""Groups of runs that differ only in their seed, and the spread of their figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, stdev
from typing import TypeAlias

from harness.experiment.report.analysis.curves import CurvePoint
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.load.records import HAD_TIME, Target
from harness.model.format import NOTHING, format_time

SeedKey: TypeAlias = tuple[int, int]
"""Seeds of the network and of the training. Runs of two strategies with the same key are compared as a pair."""


@dataclass(frozen=True)
class SeedSpread:
    """The spread of values over seeds; ``std``: the sample standard deviation, None for a single value."""

    median: float
    low: float
    high: float
    std: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> SeedSpread | None:
        """The spread of the finite values; None where there is none."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return None
        return cls(median(known), min(known), max(known), stdev(known) if len(known) > 1 else None, len(known))

    def overlaps(self, other: SeedSpread) -> bool:
        """Whether the two ranges overlap."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class RunGroup:
    """The runs of one strategy with its options on one profile and topology, one per seed.

    ``label``: its name in charts; ``strategy``: its name without options.
    """

    label: str
    strategy: str
    target: Target | None
    runs: tuple[RunFigures, ...]

    def count(self, *outcomes: str) -> int:
        """Number of runs with these outcomes."""
        return 0 if self.target is None else sum(run.outcome(self.target) in outcomes for run in self.runs)

    @property
    def reached(self) -> int:
        """Runs that reached the target."""
        return self.count("reached")

    @property
    def answered(self) -> int:
        """Runs that reached the target or ran their full length; failed and unfinished ones do not count."""
        return self.count("reached", "not reached")

    @property
    def counted(self) -> tuple[RunFigures, ...]:
        """Runs that ran their full length or reached the target; if there are none yet, all runs."""
        some = tuple(run for run in self.runs if run.run.status in HAD_TIME or self._point(run))
        return some or self.runs

    @property
    def won_all(self) -> bool:
        """Whether every run that ran its full length reached the target."""
        return self.reached > 0 and self.reached == self.answered

    @property
    def times(self) -> dict[SeedKey, float]:
        """Seconds to the target by seed, of the runs that reached it."""
        return {run.run.seeds: point.seconds for run in self.runs if (point := self._point(run))}

    @property
    def times_given_up(self) -> dict[SeedKey, float]:
        """Seconds of runs that ran their full length without reaching the target, by seed."""
        if self.target is None:
            return {}
        return {run.run.seeds: run.seconds for run in self.runs if run.outcome(self.target) == "not reached"}

    @property
    def seconds(self) -> SeedSpread | None:
        """Time to the target, of the runs that reached it."""
        return SeedSpread.of(self.times.values())

    @property
    def bytes(self) -> SeedSpread | None:
        """Bytes that all nodes had sent when the target was reached, of the runs that reached it."""
        return SeedSpread.of(point.bytes for run in self.runs if (point := self._point(run)))

    @property
    def given_up(self) -> SeedSpread | None:
        """Seconds of runs that ran their full length without reaching the target."""
        return SeedSpread.of(self.times_given_up.values())

    @property
    def best_loss(self) -> SeedSpread | None:
        """The least loss of each run that counts."""
        return SeedSpread.of(run.best.loss for run in self.counted if run.best)

    @property
    def accuracy(self) -> SeedSpread | None:
        """The accuracy at the least loss of each run that counts."""
        return SeedSpread.of(run.best.accuracy for run in self.counted if run.best)

    @property
    def comm_share(self) -> SeedSpread | None:
        """Share of the steps' time that waited for communication, of the runs that count."""
        return SeedSpread.of(run.comm_share for run in self.counted)

    @property
    def step_seconds(self) -> SeedSpread | None:
        """The median step of each run that counts."""
        return SeedSpread.of(run.step_p50 for run in self.counted)

    @property
    def sent_bytes(self) -> SeedSpread | None:
        """Bytes per step, all nodes together, of the runs that count."""
        return SeedSpread.of(run.step_bytes for run in self.counted)

    def _point(self, run: RunFigures) -> CurvePoint | None:
        return None if self.target is None else run.curve.reached(self.target)


def format_spread(value: SeedSpread | None, text: Callable[[float | None], str] = format_time, over: str = "") -> str:
    """``12.3 s (11.9 – 12.6)``; the value alone where there is one, or all read the same.

    ``over`` follows the range within the brackets, e.g. `` over 3 seeds``.
    """
    if value is None:
        return NOTHING
    middle, low, high = text(value.median), text(value.low), text(value.high)
    if value.count < 2 or (low == high and not over):
        return middle
    unit = middle.partition(" ")[2]
    if unit and all(one.split(" ")[1:] == [unit] for one in (low, high)):
        low, high = low.split(" ")[0], high.split(" ")[0]
    return f"{middle} ({low if low == high else f'{low} – {high}'}{over})"
