"""``harness traffic``: sends traffic between two nodes that competes with a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion, networks, options
from harness.cli.output import note, print_json, say, show, table
from harness.errors import InputError, quoted
from harness.model.format import format_rate, format_size, format_time
from harness.model.units import is_whole_number
from harness.traffic.spec import TrafficSpec, check_path, limits, parse_spec

if TYPE_CHECKING:
    from harness.traffic.load_file import Load

app = typer.Typer(no_args_is_help=True, help="Send traffic that competes with a job: start, show, stop.")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="traffic")


@app.command(
    "start",
    epilog=options.examples(
        "harness traffic start 0-1 --rate 30mbit",
        "harness traffic start 0-1 --rate 30mbit --on 2s --off 5s --seconds 60",
        "harness traffic start 0-3 --flows 4 --cc cubic --both",
    ),
)
def start(
    ends: Annotated[
        str, typer.Argument(help="From A to B: any two nodes.", metavar="A-B", autocompletion=completion.edges)
    ],
    rate: Annotated[
        str | None, typer.Option("--rate", help="Send UDP at this rate, headers included.", metavar="RATE")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", help="Send for this time, pause for --off, and repeat.", metavar="TIME")
    ] = None,
    off: Annotated[str | None, typer.Option("--off", help="Length of the pauses with --on.", metavar="TIME")] = None,
    flows: Annotated[
        int | None, typer.Option("--flows", help="Number of TCP flows, each as fast as it can send.")
    ] = None,
    control: Annotated[
        str | None, typer.Option("--cc", help="Congestion control of the flows; default: the network's.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after this many seconds.")] = None,
    both: Annotated[bool, typer.Option("--both", help="Also from B to A.")] = False,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Send traffic between two nodes, neighbours or not. It lasts until it is stopped, or the network ends."""
    spec = parse_spec(ends, rate=rate, flows=flows, congestion_control=control, on=on, off=off, seconds=seconds)
    network = networks.find_network(name, (spec.src, spec.dst))
    specs = [spec, spec.reverse] if both else [spec]
    for one in specs:
        check_path(one, network.plan)
    if dry_run:
        for one in specs:
            way = ", ".join(map(str, network.plan.path(one.src, one.dst)))
            say(f"would send {one.describe()} from node {one.src} to node {one.dst}, over {way}")
        return
    from harness.traffic.manager import CrossTraffic

    traffic = CrossTraffic(network, specs)
    traffic.keep()
    for one in specs:
        for what, most in limits(one, network.plan):
            note(f"{what} carries {format_rate(most)}: the rest of {one.describe()} is lost there or not sent")
    if json_:
        print_json([{"id": number, **one.to_json()} for number, one in zip(traffic.ids, specs, strict=True)])
        return
    for number, one in zip(traffic.ids, specs, strict=True):
        until = f"for {format_time(one.seconds)}" if one.seconds else f"until 'harness traffic stop {number}'"
        say(f"traffic {number}: {one.describe()} from node {one.src} to node {one.dst}, {until}")


@app.command("show", epilog=options.examples("harness traffic show", "harness traffic show --json"))
def show_traffic(name: options.NameOption = options.DEFAULT_NAME, json_: options.JsonOption = False) -> None:
    """Show traffic up to a second ago. Bytes and rates are those on the wire."""
    from harness.traffic.manager import loads

    network = networks.find_network(name)
    record = network.registration()
    found = loads(network.registry, record.name, record.created)
    if not found and not json_:
        say(f"no traffic in network {network.name!r}; 'harness traffic start --help' says how to start some")
        return
    _print(found, f"Traffic in {network.name!r}", json_)


@app.command(
    "stop", epilog=options.examples("harness traffic stop 1", "harness traffic stop", "harness traffic stop all")
)
def stop(
    which: Annotated[
        str,
        typer.Argument(help="Its number, several as 1,2, or all.", metavar="[ID|all]", autocompletion=completion.loads),
    ] = "all",
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Stop traffic, and print how much was sent and received."""
    from harness.traffic import manager

    ids = _ids(which)
    network = networks.find_network(name)
    record = network.registration()
    known = manager.loads(network.registry, record.name, record.created)
    manager.require_ids(known, ids or ())
    if dry_run:
        stopped = [str(load.id) for load in known if ids is None or load.id in ids]
        say(f"would stop traffic {', '.join(stopped)}" if stopped else "nothing to stop")
        return
    found = manager.stop(network.registry, record.name, record.created, ids)
    if not found and not json_:
        say(f"nothing to stop: there is no traffic in network {network.name!r}")
        return
    _print(found, "Stopped", json_)


def _ids(text: str) -> list[int] | None:
    if text == "all":
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(map(is_whole_number, words)):
        raise InputError(
            f"{quoted(text)} is not a traffic number; write one ('harness traffic show'), several as 1,2, or all"
        )
    return [int(word) for word in words]


def _print(found: Sequence[Load], title: str, json_: bool) -> None:
    if json_:
        print_json([_json(load) for load in found])
        return
    columns = ("id>", "from>", "to>", "load,", "for>", "sent>", "received>", "lost>", "rate>", "now>", "state~")
    made = table(title, *columns)
    for load in found:
        totals = load.totals
        share = f"{totals.lost_packets} {_lost(load.spec)}"
        made.add_row(
            str(load.id),
            str(load.spec.src),
            str(load.spec.dst),
            load.spec.describe(),
            format_time(totals.seconds),
            format_size(totals.sent_bytes),
            format_size(totals.received_bytes),
            share,
            format_rate(totals.bit_s),
            "-" if load.ended else format_rate(load.now_bit_s),
            load.ended or "sending",
        )
    show(made)


def _lost(spec: TrafficSpec) -> str:
    return "resent" if spec.flows else "packets"


def _json(load: Load) -> dict[str, object]:
    return {
        "id": load.id,
        **load.spec.to_json(),
        "began": load.began,
        **load.totals.to_json(),
        "now_bit_s": load.now_bit_s,
        "ended": load.ended,
    }
