"""``harness record-scenario``: prints what happened to the network of a recorded run, as a scenario."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import options
from harness.cli.output import say
from harness.errors import InputError

EPILOG = options.examples("harness record-scenario latest > again.yaml", "harness record-scenario runs/ID/SLUG")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("record-scenario", epilog=EPILOG)(record_scenario)


def record_scenario(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run.", show_default="latest")
    ] = None,
) -> None:
    """Print the network changes of a run as a scenario, with its cross traffic and the times when nodes were away.

    harness run --scenario plays it again. The run's run.json has the links that it began with.
    """
    from harness.experiment.trace.pick import pick_run
    from harness.run_files import AWAY, CHANGES, TRAFFIC, read_json
    from harness.scenario.from_record import scenario_text

    run = pick_run(folder)
    facts = read_json(run / "run.json")
    if facts is None:
        raise InputError(f"{run}: its run.json does not describe a run")
    changes, traffic, away = (list(_lines(run / name)) for name in (CHANGES, TRAFFIC, AWAY))
    if not (changes or traffic or away):
        raise InputError(
            f"{run}: nothing to print: its network never changed, had no cross traffic, and no node was away"
        )
    say(scenario_text(facts["started"], changes, traffic, away, run).rstrip())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of a record."""
    if path.is_file():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return
