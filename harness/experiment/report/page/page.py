"""The report as one HTML page that works offline, without other files.

It contains styles, data, Vega's programs (from vl-convert) and page.js. A content security policy forbids every
request, and every program except these two, by their hashes: nothing in a label or a log line can run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from markupsafe import Markup

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page.chart_data import DataTable, data_tables
from harness.experiment.report.page.charts import Chart, scenario_charts, timeline_charts
from harness.experiment.report.page.rendering import inline_safe, render
from harness.experiment.report.page.sections import context
from harness.experiment.report.page.theme import config, css_variables, variable
from harness.model.format import count

_STATUS: Final = {"limit": "ended by the time limit"}


def make_page(analysis: Analysis, vega: str) -> str:
    """The whole page.

    Args:
        analysis: what to show.
        vega: a program that defines `vegaEmbed`.
    """
    charts, timelines = scenario_charts(analysis), timeline_charts()
    drawn = [chart for of_scenario in charts for chart in of_scenario.values()]
    programs = [inline_safe(vega), inline_safe(_resource("page.js"))]
    return render(
        "page.html.j2",
        **context(analysis, charts, timelines),
        data={
            "charts": {chart.id: _chart_json(chart) for chart in (*drawn, *timelines)},
            "tables": {name: packed(table) for name, table in data_tables(analysis).items()},
            "labels": analysis.labels,
            "config": config(variable),
        },
        facts=_facts(analysis),
        policy=_policy(programs),
        programs=programs,
        style=Markup(_resource("page.css")),
        themes={mode: Markup(css_variables(mode)) for mode in ("light", "dark")},
    )


def _chart_json(chart: Chart) -> dict[str, object]:
    return {"kind": chart.kind, "spec": {**chart.spec, "description": chart.about}, "data": chart.data}


def packed(table: DataTable) -> str:
    """A table's JSON, gzipped, in base64: a quarter of its size; page.js unpacks what it draws."""
    text = json.dumps(table.to_json(), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _facts(analysis: Analysis) -> list[str]:
    """For the line below the title: how many runs, how many did not finish, when they were made."""
    experiment = analysis.experiment
    statuses = Counter(run.run.status for run in analysis.runs)
    facts = [experiment.id, count(len(analysis.runs), "run")]
    facts += [f"{number} {_STATUS.get(status, status)}" for status, number in statuses.items() if status != "finished"]
    if analysis.several_seeds:
        networks = {one.run.seeds[0] for one in analysis.runs}
        facts.append("one network for all seeds" if len(networks) == 1 else "a network per seed")
    if experiment.missing:
        facts.append(f"{len(experiment.missing)} not begun")
    if experiment.created is not None:
        facts.append(datetime.fromtimestamp(experiment.created, UTC).strftime("%Y-%m-%d %H:%M UTC"))
    if experiment.notes:
        facts.append(f"{count(len(experiment.notes), 'remark')} on the files")
    return facts


def _policy(programs: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in programs)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text()
