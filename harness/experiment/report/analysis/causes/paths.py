"""The paths between ranks that talk to each other: round trips, queues, losses and the rate that TCP can reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from harness.experiment.report.analysis.causes.edge_loads import USED, EdgeLoad
from harness.experiment.report.load.records import RecordedRun
from harness.model.address import SEGMENT
from harness.model.bound import WIRE_SHARE
from harness.model.link import Pair
from harness.model.tcp import cubic_rate, loss_events

_LEAST_TRIP: Final = 0.0005
"""Seconds of the shortest round trip: two nodes on one machine without any delay."""
_HARD_OF_LOSS: Final = "bbr"
"""Congestion controls that begin with this do not slow down at some percent of loss (bbr, bbr3)."""


@dataclass(frozen=True)
class TalkingPair:
    """Two ranks of which one sends to the other.

    Args:
        pair: sender and receiver.
        base: seconds of a round trip with empty queues; None: unknown.
        measured: mean seconds of a round trip that TCP measured; None: not recorded.
        waiting: mean seconds in queues, there and back.
        loss: share of packets at which a loss begins on the way there, by the links' configuration.
        dropped: share of packets that the busiest queue on the way there dropped, where links are lossless.
        rate: of the slowest edge, uplink, trunk or downlink on the way there, in bit/s; None: unlimited.
        ceiling: the most that losses or drops allow one connection, in bit/s; None: they allow the rate.
    """

    pair: Pair
    base: float | None
    measured: float | None
    waiting: float
    loss: float
    dropped: float
    rate: float | None
    ceiling: float | None

    @property
    def window(self) -> float:
        """Bytes that a connection may have in flight by its ceiling."""
        return math.inf if self.ceiling is None else self.ceiling / 8 * self.trip

    @property
    def trip(self) -> float:
        """Seconds of a round trip with empty queues."""
        return max(_LEAST_TRIP, self.base or 0.0)

    @property
    def name(self) -> str:
        """``0->1``."""
        return f"{self.pair[0]}->{self.pair[1]}"


def talking_pairs(run: RecordedRun, loads: Sequence[EdgeLoad], since: float, until: float) -> list[TalkingPair]:
    """The ranks that sent each other most, by their connections, else by the used edges."""
    acked: dict[Pair, int] = {}
    for flow in run.flows:
        if flow.samples:
            acked[flow.src, flow.dst] = acked.get((flow.src, flow.dst), 0) + flow.samples[-1].acked_bytes
    most = max(acked.values(), default=0)
    pairs = [pair for pair, size in acked.items() if size and size >= USED * most] or [load.pair for load in loads]
    loaded = {load.pair: load for load in loads}
    return [_talking(run, pair, loaded, since, until) for pair in pairs]


def _talking(run: RecordedRun, pair: Pair, loaded: Mapping[Pair, EdgeLoad], since: float, until: float) -> TalkingPair:
    samples = [
        sample
        for flow in run.flows
        if (flow.src, flow.dst) == pair
        for sample in flow.samples
        if since <= sample.time <= until and sample.rtt > 0
    ]
    measured = fmean(sample.rtt for sample in samples) if samples else None
    if run.plan is None or not all(0 <= rank < run.plan.size for rank in pair):
        least = min((sample.rtt for sample in samples), default=None)
        return TalkingPair(pair, least, measured, 0.0, 0.0, 0.0, None, None)
    there, back = run.plan.path(*pair), run.plan.path(pair[1], pair[0])
    base = sum(edge.shape.delay.seconds for edge in (*there, *back))
    loss = 1 - math.prod(1 - loss_events(edge.shape) for edge in there)
    drops = [loaded[edge.pair].drop_share for edge in there if edge.pair in loaded]
    dropped = max(drops, default=0.0) if not loss else 0.0
    rates = [edge.shape.rate.bit_s for edge in there if edge.shape.rate]
    rates += [cap.rate.bit_s for edge in there for cap in run.plan.caps_on(edge.pair).values()]
    rate = float(min(rates)) if rates else None
    return TalkingPair(
        pair=pair,
        base=base,
        measured=measured,
        waiting=sum(loaded[edge.pair].waiting for edge in (*there, *back) if edge.pair in loaded),
        loss=loss,
        dropped=dropped,
        rate=rate,
        ceiling=_ceiling(run, pair, base, loss or dropped, rate),
    )


def _ceiling(run: RecordedRun, pair: Pair, base: float, loss: float, rate: float | None) -> float | None:
    of_flows = {flow.congestion_control for flow in run.flows if (flow.src, flow.dst) == pair}
    control = of_flows or {str(run.settings.get("congestion_control") or "cubic")}
    if not loss or all(one.startswith(_HARD_OF_LOSS) for one in control):
        return None
    lossy = cubic_rate(SEGMENT, max(base, _LEAST_TRIP), loss) if loss < 1 else 0.0
    return lossy if rate is None or lossy * WIRE_SHARE < rate else None


def own_share(run: RecordedRun) -> float:
    """The share of the bytes on the interfaces that is the training's own; 1 where it is unknown, or over a half.

    Relayed bytes count once per link, by the routes of gloo's ring. Small messages are mostly headers and
    acknowledgements, so only a share under a half shows other traffic.
    """
    crossed = fmean(len(run.plan.path(r, (r + 1) % run.plan.size)) for r in range(run.plan.size)) if run.plan else 1.0
    payload = sum((rank.bytes_per_step or 0.0) * len(rank.steps) for rank in run.ranks) * WIRE_SHARE * crossed
    sent = sum(step.sent_bytes for rank in run.ranks for step in rank.steps)
    if not payload or not sent or any(rank.bytes_per_step is None for rank in run.ranks):
        return 1.0
    return 1.0 if payload > sent / 2 else payload / sent
