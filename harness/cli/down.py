"""``harness down``: remove a network, also what a killed command left of it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.cli.networks import find_runtime
from harness.cli.output import fail, note, say
from harness.errors import HarnessError, RecordError
from harness.linux import host
from harness.session import remove
from harness.store import Store

EPILOG = "Examples: [b]harness down[/b] | [b]harness down --name phones[/b] | [b]harness down --all[/b]"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("down", epilog=EPILOG)(down)


def down(
    name: options.Name = options.DEFAULT_NAME,
    all_: Annotated[bool, typer.Option("--all", help="Every network.")] = False,
    dry_run: options.DryRun = False,
) -> None:
    """Remove a network and whatever runs in it. Does nothing where there is none."""
    store = Store()
    names = store.names() if all_ else [Store.check_name(name)]
    if dry_run:
        there = [one for one in names if _is_there(one, store)]
        say(f"would remove: {', '.join(there) or 'nothing'}")
        return
    gone, code = [], 0
    for one in names:
        try:
            if remove(one, store, find_runtime, note):
                gone.append(one)
        except (HarnessError, OSError) as error:  # the others are removed all the same
            fail(f"network {one!r}: {host.explain(error) if isinstance(error, OSError) else error}")
            code = getattr(error, "exit_code", HarnessError.exit_code)
    if gone:
        say(f"removed: {', '.join(gone)}")
    elif not code:
        say(f"nothing to remove: {'no network is' if all_ else repr(name) + ' is not'} up")
    if code:
        raise typer.Exit(code)


def _is_there(name: str, store: Store) -> bool:
    try:
        return store.load(name) is not None
    except RecordError:
        return True
