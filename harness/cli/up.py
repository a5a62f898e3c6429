"""``harness up``: starts a network that stays until ``harness down``."""

from __future__ import annotations

import time

import typer

from harness.cli import options
from harness.cli.one_tcp import slow_tcp
from harness.cli.output import note, print_json, say, status
from harness.cli.plan import plan_json, show_plan
from harness.model.format import count, format_time
from harness.model.plan import NetworkPlan
from harness.model.plan_options import OPTIONS, NetworkOptions
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.shaping.facts import USERSPACE

EPILOG = options.examples(
    "harness up --nodes 4 --topology ring --profile wan",
    "harness up -n 8 -t star -p mobile --name phones",
    "harness up -t ./mine.yaml --dry-run",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("up", epilog=EPILOG)(up)


@options.network_options(*OPTIONS)
def up(
    chosen: NetworkOptions,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Start a shaped network. Use it with exec, link, verify and bench; end it with down."""
    made, placement = prepare(name, chosen)
    if dry_run:
        print_json(plan_json(made)) if json_ else show_plan(made)
        return
    started = time.monotonic()
    network = start(name, made, placement, transient=False)
    seconds = time.monotonic() - started
    if json_:
        print_json(
            {"name": name, "engine": network.engine, "runtime": chosen.runtime, "seconds": seconds, **made.to_json()}
        )
    else:
        say(
            f"network {name!r} is up in {format_time(seconds)}: {count(made.size, 'node')}, {made.topology},"
            f" profile {made.profile}, {count(len(made.edges), 'directed edge')}, engine {network.engine}"
        )
        hint = "" if name == options.DEFAULT_NAME else f" --name {name}"
        if made.size == 1:  # there is no other node to measure with
            note(f"try: harness exec{hint} 0 -- ip address")
        else:
            ping = f"ping {'-U ' if network.engine == USERSPACE else ''}{made.addressing.ipv4(1)}"
            note(f"try: harness verify{hint} | harness bench{hint} | harness exec{hint} 0 -- {ping}")


def prepare(name: str, chosen: NetworkOptions) -> tuple[NetworkPlan, Placement]:
    """The plan, and where its nodes shall live; touches no machine. Raises InputError."""
    made = chosen.plan()
    LocalRegistry.check_name(name)
    placement = Placement.of(chosen)
    placement.check(made)
    return made, placement


def start(name: str, made: NetworkPlan, placement: Placement, *, transient: bool) -> Network:
    """Start the network, with a spinner, and print what users should know of it."""
    with status(f"starting network {name!r}") as progress:
        network = placement.start(name, made, transient=transient, progress=progress, tell=note)
    if slow := slow_tcp(made, placement.congestion_control):
        note(slow)
    return network
