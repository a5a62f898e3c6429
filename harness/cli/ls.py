"""``harness ls``: the networks that are up."""

from __future__ import annotations

import time

import typer

from harness.cli.networks import find_runtime
from harness.cli.options import Json
from harness.cli.output import print_json, say, show, table
from harness.store import Store


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ls", epilog="Examples: [b]harness ls[/b] | [b]harness ls --json[/b]")(ls)


def ls(json_: Json = False) -> None:
    """List the networks that are up."""
    store = Store()
    records = [record for name in store.names() if (record := store.load(name)) and find_runtime(record).alive]
    if json_:
        keys = ("name", "runtime", "engine", "created", "transient")
        print_json(
            [
                {key: getattr(record, key) for key in keys}
                | {key: record.plan[key] for key in ("topology", "profile", "seed")}
                | {"nodes": len(record.plan["nodes"])}
                for record in records
            ]
        )
        return
    if not records:
        say("no network is up")
        return
    made = table("Networks", "name", "nodes>", "topology", "profile", "seed>", "runtime", "engine", "up for>")
    for record in records:
        plan = record.plan
        made.add_row(
            record.name + (" (run)" if record.transient else ""),
            str(len(plan["nodes"])),
            plan["topology"],
            plan["profile"],
            str(plan["seed"]),
            record.runtime,
            record.engine,
            f"{time.time() - record.created:.0f} s",
        )
    show(made)
