"""Performs one run of an experiment in a process of its own: ``python -m harness.experiment.worker JSON``.

It prints JSON lines: ``{"note": text}`` for the user, ``{"error": text}`` where it ends with that error's exit code.
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
    """What to start for a run; nothing secret is in it: the experiment is read from its folder.

    Args:
        runner: performs it there.
        slug: of the run.
        where: the experiment's options.
    """
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
    """The placement that an experiment's options describe."""
    return Placement(
        where["runtime"],
        where["engine"],
        where["congestion-control"],
        where["image"],
        tuple(where["volume"]),
        where.get("gpus"),
    )


def main(given: dict[str, Any]) -> int:
    """Perform the run; the exit code."""
    try:
        folder = Path(given["folder"])
        experiment, where = load_folder(folder, given["where"])
        (run,) = (run for run in experiment.runs() if run.slug == given["slug"])
        ipv4, ipv6 = given["subnets"]
        placement, name = placement_of(where), given["name"]
        runner = Runner(experiment, folder, name, placement, _note, (ipv4, ipv6), given["together"])
        runner.perform(run, lambda _: None)
    except HarnessError as error:
        _print({"error": "; ".join([str(error), *getattr(error, "__notes__", ())])})
        return error.exit_code
    except OSError as error:
        _print({"error": str(host.explain(error))})
        return HarnessError.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _note(text: str) -> None:
    _print({"note": text})


def _print(line: dict[str, str]) -> None:
    print(json.dumps(line), flush=True)


def _ended(number: int, _: object) -> Never:
    """As in the command: the stack unwinds, and the network is taken down."""
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
