"""What shared capacities carried between two times, from their counters."""

from __future__ import annotations

from collections.abc import Iterator

from harness.experiment.report.analysis.caps import planned, title
from harness.experiment.report.analysis.causes.edge_loads import CarriedLoad, spans_between
from harness.experiment.report.load.records import RecordedRun


def cap_loads(run: RecordedRun, since: float, until: float) -> tuple[CarriedLoad, ...]:
    """The used capacities that had a limit when the run began, by name, between two times as in edge_loads.

    Their bytes include the overhead that the limit counts.
    """
    return tuple(load for load in _loads(run, since, until) if load.bytes > 0)


def _loads(run: RecordedRun, since: float, until: float) -> Iterator[CarriedLoad]:
    spans = spans_between(run.links, since, until)
    seconds = min(sum(span[-1].time - span[0].time for span in spans), until - since)
    for name in sorted({name for span in spans for name in span[-1].caps}):
        capacity = planned(run.plan, name)
        if capacity is None:
            continue
        size = 0
        for first, last in ((span[0].caps.get(name), span[-1].caps.get(name)) for span in spans):
            if first and last and last.sent_bytes >= first.sent_bytes:
                packets = last.sent_packets - first.sent_packets
                size += last.sent_bytes - first.sent_bytes + capacity.overhead * packets
        yield CarriedLoad(size, seconds, float(capacity.rate.bit_s), title(name))
