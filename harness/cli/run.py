"""``harness run``: starts a network, runs a program on every node, ends the network."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final, Literal

import typer

from harness.cli import completion, options
from harness.cli.output import fail, note, say, status
from harness.cli.plan import show_plan
from harness.cli.up import prepare, start
from harness.errors import HarnessError, InputError, UnitError, quoted
from harness.experiment.recorded import RUNS
from harness.model.format import count
from harness.model.plan import NetworkPlan
from harness.model.plan_options import OPTIONS, NetworkOptions
from harness.model.torchrun import environment
from harness.model.units import parse_duration
from harness.networks.backends import NETNS
from harness.networks.launch import LaunchOutcome, launch
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.networks.rank_process import Sink
from harness.networks.until import ALL, parse_until
from harness.scenario.scenario_name import scenario_path

if TYPE_CHECKING:
    from harness.cli.record import Job
    from harness.scenario.accompany import Accompaniment

EPILOG = options.examples(
    "harness run --nodes 4 --topology ring --profile wan -- python train.py",
    "harness run -n 2 -p mobile -- sh -c 'echo I am $RANK of $WORLD_SIZE'",
    "harness run -p mobile --record -- python train.py",
    "harness run --scenario flaky-wan -- python train.py",
    then="While it runs, reshape its links from another terminal: harness link set 0-1 --delay 120ms",
)
_UNDESTROYED: Final = (
    "; if it had finished its work, the cause is PyTorch: threads of a process group that is still open may abort"
    " Python at exit (pytorch #190489): end the script with dist.barrier() and dist.destroy_process_group(), and"
    " import torch.distributed.nn before dist.init_process_group()"
)
NOTHING_CROSSED: Final = (
    "no packet crossed any link: the ranks did not talk to each other, or only inside one node; a script that sets"
    " MASTER_ADDR itself (localhost) does not use the network: use the MASTER_ADDR and MASTER_PORT of its node"
)
"""Printed when the counters of all links have stayed at zero."""
KILLS_RANK_0: Final = (
    "the scenario kills rank 0, which serves the store of torch.distributed (MASTER_ADDR): without it, the other ranks"
    " of such a job cannot connect"
)
TRAINER, ELASTIC = "harness.training.train", "--elastic"
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"allow_interspersed_args": False}
    app.command("run", epilog=EPILOG, context_settings=settings)(run)


@options.network_options(*OPTIONS)
def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.", metavar="-- CMD...")],
    chosen: NetworkOptions,
    until: Annotated[
        str,
        typer.Option(
            "--until",
            help="End the job when all ranks have exited (all), one has exited with 0 (first), or rank R has (rank:R).",
        ),
    ] = ALL,
    on_failure: Annotated[
        Literal["stop", "continue"],
        typer.Option("--on-failure", help="When a rank fails: stop the others, or let them continue without it."),
    ] = "stop",
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", help="Time limit, e.g. 90s or 10m: it stops all ranks (exit code 124)."),
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Record the run in a folder of its own, for 'harness report'; see docs/runs.md."),
    ] = False,
    collectives: Annotated[
        bool,
        typer.Option(
            "--collectives", help="Record each collective of torch.distributed too; the script needs no change."
        ),
    ] = False,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            help="Change the network while CMD runs: a name ('harness scenarios' lists them) or a file.",
            autocompletion=completion.scenarios,
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", help="Where --record creates the folder.", show_default=str(RUNS)),
    ] = None,
    master_port: options.MasterPortOption = options.DEFAULT_MASTER_PORT,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
) -> None:
    """Start a network, run CMD on every node, end the network.

    Programs get the variables that torchrun sets. The first rank that fails ends the others, unless --on-failure
    continue is given. A rank that a scenario kills has not failed: it starts again when the scenario brings it back.

    Ends with the exit code of the rank that failed first (128 + N for signal N).
    """
    check_program("'--'", "run", command, chosen.runtime)
    made, placement = prepare(name, chosen)
    limits: dict[str, Any] = {"until": parse_until(until, made.size), "timeout": _duration(timeout)}
    limits |= {"master_port": master_port, "on_failure": on_failure}
    for flag, given in (("--runs", runs is not None), ("--collectives", collectives)):
        if given and not record:
            raise InputError(f"{flag} needs --record")
    root = (runs or RUNS) if record else None
    if root:
        from harness.cli.record import check_volumes  # it takes a while to import

        check_volumes(placement)
    beside = _accompaniment(scenario, name, made, command) if scenario else None
    if dry_run:
        _show_dry_run(made, command, master_port, root)
        return
    show = printer(made.size)
    if beside:
        beside, placement = beside.placed(placement)
    with _job(root, command, placement, collectives=collectives, scenario=scenario) as (where, job):
        work = _accompanied(beside, lambda network, more: job(network, show, **limits, **more))
        outcome, silent = _on_network(name, made, where, work)
    if silent:
        note(NOTHING_CROSSED)
    end(outcome)


def _accompaniment(scenario: str, name: str, made: NetworkPlan, command: Sequence[str]) -> Accompaniment:
    """The scenario that will be played while the command runs. Raises InputError where it does not fit."""
    from harness.scenario.accompany import Accompaniment

    beside = Accompaniment.checked(name, scenario_path(scenario), made)
    if beside.kills(0):
        _without_rank_0(command)
    return beside


def _show_dry_run(made: NetworkPlan, command: Sequence[str], master_port: int, root: Path | None) -> None:
    """Print what would run where; ``root``: where the run's folder would be made, None: it is not recorded."""
    show_plan(made)
    variables = environment(made, 0, {}, master_port, command)
    say("on every node, with its own RANK: " + " ".join(f"{key}={value}" for key, value in variables.items()))
    say(" ".join(command))
    if root:
        from harness.cli.record import place

        say(f"recorded in {place(root, command)}")


