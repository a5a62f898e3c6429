"""The options of a job for ``harness k8s`` and ``harness stack``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer

from harness.agent.job_options import JobOptions
from harness.cli import completion, options
from harness.errors import InputError, quoted

IMAGE: Final = "harness-node"
_COMMAND: Final = ("python", "-m", "harness.training.train", "--steps", "50")
"""As compose.yaml's."""


def job_options(named: str, scenarios: str) -> Callable[[options.Verb], options.Verb]:
    """Give a verb the options of a job; its parameter ``job`` gets them as JobOptions, with IMAGE.

    Args:
        named: the objects that --name names, for the help.
        scenarios: help of --scenario.
    """
    command = typer.Argument(
        help="The program that every node runs, after --; default: the digits workload.", metavar="[-- CMD...]"
    )
    name = typer.Option("--name", help=f"Name of {named}.")
    timeout = typer.Option("--start-timeout", min=1, max=86_400, help="Seconds that a node waits for the others.")
    failure = typer.Option("--on-failure", help="When a rank fails: stop the others, or let them continue without it.")
    collectives = typer.Option("--collectives", help="Record each collective of torch.distributed too.")
    scenario = typer.Option("--scenario", help=scenarios, autocompletion=completion.scenarios)
    made = {
        "command": (Annotated[list[str] | None, command], None),
        "name": (Annotated[str, name], "harness"),
        "master_port": (options.MasterPortOption, options.DEFAULT_MASTER_PORT),
        "start_timeout": (Annotated[int, timeout], 600),
        "on_failure": (Annotated[str, failure], "stop"),
        "collectives": (Annotated[bool, collectives], False),
        "scenario": (Annotated[str | None, scenario], None),
    }
    return options.in_place_of("job", made, _job)


def _job(values: Mapping[str, Any]) -> JobOptions:
    """Raises InputError."""
    rest = dict(values)
    on_failure, command, scenario = (rest.pop(name) for name in ("on_failure", "command", "scenario"))
    if on_failure not in ("stop", "continue"):
        raise InputError(f"--on-failure {quoted(on_failure)}: write stop or continue")
    return JobOptions(
        image=IMAGE, command=command or _COMMAND, stops=on_failure == "stop", scenario=scenario or "", **rest
    )
