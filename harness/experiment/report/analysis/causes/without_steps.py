"""The waits of runs without steps, such as a user's commands, by their TCP connections alone.

A connection is busy while it has data to send or unacknowledged. The time for which the busiest one was busy is the
most that the run can have waited for the network; the rest is computing, or waiting for a slower rank.
"""

from __future__ import annotations

from collections import defaultdict

from harness.experiment.report.analysis.causes.lost_time import StepNetwork
from harness.experiment.report.analysis.causes.waits import Waits
from harness.experiment.report.load.network_records import FlowRecord
from harness.experiment.report.load.records import RecordedRun
from harness.model.link import Pair


def busy_waits(run: RecordedRun) -> tuple[Waits, StepNetwork] | None:
    """The time of all connections as one step that waits while the busiest pair of ranks has data under way.

    None where no connection was recorded.
    """
    times = sorted(sample.time for flow in run.flows for sample in flow.samples)
    busy, sent = _per_pair(run.flows)
    if not busy or times[-1] <= times[0]:
        return None
    seconds = times[-1] - times[0]
    pair = max(busy, key=busy.__getitem__)
    waited = min(seconds, busy[pair])
    found = Waits(1, seconds, {0: seconds - waited}, waited, (waited,), times[0], times[-1])
    return found, StepNetwork.of(run, found, sent[pair])


def _per_pair(flows: tuple[FlowRecord, ...]) -> tuple[dict[Pair, float], dict[Pair, float]]:
    """By pair of ranks, the seconds that its busiest connection was busy, and the most bytes that one sent."""
    busy: dict[Pair, float] = defaultdict(float)
    sent: dict[Pair, float] = defaultdict(float)
    for flow in flows:
        if flow.samples:
            pair, last = (flow.src, flow.dst), flow.samples[-1]
            busy[pair] = max(busy[pair], last.busy)
            sent[pair] = max(sent[pair], float(last.acked_bytes))
    return busy, sent
