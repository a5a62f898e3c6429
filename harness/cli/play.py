"""``harness play``: plays a scenario on a network that is up."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from harness.cli import completion, networks, options
from harness.cli.output import note, print_json, say, show, table
from harness.errors import InputError
from harness.linux import syscalls
from harness.scenario.process import READY
from harness.scenario.schedule import NetworkScenario

MOST_LISTED: Final = 50
"""The most changes that --dry-run lists of a scenario that has no end."""
MOST_PRINTED: Final = 10_000
"""The same of a scenario that ends."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    epilog = options.examples("harness play flaky-wan", "harness play ./mine.yaml --seed 7 --dry-run")
    app.command("play", epilog=epilog)(play)


def play(
    scenario: Annotated[
        str,
        typer.Argument(
            help="A name ('harness scenarios' lists them) or a YAML file; see docs/scenarios.md.",
            metavar="SCENARIO",
            autocompletion=completion.scenarios,
        ),
    ],
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of random events; default: the file's.")] = None,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would happen when; needs no network.")] = False,
    json_: options.JsonOption = False,
    steps: Annotated[
        Path | None,
        typer.Option(
            "--step-file",
            help="For events at steps of the job: the file to which it appends each step's number.",
            metavar="FILE",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", hidden=True, help="Begin when standard input has a line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True, help="Print no changes.")] = False,
) -> None:
    """Play a scenario on a network that is up. Ctrl-C leaves the network as the last change made it.

    Each change is printed with the time that the network took to make it; late changes are named at the end. Paused
    programs continue when playing ends. Killed programs start again only if harness run, or a container's agent, runs
    the job.
    """
    from harness.scenario.scenario_file import load_scenario
    from harness.scenario.scenario_name import scenario_path

    file = scenario_path(scenario)
    script = load_scenario(file, seed)
    if dry_run:
        _show_agenda(script, file, json_)
        return
    from harness.scenario.kernel_check import check_kernel
    from harness.scenario.played import Played, late_text
    from harness.scenario.player import Player
    from harness.scenario.step_file import StepFile

    if script.by_steps and not steps:
        raise InputError(
            f"{file}: it has events at steps of the job: play it by 'harness run --scenario', or name the file to which"
            " the job writes its steps with --step-file"
        )
    network = networks.find_network(name)
    network.current()
    script.check(network.plan)
    check_kernel(script, network)
    late: list[Played] = []
    tell_people = note if wait else say

    def tell(played: Played) -> None:
        if played.late:
            late.append(played)
        if json_:
            say(json.dumps(played.to_json()))
        elif not quiet:
            tell_people(played.describe())
        sys.stdout.flush()

    player = Player(network, script, tell, StepFile(steps) if steps else None)
    if wait:
        syscalls.die_with_parent()
        say(READY)
        sys.stdout.flush()
        if not sys.stdin.readline():  # the command that started this one has ended
            return
    try:
        player.play()
    except (KeyboardInterrupt, SystemExit):  # the job has ended, or a user stops it
        for text in player.left():
            note(text)
        raise
    finally:
        if text := late_text(late):
            note(text)


def _show_agenda(scenario: NetworkScenario, file: Path, json_: bool) -> None:
    most = MOST_PRINTED if scenario.ends else MOST_LISTED
    listed = list(islice(scenario.agenda(), most))
    by_steps = [(number, scenario.events[number]) for number in scenario.by_steps]
    if not listed and not by_steps:
        raise InputError(f"{file}: nothing ever happens")
    if json_:
        timed = [{"at": due.at, "event": due.event, "text": due.text} for due in listed]
        stepped = [
            {
                "step": event.timing.next_step(0),
                "every_steps": event.timing.every_steps,
                "event": number,
                "text": event.action.text,
            }
            for number, event in by_steps
        ]
        print_json([*timed, *stepped])
        return
    made = table(f"Scenario {file}", "at>", "what,")
    for due in listed:
        made.add_row(f"{due.at:.3f} s", due.text)
    for _, event in by_steps:
        again = f", and every {event.timing.every_steps} steps" if event.timing.every_steps else ""
        made.add_row(f"step {event.timing.next_step(0)}", event.action.text + again)
    if not scenario.ends:
        made.caption = f"and so on: the first {MOST_LISTED} changes of a scenario that has no end"
    elif len(listed) == MOST_PRINTED:
        made.caption = f"and so on: the first {MOST_PRINTED} changes"
    show(made)
