"""The strategy that reached the target first in a scenario, and its lead over the others.

Two strategies are compared seed by seed: a seed draws the network (unless network_seed fixes it), the model and the
order of the data, so times of different seeds also differ for reasons other than the strategy. The lead is the median
of the ratios of the two times of each seed, and its range is that of the ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from harness.experiment.report.analysis.groups import RunGroup, SeedKey, SeedSpread

BASELINE: Final = "ddp"
"""The strategy with which every winner is compared."""


@dataclass(frozen=True)
class Comparison:
    """The winner compared with another strategy.

    Args:
        label: of the other strategy.
        factor: the median over seeds of its time to the target / the winner's. Where it never reached the target, the
            least of its whole time / the winner's, a lower bound. None: unknown.
        reached: its runs that reached the target.
        answered: its runs that reached the target or ran their full length.
        overlaps: too close to call: the winner was not ahead with every seed.
        factor_low, factor_high: the least and the largest of the seeds' ratios.
        pairs: seeds that both have; 0: the factor is the ratio of medians over different seeds.
    """

    label: str
    factor: float | None
    reached: int
    answered: int
    overlaps: bool = False
    factor_low: float | None = None
    factor_high: float | None = None
    pairs: int = 0

    @property
    def won_all(self) -> bool:
        """Whether all runs that count reached the target."""
        return 0 < self.reached == self.answered


@dataclass(frozen=True)
class Winner:
    """The strategy that reached the target first.

    Args:
        winner: its runs.
        next: the second strategy; None where no other strategy has a run that counts.
        baseline: ddp without options; None where it won, or has no run that counts.
        others: every other strategy with a run that counts.
    """

    winner: RunGroup
    next: Comparison | None
    baseline: Comparison | None
    others: tuple[Comparison, ...] = ()

    @property
    def too_close(self) -> bool:
        """Whether the winner was not ahead of the next with every seed."""
        return self.next is not None and self.next.overlaps and self.winner.reached > 1

    def lead_over(self, label: str) -> Comparison | None:
        """The winner compared with another strategy; None where that has no run that counts."""
        return next((other for other in self.others if other.label == label), None)

    @property
    def comparisons(self) -> list[Comparison]:
        """With the baseline and the next strategy, which may be the same."""
        found = [self.baseline] if self.baseline else []
        if self.next and (self.baseline is None or self.next.label != self.baseline.label):
            found.append(self.next)
        return found


def find_winner(groups: tuple[RunGroup, ...]) -> Winner | None:
    """The strategy with the largest share of runs that reached the target, and of those the fastest seed by seed."""
    reached = [group for group in groups if group.reached]
    if not reached:
        return None
    winner = _first(reached)
    others = [group for group in groups if group is not winner and group.answered]
    following = [group for group in reached if group is not winner]
    by_loss = sorted(others, key=lambda group: group.best_loss.median if group.best_loss else 0.0)
    second = _first(following) if following else next(iter(by_loss), None)
    baseline = next((group for group in others if group.strategy == group.label == BASELINE), None)
    return Winner(
        winner=winner,
        next=_compare(winner, second) if second else None,
        baseline=_compare(winner, baseline) if baseline else None,
        others=tuple(_compare(winner, group) for group in others),
    )


def _first(groups: list[RunGroup]) -> RunGroup:
    """The first by share and median time, unless another with the same share is faster seed by seed."""
    ordered = sorted(groups, key=lambda group: (-_share(group), group.seconds.median if group.seconds else 0.0))
    same = [group for group in ordered if _share(group) == _share(ordered[0])]
    return reduce(lambda best, other: other if _ahead(other, best) else best, same)


def _share(group: RunGroup) -> float:
    return group.reached / max(1, group.answered)


def _ahead(group: RunGroup, other: RunGroup) -> bool:
    ratios = _ratios(group.times, other.times)
    return ratios is not None and ratios.median > 1


def _ratios(ours: Mapping[SeedKey, float], theirs: Mapping[SeedKey, float]) -> SeedSpread | None:
    """Their times / ours, of the seeds that both have."""
    return SeedSpread.of(theirs[seed] / ours[seed] for seed in ours if seed in theirs and ours[seed] > 0)


def _compare(winner: RunGroup, other: RunGroup) -> Comparison:
    unknown = Comparison(other.label, None, other.reached, other.answered)
    if other.reached and not other.won_all:
        return unknown
    ratios = _ratios(winner.times, other.times if other.won_all else other.times_given_up)
    if ratios is None:
        return _compare_medians(winner, other, unknown)
    known = replace(unknown, factor_low=ratios.low, factor_high=ratios.high, pairs=ratios.count)
    if other.won_all:
        return replace(known, factor=ratios.median, overlaps=ratios.count > 1 and ratios.low <= 1)
    return replace(known, factor=ratios.low) if ratios.low > 1 else unknown


def _compare_medians(winner: RunGroup, other: RunGroup, unknown: Comparison) -> Comparison:
    """A comparison of medians, for strategies without a seed in common."""
    ours, theirs = winner.seconds, other.seconds if other.won_all else other.given_up
    if ours is None or theirs is None or ours.median <= 0:
        return unknown
    if other.won_all:
        return replace(unknown, factor=theirs.median / ours.median, overlaps=ours.overlaps(theirs))
    at_least = theirs.low / ours.median
    return replace(unknown, factor=at_least) if at_least > 1 else unknown
