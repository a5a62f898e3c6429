"""What to send over each edge to measure it, and which edges can be measured side by side. Pure.

An edge is measured in three steps. An *echo* exchange gives the one-way delay of both directions, and the round trip. A
*train* of small packets each way gives the loss. A *bulk* train of full frames each way gives the rate, by how far the
link spreads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.binomial import loss_inflation
from harness.distribution import jitter_form
from harness.link import LinkShape
from harness.plan import NetworkPlan, Pair
from harness.probe_packet import FRAME, small_frame

MAX_PARALLEL: Final = 8
"""Edges measured at once by default."""
SECONDS: Final = 5.0
"""Time for one edge by default; more of it means more packets, hence narrower intervals."""

_MIN_ECHOES, _MAX_ECHOES = 20, 300
_MIN_INTERVAL_S: Final = 0.005
_PACKETS_PER_S: Final = 20_000
"""Small packets per second that the machine may send in all: 2 cores carry twice that with ease."""
_MIN_TRAIN, _MAX_TRAIN = 200, 100_000
_WANTED_EVENTS: Final = 20
_MARGIN_S: Final = 0.5
"""What a busy machine may be late."""
_BULK_MARGIN_S: Final = 0.2
"""The same for a bulk train, whose end may be missed: fast ones take turns, so that waiting costs every edge."""
_MIN_FRAMES: Final = 60
_BULK_S: Final = 0.5
"""How long a bulk train keeps the link busy, unless jitter asks for longer."""
_MAX_BULK_BYTES: Final = 64 << 20
_BURST_S: Final = 0.004
_MAX_SEGMENTS: Final = 43
"""Full frames that fit a UDP super-packet of 64 KiB."""
_OVERDRIVE: Final = 2.0
"""How many times the link's rate a bulk train is sent at."""


@dataclass(frozen=True)
class Echo:
    """Small packets that the far end returns at once: count, spacing, and how long to wait for the last (s)."""

    count: int
    interval_s: float
    wait_s: float


@dataclass(frozen=True)
class Train:
    """Small packets one way: count, spacing (s), and how long to wait for one more (s)."""

    count: int
    interval_s: float
    wait_s: float


@dataclass(frozen=True)
class Bulk:
    """Bursts of full frames one way: how many, frames in each, spacing (s; 0: none), how long to wait for one more."""

    bursts: int
    segments: int
    interval_s: float
    wait_s: float


@dataclass(frozen=True)
class EdgeProbe:
    """What to send over one edge; forward is from the first of its pair to the second, backward the other way.

    Echo and bulk are None where the link is down.
    """

    pair: Pair
    echo: Echo | None
    forward_train: Train
    backward_train: Train
    forward_bulk: Bulk | None
    backward_bulk: Bulk | None

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        echo = self.echo.count * self.echo.interval_s + 2 * self.echo.wait_s if self.echo else 0.0
        trains = (self.forward_train, self.backward_train)
        bulks = [bulk for bulk in (self.forward_bulk, self.backward_bulk) if bulk]
        return (
            echo
            + max(train.count * train.interval_s + train.wait_s for train in trains)
            + sum(bulk.bursts * bulk.interval_s + bulk.wait_s for bulk in bulks)
        )


def _spread(shape: LinkShape) -> float:
    """The longest delay less the shortest, in seconds."""
    return jitter_form(shape).span * shape.jitter.seconds if shape.jitter.ns else 0.0


def _longest(shape: LinkShape) -> float:
    """The longest one-way delay of a lone packet, in seconds."""
    return shape.delay.seconds + max(0.0, jitter_form(shape).high) * shape.jitter.seconds


def _shares(shape: LinkShape) -> tuple[float, ...]:
    """The shares of packets that something is meant to happen to."""
    return shape.mean_loss, float(shape.duplicate), float(shape.reorder), float(shape.corrupt)


def _serialisation(shape: LinkShape, wire_bytes: int) -> float:
    """How long the link's rate takes for a packet, in seconds."""
    return shape.rate.seconds(wire_bytes) if shape.rate else 0.0


def probe_for(
    pair: Pair, forward: LinkShape, backward: LinkShape, *, seconds: float, sharing: int, ipv6: bool
) -> EdgeProbe:
    """What to send over one edge.

    Args:
        pair: its ranks.
        forward: what packets from the first to the second are expected to meet; a down link loses all.
        backward: the other way.
        seconds: time for the edge, of which the echo takes 60 % and the loss train 40 %. Where the jitter is large, the
            least number of echoes takes longer.
        sharing: how many edges are measured at once.
        ipv6: whether the packets are IPv6.
    """
    up = forward.mean_loss < 1 and backward.mean_loss < 1
    return EdgeProbe(
        pair,
        _echo(forward, backward, 0.6 * seconds, ipv6) if up else None,
        _train(forward, 0.4 * seconds, sharing, ipv6),
        _train(backward, 0.4 * seconds, sharing, ipv6),
        _bulk(forward) if forward.mean_loss < 1 else None,
        _bulk(backward) if backward.mean_loss < 1 else None,
    )


