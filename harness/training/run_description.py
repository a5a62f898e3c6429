"""Writes run.json and end.json of a run that is not part of an experiment (docs/runs.md), on rank 0.

In a container the node's agent has already written the network's part of run.json; the training's part is added.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any, Final

from harness.errors import HarnessError
from harness.run_files import RunFolder
from harness.training.options import TrainOptions
from harness.training.strategies.catalogue import strategy_label

_INTERRUPTED: Final = 130


def describe(options: TrainOptions) -> dict[str, Any]:
    """The training's part of run.json."""
    return {
        "version": 1,
        "seed": options.seed,
        "strategy": options.strategy,
        "options": dict(options.options),
        "label": strategy_label(options.strategy, options.options),
        "task": vars(options.task),
        "steps": options.schedule.steps,
        "versions": versions(),
        "started": time.time(),
    }


def versions() -> dict[str, str]:
    """Versions of the software here, and the number of CPUs."""
    found = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
    for name, package in (("harness", "tc-harness"), ("torch", "torch"), ("numpy", "numpy")):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "cpus": str(len(os.sched_getaffinity(0)))}


def attempt_after(before: Mapping[str, Any] | None) -> int:
    """The number of this attempt, by the run.json of the last one; a run.json of only an agent is of no attempt."""
    return int(before.get("attempt", 1)) + 1 if before and "strategy" in before else 1


@contextmanager
def described(options: TrainOptions, rank: int, ranks: int) -> Iterator[None]:
    """At rank 0 of such a run, write run.json, and end.json when the block has ended.

    Args:
        options: of this run.
        rank: of this process.
        ranks: number of ranks.
    """
    if not (options.describe and options.out) or rank:
        yield
        return
    folder, began = RunFolder(options.out), time.time()
    before = folder.facts or {}
    network = {"slug": options.out.name, "nodes": ranks, "target": None, "stop_at_target": False, "limit_seconds": None}
    folder.begin({**network, **before, **describe(options), "nodes": ranks, "attempt": attempt_after(before)})
    ending: dict[str, Any] = {"code": 0, "failed_rank": None, "last_lines": [], "reached_at_step": None, "notes": []}
    try:
        yield
    except HarnessError as error:
        folder.end(
            "failed", seconds=time.time() - began, **ending | {"code": error.exit_code, "last_lines": [str(error)]}
        )
        raise
    except KeyboardInterrupt:
        folder.end("stopped", seconds=time.time() - began, **ending | {"code": _INTERRUPTED})
        raise
    folder.end("finished", seconds=time.time() - began, **ending)
