"""What `harness report` prints: who won where."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.report.experiment import told
from harness.report.experiment.analyse import Analysis
from harness.report.experiment.answer import headline, margin
from harness.report.experiment.tables import time_told


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
        order = sorted(
            facet.groups, key=lambda group: (not group.won_all, group.seconds.median if group.seconds else 0.0)
        )
        target = "" if facet.target is None else f" to {facet.target:.4g}"
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
                str(len(group.runs)),
                style="bold" if won else None,
            )
        table.add_section()
    return table
