"""The change of links that made a run's steps longest, or shorter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.causes.waits import Waits, waits
from harness.experiment.report.analysis.links import ChangeMoment, change_moments
from harness.experiment.report.load.records import RecordedRun

_FACTOR: Final = 1.5
"""How much longer or shorter steps must be after a change: on a busy machine they vary by a third without one."""
_STEPS: Final = 3
"""How many steps there must be on either side for a mean that is no accident."""


@dataclass(frozen=True)
class FeltChange:
    """A change of links that steps felt.

    Args:
        moment: it.
        before, after: the steps between the change before it and it, and between it and the next one.
    """

    moment: ChangeMoment
    before: Waits
    after: Waits

    @property
    def lost(self) -> float:
        """Seconds that the slower side took longer than it would have at the pace of the other."""
        slower = max(self.before, self.after, key=lambda side: side.step)
        return slower.steps * abs(self.after.step - self.before.step)

    @property
    def links(self) -> str:
        """``link 0-1`` or ``links 0-1, 1-2``, three at most."""
        ends = [text.partition(":")[0].replace("→", "-").replace("->", "-") for text in self.moment.change.edges]
        names = list(dict.fromkeys("-".join(sorted(name.split("-"))) for name in ends))
        if len(names) > 3:
            return f"{len(names)} links"
        return f"link{'s' if len(names) > 1 else ''} {', '.join(names)}"

    @property
    def what(self) -> str:
        """The first edge's change: ``delay 20 ms → delay 120 ms``."""
        return self.moment.change.edges[0].partition(": ")[2] if self.moment.change.edges else ""


def felt_change(run: RecordedRun) -> FeltChange | None:
    """The change that cost most time; None where steps took about as long before and after each."""
    moments = change_moments(run)
    felt = [change for place in range(len(moments)) if (change := _felt(run, moments, place)) is not None]
    return max(felt, key=lambda change: change.lost, default=None)


def _felt(run: RecordedRun, moments: Sequence[ChangeMoment], place: int) -> FeltChange | None:
    times = [moment.change for moment in moments]
    since = times[place - 1].acknowledged if place else -math.inf
    until = times[place + 1].asked if place + 1 < len(times) else math.inf
    before = waits(run, since, times[place].asked)
    after = waits(run, times[place].acknowledged, until)
    if before is None or after is None or min(before.steps, after.steps) < _STEPS:
        return None
    factor = after.step / before.step if before.step else math.inf
    return FeltChange(moments[place], before, after) if factor >= _FACTOR or factor <= 1 / _FACTOR else None
