"""The markup of one run and of one network, which the page packs and page.js unpacks when it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.caps import cap_uses
from harness.experiment.report.analysis.collectives import CollectiveTimes, collective_times
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.flows import flow_totals, largest_flows
from harness.experiment.report.analysis.utilisation import edge_uses
from harness.experiment.report.page import links, runs, why
from harness.experiment.report.page.rendering import render
from harness.experiment.report.page.theme import variable
from harness.experiment.report.page.topology import topology_svg
from harness.experiment.report.page.why import Why
from harness.experiment.report.table import CHURN, churn_cells
from harness.model.format import count
from harness.model.plan import NetworkPlan

MOST_FLOWS: Final = 16
"""The most flows in a run's table: those that carried most."""


def panel(analysis: Analysis, place: int, own: Why, plan: int | None, common: Mapping[str, str]) -> Markup:
    """The panel of a run.

    Args:
        analysis: of all runs.
        place: index of the run.
        own: why it took so long.
        plan: index of its plan.
        common: settings that all runs have.
    """
    run = analysis.runs[place]
    uses = edge_uses(run.run)
    collectives = collective_times(run.run.ranks, run.bus.traffic if run.bus else ())
    return render(
        "panel.html.j2",
        analysis=analysis,
        run=run,
        place=place,
        own=own,
        plan=plan,
        collectives=collectives,
        uses=uses if len(uses) <= links.MOST_EDGES else sorted(uses, key=lambda use: -(use.share or 0.0)),
        caps=cap_uses(run.run),
        flows=[(name, flow_totals(flow)) for name, flow in largest_flows(run.run, MOST_FLOWS)],
        settings=runs.own_settings(run, common),
        links=links,
        CHURN=tuple(f"{name}>" for name in CHURN),
        churn_cells=churn_cells,
        untimed=untimed_words(run, collectives),
        runs=runs,
        why=why,
    )


def plan_panel(plan: NetworkPlan, place: int) -> Markup:
    """The panel of a planned network."""
    return render("plan.html.j2", plan=plan, place=place, links=links, topology_svg=topology_svg, colour=variable)


def untimed_words(run: RunFigures, collectives: Sequence[CollectiveTimes]) -> str:
    """A remark on collectives without a time; empty where all have one."""
    timed = [one for one in collectives if one.median is not None]
    unknown = sum(one.untimed for one in collectives) + max((rank.untimed for rank in run.run.ranks), default=0)
    if not timed:
        return "They were counted, not timed one by one."
    return f"{count(unknown, 'collective')} could not be timed." if unknown else ""
