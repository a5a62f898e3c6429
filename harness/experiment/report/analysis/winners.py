"""Who won where: which strategy reached the target first in a scenario, and how far ahead of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness.experiment.report.analysis.groups import RunGroup

BASELINE: Final = "ddp"
"""The strategy that others are compared with: what everybody starts from."""


@dataclass(frozen=True)
class Comparison:
    """The winner compared with another strategy.

    Args:
        label: of the other strategy.
        factor: its median time to the target / the winner's. Where it never reached the target: the time that it had
            / the winner's, which is less than the true factor. None: unknown.
        reached: its runs that reached the target.
        answered: its runs that reached the target, or had their time and did not.
        overlaps: whether the two strategies' ranges over seeds overlap.
    """

    label: str
    factor: float | None
    reached: int
    answered: int
    overlaps: bool = False

    @property
    def won_all(self) -> bool:
        """Whether all runs that count reached the target."""
        return 0 < self.reached == self.answered


@dataclass(frozen=True)
class Winner:
    """The strategy that reached the target first, by the median over seeds.

    Args:
        winner: its runs.
        next: the second; None where no other strategy has a run that counts.
        baseline: ddp without options; None where it won, or did not take part.
    """

    winner: RunGroup
    next: Comparison | None
    baseline: Comparison | None

    @property
    def too_close(self) -> bool:
        """Whether the ranges over seeds of the winner and the next overlap."""
        return self.next is not None and self.next.overlaps and self.winner.reached > 1

    @property
    def comparisons(self) -> list[Comparison]:
        """With the baseline and the next, each strategy once."""
        found = [self.baseline] if self.baseline else []
        if self.next and (self.baseline is None or self.next.label != self.baseline.label):
            found.append(self.next)
        return found


def find_winner(groups: tuple[RunGroup, ...]) -> Winner | None:
    """The strategy with the largest share of runs that reached the target, and of those the least median time."""
    placed = sorted(
        (group for group in groups if group.reached),
        key=lambda group: (-group.reached / max(1, group.answered), group.seconds.median if group.seconds else 0.0),
    )
    if not placed:
        return None
    winner = placed[0]
    others = [group for group in groups if group is not winner and group.answered]
    following = placed[1:] or sorted(others, key=lambda group: group.best_loss.median if group.best_loss else 0.0)
    baseline = next((group for group in others if group.strategy == group.label == BASELINE), None)
    return Winner(
        winner=winner,
        next=_compare(winner, following[0]) if following else None,
        baseline=_compare(winner, baseline) if baseline else None,
    )


def _compare(winner: RunGroup, other: RunGroup) -> Comparison:
    ours, theirs = winner.seconds, other.seconds if other.won_all else other.given_up
    unknown = Comparison(other.label, None, other.reached, other.answered)
    if ours is None or theirs is None or ours.median <= 0:
        return unknown
    if other.won_all:
        return replace(unknown, factor=theirs.median / ours.median, overlaps=ours.overlaps(theirs))
    at_least = theirs.low / ours.median
    return replace(unknown, factor=at_least) if at_least > 1 and not other.reached else unknown
