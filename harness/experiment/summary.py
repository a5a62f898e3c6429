"""The summary of a run that is printed at its end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from harness.experiment.report.analysis.caps import cap_uses, title
from harness.experiment.report.analysis.curves import carried_by, make_curve
from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.analysis.links import link_use
from harness.experiment.report.load.records import RecordedRun, RunEnd
from harness.model.format import count, format_number, format_rate, format_share, format_size, format_time

_RESULTS: Final = {"limit": "time over"}
"""Statuses that have other words here."""
_MOST_RANKS: Final = 8
"""Up to so many ranks, exit codes are listed by rank; of more, by code."""


def summary(run: RecordedRun) -> list[tuple[str, str]]:
    """(name, text) of each line, of what was recorded."""
    return [*_end(run), *_learned(run), *_carried(run), *_reason(run)]


def _end(run: RecordedRun) -> Iterator[tuple[str, str]]:
    end = run.end
    if end is None:
        yield "result", "its end was not recorded"
        return
    took = "" if end.seconds is None else f" after {format_time(end.seconds)}"
    yield "result", f"{_RESULTS.get(end.status, end.status)}{took}"
    if end.codes:
        yield "exit codes", _codes(end)


def _codes(end: RunEnd) -> str:
    codes = end.codes
    if len(set(codes.values())) == 1:
        return f"{next(iter(codes.values()))} on {'all ' if len(codes) > 1 else ''}{count(len(codes), 'rank')}"
    if len(codes) <= _MOST_RANKS:
        return ", ".join(f"rank {rank}: {code}" for rank, code in codes.items())
    return ", ".join(f"{code} on {count(ranks, 'rank')}" for code, ranks in Counter(codes.values()).most_common())


def _learned(run: RecordedRun) -> Iterator[tuple[str, str]]:
    curve = make_curve(run)
    if not curve.points:
        return
    first, last = curve.points[0], curve.points[-1]
    before = "" if first is last else f"{format_number(first.loss)} at step {first.step}, "
    after = "" if curve.diverged is None else f"; not finite at step {curve.diverged}"
    yield "steps", f"{curve.kind} {before}{format_number(last.loss)} at step {last.step}{after}"


def _carried(run: RecordedRun) -> Iterator[tuple[str, str]]:
    carried, use = carried_by(run), link_use(run)
    if carried:
        yield "sent", f"{format_size(carried[-1][1])} in all, on every link that it crossed"
    if use is None:
        return
    if use.busiest is not None and use.busiest_share is not None:
        src, dst = use.busiest
        rate = run.plan.edges[use.busiest].shape.rate if run.plan else None
        yield "busiest", f"{src}->{dst}, {format_share(use.busiest_share)} of its {format_rate(rate)}"
    for cap in sorted((one for one in cap_uses(run) if one.share is not None), key=lambda one: -(one.share or 0.0))[:1]:
        limit = "limit" if cap.rate is None else format_rate(cap.rate)  # a scenario has given it one later
        yield "fullest", f"{title(cap.name)}, {format_share(cap.share)} of its {limit}"
    lost = [f"{count(use.dropped, 'packet')} dropped of {use.sent_packets + use.dropped:,}"]
    if use.retransmitted is not None:
        lost.append(f"{count(use.retransmitted, 'TCP segment')} retransmitted")
    yield "lost", ", ".join(lost)


def _reason(run: RecordedRun) -> Iterator[tuple[str, str]]:
    why = explain(run)
    yield "why", why.sentence
    if why.advice:
        yield "try", why.advice
