"""How much payload several links pass in a time, given the uplinks, downlinks and trunks that they share. Pure.

A link of rate R and burst B passes R t + B bits in t (for a packet-delivery trace, R is its mean rate and B the most
that any part of it is ahead of that). A capacity that several links share passes U t bits. Group the links by the
capacity that limits them: a group passes no more than the smaller of the sum of its links and U t, and all groups
together no more than the sum over groups. This holds for each way to group them: by sender (uplinks), by receiver
(downlinks), by trunk. The sum is a concave function of t with a kink where a group changes from one limit to the
other, hence the minimum of the straight lines that it consists of.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from harness.model.address import MTU, full_frame, full_segment
from harness.model.capacity import Capacity
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.units import Rate

_TABLE_REACH: Final = 4
"""How many times the jitter netem's tables can shift a delay: they hold 16 bits in steps of 1/8192."""


def payload_share(overhead: int = 0, mtu: int = MTU) -> float:
    """Payload per byte that a rate counts, at most: in full TCP segments with timestamps."""
    return full_segment(mtu) / (full_frame(mtu) + overhead)


def least_delay_ns(shape: LinkShape) -> int:
    """The shortest time that a packet can take, in ns: a reordered packet skips the delay, jitter may shorten it."""
    if shape.reorder:
        return 0
    return max(0, shape.delay.ns - shape.jitter.ns * (1 if shape.distribution == "uniform" else _TABLE_REACH))


@dataclass(frozen=True)
class BoundLink:
    """A directed edge that is up, with its rate and burst in bits of payload.

    Args:
        src, dst: its ends.
        delay_ns: the shortest time of a packet.
        bit_s: infinity where nothing limits it.
        burst_bits: the most that passes at once.
        caps: by kind, the key in SharedRates.limits of a capacity that it crosses.
    """

    src: int
    dst: int
    delay_ns: int
    bit_s: float
    burst_bits: float
    caps: Mapping[str, Hashable]


@dataclass(frozen=True)
class Pipe:
    """What passes ``min(rate t + burst)`` bits of payload in t, over all its (rate, burst)."""

    lines: tuple[tuple[float, float], ...]

    def seconds(self, size: float) -> float:
        """Time to pass that many bytes of payload."""
        return max((_seconds(size * 8 - burst, rate) for rate, burst in self.lines), default=0.0)

    @property
    def limits(self) -> bool:
        """Whether its rate is finite."""
        return any(rate < math.inf for rate, _ in self.lines)


def _seconds(bits: float, rate: float) -> float:
    if bits <= 0 or rate == math.inf:
        return 0.0
    return bits / rate if rate else math.inf


class SharedRates:
    """The links of a plan that are up, and the capacities that they share.

    ``limits`` has the capacities' rates in bit/s of payload, by (kind, rank or trunk's name).
    """

    def __init__(self, plan: NetworkPlan) -> None:
        self._plan = plan
        caps: dict[Hashable, Capacity] = {("trunk", trunk.name): trunk.capacity for trunk in plan.trunks}
        caps |= {(kind, rank): one for rank, shape in plan.nodes.items() for kind, one in shape.present.items()}
        self.limits: Final = {key: self._payload(one.rate, one.overhead) for key, one in caps.items()}

    @cached_property
    def links(self) -> list[BoundLink]:
        """In the plan's order."""
        return [self._link(edge) for edge in self._plan.edges.values() if edge.effective.mean_loss < 1]

    def _link(self, edge: PlannedEdge) -> BoundLink:
        shape, trunk = edge.effective, self._plan.trunk_of(edge.pair)
        places = {"uplink": edge.src, "trunk": trunk and trunk.name, "downlink": edge.dst}
        rate = math.inf if shape.mean_rate is None else self._payload(shape.mean_rate, shape.counted_overhead)
        burst = shape.burst_bytes * 8 * payload_share(shape.counted_overhead, self._plan.mtu)
        caps = {kind: (kind, where) for kind, where in places.items() if (kind, where) in self.limits}
        return BoundLink(edge.src, edge.dst, least_delay_ns(shape), rate, burst, caps)

    def _payload(self, rate: Rate, overhead: int) -> float:
        return rate.bit_s * payload_share(overhead, self._plan.mtu)

    def alone(self, links: Iterable[BoundLink]) -> Pipe:
        """These links by their own rates."""
        rate, burst = 0.0, 0.0
        for link in links:
            rate, burst = rate + link.bit_s, burst + link.burst_bits
        return Pipe(((rate, burst),))

    def shared(self, links: Iterable[BoundLink]) -> Pipe:
        """These links by the capacities that they share, for each kind that limits any of them."""
        links = list(links)
        kinds = dict.fromkeys(kind for link in links for kind in link.caps)
        return Pipe(tuple(line for kind in kinds for line in self._lines(kind, links)))

    def _lines(self, kind: str, links: Iterable[BoundLink]) -> list[tuple[float, float]]:
        groups: dict[Hashable, tuple[float, float]] = {}
        for link in links:
            key = link.caps.get(kind, (link.src, link.dst))
            rate, burst = groups.get(key, (0.0, 0.0))
            groups[key] = rate + link.bit_s, burst + link.burst_bits
        slope, offset, kinks = 0.0, 0.0, list[tuple[float, float, float]]()
        for key, (rate, burst) in groups.items():
            limit = self.limits.get(key, math.inf)
            if limit <= rate:
                slope += limit
            elif burst and limit < math.inf:
                slope += limit
                kinks.append((burst / (limit - rate), rate - limit, burst))
            else:
                slope, offset = slope + rate, offset + burst
        lines = [(slope, offset)]
        for _, turn, burst in sorted(kinks):
            slope, offset = slope + turn, offset + burst
            lines.append((slope, offset))
        return lines
