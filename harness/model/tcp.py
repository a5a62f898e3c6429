"""The goodput that one TCP connection can reach on a link; losses reduce it below the rate. Pure.

Two response functions, of which the larger counts, as in CUBIC itself (RFC 9438, 4.3):

* Mathis, Semke, Mahdavi and Ott 1997, "The macroscopic behavior of the TCP congestion avoidance algorithm": a window of
  sqrt(3 / (2 p)) segments per round trip, for Reno and, in CUBIC's Reno-friendly region, for CUBIC.
* RFC 9438, 5.1 (CUBIC, beta 0.7, C 0.4): a window of 1.054 (RTT / p)^0.75 segments.

p counts losses as TCP does: consecutive losses (a chain's bad state) reduce the window once. Not included: slow start,
lost acknowledgements, jitter, and other traffic on the link. BBR does not slow down for losses of a few percent, and
several connections each get as much, up to the rate. Measured by ``python -m benchmarks one_connection``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, cast

from harness.model.address import MTU, full_segment
from harness.model.capacity import Capacity
from harness.model.link import LinkShape, Pair
from harness.model.pipe import payload_share
from harness.model.plan import NetworkPlan
from harness.model.profile import Profile

Limit = Literal["rate", "loss", "uplink", "trunk", "downlink"]
_CUBIC: Final = 1.054
"""Segments; RFC 9438, 5.1, figure 5."""

_GOOD: Final = ("rate", "gilbert_elliott.r", "loss_correlation", "burst", "limit", "queue")
"""Fields whose higher values are better for TCP."""


@dataclass(frozen=True)
class TcpCeiling:
    """The goodput of one connection in the long run, in bit/s, and what limits it; None: nothing does."""

    bit_s: float | None
    limit: Limit | None


def mathis_rate(mss: int, rtt: float, loss: float) -> float:
    """The goodput of Reno in bit/s: MSS / RTT x sqrt(3 / (2 p)).

    Args:
        mss: bytes in a segment.
        rtt: round-trip time in seconds.
        loss: share of segments lost, above 0.
    """
    return _goodput(math.sqrt(1.5 / loss), mss, rtt)


def cubic_rate(mss: int, rtt: float, loss: float) -> float:
    """The goodput of CUBIC in bit/s: that of Reno, or more where losses are rare and round trips are long."""
    return max(mathis_rate(mss, rtt, loss), _goodput(_CUBIC * (rtt / loss) ** 0.75, mss, rtt))


def loss_events(shape: LinkShape) -> float:
    """Share of packets at which TCP sees a loss: of consecutive losses, only the first counts."""
    chain = shape.loss_chain
    if chain is None:
        lost = shape.mean_loss
    else:
        bad = chain.bad_share
        lost = (1 - bad) * float(chain.loss_good) + bad * min(float(chain.r), float(chain.loss_bad))
    return 1 - (1 - lost) * (1 - float(shape.corrupt))


def tcp_ceiling(
    there: LinkShape, back: LinkShape, caps: Mapping[str, Capacity] = MappingProxyType({}), mtu: int = MTU
) -> TcpCeiling:
    """The ceiling of one CUBIC connection.

    Args:
        there: the link in the direction of the data.
        back: the link in the direction of the acknowledgements.
        caps: the capacities that the connection crosses, by `Limit`, without other traffic.
        mtu: of the network.
    """
    limits: list[tuple[float, str]] = []
    if there.mean_rate is not None:
        limits.append((there.mean_rate.bit_s * payload_share(there.counted_overhead, mtu), "rate"))
    limits += [(one.rate.bit_s * payload_share(one.overhead, mtu), kind) for kind, one in caps.items()]
    loss, rtt = loss_events(there), there.delay.seconds + back.delay.seconds
    if loss > 0 and rtt > 0:
        limits.append((cubic_rate(full_segment(mtu), rtt, loss) if loss < 1 else 0.0, "loss"))
    if not limits:
        return TcpCeiling(None, None)
    bit_s, limit = min(limits, key=lambda one: one[0])
    return TcpCeiling(bit_s, cast(Limit, limit))


def tcp_ceilings(plan: NetworkPlan) -> dict[Pair, TcpCeiling]:
    """The ceiling of every directed edge; 0 where a link is down."""
    return {
        (src, dst): tcp_ceiling(edge.effective, plan.edges[dst, src].effective, plan.caps_on((src, dst)), plan.mtu)
        for (src, dst), edge in plan.edges.items()
    }


def profile_ceilings(profile: Profile) -> tuple[TcpCeiling, TcpCeiling]:
    """The lowest and the highest ceiling of a link of a profile: at the ends of its ranges."""
    best = profile.shape_at(lambda name: 1.0 if name in _GOOD else 0.0)
    worst = profile.shape_at(lambda name: 0.0 if name in _GOOD else 1.0)
    narrow, wide = profile.node_at(lambda _: 0.0).present, profile.node_at(lambda _: 1.0).present
    return tcp_ceiling(worst, worst, narrow), tcp_ceiling(best, best, wide)


def _goodput(window: float, mss: int, rtt: float) -> float:
    return window * mss * 8 / rtt
