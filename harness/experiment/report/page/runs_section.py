"""The page's account of itself: every run with its status and settings, what was odd, how figures were made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from harness.experiment.report import told
from harness.experiment.report.analysis import Analysis
from harness.experiment.report.figures import RunFigures
from harness.experiment.report.page.links_section import run_name
from harness.experiment.report.page.markup import Html, table, tag
from harness.experiment.report.page.results_section import chip
from harness.experiment.report.records import RecordedExperiment
from harness.model.address import DEFAULT_IPV4, DEFAULT_IPV6

_WORDS: Final = {
    "finished": "finished all steps",
    "limit": "ended by its time limit",
    "stopped": "stopped by the user",
    "unfinished": "has no end: cut off, or still going on",
}
_SKIPPED: Final = ("version", "versions", "slug", "label")
_MOST_NAMED: Final = 4
"""Runs that the note at the top names."""
_DEFAULTS: Final = {
    "runtime": "netns",
    "engine": "auto",
    "congestion-control": "cubic",
    "image": None,
    "volume": None,
    "subnet": str(DEFAULT_IPV4),
    "subnet6": str(DEFAULT_IPV6),
}
"""Options of `harness experiment run` that say where runs are made, with what they are where nothing is given."""
METHOD: Final = (
    "Loss is of each rank's own model on the held-out set, the mean over ranks; its time is the latest rank's. Where "
    "nothing was evaluated it is the training loss, averaged over 10 steps.",
    "Wall time counts from the beginning of the first step, evaluations included and start-up not.",
    "A run reached the target at its first evaluation after a step that met it: times are as fine as evaluations are "
    "frequent.",
    "Runs that differ in nothing but the seed are one strategy; one seed says nothing about spread.",
    "Failed and unfinished runs that had not reached the target count neither for nor against their strategy, and are "
    "in none of its figures; where there are no others yet, its figures are of those.",
)


def runs_section(analysis: Analysis) -> Html:
    """All runs; failures first, with what the rank printed at last."""
    failed = [run for run in analysis.runs if run.run.status == "failed"]
    parts: list[object] = [tag("h2", "Runs", id="runs")]
    parts += [_failure(analysis, run) for run in failed]
    parts += [_notes(analysis, run) for run in analysis.runs if run.run.end and run.run.end.notes]
    parts.append(runs_table(analysis))
    if analysis.experiment.missing:
        parts.append(tag("p", f"Not begun: {', '.join(analysis.experiment.missing)}."))
    parts.append(tag("h3", "Settings"))
    parts += [_settings(analysis, run) for run in analysis.runs]
    return tag("section", *parts)


def runs_table(analysis: Analysis) -> Html:
    """One row per run."""
    rows = []
    for run in analysis.runs:
        use = run.links
        rows.append(
            [
                run_name(analysis, run).removesuffix(f" ({run.run.status})"),
                tag("span", run.run.status, class_=f"status {run.run.status}"),
                run.steps,
                told.seconds(run.seconds),
                told.digits(run.best.loss) if run.best else told.NOTHING,
                told.percent(run.comm_share),
                told.size(run.sent_bytes),
                f"{told.seconds(run.step_p50)} / {told.seconds(run.step_p95)}",
                told.NOTHING if use is None or use.retransmitted is None else use.retransmitted,
            ]
        )
    columns = (
        "run",
        "status",
        "steps>",
        "wall time>",
        "least loss>",
        "waiting>",
        "sent>",
        "step p50 / p95>",
        "resent>",
    )
    return table("All runs", columns, rows)


def _failure(analysis: Analysis, run: RunFigures) -> Html:
    end = run.run.end
    rank = end.failed_rank if end else None
    code = f" with exit code {end.code}" if end and end.code is not None else ""
    steps = f"{run.steps} step{'' if run.steps == 1 else 's'}"
    what = f"ended after {steps}, by no rank's failure" if rank is None else f"rank {rank} ended{code} after {steps}"
    last = ":" if rank is None and end and end.last_lines else "."
    return tag(
        "div",
        tag("p", tag("strong", run_name(analysis, run)), f": {what}{last}"),
        tag("pre", "\n".join(end.last_lines)) if end and end.last_lines else "",
        class_="failure",
    )


def run_notes(analysis: Analysis) -> Html:
    """For the top of the page: which runs' results may have felt something that was not asked for; maybe nothing."""
    noted = [run_name(analysis, run) for run in analysis.runs if run.run.end and run.run.end.notes]
    if not noted:
        return Html("")
    some = "; ".join(noted[:_MOST_NAMED]) + (f" and {len(noted) - _MOST_NAMED} more" if noted[_MOST_NAMED:] else "")
    what = f"Something happened in {some}, which may have affected results: see "
    return tag("p", what, tag("a", "Runs", href="#runs"), ".", class_="remark")


