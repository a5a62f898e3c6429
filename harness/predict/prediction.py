"""Predicts the time per step of a job on a network, and what follows from it. Pure.

A step computes for c seconds, then waits for its exchanges: one that takes T seconds, while h further steps continue,
adds max(0, T - h c). Compute utilisation is the time that is computed / the whole time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.model.gloo_time import collective_seconds
from harness.model.plan import NetworkPlan
from harness.model.units import Rate
from harness.predict.exchanges import Exchange

UTILISATIONS: Final = (0.5, 0.8, 0.9, 0.95, 0.99)
_RATES: Final = (1e3, 1e13)
"""Bit/s: bounds of the search for a rate."""
_CLOSE: Final = 1.002


@dataclass(frozen=True)
class ExchangeTime:
    """An exchange and its times.

    Args:
        exchange: what is sent.
        seconds: how long it takes.
        exposed: seconds that a step waits for it.
    """

    exchange: Exchange
    seconds: float
    exposed: float


@dataclass(frozen=True)
class Prediction:
    """The prediction for a job.

    Args:
        compute: seconds of computing per step.
        exchanges: with their times.
        sent: mean payload bytes per step that all ranks send together.
        leaving: those of them that leave their region; all of them where there are no regions.
    """

    compute: float
    exchanges: tuple[ExchangeTime, ...]
    sent: float
    leaving: float

    @property
    def waiting(self) -> float:
        """Mean seconds per step that a rank waits for others; infinity where a link is down."""
        return sum(one.exposed / one.exchange.every for one in self.exchanges)

    @property
    def step(self) -> float:
        """Mean seconds per step."""
        return self.compute + self.waiting

    @property
    def utilisation(self) -> float:
        """The share of time that a rank computes."""
        return self.compute / self.step

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in seconds and bytes; None for infinity."""
        return {
            "seconds_per_step": _finite(self.step),
            "seconds_compute": self.compute,
            "seconds_waiting": _finite(self.waiting),
            "utilisation": self.utilisation,
            "sent_bytes_per_step": self.sent,
            "leaving_bytes_per_step": self.leaving,
            "exchanges": [
                {**vars(one.exchange), "seconds": _finite(one.seconds), "exposed": _finite(one.exposed)}
                for one in self.exchanges
            ],
        }


def predict(plan: NetworkPlan, exchanges: Sequence[Exchange], compute: float) -> Prediction:
    """Predict a job.

    Args:
        plan: of the network.
        exchanges: of a rank.
        compute: seconds of computing per step.
    """
    times = []
    for one in dict.fromkeys(exchanges):
        seconds = collective_seconds(plan, one.collective, one.size, one.every * compute)
        exposed = max(0.0, seconds - one.hidden * compute)
        times += [ExchangeTime(one, seconds, exposed)] * list(exchanges).count(one)
    sent = sum(one.sent(plan, rank) / one.every for one in exchanges for rank in range(plan.size))
    return Prediction(compute, tuple(times), sent, sent * _leaving(plan, exchanges))


def _leaving(plan: NetworkPlan, exchanges: Sequence[Exchange]) -> float:
    """The share of sent bytes that leave their region; 1 where there are no regions."""
    home = {rank: region for region, ranks in plan.regions.items() for rank in ranks}
    total = leaving = 0.0
    for one in exchanges:
        for rank in range(plan.size):
            others = plan.neighbours(rank) if one.collective == "send_recv" else [_next(one, rank, plan.size)]
            each = one.sent(plan, rank) / one.every / max(1, len(others))
            total += each * len(others)
            leaving += each * sum(not home or home.get(rank) != home.get(other) for other in others)
    return leaving / total if total else 0.0


def _next(exchange: Exchange, rank: int, ranks: int) -> int:
    """The rank to which gloo's ring sends."""
    return (rank + (-1 if exchange.collective == "all_reduce" else 1)) % ranks


def rate_for(plan: NetworkPlan, exchanges: Sequence[Exchange], compute: float, utilisation: float) -> float | None:
    """The least rate of every link, in bit/s, with which a job reaches a compute utilisation; None: no rate suffices.

    Delays and losses are the plan's; links share no capacity.
    """

    def enough(bit_s: float) -> bool:
        return predict(_at_rate(plan, bit_s), exchanges, compute).utilisation >= utilisation

    low, high = _RATES
    if not enough(high):
        return None
    if enough(low):
        return low
    while high / low > _CLOSE:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _at_rate(plan: NetworkPlan, bit_s: float) -> NetworkPlan:
    """The plan with this rate on every link, and no shared capacities."""
    edges = [
        replace(edge, shape=replace(edge.shape, rate=Rate(round(bit_s)), burst=None)) for edge in plan.edges.values()
    ]
    return replace(plan.changed(edges), nodes={}, trunk_capacities={})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