def _job(
    root: Path | None, command: Sequence[str], placement: Placement, **more: Any
) -> AbstractContextManager[tuple[Placement, Job]]:
    """The placement of the network, and the function that launches the command; recorded unless ``root`` is None."""
    if root:
        from harness.cli.record import recorded_job

        return recorded_job(root, command, placement, **more)
    return contextlib.nullcontext(
        (placement, lambda network, show, **options: launch(network.backend, network.plan, command, show, **options))
    )


def _without_rank_0(command: Sequence[str]) -> None:
    """Warn that the scenario kills rank 0. Raises InputError for an elastic job, which could never go on."""
    if TRAINER in command and any(word.partition("=")[0] == ELASTIC for word in command):
        raise InputError(f"{KILLS_RANK_0}, with {ELASTIC} neither; have the scenario kill others")
    note(KILLS_RANK_0)


def _on_network(
    name: str, made: NetworkPlan, placement: Placement, job: Callable[[Network], LaunchOutcome]
) -> tuple[LaunchOutcome, bool]:
    """Start the network, perform the job, remove the network.

    Returns:
        How the job ended, and whether it succeeded although no packet crossed any link.
    """
    network = start(name, made, placement, transient=True)
    try:
        outcome = job(network)
        silent = not outcome.code and _nothing_crossed(network)
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
        if not outcome.code:
            raise
        fail(error)
    return outcome, silent


def _accompanied(
    beside: Accompaniment | None, job: Callable[[Network, dict[str, Any]], LaunchOutcome]
) -> Callable[[Network], LaunchOutcome]:
    """The job, with the scenario played while it runs."""

    def accompanied(network: Network) -> LaunchOutcome:
        if beside is None:
            return job(network, {"away": network.away()})
        with beside.playing() as options:
            return job(network, {"away": network.away(), **options})

    return accompanied


def _duration(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except UnitError as error:
        raise InputError(f"--timeout: {error}") from None


def _nothing_crossed(network: Network) -> bool:
    """Whether the links have counted no packet; False if that is not known.

    Only shaped links count packets; in containers they count the agents' messages too, so there this is False.
    """
    edges = network.plan.edges.values()
    if not edges or any(edge.shape.is_unshaped for edge in edges):
        return False
    with contextlib.suppress(HarnessError):
        return not any(edge.stats.sent_packets for edge in network.applied().values())
    return False


def check_program(place: str, verb: str, command: Sequence[str], runtime: str, *arguments: str) -> None:
    """Raise InputError if the command begins with an option, or with a Python file that is not executable.

    Args:
        place: what the harness's options go before, in words.
        verb: of the harness.
        command: what the user wrote.
        runtime: where nodes live; containers may have files that this machine has not.
        arguments: of the verb, before ``--``.
    """
    if command[0].startswith("-"):
        raise InputError(misplaced(place, verb, command, *arguments))
    script = command[0]
    if script.endswith(".py") and shutil.which(script) is None and (runtime == NETNS or "/" not in script):
        program = shlex.join(["harness", verb, *arguments, "--", "python", *command])
        raise InputError(f"{quoted(script)} is a Python file, not a program: {program}")


def misplaced(place: str, verb: str, command: Sequence[str], *arguments: str) -> str:
    """The message for a command that begins with an option: what to write instead."""
    words = list(command)
    cut = words.index("--") if "--" in words else None
    ours, program = (["OPTIONS"], ["PROGRAM", "..."]) if cut is None else (words[:cut], words[cut + 1 :])
    return f"options go before {place}: " + shlex.join(["harness", verb, *ours, *arguments, "--", *program])


def printer(ranks: int) -> Sink:
    """A sink that prints every line with its rank in front, each stream to its own."""
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
    """Print how the job ended, and exit with the code of the rank that failed first."""
    if outcome.unended:
        note(f"stopped by --timeout: {_named(outcome.unended)} still ran; exit code {outcome.code}")
        raise typer.Exit(outcome.code)
    if outcome.away:
        note(f"{_named(outcome.away)}: killed by a scenario, and not back before the job ended")
    if outcome.failed_rank is None:
        if outcome.stopped:
            note(f"{count(outcome.stopped, 'rank')} still ran and {'was' if outcome.stopped == 1 else 'were'} stopped")
        return
    why = f"exit code {outcome.code}" if outcome.code <= 128 else f"signal {outcome.code - 128}"
    stopped = outcome.stopped
    others = f"; {stopped} {'other was' if stopped == 1 else 'others were'} stopped" if stopped else ""
    note(f"rank {outcome.failed_rank} failed first ({why}){others}{_UNDESTROYED if outcome.terminated else ''}")
    raise typer.Exit(outcome.code)


def _named(ranks: Sequence[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
