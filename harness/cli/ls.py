"""``harness ls``: lists the networks that are up."""

from __future__ import annotations

import time
from typing import Any

import typer

from harness.backends.registration import Registry
from harness.cli import options
from harness.cli.networks import names_in, registries
from harness.cli.output import note, print_json, say, show, table
from harness.errors import RecordError
from harness.model.format import format_time
from harness.networks.backends import find_backend


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ls", epilog=options.examples("harness ls", "harness ls --json"))(ls)


def ls(json_: options.JsonOption = False) -> None:
    """List the networks that are up."""
    found = [one for registry in registries() for name in names_in(registry) if (one := _summary(name, registry))]
    if json_:
        print_json(found)
        return
    if not found:
        say("no network is up")
        return
    made = table("Networks", "name", "nodes>", "topology", "profile", "seed>", "runtime", "engine", "up for>")
    for one in found:
        made.add_row(
            one["name"] + (" (run)" if one["transient"] else ""),
            str(one["nodes"]),
            one["topology"],
            one["profile"],
            str(one["seed"]),
            one["runtime"],
            one["engine"],
            format_time(round(time.time() - one["created"])),
        )
    show(made)


def _summary(name: str, registry: Registry) -> dict[str, Any] | None:
    """A row for a network that is up; None, with a note if its registration is damaged."""
    try:
        record = registry.load(name)
        return record.summary if record and find_backend(record).alive else None
    except RecordError as error:
        note(error)
        return None
