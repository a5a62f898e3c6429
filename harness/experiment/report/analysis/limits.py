"""The limit of an edge or a shared capacity at each time: as planned, until a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from harness.experiment.report.analysis.links import K, Moment, change_moments
from harness.experiment.report.load.network_records import RecordedChange
from harness.experiment.report.load.records import RecordedRun

L = TypeVar("L")


def by_name(moments: Iterable[Moment[K]]) -> dict[K, list[Moment[K]]]:
    """The moments that end after training began, by edge or name, sorted."""
    found: dict[K, list[Moment[K]]] = {}
    for moment in moments:
        if moment.seconds > 0:
            found.setdefault(moment.edge, []).append(moment)
    return {name: found[name] for name in sorted(found)}  # type: ignore[type-var]


def limits_over_time(
    run: RecordedRun, changed: Callable[[RecordedChange], Mapping[K, L]], planned: Callable[[K], L]
) -> Callable[[Moment[K]], L]:
    """A function for the limit in the middle of a moment: as planned, until a change in the same attempt.

    ``changed``: the new limits of a change; ``planned``: the limit when the run began.
    """
    known: dict[tuple[int, K], list[tuple[float, L]]] = {}
    for change in change_moments(run):
        for name, held in changed(change.change).items():
            if change.seconds is not None:
                known.setdefault((change.attempt, name), []).append((change.seconds, held))

    def limit(moment: Moment[K]) -> L:
        middle = moment.seconds - moment.duration / 2
        since = [held for at, held in known.get((moment.attempt, moment.edge), ()) if at <= middle]
        return since[-1] if since else planned(moment.edge)

    return limit
