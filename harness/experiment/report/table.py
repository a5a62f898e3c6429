"""What `harness report` prints: who won where."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.experiment.report import told
from harness.experiment.report.analysis import Analysis, Winner
from harness.experiment.report.chart_data import runs_told, time_told
from harness.experiment.report.groups import RunGroup
from harness.experiment.report.summary import headline, margin


def winners_table(analysis: Analysis) -> Table:
    """Profiles and topologies, each with its strategies, the fastest first."""
    table = Table(title=headline(analysis).replace("[", "\\["), title_justify="left", box=SIMPLE_HEAD)
    for name in ("where", "strategy"):
        table.add_column(name)
    for name in ("time to target", "winner's lead", "bytes to target", "least loss", "waiting", "runs"):
        table.add_column(name, justify="right")
    for facet in analysis.facets:
        win = facet.win
        rivals = {rival.label: margin(rival) for rival in (win.next, win.baseline) if rival} if win else {}
        order = sorted(facet.groups, key=lambda group: _place(group, win))
        target = "" if facet.target is None else f" to {facet.target}"
        for place, group in enumerate(order):
            won = win is not None and group is win.winner
            table.add_row(
                (analysis.told(facet) + target).replace("[", "\\[") if not place else "",
                group.label.replace("[", "\\["),
                time_told(group, ranged=True),
                "fastest" if won else rivals.get(group.label, ""),
                told.size(group.bytes.median if group.bytes else None),
                told.NOTHING if group.best_loss is None else told.digits(group.best_loss.median),
                told.percent(group.comm_share.median if group.comm_share else None),
                runs_told(group),
                style="bold" if won else None,
            )
        table.add_section()
    return table


def _place(group: RunGroup, win: Winner | None) -> tuple[bool, float, float]:
    """The winner first, then by the share of runs that reached the target, then by their time."""
    won = win is not None and group is win.winner
    return not won, -group.reached / max(1, group.answered), group.seconds.median if group.seconds else math.inf
