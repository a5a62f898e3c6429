"""``harness machines``: on which machine each node is, and the paths between machines."""

from __future__ import annotations

import typer

from harness.cli import networks, options
from harness.cli.output import print_json, say, show, table
from harness.model.format import format_time
from harness.model.machines import Machines, Path


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("machines", epilog=options.examples("harness machines --name train", "harness machines --json"))(
        machines
    )


def machines(name: options.NameOption = options.DEFAULT_NAME, json_: options.JsonOption = False) -> None:
    """Print on which machine each node is, and between machines the clock offset, round trip and MTU of the path.

    Agents measure these at the start and every minute, over their own unshaped network (docs/swarm.md).
    """
    found = networks.find_network(name).backend.machines()
    if json_:
        print_json(found.to_json() if found else None)
    elif found is None:
        say(f"all nodes of {name!r} are on this machine")
    else:
        made = table(
            f"Machines of {name!r}", "rank>", "machine", "MTU>", "clock ahead of rank 0's>", "path's round trip>"
        )
        for rank, machine in enumerate(found.of_rank):
            made.add_row(str(rank), machine or "not known", _mtu(found, rank), *_path(found, rank))
        show(made)


def _mtu(found: Machines, rank: int) -> str:
    mtu = found.mtu.get(rank, {}).get("links")
    path = found.path(0, rank)
    blocked = path is not None and path.passes.get("links") is False
    return f"{mtu or 'not known'}{', does not pass' if blocked else ''}"


def _path(found: Machines, rank: int) -> tuple[str, str]:
    if not found.apart(0, rank):
        return "same machine", ""
    path: Path | None = found.path(0, rank)
    if path is None:
        return "not measured yet", ""
    return f"{format_time(path.ahead)} +-{format_time(path.uncertainty)}", format_time(path.rtt)
