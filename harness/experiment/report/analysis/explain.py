"""Explains why a run took so long: a sentence with evidence, the time lost by cause, and what to change first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from harness.experiment.report.analysis.causes.advice import Cause, advice
from harness.experiment.report.analysis.causes.changes import FeltChange, felt_change
from harness.experiment.report.analysis.causes.edge_loads import edge_loads
from harness.experiment.report.analysis.causes.lost_time import StepNetwork, lost_time
from harness.experiment.report.analysis.causes.mean_links import with_mean_links
from harness.experiment.report.analysis.causes.reasons import SENTENCES, apart, changed, links_alone, machine
from harness.experiment.report.analysis.causes.substitutes import with_logged_steps, with_rounds
from harness.experiment.report.analysis.causes.waits import Waits, waits
from harness.experiment.report.analysis.causes.without_steps import busy_waits
from harness.experiment.report.analysis.traffic import competition
from harness.experiment.report.load.records import RecordedRun

_MOST: Final = 0.5
"""Share of the time from which computing is the cause, unless a straggler or a change takes _FELT."""
_FELT: Final = 0.25
"""Share from which a change, or a straggler that costs more than the network, is the cause: both can be removed."""


@dataclass(frozen=True)
class Explanation:
    """Why a run took so long.

    Args:
        cause: of most of the time.
        sentence: the cause with its evidence.
        lost: seconds beyond computing, by cause; "unknown" where they cannot be split.
        advice: what to change first; empty where nothing is known to help.
    """

    cause: Cause
    sentence: str
    lost: Mapping[Cause, float] = field(default_factory=dict)
    advice: str = ""


def explain(run: RecordedRun) -> Explanation:
    """Explain one run, however little it recorded. The sentence also says what cross traffic took of its links."""
    why, also = _explain(run), competition(run)
    return replace(why, sentence=f"{why.sentence} {also}") if also else why


def _explain(run: RecordedRun) -> Explanation:
    if found := waits(run):
        return _explain_steps(run, found, run)
    rounds = with_rounds(run)
    if rounds and (found := waits(rounds)):
        return _explain_steps(rounds, replace(found, unit="round of collectives"), run)
    logged = with_logged_steps(run)
    if logged and (found := waits(logged)) and (change := _felt(logged, found, run)):
        return Explanation("changed", changed(change), {"changed": change.lost}, advice("changed", run))
    return _explain_connections(run)


def _explain_steps(run: RecordedRun, found: Waits, clock: RecordedRun) -> Explanation:
    if change := _felt(run, found, clock):
        return Explanation("changed", changed(change), _lost_with(run, found, change), advice("changed", run))
    run = with_mean_links(run, found.begun, found.ended)
    network = StepNetwork.of(run, found)
    lost = lost_time(run, found, network)
    cause = _cause(found, lost)
    if cause == "unknown" and network.trip is not None and network.loads:
        return Explanation("compute", machine(found, network, lost), lost, advice("compute", run))
    first = advice(cause, run, drops=not network.waits_in_queue)
    return Explanation(cause, SENTENCES[cause](found, network, lost), lost, first)


def _explain_connections(run: RecordedRun) -> Explanation:
    known = busy_waits(run)
    if known is None:
        times = [sample.time for sample in run.links] or [0.0]
        return Explanation("unknown", links_alone(edge_loads(run, times[0], times[-1]), run.status))
    found, network = known
    lost = lost_time(run, found, network)
    cause = _cause(found, lost)
    first = advice(cause, run, drops=not network.waits_in_queue)
    return Explanation(cause, apart(found, network, lost, cause), lost, first)


def _felt(run: RecordedRun, found: Waits, clock: RecordedRun) -> FeltChange | None:
    """The change that cost most time, if it is at least _FELT of it."""
    change = felt_change(run, clock)
    return change if change and change.lost >= _FELT * found.seconds else None


def _cause(found: Waits, lost: Mapping[Cause, float]) -> Cause:
    if not lost:
        return "compute"
    largest = max(lost, key=lost.__getitem__)
    if largest == "straggler" and lost[largest] >= _FELT * found.seconds:
        return largest
    return "compute" if found.compute >= _MOST * found.seconds else largest


def _lost_with(run: RecordedRun, found: Waits, change: FeltChange) -> dict[Cause, float]:
    """The seconds that a change cost, and the rest split as before the change, by the plan's links."""
    before = lost_time(run, change.whole, StepNetwork.of(run, change.whole))
    rest = max(0.0, found.seconds - found.compute - change.lost)
    total = sum(before.values()) or 1.0
    split: dict[Cause, float] = {cause: rest * seconds / total for cause, seconds in before.items()}
    return {"changed": change.lost, **split}
