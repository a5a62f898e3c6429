"""The data of a run's charts over time: steps, links, TCP connections, changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, TypeVar

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.caps import cap_stretches, cap_uses
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.flows import flow_zeros, largest_flows
from harness.experiment.report.analysis.links import change_moments, edge_moments, last_zero, tcp_moments
from harness.experiment.report.analysis.traffic import traffic_spans
from harness.experiment.report.analysis.utilisation import MOST_BINS, edge_uses, use_stretches
from harness.experiment.report.page.chart_data import DataTable, short
from harness.experiment.report.page.downsample import LEAST_POINTS, MOST_POINTS, thin

RUN_POINTS: Final = 8000
"""Most points of one run on the page, all charts together."""
MOST_LINKS: Final = 8
"""Up to so many links or flows, each has a colour of its own, and dashes for the way back."""
MOST_STRIPS: Final = 32
"""The most edges in the chart of utilisation: those with the largest share."""
_LEAST_BINS: Final = 12
MOST_LOGGED: Final = 8
"""The most names of logged values with a chart."""
T = TypeVar("T")


def logged_names(analysis: Analysis) -> list[str]:
    """The first MOST_LOGGED names of logged values."""
    ranks = (rank for run in analysis.runs for rank in run.run.ranks)
    return list(dict.fromkeys(name for rank in ranks for one in rank.logs for name in one.values))[:MOST_LOGGED]


def logged_table(name: str) -> str:
    """The name of the table of a logged name."""
    return f"logged:{name}"


def run_tables(run: RunFigures, points: int = RUN_POINTS, logged: Sequence[str] = ()) -> dict[str, DataTable]:
    """Every table of one run, with about so many points in all, and those of the logged names."""
    return {
        **{logged_table(name): values_table(run, name, points // 4) for name in logged},
        "steps": steps_table(run, points // 4),
        "use": use_table(run, points // 4),
        "links": links_table(run, points // 4),
        "tcp": tcp_table(run, points // 8),
        "flows": flows_table(run, points // 4),
        "changes": changes_table(run),
        "traffic": traffic_table(run),
        "away": away_table(run),
    }


def steps_table(run: RunFigures, points: int = RUN_POINTS) -> DataTable:
    """Per rank the computing and waiting of its steps, in ms, thinned. A new part begins after an absence."""
    ranks = [rank for rank in run.run.ranks if rank.steps]
    most = _share(points, len(ranks))
    rows = [
        (
            short(step.elapsed),
            f"rank {rank.rank}",
            sum(joined < step.step for joined in joins),
            short(step.seconds_compute * 1e3),
            short(step.seconds_comm * 1e3),
        )
        for rank in ranks
        for joins in [[group.step for group in run.run.groups if rank.rank in group.joined]]
        for step in peaks(rank.steps, most, lambda step: step.seconds_compute, lambda step: step.seconds_comm)
    ]
    return DataTable(("seconds", "rank", "part", "compute", "waiting"), tuple(rows))


def values_table(run: RunFigures, name: str, points: int = RUN_POINTS) -> DataTable:
    """Per rank the values that its script logged under a name, thinned."""
    zero = last_zero(run.run)
    by_rank = {
        rank.rank: [one for one in rank.logs if math.isfinite(one.values.get(name, math.nan))] for rank in run.run.ranks
    }
    most = _share(points, len([found for found in by_rank.values() if found]))
    rows = [
        (short(one.time - zero), f"rank {rank}", short(one.values[name]))
        for rank, found in by_rank.items()
        for one in peaks(found, most, lambda one: one.values[name])
    ]
    return DataTable(("seconds", "rank", "value"), tuple(rows))


def use_table(run: RunFigures, points: int = RUN_POINTS) -> DataTable:
    """Per shared capacity or directed edge and stretch of time, the share of its rate; of many edges, the fullest."""
    caps = sorted({use.name for use in cap_uses(run.run) if use.share is not None})[:MOST_STRIPS]
    fullest = sorted(edge_uses(run.run), key=lambda use: -(use.share or 0.0))[:MOST_STRIPS]
    edges = {use.edge for use in fullest}
    bins = max(_LEAST_BINS, min(MOST_BINS, points // max(1, len(edges) + len(caps))))
    rows = [
        (one.of.replace("->", "→"), short(one.start), short(one.end), round(one.share, 3))
        for one in cap_stretches(run.run, bins)
        if one.of in caps
    ]
    rows += [
        (f"{src}→{dst}", short(one.start), short(one.end), round(one.share, 3))
        for one in use_stretches(run.run, bins)
        if one.of in edges
        for src, dst in [one.of]
    ]
    return DataTable(("edge", "start", "end", "share"), tuple(rows))


def flows_table(run: RunFigures, points: int = RUN_POINTS) -> DataTable:
    """Per flow, of the largest, its round trip in ms and its window in segments, thinned."""
    flows, zero = largest_flows(run.run, MOST_LINKS), flow_zeros(run.run)
    most = _share(points, len(flows))
    rows = [
        (short(sample.time - zero[flow.attempt]), name, flow.attempt, short(sample.rtt * 1e3), sample.cwnd)
        for name, flow in flows
        if flow.attempt in zero
        for sample in peaks(flow.samples, most, lambda one: one.rtt, lambda one: one.cwnd)
    ]
    return DataTable(("seconds", "flow", "attempt", "rtt", "cwnd"), tuple(rows))


def links_table(run: RunFigures, points: int = RUN_POINTS) -> DataTable:
    """Per directed edge and attempt its moments, thinned; `way` is the edge's direction."""
    moments = sorted(edge_moments(run.run), key=lambda moment: (moment.edge, moment.attempt, moment.seconds))
    few = len({frozenset(moment.edge) for moment in moments}) <= MOST_LINKS
    most = _share(points, len({(moment.edge, moment.attempt) for moment in moments}))
    values = (lambda one: one.bit_s, lambda one: one.dropped, lambda one: one.backlog_bytes)
    rows = []
    for _, of_curve in groupby(moments, key=lambda moment: (moment.edge, moment.attempt)):
        for moment in peaks(list(of_curve), most, *values):
            src, dst = moment.edge
            link = f"{min(src, dst)}–{max(src, dst)}" if few else f"from {src}"
            way = "up" if src < dst or not few else "down"
            shown = (short(moment.bit_s / 1e6), short(moment.dropped), short(moment.backlog_bytes / 1e3))
            rows.append((short(moment.seconds), f"{src}→{dst}", link, way, *shown, moment.attempt))
    return DataTable(("seconds", "edge", "link", "way", "rate", "dropped", "backlog", "attempt"), tuple(rows))


