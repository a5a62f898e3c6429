"""How much payload links pass in a time, together and with what they share: uplinks, downlinks, trunks. Pure.

A link of rate R and burst B passes R t + B bits in t (of a packet-delivery trace R is its mean rate, and B the most by
which any part of it is ahead of that), a capacity that several links share U t bits. Let links be in
groups, each of which one capacity limits: a group passes no more than the smaller of the sum of its links and U t, and
all groups together no more than the sum of that. This is true of any way to group the links, so of each of three: by
sender (uplinks), by receiver (downlinks), by trunk. Such a sum is a concave function of t with a kink where a group
goes from the one to the other, and so the least of the straight lines that it is made of.
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
"""How many times the jitter a delay can be off its mean by netem's tables: they hold 16 bits in steps of 1/8192."""


def payload_share(overhead: int = 0, mtu: int = MTU) -> float:
    """The most payload per byte that a rate counts: full TCP segments with timestamps in Ethernet frames."""
    return full_segment(mtu) / (full_frame(mtu) + overhead)


def least_delay_ns(shape: LinkShape) -> int:
    """The shortest time that a packet can take, in ns: a reordered one skips the delay, jitter shortens it."""
    if shape.reorder:
        return 0
    return max(0, shape.delay.ns - shape.jitter.ns * (1 if shape.distribution == "uniform" else _TABLE_REACH))


@dataclass(frozen=True)
class BoundLink:
    """A directed edge that is up, with its rate and burst in bits of payload.

    Args:
        src, dst: its ends.
        delay_ns: the least that a packet takes.
        bit_s: infinity where nothing limits it.
        burst_bits: what passes at once.
        caps: by kind, which capacity it crosses.
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
        """Time to pass that many bytes of payload, none of which it has already."""
        return max((_seconds(size * 8 - burst, rate) for rate, burst in self.lines), default=0.0)

    @property
    def limits(self) -> bool:
        """Whether anything takes time."""
        return any(rate < math.inf for rate, _ in self.lines)


def _seconds(bits: float, rate: float) -> float:
    if bits <= 0 or rate == math.inf:
        return 0.0
    return bits / rate if rate else math.inf


class SharedRates:
    """The links of a plan that are up, and the capacities that they share.

    ``limits`` has their rates in bit/s of payload, by kind and node, or kind and name.
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
        """These links by what they share, each way of grouping them that some capacity limits."""
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