def _echo(forward: LinkShape, backward: LinkShape, seconds: float, ipv6: bool) -> Echo:
    """Space the packets so that none waits for the one before.

    With a rate netem keeps packets in order: one that drew a long delay holds up the next, which would lengthen the
    mean and narrow the spread. It cannot happen over the sum of both directions' spreads; at 3/4 of that it happens
    to 1 packet in 400.
    """
    line = _serialisation(forward, small_frame(ipv6)) + _serialisation(backward, small_frame(ipv6))
    interval = max(_MIN_INTERVAL_S, 0.75 * (_spread(forward) + _spread(backward)) + 2 * line)
    count = max(_MIN_ECHOES, min(_MAX_ECHOES, int(seconds / interval)))
    return Echo(count, interval, _longest(forward) + _longest(backward) + line + _MARGIN_S)


def _train(shape: LinkShape, seconds: float, sharing: int, ipv6: bool) -> Train:
    """Enough packets for 20 losses (or whatever is rarer), if the time allows, at less than half of the link's rate."""
    line = _serialisation(shape, small_frame(ipv6))
    interval = max(2 * sharing / _PACKETS_PER_S, 2.5 * line)
    rarest = min((share for share in _shares(shape) if 0 < share < 1), default=1.0)
    wanted = int(_WANTED_EVENTS * loss_inflation(shape) / rarest)
    room = max(_MIN_TRAIN, int(seconds / interval))
    return Train(max(_MIN_TRAIN, min(_MAX_TRAIN, wanted, room)), interval, _longest(shape) + _MARGIN_S)


def _bulk(shape: LinkShape) -> Bulk:
    """Enough full frames to keep the link busy through the jitter, sent at twice its rate.

    What is sent at more than the link's rate arrives at the link's rate. Until every frame has a delay over the
    greatest jitter behind it, jitter stretches the train; the estimate takes its second half, so that half must last
    longer than the jitter's spread. A token bucket lets twice its depth pass before it shapes such a train.
    """
    if shape.rate is None:
        return Bulk(
            _MAX_BULK_BYTES // (2 * _MAX_SEGMENTS * FRAME), _MAX_SEGMENTS, 0.0, _longest(shape) + _BULK_MARGIN_S
        )
    line = shape.rate.seconds(FRAME)
    frames = max(_MIN_FRAMES, int((max(_BULK_S, 2.5 * _spread(shape))) / line))
    frames = min(frames, _MAX_BULK_BYTES // FRAME) + 4 * (shape.burst.bytes if shape.burst else 0) // FRAME
    segments = max(1, min(_MAX_SEGMENTS, int(_BURST_S / line)))
    return Bulk(
        -(-frames // segments),
        segments,
        segments * line / _OVERDRIVE,
        _longest(shape) + segments * line + _BULK_MARGIN_S,
    )


def edges_of(plan: NetworkPlan) -> list[Pair]:
    """Every edge once, its lower rank first."""
    return sorted({(min(pair), max(pair)) for pair in plan.edges})


def rounds(
    plan: NetworkPlan, pairs: Iterable[Pair] | None = None, max_parallel: int = MAX_PARALLEL
) -> list[list[Pair]]:
    """Group edges so that those of a group share no node, and thus no link: a proper edge colouring.

    First fit over two orders, the better one wins. Ordered by (a + b) mod n, the edges that follow each other in a
    complete graph are a matching, which gives n rounds; an even ring takes two.
    """
    edges = edges_of(plan) if pairs is None else sorted({(min(pair), max(pair)) for pair in pairs})
    by_sum = sorted(edges, key=lambda pair: (sum(pair) % plan.size, pair))
    return min(_first_fit(by_sum, max_parallel), _first_fit(edges, max_parallel), key=len)


def _first_fit(edges: Iterable[Pair], max_parallel: int) -> list[list[Pair]]:
    groups: list[tuple[list[Pair], set[int]]] = []
    for pair in edges:
        for members, busy in groups:
            if len(members) < max_parallel and busy.isdisjoint(pair):
                break
        else:
            members, busy = [], set()
            groups.append((members, busy))
        members.append(pair)
        busy.update(pair)
    return [members for members, _ in groups]
