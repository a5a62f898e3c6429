"""Runs that recorded no steps, such as commands of the user's own: what their connections and links alone tell.

A connection is busy while it has data to send or unacknowledged. How long the busiest one was is the most that the
run can have waited for the network; the rest is computing, or waiting for a rank that computes longer.
"""

from __future__ import annotations

from collections import defaultdict

from harness.experiment.report.analysis.causes.lost_time import Network
from harness.experiment.report.analysis.causes.waits import Waits
from harness.experiment.report.load.network_records import Flow
from harness.experiment.report.load.records import RecordedRun
from harness.model.link import Pair


def busy_waits(run: RecordedRun) -> tuple[Waits, Network] | None:
    """The whole run as one step that waits while its busiest pair of ranks has data under way.

    It begins and ends with what the connections did. None where no connection was recorded.
    """
    times = sorted(sample.time for flow in run.flows for sample in flow.samples)
    busy, sent = _per_pair(run.flows)
    if not busy or times[-1] <= times[0]:
        return None
    seconds = times[-1] - times[0]
    pair = max(busy, key=busy.__getitem__)
    waited = min(seconds, busy[pair])
    found = Waits(1, seconds, {0: seconds - waited}, waited, (waited,), times[0], times[-1])
    return found, Network.of(run, found, sent[pair])


def _per_pair(flows: tuple[Flow, ...]) -> tuple[dict[Pair, float], dict[Pair, float]]:
    """Seconds that the busiest connection from one rank to another was busy, and bytes that it sent."""
    busy: dict[Pair, float] = defaultdict(float)
    sent: dict[Pair, float] = defaultdict(float)
    for flow in flows:
        if flow.samples:
            pair, last = (flow.src, flow.dst), flow.samples[-1]
            busy[pair] = max(busy[pair], last.busy)
            sent[pair] = max(sent[pair], float(last.acked_bytes))
    return busy, sent
