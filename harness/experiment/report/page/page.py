"""The report as one HTML page that needs nothing else: no network, no other file.

Everything is in it: styles, data, Vega's programs (vl-convert carries them) and ours. A content security policy
forbids every request and every program but these two, by their hashes, so that nothing in a label or a log line can
run, whatever it is.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.chart_data import data_tables
from harness.experiment.report.charts import Chart, facet_charts, timeline_charts
from harness.experiment.report.page.links_section import links_section
from harness.experiment.report.page.markup import Html, data_block, inline_safe, script, tag
from harness.experiment.report.page.results_section import answer_section, charts_section, winners_section
from harness.experiment.report.page.runs_section import about_section, run_notes, runs_section
from harness.experiment.report.page.theme import config, css_variables, variable

_CONTENTS: Final = (
    ("answer", "Answer"),
    ("winners", "Winners"),
    ("loss", "Loss"),
    ("time", "Time to target"),
    ("communication", "Communication"),
    ("links", "Links"),
    ("runs", "Runs"),
    ("about", "About"),
)
_WORDS: Final = {"limit": "ended by the time limit"}


def make_page(analysis: Analysis, vega: str) -> str:
    """The whole page.

    Args:
        analysis: what to show.
        vega: a program that defines `vegaEmbed`.
    """
    charts, timelines = facet_charts(analysis), timeline_charts()
    drawn = [chart for of_facet in charts for chart in of_facet.values()]
    data = {
        "charts": {chart.id: _chart_json(chart) for chart in (*drawn, *timelines)},
        "tables": {name: table.to_json() for name, table in data_tables(analysis).items()},
        "config": config(variable),
    }
    ours = _resource("page.js")
    title = f"{analysis.experiment.name}: report"
    body = tag(
        "body",
        _header(analysis),
        tag(
            "main",
            answer_section(analysis),
            run_notes(analysis),
            winners_section(analysis),
            charts_section(analysis, charts),
            links_section(analysis, timelines),
            runs_section(analysis),
            about_section(analysis),
        ),
        tag("noscript", tag("p", "The charts need JavaScript; tables and drawings do not.")),
        data_block("data", data),
        script(vega),
        script(ours),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(vega, ours)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Html(_style())),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _chart_json(chart: Chart) -> dict[str, object]:
    return {"kind": chart.kind, "spec": {**chart.spec, "description": chart.about}, "data": chart.data}


def _header(analysis: Analysis) -> Html:
    experiment = analysis.experiment
    runs = len(analysis.runs)
    parts = [experiment.id, f"{runs} run{'' if runs == 1 else 's'}"]
    parts += [f"{count} {_WORDS.get(status, status)}" for status, count in _statuses(analysis).items()]
    if experiment.missing:
        parts.append(f"{len(experiment.missing)} not begun")
    if experiment.created is not None:
        parts.append(datetime.fromtimestamp(experiment.created, UTC).strftime("%Y-%m-%d %H:%M UTC"))
    if experiment.notes:
        parts.append(f"{len(experiment.notes)} remarks on the files")
    return tag(
        "header",
        tag("button", "Light or dark", type="button", id="theme"),
        tag("h1", experiment.name),
        tag("p", " · ".join(parts), class_="remark"),
        tag("nav", *(tag("a", word, href=f"#{name}") for name, word in _CONTENTS), aria_label="Contents"),
    )


def _statuses(analysis: Analysis) -> dict[str, int]:
    """How many runs ended otherwise than by finishing, by how."""
    found: dict[str, int] = {}
    for run in analysis.runs:
        found[run.run.status] = found.get(run.run.status, 0) + 1
    return {status: count for status, count in found.items() if status != "finished"}


def _policy(*programs: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(inline_safe(one).encode()).digest()).decode() for one in programs)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _style() -> str:
    light, dark = css_variables("light"), css_variables("dark")
    return (
        f":root{{color-scheme:light;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
        f"@media print{{:root:root:root{{color-scheme:light;{light}}}}}" + _resource("page.css")
    )


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text()
