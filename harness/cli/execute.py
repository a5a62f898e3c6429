"""``harness exec``: runs a program in nodes of a network that is up."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import completion, networks, options
from harness.cli.run import check_program, end, printer
from harness.errors import InputError, quoted
from harness.model.torchrun import environment
from harness.model.units import is_whole_number
from harness.networks.backends import DOCKER
from harness.networks.launch import launch

EPILOG = options.examples(
    "harness exec 0 -- ping -U -c 3 10.77.0.2", "harness exec 1 -- bash", "harness exec all -- python train.py"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("exec", epilog=EPILOG, context_settings={"allow_interspersed_args": False})(execute)


def execute(
    rank: Annotated[str, typer.Argument(help="A rank, or all.", autocompletion=completion.ranks)],
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.", metavar="-- CMD...")],
    master_port: options.MasterPortOption = options.DEFAULT_MASTER_PORT,
    name: options.NameOption = options.DEFAULT_NAME,
) -> None:
    """Run a program in one node or in all. In one node, it has this terminal; in all, it runs as with run.

    Ends with the program's exit code.
    """
    if command[0] == "--":
        command = command[1:]
    if not command:
        raise InputError("no program given; write e.g. harness exec 0 -- ip addr")
    check_program("the rank", "exec", command, DOCKER, rank)
    network = networks.find_network(name)
    if rank == "all":
        end(launch(network.backend, network.plan, command, printer(network.plan.size), master_port=master_port))
        return
    if not is_whole_number(rank):
        raise InputError(f"{quoted(rank)} is not a rank; write a number from 0 to {network.plan.size - 1}, or all")
    network.plan.require_rank(int(rank))
    env = environment(network.plan, int(rank), network.backend.environ, master_port, command)
    process = network.backend.spawn(int(rank), command, env=env, own_group=False)
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # the terminal sent it to the program too, which decides whether it ends
            continue
    raise typer.Exit(code if code >= 0 else 128 - code)
