"""``harness run``: a network for the time of one program."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, BinaryIO, Final

import typer

from harness.cli import options
from harness.cli.output import fail, note, say, status
from harness.cli.plan import show_plan
from harness.cli.up import prepare, start
from harness.errors import HarnessError, InputError
from harness.model.plan_options import OPTIONS, NetworkOptions
from harness.model.torchrun import environment
from harness.networks.launch import LaunchOutcome, Sink, launch

EPILOG = options.examples(
    "harness run --nodes 4 --topology ring --profile wan -- python train.py",
    "harness run -n 2 -p mobile -- sh -c 'echo I am $RANK of $WORLD_SIZE'",
    then="While it runs, reshape its links from another terminal: harness link set 0-1 --delay 120ms",
)
_UNDESTROYED: Final = (
    "; where its work was done, this is PyTorch's: threads of a process group that the script has not ended may abort "
    "Python's end (pytorch #190489): end the script with dist.barrier() and dist.destroy_process_group()"
)
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"allow_interspersed_args": False}
    app.command("run", epilog=EPILOG, context_settings=settings)(run)


@options.network_options(*OPTIONS)
def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.", metavar="-- CMD...")],
    chosen: NetworkOptions,
    master_port: options.MasterPortOption = options.DEFAULT_MASTER_PORT,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
) -> None:
    """Start a network, run CMD on every node, take the network down.

    Programs get the variables that torchrun sets. The first that fails ends the others.

    Ends with the exit code of the rank that failed first (128 + N for signal N).
    """
    if command[0].startswith("-"):
        raise InputError(misplaced("'--'", "run", command))
    made, placement = prepare(name, chosen)
    if dry_run:
        show_plan(made)
        variables = environment(made, 0, {}, master_port, command)
        say("on every node, with its own RANK: " + " ".join(f"{key}={value}" for key, value in variables.items()))
        say(" ".join(command))
        return
    network = start(name, made, placement, transient=True)
    try:
        outcome = launch(network.backend, made, command, printer(made.size), master_port=master_port)
    except BaseException as first:
        try:
            network.down()
        except HarnessError as second:
            first.add_note(f"removing the network failed too: {second}")
        raise
    try:
        with status(f"removing network {name!r}"):
            network.down()
    except HarnessError as error:
        if outcome.failed_rank is None:
            raise
        fail(error)
    end(outcome)


def misplaced(place: str, verb: str, command: Sequence[str], *arguments: str) -> str:
    """What to write instead where a command begins with what look like our options."""
    words = list(command)
    cut = words.index("--") if "--" in words else None
    ours, program = (["OPTIONS"], ["PROGRAM", "..."]) if cut is None else (words[:cut], words[cut + 1 :])
    return f"options go before {place}: " + shlex.join(["harness", verb, *ours, *arguments, "--", *program])


def printer(ranks: int) -> Sink:
    """Print every line with its rank in front, standard error on standard error."""
    width = len(str(ranks - 1))
    streams: Mapping[str, tuple[BinaryIO, bool]] = {
        "stdout": (sys.stdout.buffer, sys.stdout.isatty()),
        "stderr": (sys.stderr.buffer, sys.stderr.isatty()),
    }

    def sink(rank: int, stream: str, line: bytes) -> None:
        target, coloured = streams[stream]
        prefix = f"[{rank:>{width}}]"
        if coloured:
            prefix = f"\x1b[{_COLOURS[rank % len(_COLOURS)]}m{prefix}\x1b[0m"
        target.write(prefix.encode() + b" " + line + b"\n")
        target.flush()

    return sink


def end(outcome: LaunchOutcome) -> None:
    """Say which rank failed first, and leave with its code."""
    if outcome.failed_rank is None:
        return
    why = f"exit code {outcome.code}" if outcome.code <= 128 else f"signal {outcome.code - 128}"
    stopped = outcome.stopped
    others = f"; {stopped} {'other was' if stopped == 1 else 'others were'} stopped" if stopped else ""
    note(f"rank {outcome.failed_rank} failed first ({why}){others}{_UNDESTROYED if outcome.terminated else ''}")
    raise typer.Exit(outcome.code)
