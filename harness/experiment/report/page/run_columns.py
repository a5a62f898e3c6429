"""The columns of the tables of runs and of strategies; those without any value are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.groups import RunGroup, SeedSpread
from harness.experiment.report.analysis.logged import last_logged, parameters
from harness.model.format import NOTHING, format_number, format_share, format_size, format_time

Cell: TypeAlias = tuple[float | None, str]
"""The value by which a cell is sorted, and its text."""


@dataclass(frozen=True)
class RunColumn:
    """A column of the table of runs."""

    title: str
    cell: Callable[[RunFigures], Cell]
    number: bool = True

    @property
    def heading(self) -> str:
        """The title for the macro `table`, in which a final ``>`` marks numbers."""
        plain = self.title.rstrip(">")
        return f"{plain}>" if self.number else plain


@dataclass(frozen=True)
class GroupColumn:
    """A column of the table of strategies; ``form`` formats a value."""

    heading: str
    spread: Callable[[RunGroup], SeedSpread | None]
    form: Callable[[float | None], str]


_GROUP_COLUMNS = (
    GroupColumn("bytes to target>", lambda group: group.bytes, format_size),
    GroupColumn("least loss>", lambda group: group.best_loss, lambda loss: format_number(loss or 0.0)),
    GroupColumn("accuracy there>", lambda group: group.accuracy, format_share),
    GroupColumn("median step>", lambda group: group.step_seconds, format_time),
    GroupColumn("waiting>", lambda group: group.comm_share, format_share),
    GroupColumn("sent per step>", lambda group: group.sent_bytes, format_size),
)


def group_columns(analysis: Analysis) -> list[GroupColumn]:
    """The columns in which some strategy has a value other than 0."""
    groups = [group for scenario in analysis.scenarios for group in scenario.groups]
    return [
        column for column in _GROUP_COLUMNS if any(spread.high for group in groups if (spread := column.spread(group)))
    ]


def run_columns(analysis: Analysis) -> list[RunColumn]:
    """Parameters of commands, figures of every run, and logged values."""
    logged = dict.fromkeys(name for run in analysis.runs for name in last_logged(run.run) if name not in _IN_CURVES)
    columns = [
        *(_parameter(name) for name in dict.fromkeys(name for run in analysis.runs for name in parameters(run.run))),
        RunColumn("steps", lambda run: (run.steps or None, str(run.steps))),
        RunColumn("wall time", lambda run: (run.seconds, format_time(run.seconds))),
        RunColumn("least loss", lambda run: _cell(run.best.loss if run.best else None, format_number)),
        *(_logged(name) for name in logged),
        RunColumn("waiting", lambda run: _cell(run.comm_share, format_share)),
        RunColumn("sent", lambda run: (run.sent_bytes or None, format_size(run.sent_bytes))),
        RunColumn("step p50 / p95", _step),
        RunColumn("retransmits", lambda run: _cell(run.links.retransmitted if run.links else None, str)),
    ]
    return [column for column in columns if any(_known(column.cell(run)) for run in analysis.runs)]


_IN_CURVES = ("loss", "accuracy")


def _parameter(name: str) -> RunColumn:
    return RunColumn(name, lambda run: (None, parameters(run.run).get(name, NOTHING)), number=False)


def _logged(name: str) -> RunColumn:
    return RunColumn(f"last {name}", lambda run: _cell(last_logged(run.run).get(name), format_number))


def _step(run: RunFigures) -> Cell:
    return run.step_p50, f"{format_time(run.step_p50)} / {format_time(run.step_p95)}"


def _cell(value: float | None, text: Callable[[float], str]) -> Cell:
    return (None, NOTHING) if value is None else (value, text(value))


def _known(cell: Cell) -> bool:
    return cell[0] is not None or cell[1] not in (NOTHING, "0", "0 B", f"{NOTHING} / {NOTHING}")
