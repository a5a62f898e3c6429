"""The tables that `harness report` prints: winners, reasons, and absent ranks."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.churn import Churn
from harness.experiment.report.analysis.groups import RunGroup
from harness.experiment.report.analysis.sentences import headline, margin, runs_counted, time_to_target
from harness.experiment.report.analysis.winners import Winner
from harness.model.format import NOTHING, format_number, format_share, format_size, format_time
from harness.model.table import Column, Table

CHURN: Final = ("goodput", "of all ranks' time", "steps lost", "stood still", "groups", "state sent")
"""The headings of churn_cells."""


def winners_table(analysis: Analysis) -> Table:
    """Every strategy in each scenario, the fastest first."""
    numbers = ("time to target", "winner's lead", "bytes to target", "least loss", "waiting", "runs")
    optional = ("bytes to target", "least loss", "waiting")
    columns = [
        Column("where"),
        Column(analysis.noun),
        *(Column(name, right=True, optional=name in optional) for name in numbers),
    ]
    table = Table(headline(analysis), columns)
    for scenario in analysis.scenarios:
        win = scenario.win
        margins = {other.label: margin(other) for other in win.others} if win else {}
        order = sorted(scenario.groups, key=lambda group: _place(group, win))
        target = "" if scenario.target is None else f" to {scenario.target}"
        for place, group in enumerate(order):
            won = win is not None and group is win.winner
            table.add_row(
                (analysis.name(scenario) + target) if not place else "",
                group.label,
                time_to_target(group, ranged=True),
                "fastest" if won else margins.get(group.label, ""),
                format_size(group.bytes.median if group.bytes else None),
                NOTHING if group.best_loss is None else format_number(group.best_loss.median),
                format_share(group.comm_share.median if group.comm_share else None),
                runs_counted(group),
                bold=won,
            )
        table.end_section()
    return table


def reasons_table(analysis: Analysis) -> Table:
    """Why each strategy in each scenario takes so long: the sentence of the first run with the commonest cause."""
    seeds = Column("seeds", right=True, optional=True)
    columns = [Column("where"), Column(analysis.noun), seeds, Column("why", breaks=" ")]
    table = Table("Why it takes so long", columns)
    for scenario in analysis.scenarios:
        for place, group in enumerate(scenario.groups):
            causes = Counter(run.explanation.cause for run in group.runs)
            cause, times = causes.most_common(1)[0]
            run = next(run for run in group.runs if run.explanation.cause == cause)
            same = str(times) if times == len(group.runs) else f"{times} of {len(group.runs)}"
            table.add_row("" if place else analysis.name(scenario), group.label, same, run.explanation.sentence)
    return table


def churn_table(analysis: Analysis) -> Table:
    """The cost of absent ranks, a row for each run with any."""
    columns = [Column("run"), *(Column(name, right=True) for name in CHURN), Column("away", breaks=" ")]
    table = Table("Ranks that were away", columns)
    for run in analysis.runs:
        if (churn := run.churn) is not None:
            table.add_row(analysis.run_name(run), *churn_cells(churn), "; ".join(one.words for one in churn.absences))
    return table


def churn_cells(churn: Churn) -> tuple[str, ...]:
    """The cells under the headings of CHURN."""
    return (
        format_share(churn.goodput),
        format_share(churn.rank_goodput),
        str(churn.steps_lost),
        format_time(churn.standstill),
        str(churn.groups),
        format_size(churn.state_bytes),
    )


def _place(group: RunGroup, win: Winner | None) -> tuple[bool, float, float]:
    """The winner first, then by the share of runs that reached the target, then by their time."""
    won = win is not None and group is win.winner
    return not won, -group.reached / max(1, group.answered), group.seconds.median if group.seconds else math.inf
