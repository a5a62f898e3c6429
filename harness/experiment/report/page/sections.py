"""The variables of the page's templates. It does not import Altair, so that tests can render sections without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page import links, panels, runs, why
from harness.experiment.report.page.run_columns import group_columns, run_columns
from harness.experiment.report.page.run_data import MOST_LINKS

MOST_SCENARIOS: Final = 6
"""Up to so many scenarios, the page shows all at first; of more, only the first one."""

if TYPE_CHECKING:
    from harness.experiment.report.page.charts import Chart


def context(
    analysis: Analysis,
    charts: Sequence[Mapping[str, Chart]] = (),
    timelines: Mapping[str, Sequence[Chart]] | None = None,
) -> dict[str, Any]:
    """The variables of the templates.

    Args:
        analysis: of the experiment.
        charts: of each scenario, by kind.
        timelines: the charts of one run over time, by heading.
    """
    plans, plan_of_run = links.distinct_plans(analysis)
    whys = why.explained(analysis)
    kinds = {kind for of_scenario in charts for kind in of_scenario}
    return {
        "analysis": analysis,
        "experiment": analysis.experiment,
        "causes": why.causes(whys),
        "charts": charts,
        "columns": run_columns(analysis),
        "group_columns": group_columns(analysis),
        "noun": analysis.noun,
        "common": runs.common_settings(analysis),
        "contents": list(_contents(kinds)),
        "kinds": kinds,
        "timelines": timelines or {},
        "plans": plans,
        "plan_of_run": plan_of_run,
        "first_run": links.first_run(analysis),
        "links": links,
        "panels": panels,
        "runs": runs,
        "why": why,
        "whys": whys,
        "MOST_LINKS": MOST_LINKS,
        "MOST_SCENARIOS": MOST_SCENARIOS,
    }


def _contents(kinds: set[str]) -> Iterator[tuple[str, str]]:
    """(id, title) of each section of the page."""
    yield from (("answer", "Answer"), ("winners", "Winners"), ("why", "Why"))
    if "time" in kinds:
        yield "loss", "Loss"
    if "target" in kinds:
        yield "time", "Time to target"
    if "share" in kinds:
        yield "communication", "Communication"
    yield from (("links", "Links"), ("runs", "Runs"), ("about", "About"))
