"""What the shared capacities of a run carried between two times, from their counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.experiment.report.analysis.caps import planned, title
from harness.experiment.report.analysis.causes.edge_loads import spans_between
from harness.experiment.report.load.records import RecordedRun


@dataclass(frozen=True)
class CapLoad:
    """An uplink, a downlink or a trunk between two times.

    Args:
        name: ``the uplink of node 0``.
        bytes: that it carried, with those that its limit counts beside frames' own.
        seconds: between the samples, or between the two times where these are closer.
        rate: its limit, in bit/s.
    """

    name: str
    bytes: int
    seconds: float
    rate: float

    @property
    def full_seconds(self) -> float:
        """How long it takes to send so much at its limit."""
        return self.bytes * 8 / self.rate

    @property
    def use(self) -> float | None:
        """Share of its limit that it carried."""
        return self.full_seconds / self.seconds if self.seconds else None

    @property
    def bit_s(self) -> float:
        """What it carried, in bit/s."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


def cap_loads(run: RecordedRun, since: float, until: float) -> tuple[CapLoad, ...]:
    """The capacities that had a limit when the run began, by name; see edge_loads.

    Args:
        run: the run.
        since, until: seconds since the epoch.
    """
    spans = spans_between(run.links, since, until)
    names = sorted({name for span in spans for name in span[-1].caps})

    def loads() -> Iterator[CapLoad]:
        for name in names:
            capacity = planned(run.plan, name)
            if capacity is None:
                continue
            size = 0
            for first, last in ((span[0].caps.get(name), span[-1].caps.get(name)) for span in spans):
                if first and last and last.sent_bytes >= first.sent_bytes:
                    packets = last.sent_packets - first.sent_packets
                    size += last.sent_bytes - first.sent_bytes + capacity.overhead * packets
            seconds = min(sum(span[-1].time - span[0].time for span in spans), until - since)
            yield CapLoad(title(name), size, seconds, float(capacity.rate.bit_s))

    return tuple(load for load in loads() if load.bytes > 0)
