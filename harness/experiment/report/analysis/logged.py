"""The parameters of users' commands, and the last values that their scripts logged."""

from __future__ import annotations

from statistics import fmean

from harness.experiment.report.load.records import RecordedRun


def parameters(run: RecordedRun) -> dict[str, str]:
    """The parameters of a user's command, by name, as in run.json."""
    found = run.settings.get("parameters")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def last_logged(run: RecordedRun) -> dict[str, float]:
    """The last logged values by name, mean over the ranks that logged them."""
    by_name: dict[str, list[float]] = {}
    for rank in run.ranks:
        last = {name: value for logged in rank.logs for name, value in logged.values.items()}
        for name, value in last.items():
            by_name.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in by_name.items()}
