"""Performs one run of an experiment in a process of its own: ``python -m harness.experiment.worker JSON``.

It prints JSON lines: ``{"note": text}`` for the user, and ``{"error": text}`` before it exits with an error's code.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never

from harness.errors import HarnessError
from harness.experiment.runner import Runner
from harness.experiment.runs import load_folder
from harness.linux import host
from harness.linux.syscalls import die_with_parent
from harness.networks.placement import Placement


def arguments(runner: Runner, slug: str, where: dict[str, Any]) -> list[str]:
    """The argv of the process; it has no secrets, since the process reads the experiment from its folder."""
    given = {
        "folder": str(runner.folder),
        "slug": slug,
        "where": where,
        "name": runner.name,
        "subnets": runner.subnets,
        "together": runner.together,
        "parent": os.getpid(),
    }
    return [sys.executable, "-m", __name__, json.dumps(given)]


def placement_of(where: Mapping[str, Any]) -> Placement:
    """The placement by an experiment's options."""
    return Placement(
        where["runtime"],
        where["engine"],
        where["congestion-control"],
        where["image"],
        tuple(where["volume"]),
        where.get("gpus"),
    )


def main(given: dict[str, Any]) -> int:
    """Perform the run; returns the exit code."""
    try:
        folder = Path(given["folder"])
        experiment, where = load_folder(folder, given["where"])
        (run,) = (run for run in experiment.runs() if run.slug == given["slug"])
        ipv4, ipv6 = given["subnets"]
        placement, name = placement_of(where), given["name"]
        runner = Runner(experiment, folder, name, placement, _note, (ipv4, ipv6), given["together"])
        runner.perform(run, lambda _: None)
    except HarnessError as error:
        _print({"error": with_notes(error)})
        return error.exit_code
    except OSError as error:
        _print({"error": str(host.explain(error))})
        return HarnessError.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def with_notes(error: HarnessError) -> str:
    """An error and its notes in one line."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def _note(text: str) -> None:
    _print({"note": text})


def _print(line: dict[str, str]) -> None:
    print(json.dumps(line), flush=True)


def _ended(number: int, _: object) -> Never:
    """Unwind the stack, so that the network is taken down, as in cli/main.py."""
    raise SystemExit(128 + number)


def _start(given: dict[str, Any]) -> int:
    die_with_parent()
    if os.getppid() != given["parent"]:  # it ended before it could take us along
        return 128 + signal.SIGTERM
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # tasks of Ray have SIGINT blocked, and what they start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    return main(given)


if __name__ == "__main__":
    sys.exit(_start(json.loads(sys.argv[1])))
