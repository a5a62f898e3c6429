"""The data of the charts: small tables by name, with no more points than a chart can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.analysis.bandwidth import no_bus_reason
from harness.experiment.report.analysis.curves import CurvePoint
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.groups import RunGroup, SeedSpread
from harness.experiment.report.analysis.links import EdgeMoment, change_moments, edge_moments, tcp_moments
from harness.experiment.report.analysis.sentences import time_to_target
from harness.experiment.report.page.downsample import MOST_POINTS, thin
from harness.model.format import format_number, format_rate, format_share

Value = str | float | int | None
LINK_POINTS: Final = 6000
"""Most points of one run's link statistics on the page, all edges together."""
PAGE_LINK_POINTS: Final = 300_000
PAGE_CURVE_POINTS: Final = 40_000
"""Most points of all runs together: they keep a page of 192 runs under 5 MB."""
LEAST_POINTS: Final = 24
"""Least number of points of a curve."""
MOST_LINKS: Final = 8
"""Up to so many links each has its own colour, and a dash for the way back."""


@dataclass(frozen=True)
class DataTable:
    """Rows under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def records(self) -> list[dict[str, Value]]:
        """The rows as Vega takes them."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """Column names once, then bare rows: a third of the size of records."""
        return {"columns": self.columns, "rows": self.rows}


def data_tables(analysis: Analysis) -> dict[str, DataTable]:
    """Every table that a chart names."""
    tables: dict[str, DataTable] = {}
    runs = max(1, len(analysis.runs))
    of_curve = max(LEAST_POINTS, min(MOST_POINTS, PAGE_CURVE_POINTS // runs))
    for number, scenario in enumerate(analysis.scenarios):
        tables[f"curve-{number}"] = curve_table(scenario, of_curve)
        tables[f"mean-{number}"] = mean_table(scenario)
        tables[f"hits-{number}"] = hits_table(scenario)
        tables[f"target-{number}"] = target_table(scenario)
        tables[f"times-{number}"] = times_table(scenario)
        tables[f"seeds-{number}"] = seeds_table(scenario)
        tables[f"share-{number}"] = share_table(scenario)
        tables[f"bus-{number}"] = bus_table(scenario)
    for number, run in enumerate(analysis.runs):
        tables[f"links-{number}"] = links_table(run, min(LINK_POINTS, PAGE_LINK_POINTS // runs))
        tables[f"tcp-{number}"] = tcp_table(run)
        tables[f"changes-{number}"] = changes_table(run)
    return tables


def curve_table(scenario: Scenario, most: int = MOST_POINTS) -> DataTable:
    """Every run's points, at most so many of each."""
    rows = [
        (group.label, run.run.seed, _short(p.seconds), p.bytes, _short(p.loss), _short(p.accuracy), p.step)
        for group in scenario.groups
        for run in group.runs
        for p in thin(run.curve.points, lambda point: point.loss, most)
    ]
    return DataTable(("label", "seed", "seconds", "bytes", "loss", "accuracy", "step"), tuple(rows))


def mean_table(scenario: Scenario) -> DataTable:
    """Per strategy the mean over its seeds at every step that all of them evaluated, and the least and largest loss."""
    rows = [
        (group.label, len(points), *map(_short, (seconds, size, fmean(losses), min(losses), max(losses))), step)
        for group in scenario.groups
        for step, points in _thinned_steps(group)
        for seconds, size, losses in [
            (fmean(p.seconds for p in points), fmean(p.bytes for p in points), [p.loss for p in points])
        ]
    ]
    return DataTable(("label", "seeds", "seconds", "bytes", "loss", "low", "high", "step"), tuple(rows))


def _thinned_steps(group: RunGroup) -> list[tuple[int, list[CurvePoint]]]:
    by_step: dict[int, list[CurvePoint]] = {}
    runs = [run for run in group.counted if run.curve.points]
    for run in runs:
        for point in run.curve.points:
            by_step.setdefault(point.step, []).append(point)
    common = [(step, points) for step, points in sorted(by_step.items()) if len(points) == len(runs)]
    return thin(common, lambda one: fmean(point.loss for point in one[1]))


def hits_table(scenario: Scenario) -> DataTable:
    """Where a run first had reached the target."""
    rows = [
        (group.label, run.run.seed, _short(point.seconds), point.bytes, _short(point.loss), point.step)
        for group in scenario.groups
        for run in group.runs
        if scenario.target is not None and (point := run.curve.reached(scenario.target))
    ]
    return DataTable(("label", "seed", "seconds", "bytes", "loss", "step"), tuple(rows))


def target_table(scenario: Scenario) -> DataTable:
    """The target, if it is a loss."""
    loss = scenario.target_value("loss")
    rows = () if loss is None else ((loss, f"target {format_number(loss)}"),)
    return DataTable(("loss", "text"), rows)


def times_table(scenario: Scenario) -> DataTable:
    """Per strategy the time to the target; those that did not reach it have no time but a text."""
    rows = []
    for group in scenario.groups:
        time = group.seconds
        low, high, middle = (time.low, time.high, time.median) if time else (None, None, None)
        text = time_to_target(group)
        line = f"{group.label}: {text}"
        rows.append((group.label, _short(middle), _short(low), _short(high), text, line))
    return DataTable(("label", "median", "low", "high", "text", "line"), tuple(rows))


def seeds_table(scenario: Scenario) -> DataTable:
    """Per run the time to the target, where a strategy has several."""
    hits = hits_table(scenario).rows
    several = {group.label for group in scenario.groups if len(group.runs) > 1}
    return DataTable(("label", "seed", "seconds"), tuple(hit[:3] for hit in hits if hit[0] in several))


