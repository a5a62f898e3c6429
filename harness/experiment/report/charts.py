"""Which charts there are: their names, words, specifications and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.experiment.report import drawings
from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.chart_data import bus_table, share_table, times_table

_LOG_FROM: Final = 20
"""Times by which the longest curve exceeds the shortest: from there on the axis is logarithmic, or one is a dot."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        kind: ``time``, ``bytes``, ``target``, ``share``, ``bandwidth``; or a value of the link statistics.
        id: unique, fit for a file name.
        title: what it shows, where, in an image; on the page `about` says it to those who cannot see it.
        about: the same in words.
        spec: Vega-Lite, with data by name.
        data: name in the specification -> name of the table.
    """

    kind: str
    id: str
    title: str
    about: str
    spec: Mapping[str, Any]
    data: Mapping[str, str]


def facet_charts(analysis: Analysis, legend: bool = False) -> list[dict[str, Chart]]:
    """Per facet its charts by kind, those that have something to show.

    Args:
        analysis: what to draw.
        legend: whether charts have a legend of their own: images need one, the page has one for all.
    """
    names = file_names([analysis.told(facet) for facet in analysis.facets])
    return [
        {chart.kind: chart for chart in _of_facet(analysis, number, facet, names[number], legend)}
        for number, facet in enumerate(analysis.facets)
    ]


def _of_facet(analysis: Analysis, number: int, facet: Scenario, file: str, legend: bool) -> Iterator[Chart]:
    where, labels = analysis.told(facet), analysis.labels

    def chart(kind: str, name: str, title: str, spec: drawings.Spec, *tables: str) -> Chart:
        data = {table: f"{table}-{number}" for table in tables}
        return Chart(kind, f"{name}-{file}", f"{where}: {title}", f"{title} on {where}", spec, data)

    drawn = [run for run in facet.runs if run.curve.points]
    several = any(len(group.runs) > 1 for group in facet.groups)
    if drawn:
        loss = drawn[0].curve.kind
        log = _spans([run.curve.points[-1].seconds for run in drawn])
        spec = drawings.loss(labels, "seconds", "wall time (s)", loss, log, several, legend)
        yield chart("time", "loss-time", f"{loss} over wall time", spec, "curve", "hits", "target")
    if drawn and any(run.sent_bytes for run in drawn):
        log = _spans([run.curve.points[-1].bytes for run in drawn])
        spec = drawings.loss(labels, "bytes", "bytes sent by all nodes", loss, log, several, legend)
        yield chart("bytes", "loss-bytes", f"{loss} over bytes sent", spec, "curve", "hits", "target")
    if facet.target is not None:
        rows = times_table(facet).rows
        times = {row[0]: float(row[1] if row[1] is not None else "inf") for row in rows}
        order = sorted(times, key=times.__getitem__)
        spec = drawings.target([str(label) for label in order], labels, max(float(row[3] or 0) for row in rows), legend)
        yield chart("target", "time-to-target", f"time to {facet.target}", spec, "times", "seeds")
    if rows := share_table(facet).rows:
        order_told = list(dict.fromkeys(str(row[0]) for row in rows))
        longest = max(sum(float(row[2] or 0) for row in rows if row[0] == label) for label in order_told)
        spec = drawings.share(order_told, longest, legend)
        yield chart("share", "communication", "computing and waiting per step", spec, "share")
    if any(run.bus for run in facet.runs):
        spec = drawings.bandwidth([str(row[0]) for row in bus_table(facet).rows], labels, legend)
        yield chart("bandwidth", "bus-bandwidth", "bus bandwidth against the bound", spec, "bus")


def timeline_charts(number: int | None = None, slug: str = "") -> list[Chart]:
    """The link statistics of one run.

    Args:
        number: of the run, for an image; None: charts that the page fills with any run's data.
        slug: of the run, for an image.
    """
    values = (
        ("links", "rate", "sent", "Mbit/s"),
        ("links", "dropped", "dropped", "packets/s"),
        ("links", "backlog", "waiting in the link", "kB"),
        ("tcp", "retransmitted", "sent again by TCP", "segments/s"),
    )
    return [
        Chart(
            kind=kind,
            id=f"links-{kind}" + (f"-{file_name(slug)}" if slug else ""),
            title=(f"{slug}: " if slug else "") + f"{title}, {unit}",
            about=f"{title} over time, in {unit}",
            spec=drawings.timeline(table, kind, title, unit, number is not None, number is not None or table == "tcp"),
            data={name: name if number is None else f"{name}-{number}" for name in (table, "changes")},
        )
        for table, kind, title, unit in values
    ]


def _spans(ends: list[float]) -> bool:
    """Whether a linear axis would make some curves invisible."""
    some = [end for end in ends if end > 0]
    return bool(some) and max(some) > _LOG_FROM * min(some)


def file_names(texts: Sequence[str]) -> list[str]:
    """A file name for each, unlike all others, also where a file system does not tell A from a."""
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
    """The text with what does not suit a file name replaced."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in text)
