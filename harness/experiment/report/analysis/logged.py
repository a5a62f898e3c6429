"""What runs of own commands differ in, and what their scripts logged last."""

from __future__ import annotations

from statistics import fmean

from harness.experiment.report.load.records import RecordedRun


def own_command(run: RecordedRun) -> bool:
    """Whether it is of a command of the user's own."""
    return "command" in run.settings


def parameters(run: RecordedRun) -> dict[str, str]:
    """The parameters of an own command, by name, as run.json has them."""
    found = run.settings.get("parameters")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def last_logged(run: RecordedRun) -> dict[str, float]:
    """By name what a script logged last, mean over the ranks that logged it."""
    by_name: dict[str, list[float]] = {}
    for rank in run.ranks:
        last = {name: value for logged in rank.logs for name, value in logged.values.items()}
        for name, value in last.items():
            by_name.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in by_name.items()}
