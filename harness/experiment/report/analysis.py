"""An experiment -> who won where, by how much, and what every run cost. Pure: nothing here reads a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness.experiment.report.figures import RunFigures, run_figures
from harness.experiment.report.groups import RunGroup
from harness.experiment.report.records import HAD_TIME, RecordedExperiment, RecordedRun, Target

BASELINE: Final = "ddp"
"""The strategy that others are compared with: what everybody starts from."""


@dataclass(frozen=True)
class Comparison:
    """Another strategy, as the winner sees it.

    Args:
        label: it.
        factor: its median time to the target / the winner's. Where it never reached the target: how much longer than
            the winner it ran in vain, which is less than the true factor. None: nothing can be said.
        reached: runs that reached the target.
        answered: runs that say something: reached it, or had their time and did not.
        overlaps: whether the ranges over seeds overlap.
    """

    label: str
    factor: float | None
    reached: int
    answered: int
    overlaps: bool = False

    @property
    def won_all(self) -> bool:
        """Whether every run that says something reached the target."""
        return 0 < self.reached == self.answered


@dataclass(frozen=True)
class Winner:
    """Who reached the target first, by the median over seeds.

    Args:
        winner: the group.
        next: the second; None where there is no other with an answer.
        baseline: ddp without options; None where it won, or was not there.
    """

    winner: RunGroup
    next: Comparison | None
    baseline: Comparison | None


@dataclass(frozen=True)
class Scenario:
    """One profile on one topology.

    Args:
        profile, topology, nodes: which.
        target: what strategies are timed to; None where nothing can be found.
        chosen: whether the report chose it, as the experiment names none.
        groups: the strategies, in the experiment's order.
        win: the result; None where nobody reached the target.
    """

    profile: str
    topology: str
    nodes: int
    target: Target | None
    chosen: bool
    groups: tuple[RunGroup, ...]
    win: Winner | None

    @property
    def runs(self) -> list[RunFigures]:
        """All of its runs."""
        return [run for group in self.groups for run in group.runs]


@dataclass(frozen=True)
class Analysis:
    """Everything that the report shows.

    Args:
        experiment: what was read.
        facets: profiles x topologies, in the experiment's order.
        runs: the figures of every run, in the experiment's order.
        labels: the strategies, in the experiment's order: their place is their colour everywhere.
    """

    experiment: RecordedExperiment
    facets: tuple[Scenario, ...]
    runs: tuple[RunFigures, ...]
    labels: tuple[str, ...]

    def told(self, facet: Scenario) -> str:
        """A facet's name, as short as it is clear: ``wan``, ``wan/ring`` or ``wan/ring/8 nodes``."""
        parts = [facet.profile]
        if len({other.topology for other in self.facets}) > 1:
            parts.append(facet.topology)
        if len({other.nodes for other in self.facets}) > 1:
            parts.append(f"{facet.nodes} nodes")
        return "/".join(parts)


def analyse(experiment: RecordedExperiment) -> Analysis:
    """Work out everything from what was read."""
    runs = tuple(map(run_figures, experiment.runs))
    keys = dict.fromkeys(map(_key, experiment.runs))
    facets = tuple(_facet([run for run in runs if _key(run.run) == key]) for key in keys)
    return Analysis(experiment, facets, runs, tuple(dict.fromkeys(run.run.label for run in runs)))


def _key(run: RecordedRun) -> tuple[str, str, int]:
    return run.profile, run.topology, run.nodes


def _facet(runs: list[RunFigures]) -> Scenario:
    named = [run.run.target for run in runs if run.run.target is not None]
    target = _easiest(named) if named else _common_loss(runs)
    by_label: dict[str, list[RunFigures]] = {}
    for run in runs:
        by_label.setdefault(run.run.label, []).append(run)
    groups = tuple(RunGroup(label, own[0].run.strategy, target, tuple(own)) for label, own in by_label.items())
    profile, topology, nodes = _key(runs[0].run)
    return Scenario(profile, topology, nodes, target, not named, groups, _win(groups))


def _easiest(targets: list[Target]) -> Target:
    """The first, or one of its kind that is easier to reach: runs of one experiment have the same."""
    same = [target for target in targets if target.kind == targets[0].kind]
    easiest = max if targets[0].kind == "loss" else min
    return easiest(same, key=lambda target: target.value)


def _common_loss(runs: list[RunFigures]) -> Target | None:
    """The least loss that every run reached which had its time and learned anything."""
    learned = [run.curve.learned for run in runs if run.run.status in HAD_TIME]
    losses = [loss for loss in learned if loss is not None]
    return Target("loss", max(losses)) if losses else None


def _win(groups: tuple[RunGroup, ...]) -> Winner | None:
    """First whoever reached the target in every run that says something, by median time; the others behind them."""
    placed = sorted(
        (group for group in groups if group.reached),
        key=lambda group: (-group.reached / max(1, group.answered), group.seconds.median if group.seconds else 0.0),
    )
    if not placed:
        return None
    winner = placed[0]
    others = [group for group in groups if group is not winner and group.answered]
    rivals = placed[1:] or sorted(others, key=lambda group: group.best_loss.median if group.best_loss else 0.0)
    baseline = next((group for group in others if group.strategy == group.label == BASELINE), None)
    return Winner(
        winner=winner,
        next=_rival(winner, rivals[0]) if rivals else None,
        baseline=_rival(winner, baseline) if baseline else None,
    )


def _rival(winner: RunGroup, other: RunGroup) -> Comparison:
    ours, theirs = winner.seconds, other.seconds if other.won_all else other.given_up
    unknown = Comparison(other.label, None, other.reached, other.answered)
    if ours is None or theirs is None or ours.median <= 0:
        return unknown
    if other.won_all:
        return replace(unknown, factor=theirs.median / ours.median, overlaps=ours.overlaps(theirs))
    in_vain = theirs.low / ours.median
    return replace(unknown, factor=in_vain) if in_vain > 1 and not other.reached else unknown
