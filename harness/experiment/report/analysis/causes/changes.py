"""The change of links that made a run's steps longest, or shorter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.causes.waits import Waits, waits
from harness.experiment.report.analysis.links import ChangeMoment, change_moments
from harness.experiment.report.load.records import RecordedRun

_FACTOR: Final = 1.5
"""The factor by which steps must be longer or shorter after a change: on a busy machine they vary by a third."""
_STALL: Final = 5
"""The factor by which a step that was under way must be longer: a lost packet alone makes some steps longer."""
_STEPS: Final = 3
"""The least number of steps on either side for a meaningful mean."""


@dataclass(frozen=True)
class FeltChange:
    """A change of links that made steps longer or shorter.

    Args:
        moment: of the change.
        changes: the number of changes in the run.
        whole: the steps between the previous change and this one.
        before, after: mean seconds of a step between the previous change and this one, and this one and the next.
        during: seconds of the step that was under way, if that one was longer; else None.
        lost: seconds that steps took longer than at the pace of the other side.
    """

    moment: ChangeMoment
    changes: int
    whole: Waits
    before: float
    after: float | None
    during: float | None
    lost: float

    @property
    def links(self) -> str:
        """``link 0-1``, ``links 0-1, 1-2`` (at most three), or ``node 2`` where limits changed and no link did."""
        if not self.moment.change.edges:
            limits = [text.partition(":")[0] for text in self.moment.change.limits]
            return f"{len(limits)} limits" if len(limits) > 3 else ", ".join(limits)
        ends = [text.partition(":")[0].replace("→", "-").replace("->", "-") for text in self.moment.change.edges]
        names = list(dict.fromkeys("-".join(sorted(name.split("-"))) for name in ends))
        if len(names) > 3:
            return f"{len(names)} links"
        return f"link{'s' if len(names) > 1 else ''} {', '.join(names)}"

    @property
    def what(self) -> str:
        """The change of the first link: ``delay 20 ms → delay 120 ms``."""
        return next((text.partition(": ")[2] for text in self.moment.change.texts), "")


def felt_change(run: RecordedRun, clock: RecordedRun) -> FeltChange | None:
    """The change that cost most time; None where steps took about as long before and after each.

    Args:
        run: with the steps, which may be substitutes.
        clock: the same run as it was recorded, for the seconds of changes.
    """
    moments = change_moments(clock)
    felt = [change for place in range(len(moments)) for change in _felt(run, moments, place)]
    return max(felt, key=lambda change: change.lost, default=None)


def _felt(run: RecordedRun, moments: Sequence[ChangeMoment], place: int) -> Iterator[FeltChange]:
    """The effect of one change on the steps around it, and on the step that was under way."""
    changes = [moment.change for moment in moments]
    change = changes[place]
    since = changes[place - 1].acknowledged if place else -math.inf
    until = changes[place + 1].asked if place + 1 < len(changes) else math.inf
    before, after = waits(run, since, change.asked), waits(run, change.acknowledged, until)
    if before is None or before.steps < _STEPS or not before.step:
        return
    during = _under_way(run, change.acknowledged)
    if during >= _STALL * before.step:
        lost = during - before.step
        yield FeltChange(moments[place], len(changes), before, before.step, None, during, lost)
    if after is None or after.steps < _STEPS or 1 / _FACTOR < after.step / before.step < _FACTOR:
        return
    slower = max(before, after, key=lambda side: side.step)
    lost = slower.steps * abs(after.step - before.step)
    yield FeltChange(moments[place], len(changes), before, before.step, after.step, None, lost)


def _under_way(run: RecordedRun, at: float) -> float:
    """Seconds of the longest step that was under way at that time; 0 without one."""
    steps = (step for rank in run.ranks for step in rank.steps)
    return max((step.seconds for step in steps if step.time - step.seconds <= at < step.time), default=0.0)
