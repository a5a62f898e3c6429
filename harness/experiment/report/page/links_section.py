"""The page's networks: per run what its links did over time, and the links as they were planned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from harness.experiment.report import told
from harness.experiment.report.analysis import Analysis
from harness.experiment.report.chart_data import MOST_LINKS
from harness.experiment.report.charts import Chart
from harness.experiment.report.figures import RunFigures
from harness.experiment.report.link_statistics import change_moments, zeros
from harness.experiment.report.page.markup import Html, table, tag
from harness.experiment.report.page.results_section import figure
from harness.experiment.report.page.theme import variable
from harness.experiment.report.page.topology_drawing import topology_svg
from harness.model.plan import NetworkPlan, PlannedEdge

MOST_EDGES: Final = 64
"""Edges that a table lists; of larger networks it has the first."""
MOST_OPEN: Final = 16
"""Edges up to which that table is open at first."""


def links_section(analysis: Analysis, charts: Sequence[Chart]) -> Html:
    """Everything about links; a run is chosen at the top."""
    plans, plan_of = distinct_plans(analysis)
    first = first_run(analysis)
    options = [
        tag("option", run_name(analysis, run), value=number, selected=number == first)
        for number, run in enumerate(analysis.runs)
    ]
    panels = [
        tag("div", *_run_words(run), class_="run-panel", data_run=number, data_plan=plan, hidden=number != first)
        for number, (run, plan) in enumerate(zip(analysis.runs, plan_of, strict=True))
    ]
    drawings = [
        tag("div", *_plan_words(plan), class_="plan-panel", data_plan=number, hidden=number != plan_of[first])
        for number, plan in enumerate(plans)
    ]
    return tag(
        "section",
        tag("h2", "Links", id="links"),
        tag("p", tag("label", "Run ", tag("select", *options, id="run")), class_="chooser"),
        *panels,
        tag("h3", "What they did"),
        tag("p", class_="legend", id="link-legend"),
        tag("div", *(figure(chart.id, chart.title) for chart in charts), class_="stack"),
        tag(
            "p",
            f"Of up to {MOST_LINKS} links each has a colour: solid lines are from the lower to the higher rank, dashed "
            "the way back; of more, each rank that sends has a colour, and all lines are solid. What waits in a link "
            "includes packets that are in flight on it. A numbered mark is a change of links, at the moment when every "
            "node had read back what it then held.",
            class_="remark",
        ),
        tag("h3", "What they were asked to be"),
        *drawings,
    )


def distinct_plans(analysis: Analysis) -> tuple[list[NetworkPlan], list[int | None]]:
    """Plans that differ, and for every run which of them it has."""
    plans: list[NetworkPlan] = []
    known: dict[str, int] = {}
    numbers: list[int | None] = []
    for run in analysis.runs:
        if run.run.plan is None:
            numbers.append(None)
            continue
        key = json.dumps(run.run.plan.to_json())
        if key not in known:
            known[key] = len(plans)
            plans.append(run.run.plan)
        numbers.append(known[key])
    return plans, numbers


def first_run(analysis: Analysis) -> int:
    """The run that is shown at first: one whose links were changed, else the one whose links dropped most."""
    numbers = range(len(analysis.runs))
    changed = [number for number in numbers if analysis.runs[number].run.changes]
    if changed:
        return changed[0]
    return max(numbers, key=lambda number: use.dropped if (use := analysis.runs[number].links) else -1)


def run_name(analysis: Analysis, run: RunFigures) -> str:
    """``wan/ring, diloco H=20, seed 0``; with its status where it did not finish."""
    facet = next(facet for facet in analysis.facets if run in facet.runs)
    name = f"{analysis.told(facet)}, {run.run.label}, seed {run.run.seed}"
    return name if run.run.status == "finished" else f"{name} ({run.run.status})"


def _run_words(run: RunFigures) -> list[Html]:
    use = run.links
    if use is None:
        return [tag("p", "There are no link statistics of this run.", class_="remark")]
    words = f"{use.dropped} of {use.sent_packets + use.dropped} packets were dropped on the links"
    if use.retransmitted is not None and use.segments is not None:
        share = use.retransmitted / use.segments if use.segments else 0
        words += f"; TCP sent {use.retransmitted} of {use.segments} segments again ({told.percent(share)})"
    if use.busiest is not None:
        src, dst = use.busiest
        words += f"; the busiest link, {src}→{dst}, carried {told.percent(use.busiest_share)} of what its rate allows"
    parts = [tag("p", words + ".")]
    if words := _attempts_words(run):
        parts.append(tag("p", words, class_="remark"))
    if run.run.changes:
        items = []
        for moment in change_moments(run.run):
            at = f"in attempt {moment.attempt}" if moment.seconds is None else f"at {moment.seconds:.1f} s"
            took = told.seconds(moment.change.acknowledged - moment.change.asked)
            items.append(tag("li", f"{at}, {took} after it was asked for: {'; '.join(moment.change.edges)}"))
        parts.append(tag("ol", *items))
    return parts


def _attempts_words(run: RunFigures) -> str:
    """What to know of the charts of a run that was resumed; nothing of another."""
    attempts = sorted({sample.attempt for sample in run.run.links})
    if len(attempts) < 2:
        return ""
    words = (
        "The run was resumed. Every attempt has a network and lines of its own; seconds are of training, without the "
        "time between, so lines overlap where an attempt did again what the one before had done, and while it started."
    )
    known = zeros(run.run)
    unknown = [str(attempt) for attempt in attempts if attempt not in known]
    if unknown:
        which = f"attempt {unknown[0]}" if len(unknown) == 1 else f"attempts {' and '.join(unknown)}"
        words += f" Of {which} no step counts: what links did then is in no chart."
    return words


def _plan_words(plan: NetworkPlan) -> list[object]:
    rows = [
        (name, edge.shape.describe() + (" (down)" if edge.down else ""), edge.origin)
        for name, edge in named_edges(plan)
    ]
    rest = f" (the first {MOST_EDGES} of {len(rows)})" if len(rows) > MOST_EDGES else ""
    rows = rows[:MOST_EDGES]
    listed = table("Edges as they were planned", ("edge", "shape", "from"), rows)
    return [
        tag(
            "p", f"{plan.topology} of {plan.size} nodes, profile {plan.profile}, seed {plan.seed}. Delays are one way."
        ),
        tag(
            "div",
            tag("div", Html(topology_svg(plan, variable)), class_="drawing"),
            tag("details", tag("summary", f"Edges in figures{rest}"), listed, open=len(rows) <= MOST_OPEN),
            class_="pair",
        ),
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
