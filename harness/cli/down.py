"""``harness down``: removes a network, also what a killed command has left of it."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from harness.backends.registration import Registry
from harness.cli import options
from harness.cli.networks import names_in, registries
from harness.cli.output import fail, note, say, status
from harness.errors import HarnessError
from harness.linux import host
from harness.networks.backends import find_backend
from harness.networks.network import remove
from harness.networks.registry import LocalRegistry
from harness.traffic import load_file

EPILOG = options.examples("harness down", "harness down --name phones", "harness down --all")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("down", epilog=EPILOG)(down)


def down(
    name: options.NameOption = options.DEFAULT_NAME,
    all_: Annotated[bool, typer.Option("--all", help="Remove all networks.")] = False,
    dry_run: options.DryRunOption = False,
) -> None:
    """Remove a network and whatever runs in it. Does nothing if there is none."""
    LocalRegistry.check_name(name)
    found: list[tuple[str, Registry]] = []
    for registry in registries():
        if all_ or not found:  # a network of namespaces needs no Docker
            found += [(one, registry) for one in names_in(registry) if all_ or one == name]
    if dry_run:
        say(f"would remove: {', '.join(one for one, _ in found) or 'nothing'}")
        return
    gone, code = [], 0
    for one, registry in found:
        try:
            with status(f"removing network {one!r}"):
                if any(load_file.files(registry.load_folder(), one)):
                    _stop_traffic(registry, one)
                removed = remove(one, registry, note)
            gone += [one] if removed else []
        except (HarnessError, OSError) as error:  # the others are removed all the same
            fail(f"network {one!r}: {host.explain(error) if isinstance(error, OSError) else error}")
            code = getattr(error, "exit_code", HarnessError.exit_code)
    if all_:
        LocalRegistry().sweep(lambda record: not find_backend(record).alive)
    if gone:
        say(f"removed: {', '.join(gone)}")
    elif not code:
        say(f"nothing to remove: {'no network is' if all_ else repr(name) + ' is not'} up; 'harness ls' lists networks")
    if code:
        raise typer.Exit(code)


def _stop_traffic(registry: Registry, name: str) -> None:
    """Stop cross traffic before the network ends, so that its record has the time of its end."""
    from harness.traffic.manager import stop

    with contextlib.suppress(HarnessError):
        stop(registry, name, None)
