"""``harness verify``: real traffic over every edge, against what was asked for."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from harness.cli import networks, options
from harness.cli.console import err
from harness.cli.output import note, print_json, say, show
from harness.model.plan_edit import parse_pairs, undirected
from harness.verify.plan import MAX_PARALLEL, SECONDS
from harness.verify.table import in_words, verify_table
from harness.verify.verdict import Verdict
from harness.verify.verification import verify as measured

EPILOG = options.examples(
    "harness verify",
    "harness verify 0-1 --seconds 20",
    "harness verify --ipv6 --json",
    then="Exit code 1 where an edge is off.",
)
_NAMED: Final = 4
"""Rows that are printed one by one before their edges are measured once more."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog=EPILOG)(verify)


def verify(
    edges: options.AllEdgesArgument = "all",
    seconds: Annotated[
        float, typer.Option(min=1, help="Time for one edge: more of it gives narrower intervals.")
    ] = SECONDS,
    parallel: Annotated[int, typer.Option(min=1, help="Edges measured side by side.")] = MAX_PARALLEL,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Probe by IPv6.")] = False,
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Measure RTT, jitter, loss and rate of every edge, in both directions: requested, applied, measured, verdict.

    An edge with a row that is off is measured once more: only a row that is off both times is called off, since one of
    a hundred runs is off by chance. Jitter is in the profile's own unit.
    """
    network = networks.find_network(name)
    pairs = undirected(parse_pairs(edges, network.plan))
    if not pairs:
        print_json([]) if json_ else say("this network has no edges")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with networks.watched(network), Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting probes", total=None)

        def progress(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        def again(off: list[Verdict]) -> None:
            more = f"; and {len(off) - _NAMED} more" if len(off) > _NAMED else ""
            note(f"off in the first measurement, measuring again: {'; '.join(map(in_words, off[:_NAMED]))}{more}")

        found = measured(network, pairs, progress, again, seconds=seconds, parallel=parallel, ipv6=ipv6)
    if json_:
        print_json([{**row.to_json(), "engine": network.engine} for row in found])
    else:
        show(verify_table(found, f"{network.plan.topology}, profile {network.plan.profile}, made by {network.engine}"))
    wrong = [row for row in found if not row.ok]
    if wrong:
        note(f"{len(wrong)} of {len(found)} are off")
        raise typer.Exit(1)
