"""Real traffic over the edges of a network, against what was asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Sequence
from typing import Final

from harness.backends.base import Stdio
from harness.model.plan import Pair
from harness.networks.network import Network
from harness.verify.driver import ProbeDriver
from harness.verify.probe_process import PROBE_ARGV, ProbeProcess
from harness.verify.verdict import Verdict, judge, shared_confidence

_ROWS_PER_DIRECTION: Final = 4


def measure(
    network: Network,
    pairs: Collection[Pair],
    tell: Callable[[int, int, str], None],
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
) -> dict[Pair, list[Verdict]]:
    """Verdicts by undirected edge.

    Args:
        network: one that is up.
        pairs: the edges, smaller rank first.
        tell: called with what is done, what is to do, and what is being done.
        seconds: for one edge.
        parallel: how many edges side by side.
        ipv6: whether to probe by IPv6.
    """
    plan = network.plan
    applied = {pair: reading.applied for pair, reading in network.applied().items()}
    confidence = shared_confidence(2 * _ROWS_PER_DIRECTION * len(pairs))

    def spawn(rank: int) -> ProbeProcess:
        stdio = Stdio(subprocess.PIPE, subprocess.PIPE, None)
        return network.runtime.spawn(rank, [network.runtime.python, *PROBE_ARGV], stdio=stdio)

    stamps = network.runtime.engine.kernel_stamps
    with ProbeDriver(plan, spawn, seconds=seconds, max_parallel=parallel, ipv6=ipv6, kernel_stamps=stamps) as prober:
        verdicts = {}
        for edge in prober.measure(pairs, tell):
            a, b = edge.pair
            ends = plan.edge(a, b), plan.edge(b, a), applied[a, b], applied[b, a]
            verdicts[edge.pair] = judge(*ends, edge, confidence=confidence)
        return verdicts


def verify(
    network: Network,
    pairs: Collection[Pair],
    tell: Callable[[int, int, str], None],
    again: Callable[[list[Verdict]], None],
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
) -> list[Verdict]:
    """Measure edges; one that is off once more: only a row that is off both times is called off, since one of a hundred
    runs is off by chance.

    Args:
        network: see measure; the rest too.
        pairs: the edges.
        tell: progress.
        again: called with the rows for which edges are measured once more.
        seconds: for one edge.
        parallel: how many edges side by side.
        ipv6: whether to probe by IPv6.
    """
    rows = measure(network, pairs, tell, seconds=seconds, parallel=parallel, ipv6=ipv6)
    if off := [row for pair in sorted(rows) for row in rows[pair] if not row.ok]:
        again(off)
        edges = {(min(row.src, row.dst), max(row.src, row.dst)) for row in off}
        for pair, found in measure(network, edges, tell, seconds=seconds, parallel=parallel, ipv6=ipv6).items():
            rows[pair] = of_both(rows[pair], found)
    return [row for pair in sorted(rows) for row in rows[pair]]


def of_both(first: Sequence[Verdict], second: Sequence[Verdict]) -> list[Verdict]:
    """Of two measurements of an edge, the second one's rows; of the same link the first one's where only that is ok."""
    was_ok = {(row.src, row.dst, row.quantity, row.applied): row for row in first if row.ok}
    return [row if row.ok else was_ok.get((row.src, row.dst, row.quantity, row.applied), row) for row in second]
