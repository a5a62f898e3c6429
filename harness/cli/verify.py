"""``harness verify``: real traffic over every edge, against what was asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from harness.cli import networks, options
from harness.cli.output import err, note, print_json, say, show
from harness.node.probe_process import PROBE_ARGV, ProbeProcess
from harness.node.prober import Prober
from harness.plan import Pair
from harness.probe_plan import SECONDS
from harness.report.verify import verify_table
from harness.runtime.base import Stdio
from harness.session import Network
from harness.verdict import Verdict, judge, shared_confidence

EPILOG = (
    "Examples: [b]harness verify[/b] | [b]harness verify 0-1 --seconds 20[/b] | [b]harness verify --ipv6 --json[/b]. "
    "Exit code 1 where an edge is off."
)
_ROWS_PER_DIRECTION = 4


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog=EPILOG)(verify)


def verify(
    edges: Annotated[str, typer.Argument(help="A-B, several as A-B,C-D, or all.", metavar="[A-B|all]")] = "all",
    seconds: Annotated[
        float, typer.Option(min=1, help="Time for one edge: more of it gives narrower intervals.")
    ] = SECONDS,
    parallel: Annotated[int, typer.Option(min=1, help="Edges measured side by side.")] = 8,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Probe by IPv6.")] = False,
    name: options.Name = options.DEFAULT_NAME,
    json_: options.Json = False,
) -> None:
    """Measure RTT, jitter, loss and rate of every edge and direction: requested, applied, measured, verdict.

    An edge that is off is measured once more: only what is off both times is called off, since one of a hundred runs
    is off by chance. Jitter is in the profile's own unit.
    """
    network = networks.find_network(name)
    pairs = {(min(pair), max(pair)) for pair in networks.parse_pairs(edges, network.plan)}
    if not pairs:
        print_json([]) if json_ else say("this network has no edges")
        return
    with networks.watched(network):
        rows = _measure(network, pairs, seconds, parallel, ipv6)
        off = {pair for pair, found in rows.items() if not all(row.ok for row in found)}
        if off:
            note(f"measuring once more: {', '.join(f'{a}-{b}' for a, b in sorted(off))}")
            rows |= _measure(network, off, seconds, parallel, ipv6)
    found = [row for pair in sorted(rows) for row in rows[pair]]
    if json_:
        print_json([{**row.to_json(), "engine": network.engine} for row in found])
    else:
        show(verify_table(found, f"{network.plan.topology}, profile {network.plan.profile}, made by {network.engine}"))
    wrong = [row for row in found if not row.ok]
    if wrong:
        note(f"{len(wrong)} of {len(found)} are off")
        raise typer.Exit(1)


def _measure(
    network: Network, pairs: Collection[Pair], seconds: float, parallel: int, ipv6: bool
) -> dict[Pair, list[Verdict]]:
    """Verdicts by undirected edge."""
    plan = network.plan
    applied = {pair: reading.applied for pair, reading in network.applied().items()}
    confidence = shared_confidence(2 * _ROWS_PER_DIRECTION * len(pairs))

    def spawn(rank: int) -> ProbeProcess:
        stdio = Stdio(subprocess.PIPE, subprocess.PIPE, None)
        return network.runtime.spawn(rank, [network.runtime.python, *PROBE_ARGV], stdio=stdio)

    stamps = network.runtime.engine.kernel_stamps
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=err, transient=True) as bar,
        Prober(plan, spawn, seconds=seconds, max_parallel=parallel, ipv6=ipv6, kernel_stamps=stamps) as prober,
    ):
        task = bar.add_task("starting probes", total=None)

        def tell(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        verdicts = {}
        for edge in prober.measure(pairs, tell):
            a, b = edge.pair
            ends = plan.edge(a, b), plan.edge(b, a), applied[a, b], applied[b, a]
            verdicts[edge.pair] = judge(*ends, edge, confidence=confidence)
        return verdicts
