"""The data of the charts: small tables, with no more points than a chart can show."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.analysis.bandwidth import no_bus_reason
from harness.experiment.report.analysis.curves import CurvePoint
from harness.experiment.report.analysis.groups import RunGroup, SeedSpread
from harness.experiment.report.analysis.sentences import time_to_target
from harness.experiment.report.page.downsample import LEAST_POINTS, MOST_POINTS, thin
from harness.model.format import format_number, format_part, format_rate, format_share

Value = str | float | int | None
PAGE_CURVE_POINTS: Final = 40_000
"""Most points of all runs' curves together, which keeps a page of 192 runs under 3 MB."""


@dataclass(frozen=True)
class DataTable:
    """Rows under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def records(self) -> list[dict[str, Value]]:
        """The rows as Vega takes them."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """The columns by name; compressed they take two thirds of the rows."""
        return {name: [row[place] for row in self.rows] for place, name in enumerate(self.columns)}


def scenario_tables(analysis: Analysis, scenario: Scenario) -> dict[str, DataTable]:
    """Every table of one scenario."""
    points = max(LEAST_POINTS, min(MOST_POINTS, PAGE_CURVE_POINTS // max(1, len(analysis.runs))))
    return {
        "curve": curve_table(scenario, points),
        "mean": mean_table(scenario),
        "hits": hits_table(scenario),
        "target": target_table(scenario),
        "times": times_table(scenario),
        "seeds": seeds_table(scenario),
        "share": share_table(scenario),
        "bus": bus_table(scenario),
    }


def curve_table(scenario: Scenario, most: int = MOST_POINTS) -> DataTable:
    """The points of every run, at most ``most`` of each."""
    rows = [
        (group.label, run.run.seed, short(p.seconds), p.bytes, short(p.loss), short(p.accuracy), p.step)
        for group in scenario.groups
        for run in group.runs
        for p in thin(run.curve.points, lambda point: point.loss, most)
    ]
    return DataTable(("label", "seed", "seconds", "bytes", "loss", "accuracy", "step"), tuple(rows))


def mean_table(scenario: Scenario) -> DataTable:
    """Per strategy the mean over its seeds at every step that all evaluated, and the least and largest loss."""
    rows = [
        (group.label, len(points), *map(short, (seconds, size, fmean(losses), min(losses), max(losses))), step)
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
    """The first point of each run that reached the target."""
    rows = [
        (group.label, run.run.seed, short(point.seconds), point.bytes, short(point.loss), point.step)
        for group in scenario.groups
        for run in group.runs
        if scenario.target and scenario.target.kind != "end" and (point := run.curve.reached(scenario.target))
    ]
    return DataTable(("label", "seed", "seconds", "bytes", "loss", "step"), tuple(rows))


def target_table(scenario: Scenario) -> DataTable:
    """The target, if it is a loss."""
    loss = scenario.target_value("loss")
    rows = () if loss is None else ((loss, f"target {format_number(loss)}"),)
    return DataTable(("loss", "text"), rows)


def times_table(scenario: Scenario) -> DataTable:
    """Per strategy the time to the target, or a text where it was not reached."""
    rows = []
    for group in scenario.groups:
        time = group.seconds
        low, high, middle = (time.low, time.high, time.median) if time else (None, None, None)
        text = time_to_target(group)
        line = f"{group.label}: {text}"
        rows.append((group.label, short(middle), short(low), short(high), text, line))
    return DataTable(("label", "median", "low", "high", "text", "line"), tuple(rows))


def seeds_table(scenario: Scenario) -> DataTable:
    """The time to the target of every run of strategies with several."""
    several = [group for group in scenario.groups if len(group.runs) > 1]
    rows = [(group.label, seed, short(time)) for group in several for (_, seed), time in group.times.items()]
    return DataTable(("label", "seed", "seconds"), tuple(rows))


def share_table(scenario: Scenario) -> DataTable:
    """Per strategy the computing and waiting of a step in ms: means over ranks, medians over seeds."""
    rows: list[tuple[Value, ...]] = []
    for group in scenario.groups:
        compute = SeedSpread.of(run.compute for run in group.counted if run.steps)
        comm = SeedSpread.of(run.comm for run in group.counted if run.steps)
        if compute is None or comm is None:
            continue
        share = group.comm_share
        line = f"{group.label}: {format_share(share.median)} waiting" if share else group.label
        rows.append((group.label, "computing", short(compute.median * 1e3), 0, line))
        rows.append((group.label, "waiting", short(comm.median * 1e3), 1, ""))
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
        rows.append((group.label, short(min(share.median, 1.0)) if share else 0, text, line))
    return DataTable(("label", "share", "text", "line"), tuple(rows))


def bus_text(bus: float | None, bound: float | None) -> str:
    """``20.2 of 27.4 Mbit/s``, from bit/s; other words where one of the two is unknown."""
    if bus is None:
        return f"no wait; bound {format_rate(bound)}" if bound else "no wait, no limit"
    return f"{format_rate(bus)}, no limit" if bound is None else format_part(bus, bound)


def short(value: float | None) -> float | None:
    """The value with four significant digits; more cannot be seen. Whole numbers are int: ``5``, not ``5.0``."""
    if value is None:
        return None
    number = float(f"{value:.4g}")
    return int(number) if number.is_integer() else number
