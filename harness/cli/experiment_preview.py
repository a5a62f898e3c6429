"""Prints the runs of ``harness experiment run --dry-run``, and what each would start."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from harness.cli.output import print_json, say, show, table
from harness.experiment.masked import masked
from harness.experiment.spec import Experiment, Run, short
from harness.experiment.variants import CommandVariant
from harness.model.format import NOTHING, count, format_time
from harness.scenario.scenario_name import NONE

TRAINING: Final = (
    "training: predicted from one step of the task, timed here, and from the links (docs/predict.md), without the time"
    " to start PyTorch and to evaluate"
)
RUN_DIR: Final = "{run_dir}"
"""Stands for itself: the folder has no name yet."""


def show_runs(
    experiment: Experiment, runs: list[Run], nodes: Mapping[str, int], seconds: Mapping[str, float], json_: bool
) -> None:
    """Print the runs.

    Args:
        experiment: of the runs.
        runs: to print.
        nodes: number of nodes of each run, by its slug.
        seconds: predicted seconds of training, by slug; a run without a prediction has none.
        json_: whether to print JSON.
    """
    if json_:
        print_json(
            {"experiment": experiment.to_json(), "runs": [_described(run, nodes[run.slug], seconds) for run in runs]}
        )
        return
    what = "command" if experiment.command else "strategy"
    scenarios = ["scenario"] if any(run.scenario != NONE for run in runs) else []
    made = table(
        f"Experiment {experiment.name}",
        "run",
        "profile",
        "topology",
        *scenarios,
        what,
        "seed>",
        *(["training>"] if seconds else []),
    )
    for run in runs:
        argv = _command(run, nodes[run.slug])
        work = run.variant.label if argv is None else shlex.join(argv)
        network = [short(run.profile), short(run.topology), *(short(run.scenario) for _ in scenarios)]
        lasts = [format_time(seconds[run.slug]) if run.slug in seconds else NOTHING] if seconds else []
        made.add_row(run.slug, *network, work, str(run.seed), *lasts)
    if seconds:
        made.caption = TRAINING
    show(made)
    say(count(len(runs), "run"))


def _described(run: Run, nodes: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    argv = _command(run, nodes)
    scenario = {} if run.scenario == NONE else {"scenario": run.scenario}
    lasts = {"predicted_seconds": seconds[run.slug]} if run.slug in seconds else {}
    return {"slug": run.slug} | scenario | lasts | ({} if argv is None else {"command": argv})


def _command(run: Run, nodes: int) -> list[str] | None:
    """The command of a run, without secrets; None for a strategy."""
    if not isinstance(run.variant, CommandVariant):
        return None
    return masked(run.variant.command.filled(run.values(nodes, RUN_DIR)))
