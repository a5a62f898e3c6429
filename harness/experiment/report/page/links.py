"""Texts of the page on the links of a run, and the distinct plans of all runs."""

from __future__ import annotations

import json
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.links import LinkUse, change_moments, zeros
from harness.experiment.report.analysis.traffic import traffic_spans
from harness.model.format import count, format_share, format_time
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan

MOST_EDGES: Final = 64
"""The most edges in a table; of larger networks it has the first."""
MOST_OPEN: Final = 16
"""The most rows of a table that is open at first."""


def distinct_plans(analysis: Analysis) -> tuple[list[NetworkPlan], list[int | None]]:
    """The distinct plans, and the index of each run's plan."""
    plans: dict[str, NetworkPlan] = {}
    keys = [json.dumps(run.run.plan.to_json()) if run.run.plan else None for run in analysis.runs]
    for key, run in zip(keys, analysis.runs, strict=True):
        if key is not None and run.run.plan is not None:
            plans.setdefault(key, run.run.plan)
    places = {key: place for place, key in enumerate(plans)}
    return list(plans.values()), [None if key is None else places[key] for key in keys]


def first_run(analysis: Analysis) -> int:
    """The run that is shown first: with changes of links or cross traffic, else with most drops."""
    numbers = range(len(analysis.runs))
    changed = [number for number in numbers if analysis.runs[number].run.changes or analysis.runs[number].run.traffic]
    if changed:
        return changed[0]
    return max(numbers, key=lambda number: use.dropped if (use := analysis.runs[number].links) else -1)


def use_words(use: LinkUse) -> str:
    """Drops, retransmits and the busiest link in a sentence."""
    words = f"{use.dropped} of {count(use.sent_packets + use.dropped, 'packet')} were dropped on the links"
    if use.retransmitted is not None and use.segments is not None:
        share = use.retransmitted / use.segments if use.segments else 0
        words += f"; TCP retransmitted {use.retransmitted} of {use.segments} segments ({format_share(share)})"
    if use.busiest is not None:
        src, dst = use.busiest
        words += f"; the busiest link, {src}→{dst}, carried {format_share(use.busiest_share)} of what its rate allows"
    return f"{words}."


def attempts_words(run: RunFigures) -> str:
    """How to read the charts of a run that was resumed; empty for any other."""
    attempts = sorted({sample.attempt for sample in run.run.links})
    if len(attempts) < 2:
        return ""
    words = (
        "The run was resumed. Every attempt has a network and lines of its own; seconds are of training, without the "
        "time between, so lines overlap where an attempt repeated steps of the one before, and while it started."
    )
    known = zeros(run.run)
    unknown = [str(attempt) for attempt in attempts if attempt not in known]
    if unknown:
        which = f"attempt {unknown[0]}" if len(unknown) == 1 else f"attempts {' and '.join(unknown)}"
        words += f" No step of {which} counts, so no chart shows its links."
    return words


def change_words(run: RunFigures) -> list[str]:
    """The time and text of every change of links."""
    words = []
    for moment in change_moments(run.run):
        at = f"in attempt {moment.attempt}" if moment.seconds is None else f"at {format_time(moment.seconds)}"
        took = format_time(moment.change.acknowledged - moment.change.asked)
        words.append(f"{at}, {took} after the command: {'; '.join(moment.change.texts)}")
    return words


def traffic_words(run: RunFigures) -> list[str]:
    """The times and text of every load of cross traffic."""
    return [
        f"cross traffic from {format_time(max(0.0, span.start))} to {format_time(span.end)}: {span.words}"
        for span in traffic_spans(run.run)
    ]


def named_edges(plan: NetworkPlan) -> list[tuple[str, PlannedEdge]]:
    """``0↔1`` where both directions are the same, else ``0→1`` and ``1→0``."""
    named = []
    for (src, dst), edge in sorted(plan.edges.items()):
        back = plan.edges[dst, src]
        same = (edge.shape, edge.down, edge.origin) == (back.shape, back.down, back.origin)
        if not same or src < dst:
            named.append((f"{src}↔{dst}" if same else f"{src}→{dst}", edge))
    return named
