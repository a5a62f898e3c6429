"""The variables of the page's templates; without Altair, which only charts need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page import links, runs
from harness.experiment.report.page.chart_data import MOST_LINKS
from harness.experiment.report.page.topology import topology_svg

MOST_SCENARIOS: Final = 6
"""Up to so many scenarios the page shows all at first; of more only the first, until another is chosen."""

if TYPE_CHECKING:
    from harness.experiment.report.page.charts import Chart


def context(
    analysis: Analysis, charts: Sequence[Mapping[str, Chart]] = (), timelines: Sequence[Chart] = ()
) -> dict[str, Any]:
    """The variables of the templates.

    Args:
        analysis: what to show.
        charts: of each scenario, by kind.
        timelines: the charts of the link statistics.
    """
    plans, plan_of_run = links.distinct_plans(analysis)
    return {
        "analysis": analysis,
        "experiment": analysis.experiment,
        "charts": charts,
        "timelines": timelines,
        "plans": plans,
        "plan_of_run": plan_of_run,
        "first_run": links.first_run(analysis),
        "links": links,
        "runs": runs,
        "topology_svg": topology_svg,
        "MOST_LINKS": MOST_LINKS,
        "MOST_SCENARIOS": MOST_SCENARIOS,
    }
