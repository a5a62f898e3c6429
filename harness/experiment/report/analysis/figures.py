"""The figures of one run: its loss, times, bytes, bandwidth and link use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, quantiles
from typing import Final, Literal

from harness.experiment.recorded import UNFINISHED
from harness.experiment.report.analysis.bandwidth import BusBandwidth, bus_bandwidth
from harness.experiment.report.analysis.churn import Churn, churn_of
from harness.experiment.report.analysis.curves import Curve, CurvePoint, carried_by, make_curve, step_costs
from harness.experiment.report.analysis.explain import Explanation, explain
from harness.experiment.report.analysis.links import LinkUse, link_use
from harness.experiment.report.load.records import RecordedRun, Target

RunOutcome = Literal["reached", "not reached", "failed", "unfinished"]
_NO_ANSWER: Final[dict[str, RunOutcome]] = {"failed": "failed", UNFINISHED: "unfinished", "stopped": "unfinished"}
"""Statuses of runs that might have reached their target with more time."""


@dataclass(frozen=True)
class RunFigures:
    """The figures of one run.

    Args:
        run: of the records.
        curve: its loss by step.
        best: the point with the least loss; None: no point.
        steps: the number that all ranks recorded.
        seconds: from the first step's beginning to the last step or evaluation; of a user's script: its wall time.
        sent_bytes: by all nodes' interfaces in all steps; of a user's script: on all links.
        step_bytes: mean by all nodes' interfaces per step that all ranks recorded; None: no such step.
        compute: mean seconds per step.
        comm: mean seconds per step waiting for communication.
        step_p50, step_p95: percentiles of a step's seconds; None: too few steps.
        bus: bandwidth of its collectives; None: none was recorded.
        links: totals of its links; None: not recorded.
        churn: the cost of absent ranks; None: no rank was away.
    """

    run: RecordedRun
    curve: Curve
    best: CurvePoint | None
    steps: int
    seconds: float
    sent_bytes: int
    step_bytes: float | None
    compute: float
    comm: float
    step_p50: float | None
    step_p95: float | None
    bus: BusBandwidth | None
    links: LinkUse | None
    churn: Churn | None = None

    @property
    def last(self) -> CurvePoint | None:
        """The last evaluation."""
        return self.curve.points[-1] if self.curve.points else None

    @cached_property
    def explanation(self) -> Explanation:
        """Why the run took so long."""
        return explain(self.run)

    @property
    def comm_share(self) -> float | None:
        """Share of the steps' time that waited for communication; None without steps."""
        total = self.compute + self.comm
        return self.comm / total if total > 0 else None

    def outcome(self, target: Target) -> RunOutcome:
        """Whether the run reached a target; if not, whether it ran its full length."""
        if self.curve.reached(target):
            return "reached"
        return _NO_ANSWER.get(self.run.status, "not reached")


def run_figures(run: RecordedRun) -> RunFigures:
    """The figures of a run, however little it recorded."""
    curve, costs = make_curve(run), step_costs(run)
    times = [cost.seconds for cost in costs]
    ends = [step.elapsed for rank in run.ranks for step in rank.steps[-1:]]
    ends += [evaluation.elapsed for rank in run.ranks for evaluation in rank.evals[-1:]]
    trained = bool(ends)
    return RunFigures(
        run=run,
        curve=curve,
        best=min(curve.points, key=lambda point: point.loss, default=None),
        steps=len(costs),
        seconds=max(ends) if trained else _wall_seconds(run, curve),
        sent_bytes=_sent(run) if trained else max((carried for _, carried in carried_by(run)), default=0),
        step_bytes=fmean(cost.sent_bytes for cost in costs) if costs else None,
        compute=_mean([cost.compute for cost in costs]),
        comm=_mean([cost.comm for cost in costs]),
        step_p50=_percentile(times, 50),
        step_p95=_percentile(times, 95),
        bus=bus_bandwidth(run.ranks, run.plan, costs),
        links=link_use(run),
        churn=churn_of(run),
    )


def _sent(run: RecordedRun) -> int:
    return sum(step.sent_bytes for rank in run.ranks for step in rank.steps)


def _wall_seconds(run: RecordedRun, curve: Curve) -> float:
    """The wall time of a run without steps, else the time of the last point of its curve."""
    if run.end and run.end.seconds is not None:
        return run.end.seconds
    return curve.points[-1].seconds if curve.points else 0.0


def _mean(values: list[float]) -> float:
    return fmean(values) if values else 0.0


def _percentile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
