"""The charts of scenarios: names, titles, specifications and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.page import chart_specs
from harness.experiment.report.page.chart_data import bus_table, share_table, times_table

_LOG_FROM: Final = 20
"""The axis is logarithmic if the longest curve is over so many times as long as the shortest."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        kind: ``time``, ``bytes``, ``target``, ``share``, ``bandwidth``; or the field of a timeline.
        figure: its name in figure_names.
        id: unique, and valid as a file's name.
        title: in an image.
        about: the title for screen readers.
        spec: Vega-Lite, with named data.
        data: name in the specification -> name of the table.
        series: of a chart over time, the column by which colours differ; empty without colours.
    """

    kind: str
    figure: str
    id: str
    title: str
    about: str
    spec: Mapping[str, Any]
    data: Mapping[str, str]
    series: str = ""


def scenario_charts(analysis: Analysis, legend: bool = False) -> list[dict[str, Chart]]:
    """The charts of each scenario by kind, of what was recorded.

    ``legend``: whether each chart has a legend, as images need; the page has one for all.
    """
    names = file_names([analysis.name(scenario) for scenario in analysis.scenarios])
    log_fields = {field for field in ("seconds", "bytes") if any(_spans(one, field) for one in analysis.scenarios)}
    return [
        {chart.kind: chart for chart in _of_scenario(analysis, number, scenario, names[number], legend, log_fields)}
        for number, scenario in enumerate(analysis.scenarios)
    ]


def _of_scenario(
    analysis: Analysis, number: int, scenario: Scenario, file: str, legend: bool, log_fields: Set[str]
) -> Iterator[Chart]:
    """The charts of one scenario; the x axes of ``log_fields`` are logarithmic in all scenarios."""
    where, labels = analysis.name(scenario), analysis.labels

    def chart(kind: str, name: str, title: str, spec: chart_specs.Spec, *tables: str) -> Chart:
        data = {table: f"{table}-{number}" for table in tables}
        return Chart(kind, name, f"{name}-{file}", f"{where}: {title}", f"{title} on {where}", spec, data)

    drawn = [run for run in scenario.runs if run.curve.points]
    several = any(len(group.runs) > 1 for group in scenario.groups)
    if drawn:
        loss = drawn[0].curve.kind
        tables = ("mean", "curve", "hits", "target")
        spec = chart_specs.loss(labels, "seconds", "wall time (s)", loss, "seconds" in log_fields, several, legend)
        yield chart("time", "loss-time", f"{loss} over wall time", spec, *tables)
    if drawn and any(run.sent_bytes for run in drawn):
        log = "bytes" in log_fields
        spec = chart_specs.loss(labels, "bytes", "bytes sent by all nodes", loss, log, several, legend)
        yield chart("bytes", "loss-bytes", f"{loss} over bytes sent", spec, *tables)
    if scenario.target is not None:
        rows = times_table(scenario).rows
        times = {row[0]: float(row[1] if row[1] is not None else "inf") for row in rows}
        fastest_first = [str(label) for label in sorted(times, key=times.__getitem__)]
        spec = chart_specs.target(fastest_first, labels, max(float(row[3] or 0) for row in rows), legend)
        yield chart("target", "time-to-target", f"time to {scenario.target}", spec, "times", "seeds")
    if rows := share_table(scenario).rows:
        order = list(dict.fromkeys(str(row[0]) for row in rows))
        longest = max(sum(float(row[2] or 0) for row in rows if row[0] == label) for label in order)
        spec = chart_specs.share(order, longest, legend)
        yield chart("share", "communication", "computing and waiting per step", spec, "share")
    if any(run.bus for run in scenario.runs):
        spec = chart_specs.bandwidth([str(row[0]) for row in bus_table(scenario).rows], labels, legend)
        yield chart("bandwidth", "bus-bandwidth", "bus bandwidth against the bound", spec, "bus")


def _spans(scenario: Scenario, field: str) -> bool:
    """Whether a linear axis would make some curves of a scenario invisible."""
    ends = [float(getattr(run.curve.points[-1], field)) for run in scenario.runs if run.curve.points]
    some = [end for end in ends if end > 0]
    return bool(some) and max(some) > _LOG_FROM * min(some)


def file_names(texts: Sequence[str]) -> list[str]:
    """A unique file name for each text, also on a file system that ignores case."""
    names: list[str] = []
    taken: set[str] = set()
    for number, text in enumerate(texts):
        name = plain = file_name(text)
        while name.lower() in taken:
            name = f"{plain}-{number}" if name == plain else f"{name}-{number}"
        names.append(name)
        taken.add(name.lower())
    return names


def file_name(text: str) -> str:
    """The text with characters that are not safe in a file name replaced."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in text)
