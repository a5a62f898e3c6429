"""The charts of one run over time, and the tables of all charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page import chart_specs
from harness.experiment.report.page.chart_data import DataTable, scenario_tables
from harness.experiment.report.page.charts import Chart, file_name, file_names
from harness.experiment.report.page.run_data import logged_names, logged_table, run_tables


@dataclass(frozen=True)
class ValueOverTime:
    """A value of one run over time.

    Args:
        part: its heading on the page.
        figure: its name in figure_names.
        table: of run_data.
        field: the column of values.
        who, series: the columns by which lines and colours differ.
        title, unit: of the value; a logged value has no unit.
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
    ValueOverTime("Steps", "steps-compute", "steps", "compute", "rank", "rank", "computing, each step", "ms"),
    ValueOverTime("Steps", "steps-waiting", "steps", "waiting", "rank", "rank", "waiting, each step", "ms"),
    ValueOverTime("Links", "links-use", "use", "share", "edge", "edge", "sent, as a share of the rate", "%"),
    ValueOverTime("Links", "links-rate", "links", "rate", "edge", "link", "sent", "Mbit/s"),
    ValueOverTime("Links", "links-dropped", "links", "dropped", "edge", "link", "dropped", "packets/s"),
    ValueOverTime("Links", "links-backlog", "links", "backlog", "edge", "link", "queued in the link", "kB"),
    ValueOverTime("TCP", "links-retransmitted", "tcp", "retransmitted", "rank", "rank", "retransmitted", "segments/s"),
    ValueOverTime("TCP", "flows-rtt", "flows", "rtt", "flow", "flow", "round trip that TCP measured", "ms"),
    ValueOverTime("TCP", "flows-cwnd", "flows", "cwnd", "flow", "flow", "congestion window", "segments"),
)
MARKS: Final = ("changes", "traffic", "away")
"""Tables of the marks in every chart over time."""
_STEPS: Final = 2
"""The number of timelines of steps, after which logged values follow."""


def timeline_charts(number: int | None = None, slug: str = "", logged: Sequence[str] = ()) -> list[Chart]:
    """The charts of one run over time, logged values included.

    Args:
        number: index of the run, for images; None: for the page, which fills them with any run's data.
        slug: of the run, for images.
        logged: names of logged values.
    """
    timelines = _timelines(logged)
    names = file_names([timeline.figure for timeline in timelines])
    last = {timeline.part: timeline for timeline in timelines}.values()
    return [
        _chart(timeline, name + (f"-{file_name(slug)}" if slug else ""), number, slug, timeline in last)
        for timeline, name in zip(timelines, names, strict=True)
    ]


def timeline_parts(logged: Sequence[str] = ()) -> dict[str, list[Chart]]:
    """The charts that the page fills with any run's data, by heading."""
    parts: dict[str, list[Chart]] = {}
    for timeline, chart in zip(_timelines(logged), timeline_charts(logged=logged), strict=True):
        parts.setdefault(timeline.part, []).append(chart)
    return parts


def _timelines(logged: Sequence[str]) -> list[ValueOverTime]:
    column = ("value", "rank", "rank")
    own = [ValueOverTime("Logged", f"logged-{name}", logged_table(name), *column, name, "") for name in logged]
    return [*TIMELINES[:_STEPS], *own, *TIMELINES[_STEPS:]]


def _chart(timeline: ValueOverTime, name: str, number: int | None, slug: str, last: bool) -> Chart:
    image = number is not None
    if timeline.table == "use":
        spec = chart_specs.heat_strips(timeline.title, image)
    else:
        marks = (timeline.who, timeline.series, timeline.title, timeline.unit)
        spec = chart_specs.timeline(timeline.table, timeline.field, *marks, image, image or last)
    what = timeline.title + (f", {timeline.unit}" if timeline.unit else "")
    return Chart(
        kind=timeline.field,
        figure=timeline.figure,
        id=name,
        title=f"{slug}: {what}" if slug else what,
        about=f"{what}, over time",
        spec=spec,
        data={table: f"{table}-{number}" if image else table for table in (timeline.table, *MARKS)},
        series="" if timeline.table == "use" else timeline.series,
    )


def data_tables(analysis: Analysis) -> dict[str, DataTable]:
    """Every table that charts of images name."""
    tables: dict[str, DataTable] = {}
    logged = logged_names(analysis)
    for number, scenario in enumerate(analysis.scenarios):
        tables |= {f"{name}-{number}": table for name, table in scenario_tables(analysis, scenario).items()}
    for number, run in enumerate(analysis.runs):
        tables |= {f"{name}-{number}": table for name, table in run_tables(run, logged=logged).items()}
    return tables