def tcp_table(run: RunFigures, points: int = RUN_POINTS) -> DataTable:
    """Per rank and attempt TCP's retransmitted segments, thinned."""
    moments = sorted(tcp_moments(run.run), key=lambda moment: (moment.rank, moment.attempt, moment.seconds))
    most = _share(points, len({(moment.rank, moment.attempt) for moment in moments}))
    rows = [
        (short(moment.seconds), f"rank {rank}", short(moment.retransmitted), attempt)
        for (rank, attempt), of_curve in groupby(moments, key=lambda moment: (moment.rank, moment.attempt))
        for moment in thin(list(of_curve), lambda moment: moment.retransmitted, most)
    ]
    return DataTable(("seconds", "rank", "retransmitted", "attempt"), tuple(rows))


def changes_table(run: RunFigures) -> DataTable:
    """Every reshape, numbered; without those of attempts that contributed no step."""
    rows = [
        (number, short(moment.seconds), "; ".join(moment.change.texts[:4]))
        for number, moment in enumerate(change_moments(run.run), 1)
        if moment.seconds is not None
    ]
    return DataTable(("number", "seconds", "text"), tuple(rows))


def traffic_table(run: RunFigures) -> DataTable:
    """The time of every load of cross traffic."""
    spans = traffic_spans(run.run)
    rows = [(short(max(0.0, span.start)), short(span.end), span.words) for span in spans if span.end > 0]
    return DataTable(("begun", "over", "traffic"), tuple(rows))


def away_table(run: RunFigures) -> DataTable:
    """The time of every absence of a rank, until it was at work again."""
    rows = []
    for one in run.churn.absences if run.churn else ():
        over = next((at for at in (one.rejoined, one.end) if at is not None), run.seconds)
        if over > 0:
            rows.append((short(max(0.0, one.start)), short(over), one.words))
    return DataTable(("begun", "over", "away"), tuple(rows))


def peaks(points: Sequence[T], most: int, *heights: Callable[[T], float]) -> list[T]:
    """At most about so many points, with the peaks of each of these values."""
    if len(points) <= most:
        return list(points)
    each = max(4, most // len(heights))
    numbered = list(enumerate(points))
    kept: dict[int, T] = {}
    for height in heights:
        kept |= thin(numbered, _of(height), each)
    return [kept[place] for place in sorted(kept)]


def _of(height: Callable[[T], float]) -> Callable[[tuple[int, T]], float]:
    return lambda numbered: height(numbered[1])


def _share(points: int, curves: int) -> int:
    """The points of each curve."""
    return max(LEAST_POINTS, min(MOST_POINTS, points // max(1, curves)))
