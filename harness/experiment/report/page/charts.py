"""The charts: their names, titles, specifications and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.page import chart_specs
from harness.experiment.report.page.chart_data import DataTable, bus_table, scenario_tables, share_table, times_table
from harness.experiment.report.page.run_data import run_tables

_LOG_FROM: Final = 20
"""If the longest curve is more than so many times as long as the shortest, the axis is logarithmic."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        kind: ``time``, ``bytes``, ``target``, ``share``, ``bandwidth``; or a value of the link statistics.
        figure: its name in figure_names.
        id: unique, fit for a file name.
        title: what it shows, where, in an image; on the page screen readers get `about`.
        about: the same in words.
        spec: Vega-Lite, with data by name.
        data: name in the specification -> name of the table.
        series: of a chart over time, the column of what has a colour of its own; empty where nothing has.
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
    """Per scenario its charts by kind, those that have something to show.

    Args:
        analysis: what to draw.
        legend: whether charts have a legend of their own: images need one, the page has one for all.
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
    """The charts of one scenario; those of a row have the same kind of axis: ``log_fields`` are logarithmic."""
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


@dataclass(frozen=True)
class Timeline:
    """A value of one run over time.

    Args:
        part: the heading that it stands under on the page.
        figure: its name in figure_names.
        table: of run_data.
        field: its column of values.
        who, series: columns: what has a line of its own, and what has a colour of its own.
        title, unit: of the value.
    """

    part: str
    figure: str
    table: str
    field: str
    who: str
    series: str
    title: str
    unit: str


TIMELINES: Final = (
    Timeline("Steps", "steps-compute", "steps", "compute", "rank", "rank", "computing, each step", "ms"),
    Timeline("Steps", "steps-waiting", "steps", "waiting", "rank", "rank", "waiting, each step", "ms"),
    Timeline("Links", "links-use", "use", "share", "edge", "edge", "sent, as a share of the rate", "%"),
    Timeline("Links", "links-rate", "links", "rate", "edge", "link", "sent", "Mbit/s"),
    Timeline("Links", "links-dropped", "links", "dropped", "edge", "link", "dropped", "packets/s"),
    Timeline("Links", "links-backlog", "links", "backlog", "edge", "link", "queued in the link", "kB"),
    Timeline("TCP", "links-retransmitted", "tcp", "retransmitted", "rank", "rank", "retransmitted", "segments/s"),
    Timeline("TCP", "flows-rtt", "flows", "rtt", "flow", "flow", "round trip that TCP measured", "ms"),
    Timeline("TCP", "flows-cwnd", "flows", "cwnd", "flow", "flow", "congestion window", "segments"),
)


def timeline_charts(number: int | None = None, slug: str = "") -> list[Chart]:
    """What one run did over time, in the order of TIMELINES.

    Args:
        number: of the run, for an image; None: charts that the page fills with any run's data.
        slug: of the run, for an image.
    """
    return [_timeline_chart(timeline, number, slug) for timeline in TIMELINES]


def timeline_parts() -> dict[str, list[Chart]]:
    """The charts that the page fills with any run's data, by the heading that they stand under."""
    parts: dict[str, list[Chart]] = {}
    for timeline, chart in zip(TIMELINES, timeline_charts(), strict=True):
        parts.setdefault(timeline.part, []).append(chart)
    return parts


def _timeline_chart(timeline: Timeline, number: int | None, slug: str) -> Chart:
    image, last = number is not None, timeline.figure in _LAST_OF_PARTS
    if timeline.table == "use":
        spec = chart_specs.heat_strips(timeline.title, image)
    else:
        marks = (timeline.who, timeline.series, timeline.title, timeline.unit)
        spec = chart_specs.timeline(timeline.table, timeline.field, *marks, image, image or last)
    return Chart(
        kind=timeline.field,
        figure=timeline.figure,
        id=timeline.figure + (f"-{file_name(slug)}" if slug else ""),
        title=(f"{slug}: " if slug else "") + f"{timeline.title}, {timeline.unit}",
        about=f"{timeline.title} over time, in {timeline.unit}",
        spec=spec,
        data={name: f"{name}-{number}" if image else name for name in (timeline.table, "changes")},
        series="" if timeline.table == "use" else timeline.series,
    )


_LAST_OF_PARTS: Final = {timeline.part: timeline.figure for timeline in TIMELINES}.values()


def data_tables(analysis: Analysis) -> dict[str, DataTable]:
    """Every table that a chart of images names."""
    tables: dict[str, DataTable] = {}
    for number, scenario in enumerate(analysis.scenarios):
        tables |= {f"{name}-{number}": table for name, table in scenario_tables(analysis, scenario).items()}
    for number, run in enumerate(analysis.runs):
        tables |= {f"{name}-{number}": table for name, table in run_tables(run).items()}
    return tables


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
