"""Options of a job that others start on many machines: ``harness k8s`` and ``harness stack``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from harness.errors import InputError, quoted

DEFAULT_COMMAND: Final = ("python", "-m", "harness.training.train", "--steps", "50")
"""As compose.yaml's."""
CommandArgument = Annotated[
    list[str] | None,
    typer.Argument(help="What every node runs, after --; the digits workload unless given.", metavar="[-- CMD...]"),
]
StartTimeoutOption = Annotated[
    int, typer.Option("--start-timeout", min=1, max=86_400, help="Seconds that a node waits for the others.")
]
OnFailureOption = Annotated[
    str, typer.Option("--on-failure", help="stop: the first rank that fails ends the job; or continue.")
]
CollectivesOption = Annotated[
    bool, typer.Option("--collectives", help="Record each collective of torch.distributed too.")
]


def is_stop(on_failure: str) -> bool:
    """Whether the first rank that fails ends the job. Raises InputError for what is neither."""
    if on_failure not in ("stop", "continue"):
        raise InputError(f"--on-failure {quoted(on_failure)}: write stop or continue")
    return on_failure == "stop"
