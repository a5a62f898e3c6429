"""``harness verify``: measures every edge by real traffic, and compares with what was requested."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from harness.cli import networks, options
from harness.cli.console import err
from harness.cli.output import note, print_json, say, show, status
from harness.model.address import full_frame
from harness.model.format import first_few
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import parse_pairs, undirected
from harness.verify.caps import shape_alone
from harness.verify.driver import ProbeProgress
from harness.verify.plan import SECONDS, checked_seconds, enough_seconds
from harness.verify.rounds import MAX_PARALLEL
from harness.verify.table import in_words, verify_table
from harness.verify.verdict import Verdict
from harness.verify.verdict.capacity import CapVerdict
from harness.verify.verdict.row import Row
from harness.verify.verification import verify as measured

EPILOG = options.examples(
    "harness verify",
    "harness verify 0-1 --seconds 20",
    "harness verify --ipv6 --json",
    then="Exit code 1 if an edge is off, was changed meanwhile, or is too slow to be measured.",
)
_STARTING: Final = "starting probes"
_NAMED: Final = 4
"""The most rows that a line names."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog=EPILOG)(verify)


def verify(
    edges: options.AllEdgesArgument = "all",
    seconds: Annotated[float, typer.Option(help="Time for one edge: a longer one gives narrower intervals.")] = SECONDS,
    parallel: Annotated[int, typer.Option(min=1, help="Edges measured at a time.")] = MAX_PARALLEL,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Measure by IPv6.")] = False,
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Measure RTT, jitter, loss and rate of every edge, in both directions: requested, applied, measured, verdict.

    Then capacities that edges share, if there are any: uplinks, downlinks, trunks. All their senders send at once until
    they fill it; the row has the sum of their rates, and Jain's index of fairness (1: all get the same). Then the CPU
    of nodes with a share of it: how much a program gets that only computes.

    An edge that is off is measured again, and is reported as off only if it is off twice: one measurement of a hundred
    is off by chance. Jitter is in the profile's unit.
    """
    checked_seconds(seconds)
    network = networks.find_network(name)
    pairs = undirected(parse_pairs(edges, network.plan))
    if not pairs:
        print_json([]) if json_ else say("this network has no edges")
        return
    with networks.watched(network), _progress() as progress:

        def again(off: list[Verdict | CapVerdict]) -> None:
            if changed := _edges(row for row in off if row.why_not == "changed"):
                note(f"another command changed links that were being measured, measuring again: {changed}")
            wrong = [in_words(row) for row in off if not row.why_not]
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            if wrong:
                note(f"off in the first measurement, measuring again: {'; '.join(wrong[:_NAMED])}{more}")

        found = measured(network, pairs, progress, again, seconds=seconds, parallel=parallel, ipv6=ipv6)
    if json_:
        print_json([{**row.to_json(), "engine": network.engine} for row in found])
    else:
        show(verify_table(found, f"{network.plan.topology}, profile {network.plan.profile}, engine {network.engine}"))
    for text in _problems(found, network.plan, ipv6):
        note(text)
    if not all(row.ok for row in found):
        raise typer.Exit(1)


@contextlib.contextmanager
def _progress() -> Iterator[ProbeProgress]:
    """Show the progress on standard error: by a bar on a terminal, elsewhere by lines."""
    if not err.is_terminal:
        with status(_STARTING) as show_step:
            yield lambda done, total, what: show_step(f"{done} of {total}: {what}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(_STARTING, total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)


def _problems(rows: Sequence[Verdict | CapVerdict], plan: NetworkPlan, ipv6: bool) -> Iterator[str]:
    """A line for each reason why the exit code is not 0."""
    bad = [row for row in rows if not row.ok]
    if off := [row for row in bad if not row.why_not]:
        yield f"{len(off)} of {len(rows)} are off"
    if changed := _edges(row for row in bad if row.why_not == "changed"):
        yield f"not verified, because another command changed the links meanwhile: {changed}"
    if slow := _edges(row for row in bad if row.why_not == "too slow"):
        pairs = {(row.src, row.dst) for row in bad if row.why_not == "too slow" and isinstance(row, Verdict)}
        frame = full_frame(plan.mtu)
        ends = [[shape_alone(plan, way, frame) for way in (pair, pair[::-1])] for pair in pairs]
        enough = max(enough_seconds(*shapes, ipv6=ipv6, frame=frame) for shapes in ends)
        yield f"nothing was measured on {slow}: too slow for this time; take --seconds {enough:g}"


def _edges(rows: Iterable[Row]) -> str:
    """The places of rows (directed edges, nodes, trunks), each once, as a text."""
    return first_few(list(dict.fromkeys(row.place for row in rows)))
