"""The report as one HTML page that works offline, without other files.

It contains styles, data, Vega's program (from vl-convert) and page.js. A content security policy forbids all requests,
and all programs but these two, by their hashes: no text of a label or a log line can run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from markupsafe import Markup

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page import panels
from harness.experiment.report.page.chart_data import DataTable, scenario_tables
from harness.experiment.report.page.charts import Chart, scenario_charts
from harness.experiment.report.page.rendering import inline_safe, render
from harness.experiment.report.page.run_data import RUN_POINTS, logged_names, run_tables
from harness.experiment.report.page.sections import context
from harness.experiment.report.page.theme import config, css_variables, variable
from harness.experiment.report.page.timelines import timeline_parts
from harness.model.format import count

PAGE_POINTS: Final = 200_000
"""The most points of all runs' charts over time together."""
_STATUS: Final = {"limit": "ended by the time limit"}


def make_page(analysis: Analysis, vega: str) -> str:
    """The whole page; ``vega``: a program that defines `vegaEmbed`."""
    logged = logged_names(analysis)
    charts, timelines = scenario_charts(analysis), timeline_parts(logged)
    drawn = [chart for of_scenario in charts for chart in of_scenario.values()]
    drawn += [chart for of_part in timelines.values() for chart in of_part]
    programs = [inline_safe(vega), inline_safe(_resource("page.js"))]
    shown = context(analysis, charts, timelines)
    return render(
        "page.html.j2",
        **shown,
        data={
            "charts": {chart.id: _chart_json(chart) for chart in drawn},
            "scenarios": [_packed_tables(scenario_tables(analysis, scenario)) for scenario in analysis.scenarios],
            "runs": [_packed_tables(run_tables(run, _points(analysis), logged)) for run in analysis.runs],
            "panels": packed(_panels(analysis, shown)),
            "plans": packed([panels.plan_panel(plan, place) for place, plan in enumerate(shown["plans"])]),
            "labels": analysis.labels,
            "config": config(variable),
        },
        facts=_facts(analysis),
        policy=_policy(programs),
        programs=programs,
        style=Markup(_resource("page.css")),
        themes={mode: Markup(css_variables(mode)) for mode in ("light", "dark")},
    )


def _points(analysis: Analysis) -> int:
    """The most points of a run's charts over time; they keep a page of 192 runs under 3 MB."""
    return min(RUN_POINTS, PAGE_POINTS // max(1, len(analysis.runs)))


def _panels(analysis: Analysis, shown: Mapping[str, Any]) -> list[str]:
    """The panel of each run."""
    of_runs = zip(shown["whys"], shown["plan_of_run"], strict=True)
    return [panels.panel(analysis, place, own, plan, shown["common"]) for place, (own, plan) in enumerate(of_runs)]


def _chart_json(chart: Chart) -> dict[str, object]:
    spec = {**chart.spec, "description": chart.about}
    return {"kind": chart.kind, "spec": spec, "data": chart.data, "series": chart.series}


def _packed_tables(tables: Mapping[str, DataTable]) -> str:
    return packed({name: table.to_json() for name, table in tables.items()})


def packed(value: object) -> str:
    """The value as gzipped JSON in base64, a quarter of its size, for page.js to unpack."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _facts(analysis: Analysis) -> list[str]:
    """The line below the title: the number of runs, those that did not finish, the date."""
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