def _notes(analysis: Analysis, run: RunFigures) -> Html:
    notes = run.run.end.notes if run.run.end else ()
    return tag(
        "div",
        tag("p", tag("strong", run_name(analysis, run)), ": something happened that its results may have felt:"),
        tag("ul", *(tag("li", note) for note in notes)),
        class_="failure",
    )


def _settings(analysis: Analysis, run: RunFigures) -> Html:
    first = run.run.ranks[0] if run.run.ranks else None
    told_settings: dict[str, Any] = {
        "folder": run.run.slug,
        "status": _WORDS.get(run.run.status, run.run.status),
        **{key: value for key, value in run.run.settings.items() if key not in _SKIPPED},
        **{f"version of {name}": value for name, value in _versions(run).items()},
    }
    if first and first.parameters:
        told_settings["parameters of the model"] = first.parameters
    if first and first.bytes_per_step is not None:
        told_settings["payload per step, as the strategy says"] = told.size(first.bytes_per_step)
    resumed = sorted({step for rank in run.run.ranks for step in rank.resumed_from})
    if resumed:
        told_settings["resumed from step"] = ", ".join(map(str, resumed))
    rows = [(key, _plain(value)) for key, value in told_settings.items()]
    name = run_name(analysis, run)
    facts = tag("div", table(name, ("what", "value"), rows), class_="facts")
    return tag("details", tag("summary", chip(analysis, run.run.label, name)), facts)


def _versions(run: RunFigures) -> Mapping[str, Any]:
    versions = run.run.settings.get("versions")
    return versions if isinstance(versions, dict) else {}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def about_section(analysis: Analysis) -> Html:
    """How figures were made, how to make the runs again, and what was odd in the files."""
    experiment = analysis.experiment
    parts: list[object] = [
        tag("h2", "How to read this, and how to make it again", id="about"),
        tag("ul", *(tag("li", line) for line in METHOD)),
    ]
    if again := _again(experiment):
        parts += [tag("p", "The same experiment again:"), tag("pre", again)]
    same = _common(analysis)
    if same:
        facts = table("The same for all runs", ("the same for all runs", "value"), sorted(same.items()))
        parts.append(tag("div", facts, class_="facts"))
    if experiment.notes:
        notes = [tag("li", tag("code", note.where), f": {note.what}") for note in experiment.notes]
        parts += [tag("h3", "What was odd in the files"), tag("ul", *notes, class_="notes")]
    return tag("section", *parts)


def _again(experiment: RecordedExperiment) -> str | None:
    """The command that makes the same runs: of the file itself, as files that it names are looked for beside it."""
    given = experiment.source
    if given is None:
        folders = (experiment.folder, experiment.folder.parent)
        given = next((str(path) for folder in folders if (path := folder / "experiment.yaml").is_file()), None)
    if given is None:
        return None
    words = ["harness", "experiment", "run", given]
    for option, default in _DEFAULTS.items():
        told = experiment.home.get(option)
        for value in told if isinstance(told, list) else [told]:
            words += [f"--{option}", str(value)] if value not in (None, "", default) else []
    return shlex.join(words)


def _common(analysis: Analysis) -> dict[str, str]:
    """Engine, runtime and versions where all runs agree on them."""
    each = [
        {"engine": run.run.engine, "runtime": str(run.run.settings.get("runtime", "?")), **_versions(run)}
        for run in analysis.runs
    ]
    return {key: _plain(value) for key, value in each[0].items() if all(one.get(key) == value for one in each)}
