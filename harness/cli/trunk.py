"""``harness trunk``: shows and changes the capacity that all edges from one region to another share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from harness.cli import completion, networks, options
from harness.cli.caps import PART_OPTIONS, ChangedCap, HeldCap, perform, show_caps, show_changed
from harness.cli.output import note, print_json, say
from harness.cli.reshaped import note_consequences
from harness.model.capacity_edit import parse_trunks, trunk_change
from harness.model.narrow_caps import narrow_caps
from harness.networks.apply import cap_difference

app = typer.Typer(no_args_is_help=True, help="Show and change the trunks between regions: show, set.")
_HELP: Final = "Two regions as A-B, several as A-B,C-D, or all."
TrunksArgument = Annotated[str, typer.Argument(help=_HELP, metavar="A-B|all", autocompletion=completion.trunks)]
AllTrunksArgument = Annotated[str, typer.Argument(help=_HELP, metavar="[A-B|all]", autocompletion=completion.trunks)]


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="trunk")


@app.command("show", epilog=options.examples("harness trunk show", "harness trunk show eu-us --json"))
def show_trunks(
    trunks: AllTrunksArgument = "all",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Show each trunk and direction: requested, applied, counted."""
    network = networks.find_network(name)
    chosen = parse_trunks(trunks, network.plan)
    applied, capacities = network.trunks(), network.plan.trunk_capacities
    held = []
    for src, dst in chosen:
        requested, status = capacities.get((src, dst)), applied.get(f"{src}->{dst}")
        wrong = cap_difference(requested, status.applied if status else None)
        held.append(HeldCap((f"{src}->{dst}",), {"from": src, "to": dst}, requested, status, wrong))
    limits = [cap for cap in held if cap.is_limit]
    if json_:
        print_json([cap.to_json() for cap in held])
    elif limits:
        show_caps(f"Trunks of {network.name!r}", ("trunk",), limits)
    else:
        say("no trunk is limited: harness trunk set A-B --rate 1gbit")


_OPTIONS: Final = {
    "rate": (
        Annotated[
            str | None,
            typer.Option(help="Rate of all that crosses it, e.g. 1gbit; none: no limit.", metavar="RATE"),
        ],
        None,
    )
} | PART_OPTIONS


@app.command(
    "set",
    epilog=options.examples(
        "harness trunk set eu-us --rate 500mbit",
        "harness trunk set eu-us --one-way --rate 100mbit --queue codel",
        "harness trunk set all --rate none",
    ),
)
@options.in_place_of("texts", _OPTIONS, options.given)
def set_trunks(
    trunks: TrunksArgument,
    texts: Mapping[str, str],
    one_way: Annotated[bool, typer.Option("--one-way", help="Only from A to B.")] = False,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Limit what all edges between two regions share, while jobs run. Settings that are not given stay."""
    change = trunk_change(trunks, texts, one_way=one_way)
    network = networks.find_network(name)
    difference, done = perform(network, change, dry_run)
    old, new = difference.old.trunk_capacities, difference.new.trunk_capacities
    changed = [
        ChangedCap(("->".join(ways),), dict(zip(("from", "to"), ways, strict=True)), old.get(ways), new.get(ways))
        for ways in difference.trunks
    ]
    show_changed(("trunk",), changed, done, json_)
    crossing = [
        pair for trunk in difference.new.trunks if (trunk.src, trunk.dst) in difference.trunks for pair in trunk.edges
    ]
    for text in narrow_caps(difference.new, crossing):
        note(text)
    if done:
        note_consequences(network, done)
