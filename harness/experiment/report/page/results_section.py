"""The page's results: the answer, who won where, and the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.experiment.report import summary, told
from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.chart_data import runs_told, time_told
from harness.experiment.report.charts import Chart
from harness.experiment.report.page.markup import Html, html, joined, table, tag
from harness.experiment.report.page.theme import SERIES

ScenarioCharts = Sequence[Mapping[str, Chart]]


def answer_section(analysis: Analysis) -> Html:
    """What came of it, in words."""
    sentences = [tag("li", summary.sentence(analysis, facet)) for facet in analysis.facets]
    return tag(
        "section",
        tag("h2", "The answer", id="answer"),
        tag("p", summary.headline(analysis), class_="lead"),
        tag("ul", *sentences, class_="plain"),
    )


def winners_section(analysis: Analysis) -> Html:
    """The table of winners, and the figures of every strategy."""
    return tag(
        "section",
        tag("h2", "Who won where", id="winners"),
        winners_table(analysis),
        tag("h3", "Every strategy in figures"),
        strategies_table(analysis),
        tag(
            "p",
            "Values are medians over seeds, with the least and the largest where there are several seeds. "
            "Bytes are what all nodes sent, headers and relayed packets included. Where it says 2 of 3 seeds, one run "
            "failed or has not ended, without having reached the target, and is in no figure.",
            class_="remark",
        ),
    )


def winners_table(analysis: Analysis) -> Html:
    """One row per profile and topology."""
    rows = []
    for facet in analysis.facets:
        win = facet.win
        row: list[object] = [analysis.told(facet), told.NOTHING if facet.target is None else str(facet.target)]
        if win is None:
            nobody = "nobody yet" if any(run.run.status == "unfinished" for run in facet.runs) else "nobody"
            row += [nobody, told.NOTHING, told.NOTHING, told.NOTHING, told.NOTHING]
        else:
            row += [
                chip(analysis, win.winner.label),
                told.spread(win.winner.seconds),
                f"{win.winner.reached} of {len(win.winner.runs)}",
                told.NOTHING
                if win.next is None
                else joined([chip(analysis, win.next.label), " ", summary.margin(win.next)]),
                summary.margin(win.baseline) if win.baseline else told.NOTHING,
            ]
        rows.append(row)
    columns = (
        "where",
        "target>",
        "fastest",
        "time to target>",
        "seeds>",
        "next, and the winner's lead",
        "lead over ddp>",
    )
    return table("The fastest strategy on each profile and topology", columns, rows)


def strategies_table(analysis: Analysis) -> Html:
    """One row per profile, topology and strategy."""
    rows: list[list[object]] = []
    for facet in analysis.facets:
        for group in facet.groups:
            rows.append(
                [
                    analysis.told(facet),
                    chip(analysis, group.label),
                    runs_told(group),
                    time_told(group, ranged=True),
                    told.spread(group.bytes, told.size),
                    told.spread(group.best_loss, _loss),
                    told.spread(group.accuracy, told.percent),
                    told.spread(group.step_seconds),
                    told.spread(group.comm_share, told.percent),
                    told.spread(group.sent_bytes, told.size),
                ]
            )
    columns = (
        "where",
        "strategy",
        "seeds>",
        "time to target>",
        "bytes to target>",
        "least loss>",
        "accuracy there>",
        "median step>",
        "waiting>",
        "sent per step>",
    )
    return table("Every strategy on every profile and topology", columns, rows)


def _loss(value: float | None) -> str:
    return told.NOTHING if value is None else told.digits(value)


def chip(analysis: Analysis, label: str, name: str | None = None) -> Html:
    """A strategy's name, or another, beside the strategy's colour."""
    place = analysis.labels.index(label)
    mark = tag("i", style=f"--own:var(--c{place % SERIES})", class_="dashed" if place >= SERIES else None)
    return tag("span", mark, label if name is None else name, class_="chip")


def legend(analysis: Analysis) -> Html:
    """All strategies with their colours."""
    chips = [chip(analysis, label) for label in analysis.labels]
    return tag("p", *chips, class_="legend", aria_label="Colours of the strategies")


def charts_section(analysis: Analysis, charts: ScenarioCharts) -> Html:
    """Loss, time to target, communication, bandwidth: a small chart per profile and topology each."""
    parts: list[object] = [
        tag("h2", "Loss", id="loss"),
        legend(analysis),
        tag("h3", "Over wall time"),
        _grid(analysis, charts, "time"),
        tag("h3", "Over bytes sent"),
        _grid(analysis, charts, "bytes"),
        tag("p", "A line per run; a dot where it first had reached the target.", class_="remark"),
        tag("h2", "Time to the target", id="time"),
        _grid(analysis, charts, "target"),
        tag("h2", "Computing and waiting", id="communication"),
        _parts_legend(),
        _grid(analysis, charts, "share"),
        tag(
            "p",
            "Waiting is what a step waited for communication, as a mean over ranks: for the network, and for slower "
            "ranks. What is hidden behind computing is not in it.",
            class_="remark",
        ),
    ]
    if any("bandwidth" in of_facet for of_facet in charts):
        parts += [
            tag("h2", "Bus bandwidth against the bound", id="bandwidth"),
            legend(analysis),
            _grid(analysis, charts, "bandwidth"),
            tag("p", *_bandwidth_words(analysis), class_="remark"),
        ]
    return tag("section", *parts)


def _bandwidth_words(analysis: Analysis) -> list[object]:
    words: list[object] = [
        "Bytes of all collectives over all the time that steps waited for them (of the rank that waited least), as "
        "nccl-tests counts bus bandwidth; the bound is what delays and rates of the links allow one collective after "
        "another at best. Single collectives are not timed, so this is a figure of the whole run."
    ]
    if any(run.bus and run.bus.hidden for run in analysis.runs):
        words.append(
            " Partly hidden: steps waited less than the links need for their collectives, because part of the "
            "communication went on behind computing; the bandwidth is apparent there."
        )
    if any(run.bus and run.run.changes for run in analysis.runs):
        words.append(" Where links were changed during a run, the bound is of the links at its beginning.")
    if any(run.bus and run.bus.missed for run in analysis.runs):
        words.append(" Some collectives passed unseen by torch's recorder: those figures are too low.")
    if any(run.bus and run.bus.bound_bit_s is None for run in analysis.runs):
        words.append(" No limit: the links limit nothing there, or a collective has no bound.")
    return words


def _grid(analysis: Analysis, charts: ScenarioCharts, kind: str) -> Html:
    figures = [
        figure(of_facet[kind].id, analysis.told(facet)) if kind in of_facet else _empty(analysis, facet)
        for facet, of_facet in zip(analysis.facets, charts, strict=True)
    ]
    return tag("div", *figures, class_="grid wide" if len(figures) in (1, 2, 4) else "grid")


def figure(chart: str, caption: str) -> Html:
    """Where the page's script draws a chart."""
    return tag("figure", tag("figcaption", caption), tag("div", class_="plot", data_chart=chart))


def _empty(analysis: Analysis, facet: Scenario) -> Html:
    caption = tag("figcaption", analysis.told(facet))
    return tag("figure", caption, tag("p", "Nothing was recorded that could be drawn.", class_="remark"))


def _parts_legend() -> Html:
    parts = [("compute", "computing"), ("wait", "waiting for communication")]
    chips = [tag("span", tag("i", style=f"--own:var(--{name})"), html(word), class_="chip") for name, word in parts]
    return tag("p", *chips, class_="legend")
