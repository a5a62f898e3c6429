"""Measures edges of a network that is up and judges them; measures once more those that are off."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Sequence
from typing import Final

from harness.backends.base import Stdio
from harness.model.plan import Pair
from harness.networks.network import Network
from harness.verify.driver import ProbeDriver, ProbeProgress
from harness.verify.probe_client import PROBE_ARGV, ProbeProcess
from harness.verify.stats import shared_confidence
from harness.verify.verdict import Verdict, judge

_ROWS_PER_DIRECTION: Final = 4


def measure(
    network: Network,
    pairs: Collection[Pair],
    progress: ProbeProgress,
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
) -> dict[Pair, list[Verdict]]:
    """Verdicts by undirected edge.

    Args:
        network: one that is up.
        pairs: the edges, smaller rank first.
        progress: called with the steps that are done, how many there are, and what was done.
        seconds: for one edge.
        parallel: how many edges at the same time.
        ipv6: whether to probe by IPv6.
    """
    plan = network.plan
    applied = {pair: status.applied for pair, status in network.applied().items()}
    confidence = shared_confidence(2 * _ROWS_PER_DIRECTION * len(pairs))

    def spawn(rank: int) -> ProbeProcess:
        stdio = Stdio(subprocess.PIPE, subprocess.PIPE, None)
        return network.backend.spawn(rank, [network.backend.python, *PROBE_ARGV], stdio=stdio)

    stamps = network.backend.engine.kernel_stamps
    with ProbeDriver(plan, spawn, seconds=seconds, max_parallel=parallel, ipv6=ipv6, kernel_stamps=stamps) as driver:
        verdicts = {}
        for edge in driver.measure(pairs, progress):
            a, b = edge.pair
            ends = plan.edge(a, b), plan.edge(b, a), applied[a, b], applied[b, a]
            verdicts[edge.pair] = judge(*ends, edge, confidence=confidence)
        return verdicts


def verify(
    network: Network,
    pairs: Collection[Pair],
    progress: ProbeProgress,
    again: Callable[[list[Verdict]], None],
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
) -> list[Verdict]:
    """Measure edges, and once more those of which a row is off: about one run in a hundred is off by chance, so only a
    row that is off both times counts as off.

    Args:
        network: see measure; the rest too.
        pairs: the edges.
        progress: see measure.
        again: called with the rows that are off before their edges are measured once more.
        seconds: for one edge.
        parallel: how many edges at the same time.
        ipv6: whether to probe by IPv6.
    """
    rows = measure(network, pairs, progress, seconds=seconds, parallel=parallel, ipv6=ipv6)
    if off := [row for pair in sorted(rows) for row in rows[pair] if not row.ok]:
        again(off)
        edges = {(min(row.src, row.dst), max(row.src, row.dst)) for row in off}
        for pair, found in measure(network, edges, progress, seconds=seconds, parallel=parallel, ipv6=ipv6).items():
            rows[pair] = of_both(rows[pair], found)
    return [row for pair in sorted(rows) for row in rows[pair]]


def of_both(first: Sequence[Verdict], second: Sequence[Verdict]) -> list[Verdict]:
    """The rows of an edge that was measured twice: the second ones, but the first where only that is ok.

    A first row counts only if the link was not changed in between.
    """
    was_ok = {(row.src, row.dst, row.quantity, row.applied): row for row in first if row.ok}
    return [row if row.ok else was_ok.get((row.src, row.dst, row.quantity, row.applied), row) for row in second]
