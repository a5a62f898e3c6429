"""``harness node``: shows and changes the uplink, the downlink and the CPU share of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from harness.cli import networks, options
from harness.cli.caps import PART_OPTIONS, ChangedCap, HeldCap, perform, show_caps, show_changed
from harness.cli.cpus import HeldCpu, show_cpus
from harness.cli.output import note, print_json, say
from harness.cli.reshaped import note_consequences
from harness.model.capacity import Capacity
from harness.model.capacity_edit import NODE_LIMITS, SIDES, node_change
from harness.model.narrow_caps import narrow_caps
from harness.model.ranks import named_ranks, parse_ranks
from harness.model.status import NodeStatus
from harness.networks.backends import DOCKER

app = typer.Typer(no_args_is_help=True, help="Show and change uplinks, downlinks, CPUs: show, set.")
_COLUMNS: Final = ("node>", "limit")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="node")


@app.command("show", epilog=options.examples("harness node show", "harness node show 0,2 --json"))
def show_nodes(
    ranks: options.AllRanksArgument = "all",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Show uplinks, downlinks, CPUs: requested, applied, counted.

    Throttled is the time for which the kernel has kept programs from running, added up over CPUs.
    """
    network = networks.find_network(name, named_ranks(ranks))
    chosen = parse_ranks(ranks, network.plan.size)
    nodes = network.observe(chosen)
    for text in dict.fromkeys(text for node in nodes.values() for text in node.notes):
        note(text)
    held = [
        _held(rank, side, getattr(network.plan.node_shape(rank), side), nodes[rank])
        for rank in chosen
        for side in SIDES
    ]
    cpus = [HeldCpu.of(rank, network.plan.node_shape(rank).cpu, nodes[rank]) for rank in chosen]
    limits, shares = [cap for cap in held if cap.is_limit], [cpu for cpu in cpus if cpu.is_limit]
    if json_:
        print_json([*(cap.to_json() for cap in held), *(cpu.to_json() for cpu in cpus)])
        return
    if limits:
        show_caps(f"Limits of nodes of {network.name!r}", _COLUMNS, limits)
    if shares:
        show_cpus(f"Shares of a CPU of nodes of {network.name!r}", shares)
    if not (limits or shares):
        say("no uplink, downlink or CPU is limited: harness node set RANKS --uplink 20mbit --cpu 50%")


def _held(rank: int, side: str, requested: Capacity | None, node: NodeStatus) -> HeldCap:
    status = node.caps.get(side)
    wrong = dict(node.cap_mismatches).get(side)
    if requested and not (status and status.applied):
        wrong = wrong or "no limit is reported"
    return HeldCap((str(rank), side), {"rank": rank, "limit": side}, requested, status, wrong)


_CPU: Final = typer.Option(
    help="Share of one CPU core that its programs get, e.g. 25% or 250%; none: no limit.", metavar="SHARE"
)
_OPTIONS: Final = {
    side: (Annotated[str | None, typer.Option(help=help_, metavar="RATE")], None)
    for side, help_ in (
        ("uplink", "Rate of all that a node sends, e.g. 20mbit; none: no limit."),
        ("downlink", "Rate of all that it receives, e.g. 100mbit; none: no limit."),
    )
} | {**PART_OPTIONS, "cpu": (Annotated[str | None, _CPU], None)}


@app.command(
    "set",
    epilog=options.examples(
        "harness node set 2 --uplink 5mbit",
        "harness node set all --uplink 20mbit --downlink 100mbit",
        "harness node set 0,2 --uplink 20mbit --queue codel --buffer 100ms",
        "harness node set 2 --cpu 25%",
        "harness node set 2 --uplink none --dry-run",
    ),
)
@options.in_place_of("texts", _OPTIONS, options.given)
def set_nodes(
    ranks: options.RanksArgument,
    texts: Mapping[str, str],
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Limit what all edges of a node share, while jobs run. Each edge keeps its own rate; limits not given stay.

    --queue, --buffer and --overhead apply to the limits given with them; without any, to those that the node has.
    --cpu limits all programs of a node together, and in a container also the processes that shape its links.
    """
    change = node_change(ranks, texts)
    network = networks.find_network(name, () if dry_run else named_ranks(ranks))
    difference, done = perform(network, change, dry_run)
    changed = [
        ChangedCap((str(rank), side), {"rank": rank, "limit": side}, before, after)
        for rank in difference.nodes
        for side in NODE_LIMITS
        if (before := getattr(difference.old.node_shape(rank), side))
        != (after := getattr(difference.new.node_shape(rank), side))
    ]
    show_changed(_COLUMNS, changed, done, json_)
    ranks_changed = {row.identity["rank"] for row in changed if row.identity["limit"] in SIDES}
    for text in narrow_caps(difference.new, [pair for pair in difference.new.edges if ranks_changed & set(pair)]):
        note(text)
    if done and network.backend.name == DOCKER and any(row.identity["limit"] == "cpu" for row in changed):
        from harness.backends.docker.cpu import shares_note

        for text in shares_note(done.plan, network.engine):
            note(text)
    if done:
        note_consequences(network, done)
