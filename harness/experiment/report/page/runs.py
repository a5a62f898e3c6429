"""Texts of the page on runs: status, settings, and the command that repeats them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.load.records import RecordedExperiment
from harness.model.address import DEFAULT_IPV4, DEFAULT_IPV6
from harness.model.format import format_size

STATUS_WORDS: Final = {
    "finished": "finished all steps",
    "limit": "ended by its time limit",
    "stopped": "stopped by the user",
    "unfinished": "has no end: it was cut off, or is still running",
}
_SKIPPED: Final = ("version", "versions", "slug", "label")
_DEFAULTS: Final = {
    "runtime": "netns",
    "engine": "auto",
    "congestion-control": "cubic",
    "image": None,
    "volume": None,
    "subnet": str(DEFAULT_IPV4),
    "subnet6": str(DEFAULT_IPV6),
}
"""Defaults of options of `harness experiment run`."""


def name_with_status(analysis: Analysis, run: RunFigures) -> str:
    """``wan/ring, diloco H=20, seed 0``, and the status of a run that did not finish."""
    name = analysis.run_name(run)
    return name if run.run.status == "finished" else f"{name} ({run.run.status})"


def settings(run: RunFigures) -> dict[str, str]:
    """All recorded settings of a run, by name."""
    first = run.run.ranks[0] if run.run.ranks else None
    found: dict[str, Any] = {
        "folder": run.run.slug,
        "status": STATUS_WORDS.get(run.run.status, run.run.status),
        **{key: value for key, value in run.run.settings.items() if key not in _SKIPPED},
        **{f"version of {name}": value for name, value in _versions(run).items()},
    }
    if first and first.parameters:
        found["parameters of the model"] = first.parameters
    if first and first.bytes_per_step is not None:
        found["payload per step, as the strategy says"] = format_size(first.bytes_per_step)
    if resumed := sorted({step for rank in run.run.ranks for step in rank.resumed_from}):
        found["resumed from step"] = ", ".join(map(str, resumed))
    return {key: _plain(value) for key, value in found.items()}


def common_settings(analysis: Analysis) -> dict[str, str]:
    """The settings that are the same in all runs."""
    first, *others = [settings(run) for run in analysis.runs]
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def own_settings(run: RunFigures, common: Mapping[str, str]) -> dict[str, str]:
    """The settings of a run that differ from the common ones."""
    return {key: value for key, value in settings(run).items() if common.get(key) != value}


def command_again(experiment: RecordedExperiment) -> str | None:
    """The command that repeats the runs, with the path of the original file, to which its paths are relative."""
    file = experiment.source
    if file is None:
        folders = (experiment.folder, experiment.folder.parent)
        file = next((str(path) for folder in folders if (path := folder / "experiment.yaml").is_file()), None)
    if file is None:
        return None
    words = ["harness", "experiment", "run", file]
    for option, default in _DEFAULTS.items():
        given = experiment.run_options.get(option)
        for value in given if isinstance(given, list) else [given]:
            words += [f"--{option}", str(value)] if value not in (None, "", default) else []
    return shlex.join(words)


def _versions(run: RunFigures) -> Mapping[str, Any]:
    versions = run.run.settings.get("versions")
    return versions if isinstance(versions, dict) else {}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
