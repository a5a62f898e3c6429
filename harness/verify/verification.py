"""Measures edges of a network that is up and judges them; measures once more those that are off."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from harness.backends.base import Stdio
from harness.model.link import Pair
from harness.model.status import EdgeStatus
from harness.networks.network import Network
from harness.networks.probe_counts import difference
from harness.verify.driver import ProbeDriver, ProbeProgress
from harness.verify.plan import checked_seconds
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
    """Verdicts by undirected edge; of one that another command changed meanwhile the rows say so.

    Args:
        network: one that is up.
        pairs: the edges, smaller rank first.
        progress: called with the steps that are done, how many there are, and what was done.
        seconds: for one edge.
        parallel: how many edges at the same time.
        ipv6: whether to probe by IPv6.
    """
    before = network.current()
    plan = network.plan
    applied = {pair: status.applied for pair, status in before.items()}
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
    after = network.current()
    _count_probes(network, pairs, before, after)
    for a, b in pairs:
        if any(plan.edge(*way) != network.plan.edge(*way) for way in ((a, b), (b, a))):
            verdicts[a, b] = [row.changed_meanwhile() for row in verdicts[a, b]]
    return verdicts


def _count_probes(
    network: Network, pairs: Collection[Pair], before: Mapping[Pair, EdgeStatus], after: Mapping[Pair, EdgeStatus]
) -> None:
    """Have what was sent over the measured edges meanwhile counted as verify's."""
    ways = [way for a, b in pairs for way in ((a, b), (b, a))]
    network.count_probes(difference(*({way: found[way].stats for way in ways} for found in (before, after))))


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
        seconds: for one edge; see checked_seconds.
        parallel: how many edges at the same time.
        ipv6: whether to probe by IPv6.

    Raises:
        InputError: that many seconds are none.
    """
    checked_seconds(seconds)
    rows = measure(network, pairs, progress, seconds=seconds, parallel=parallel, ipv6=ipv6)
    if off := [row for pair in sorted(rows) for row in rows[pair] if not row.ok and row.why_not != "too slow"]:
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