def share_table(scenario: Scenario) -> DataTable:
    """Per strategy the computing and waiting time of a step in ms: means over ranks, median over seeds."""
    rows: list[tuple[Value, ...]] = []
    for group in scenario.groups:
        compute = SeedSpread.of(run.compute for run in group.counted if run.steps)
        comm = SeedSpread.of(run.comm for run in group.counted if run.steps)
        if compute is None or comm is None:
            continue
        share = group.comm_share
        line = f"{group.label}: {format_share(share.median)} waiting" if share else group.label
        rows.append((group.label, "computing", _short(compute.median * 1e3), 0, line))
        rows.append((group.label, "waiting", _short(comm.median * 1e3), 1, ""))
    return DataTable(("label", "part", "ms", "order", "line"), tuple(rows))


def bus_table(scenario: Scenario) -> DataTable:
    """Per strategy the bus bandwidth as a share of the bound, median over seeds; over 100 % it was partly hidden."""
    rows: list[tuple[Value, ...]] = []
    for group in scenario.groups:
        known = [run.bus for run in group.counted if run.bus]
        if not known:
            text = f"not recorded: {no_bus_reason([run.run for run in group.counted])}"
            rows.append((group.label, 0, text, f"{group.label}: {text}"))
            continue
        share, bus = SeedSpread.of(bus.share for bus in known), SeedSpread.of(bus.bit_s for bus in known)
        bound = SeedSpread.of(bus.bound_bit_s for bus in known)
        text = bus_text(bus.median if bus else None, bound.median if bound else None)
        if any(one.hidden for one in known):
            text += ", partly hidden"
        line = f"{group.label}: {text}"
        rows.append((group.label, _short(min(share.median, 1.0)) if share else 0, text, line))
    return DataTable(("label", "share", "text", "line"), tuple(rows))


def bus_text(bus: float | None, bound: float | None) -> str:
    """``20.2 of 27.4 Mbit/s``, from bit/s; a text where one of the two is unknown."""
    if bus is None:
        return f"no wait; bound {format_rate(bound)}" if bound else "no wait, no limit"
    if bound is None:
        return f"{format_rate(bus)}, no limit"
    (have, unit), limit = format_rate(bus).split(" "), format_rate(bound)
    return f"{have if limit.endswith(f' {unit}') else f'{have} {unit}'} of {limit}"


def links_table(run: RunFigures, points: int = LINK_POINTS) -> DataTable:
    """Per directed edge and attempt its moments, thinned to about so many points; `way` is the edge's direction."""
    moments = sorted(edge_moments(run.run), key=lambda moment: (moment.edge, moment.attempt, moment.seconds))
    few = len({frozenset(moment.edge) for moment in moments}) <= MOST_LINKS
    curves = len({(moment.edge, moment.attempt) for moment in moments})
    most = max(LEAST_POINTS, min(MOST_POINTS, points // max(1, curves)))
    rows = []
    for _, of_curve in groupby(moments, key=lambda moment: (moment.edge, moment.attempt)):
        for moment in _busy(list(of_curve), most):
            src, dst = moment.edge
            link = f"{min(src, dst)}–{max(src, dst)}" if few else f"from {src}"
            way = "up" if src < dst or not few else "down"
            values = (_short(moment.bit_s / 1e6), _short(moment.dropped), _short(moment.backlog_bytes / 1e3))
            rows.append((_short(moment.seconds), f"{src}→{dst}", link, way, *values, moment.attempt))
    return DataTable(("seconds", "edge", "link", "way", "rate", "dropped", "backlog", "attempt"), tuple(rows))


def _busy(moments: Sequence[EdgeMoment], most: int) -> list[EdgeMoment]:
    """The moments that are kept: those with peaks of any of the three values."""
    third = max(4, most // 3)
    if len(moments) <= most:
        return list(moments)
    kept = {moment.seconds: moment for moment in thin(moments, lambda moment: moment.bit_s, third)}
    kept |= {moment.seconds: moment for moment in thin(moments, lambda moment: moment.dropped, third)}
    kept |= {moment.seconds: moment for moment in thin(moments, lambda moment: moment.backlog_bytes, third)}
    return [kept[seconds] for seconds in sorted(kept)]


def tcp_table(run: RunFigures) -> DataTable:
    """Per rank and attempt TCP's retransmitted segments, thinned."""
    moments = sorted(tcp_moments(run.run), key=lambda moment: (moment.rank, moment.attempt, moment.seconds))
    most = max(LEAST_POINTS, MOST_POINTS // max(1, len({moment.attempt for moment in moments})))
    rows = [
        (_short(moment.seconds), f"rank {rank}", _short(moment.retransmitted), attempt)
        for (rank, attempt), of_curve in groupby(moments, key=lambda moment: (moment.rank, moment.attempt))
        for moment in thin(list(of_curve), lambda moment: moment.retransmitted, most)
    ]
    return DataTable(("seconds", "rank", "retransmitted", "attempt"), tuple(rows))


def changes_table(run: RunFigures) -> DataTable:
    """Every reshape, numbered; without those of attempts that contributed no step."""
    rows = [
        (number, _short(moment.seconds), "; ".join(moment.change.edges[:4]))
        for number, moment in enumerate(change_moments(run.run), 1)
        if moment.seconds is not None
    ]
    return DataTable(("number", "seconds", "text"), tuple(rows))


def _short(value: float | None) -> float | None:
    """Five significant digits: more cannot be seen."""
    return None if value is None else float(f"{value:.5g}")
