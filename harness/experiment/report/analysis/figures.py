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
"""Outcomes that say nothing about whether the run would have reached its target."""


@dataclass(frozen=True)
class RunFigures:
    """The figures of one run.

    Args:
        run: the run.
        curve: its loss by step.
        best: the point with the least loss, or None where there is no point.
        steps: how many all ranks recorded.
        seconds: of the last step or evaluation, since the first step began; of an own script: its wall time.
        sent_bytes: by all nodes' interfaces in steps, those too that not all ranks recorded; of an own script: by all
            links.
        step_bytes: by all nodes' interfaces per step that all ranks recorded, mean; None where there is none.
        compute: seconds per step, mean.
        comm: seconds per step that it waited for communication, mean.
        step_p50, step_p95: seconds of a step that so many percent stay under; None where there are too few steps.
        bus: its collectives' bandwidth, or None where none was recorded.
        links: what its links carried; None: not recorded.
        churn: what it cost that ranks were away; None: none was.
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
    """Compute the figures of a run, however little it recorded."""
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
    """Of a run without steps: its wall time, else that of the last point of its curve."""
    if run.end and run.end.seconds is not None:
        return run.end.seconds
    return curve.points[-1].seconds if curve.points else 0.0


def _mean(values: list[float]) -> float:
    return fmean(values) if values else 0.0


def _percentile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
