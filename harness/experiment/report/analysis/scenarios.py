"""Analyses an experiment: its scenarios (a profile on a topology) with their strategies, targets and winners."""

from __future__ import annotations

from dataclasses import dataclass

from harness.experiment.report.analysis.figures import RunFigures, run_figures
from harness.experiment.report.analysis.groups import RunGroup
from harness.experiment.report.analysis.winners import Winner, find_winner
from harness.experiment.report.load.records import HAD_TIME, RecordedExperiment, RecordedRun, Target


@dataclass(frozen=True)
class Scenario:
    """One profile on one topology, with its strategies in the experiment's order.

    ``chosen``: whether the report chose the target because the experiment names none.
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

    def target_value(self, kind: str) -> float | None:
        """The target's value if it is of this kind, else None."""
        return self.target.value if self.target and self.target.kind == kind else None


@dataclass(frozen=True)
class Analysis:
    """Everything that the report shows, in the experiment's order.

    ``labels``: the strategies; a strategy's index is the number of its colour.
    """

    experiment: RecordedExperiment
    scenarios: tuple[Scenario, ...]
    runs: tuple[RunFigures, ...]
    labels: tuple[str, ...]

    def name(self, scenario: Scenario) -> str:
        """The shortest unambiguous name of a scenario: ``wan``, ``wan/ring`` or ``wan/ring/8 nodes``."""
        parts = [scenario.profile]
        if len({other.topology for other in self.scenarios}) > 1:
            parts.append(scenario.topology)
        if len({other.nodes for other in self.scenarios}) > 1:
            parts.append(f"{scenario.nodes} nodes")
        return "/".join(parts)

    @property
    def noun(self) -> str:
        """The word for what is compared: ``strategy``, or ``command`` for users' commands."""
        return "command" if self.runs and all(run.run.own_command for run in self.runs) else "strategy"

    @property
    def several_seeds(self) -> bool:
        """Whether some strategy has more than one run in a scenario."""
        return any(len(group.runs) > 1 for scenario in self.scenarios for group in scenario.groups)

    def scenario_of(self, run: RunFigures) -> int:
        """The index of a run's scenario."""
        return next(place for place, scenario in enumerate(self.scenarios) if run in scenario.runs)

    def run_name(self, run: RunFigures) -> str:
        """``wan/ring, diloco H=20, seed 0``."""
        scenario = self.scenarios[self.scenario_of(run)]
        return f"{self.name(scenario)}, {run.run.label}, seed {run.run.seed}"


def analyse(experiment: RecordedExperiment) -> Analysis:
    """Analyse the records."""
    runs = tuple(map(run_figures, experiment.runs))
    keys = dict.fromkeys(map(_key, experiment.runs))
    scenarios = tuple(_scenario([run for run in runs if _key(run.run) == key]) for key in keys)
    return Analysis(experiment, scenarios, runs, tuple(dict.fromkeys(run.run.label for run in runs)))


def _key(run: RecordedRun) -> tuple[str, str, int]:
    return run.profile, run.topology, run.nodes


def _scenario(runs: list[RunFigures]) -> Scenario:
    named = [run.run.target for run in runs if run.run.target is not None]
    target = _easiest(named) if named else _common_loss(runs) or _end(runs)
    by_label: dict[str, list[RunFigures]] = {}
    for run in runs:
        by_label.setdefault(run.run.label, []).append(run)
    groups = tuple(RunGroup(label, own[0].run.strategy, target, tuple(own)) for label, own in by_label.items())
    profile, topology, nodes = _key(runs[0].run)
    chosen = not named and (target is None or target.kind != "end")
    return Scenario(profile, topology, nodes, target, chosen, groups, find_winner(groups))


def _end(runs: list[RunFigures]) -> Target | None:
    """The end as a target, where commands have finished."""
    return Target("end") if any(run.curve.end for run in runs) else None


def _easiest(targets: list[Target]) -> Target:
    """The easiest target of the first one's kind; all runs of one experiment have the same."""
    same = [target for target in targets if target.kind == targets[0].kind]
    easiest = max if targets[0].kind == "loss" else min
    return easiest(same, key=lambda target: target.value)


def _common_loss(runs: list[RunFigures]) -> Target | None:
    """The lowest loss that was reached by every run that ran its full length and whose loss fell."""
    learned = [run.curve.learned for run in runs if run.run.status in HAD_TIME]
    losses = [loss for loss in learned if loss is not None]
    return Target("loss", max(losses)) if losses else None
