"""``harness reproduce``: repeats published measurements on this machine, and compares the results."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from harness.cli import options
from harness.cli.output import note, print_json, say, show, status, table
from harness.cli.rank_result import rank_result
from harness.errors import UnavailableError
from harness.linux.congestion_control import AVAILABLE
from harness.model.format import format_number, format_rate, format_share, format_time
from harness.model.pipe import payload_share
from harness.model.plan_options import OPTIONS
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.reproduce.cell import Cell, Outcome
from harness.reproduce.published_file import Published, load_published, shipped_published
from harness.traffic.manager import CrossTraffic
from harness.traffic.spec import TrafficSpec

EPILOG = options.examples(
    "harness reproduce --list",
    "harness reproduce tcp-loss",
    "harness reproduce",
    "harness reproduce ./mine.yaml --full",
)
_WARM: Final = 4.0
"""Seconds of a TCP connection before its goodput is measured."""
_SECONDS: Final = 15.0
_FORMATS: Final = {"collective": format_time, "utilisation": format_share, "tcp": format_rate}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reproduce", epilog=EPILOG)(reproduce)


def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names (--list shows them) or YAML files; default: all that ship.", metavar="[NAME]..."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List what ships, with its source.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Take sizes and rates as published; needs a large machine.")
    ] = False,
    engine: Annotated[str, typer.Option("--engine", help=OPTIONS["engine"].help, envvar="HARNESS_ENGINE")] = "auto",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Repeat published measurements on this machine, scaled down to it, and print which are reproduced.

    Figures are compared by their ratio to the best that the links allow. The exit code is 1 if one differs.
    """
    chosen = [load_published(one) for one in names or shipped_published()]
    if list_:
        _list(chosen, json_)
        return
    placement = Placement(engine=engine)
    placement.check()
    found = []
    for published in chosen:
        outcomes = [_outcome(published, cell, full, placement, name) for cell in published.cells]
        found.append(outcomes)
        if not json_:
            _show(published, outcomes)
    if json_:
        print_json([_document(*both) for both in zip(chosen, found, strict=True)])
    if any(one.verdict == "differs" for outcomes in found for one in outcomes):
        raise typer.Exit(1)


def _outcome(published: Published, cell: Cell, full: bool, placement: Placement, name: str) -> Outcome:
    scaled = cell if full else cell.scaled(published.scale)
    began = time.monotonic()
    try:
        with status(f"{published.name}: {cell.words}"):
            ours, why = _measured(scaled, placement, name), ""
    except UnavailableError as error:
        ours, why = None, str(error)
    note(f"{published.name}: {cell.words}: {time.monotonic() - began:.0f} s")
    return Outcome(cell, scaled, ours, published.tolerance, why)


def _measured(cell: Cell, placement: Placement, name: str) -> float:
    if cell.kind == "tcp" and cell.congestion_control not in AVAILABLE.read_text().split():
        raise UnavailableError(f"this kernel has no {cell.congestion_control}: modprobe tcp_{cell.congestion_control}")
    quiet: list[str] = []
    network = placement.start(name, cell.plan, transient=True, progress=quiet.append, tell=quiet.append)
    try:
        if cell.kind == "tcp":
            return _goodput(network, cell)
        if cell.kind == "collective":
            words = ["--collectives", cell.collective, "--sizes", str(cell.size), "--repeats", "3", "--warmup", "1"]
            return float(rank_result(network, "harness.training.bench", words)["rows"][0]["seconds_median"])
        words = ["--parameters", str(cell.parameters), "--step-time", f"{cell.step_time:.9f}"]
        words += ["--strategy", cell.strategy, "--periods", "2" if int(cell.options.get("H", 1)) > 32 else "4"]
        words += [word for item in cell.options.items() for word in ("--option", "=".join(item))]
        return float(rank_result(network, "harness.training.pace", words)["utilisation"])
    finally:
        network.down()


def _goodput(network: Network, cell: Cell) -> float:
    """The goodput of one connection from 0 to 1, once it has settled, in bit/s."""
    spec = TrafficSpec(0, 1, flows=1, congestion_control=cell.congestion_control)
    with CrossTraffic(network, [spec]) as load:
        time.sleep(_WARM)
        (before,) = load.loads
        time.sleep(_SECONDS)
        (after,) = load.loads
    seconds = after.totals.seconds - before.totals.seconds
    wire = after.totals.received_bytes - before.totals.received_bytes
    return wire * 8 / seconds * payload_share()


def _show(published: Published, outcomes: list[Outcome]) -> None:
    columns = ("figure", "theirs>", "its bound>", "ours>", "its bound>", "ours / theirs>", "verdict")
    rows = table(published.title, *columns)
    for one in outcomes:
        text = _FORMATS[one.cell.kind]
        ours = (text(one.ours), text(one.scaled.bound), f"{one.ratio:.2f}") if one.ours and one.ratio else ("", "", "")
        theirs = (text(one.cell.published), text(one.cell.bound))
        rows.add_row(one.cell.words, *theirs, *ours, one.verdict)
    by = {one.scaled == one.cell for one in outcomes} != {True}
    scaled = f"; bytes and rates divided by {format_number(published.scale)}" if by else ""
    rows.caption = f"source: {published.source}; tolerance {format_share(published.tolerance)}{scaled}"
    show(rows)
    for one in outcomes:
        if one.why:
            note(f"{one.cell.words}: not measured: {one.why}")
    if published.explain and any(one.verdict == "differs" for one in outcomes):
        say(f"where it differs: {published.explain}")
    say("")


def _list(chosen: list[Published], json_: bool) -> None:
    if json_:
        print_json([{"name": one.name, "title": one.title, "source": one.source} for one in chosen])
        return
    rows = table("Published measurements", "name", "figures>", "title,", "source,")
    for one in chosen:
        rows.add_row(one.name, str(len(one.cells)), one.title, one.source)
    show(rows)


def _document(published: Published, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "name": published.name,
        "source": published.source,
        "tolerance": published.tolerance,
        "figures": [
            {
                "figure": one.cell.words,
                "kind": one.cell.kind,
                "theirs": one.cell.published,
                "theirs_bound": one.cell.bound,
                "ours": one.ours,
                "ours_bound": one.scaled.bound,
                "ratio": one.ratio,
                "verdict": one.verdict,
                "why": one.why,
            }
            for one in outcomes
        ],
    }
