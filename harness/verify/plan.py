"""What to send over each edge to measure it. Pure.

An edge is measured in three steps. An *echo* exchange measures the one-way delay of both directions and the round trip;
a *train* of small packets each way, the loss; a *bulk* train of full frames each way, the rate.

An edge takes at most 6 times its seconds, plus the delays: 3 for the echo, 1 for the trains, 1 for the bulk train of
each direction. So slow links get fewer packets, and hence wider intervals; a step that could not send enough packets
for a result is left out.
"""

from __future__ import annotations

from typing import Final

from harness.errors import InputError
from harness.model.address import FRAME
from harness.model.distribution import jitter_form
from harness.model.link import LinkShape, Pair
from harness.model.queueing import Queue, buffer_bytes
from harness.verify.binomial import loss_inflation
from harness.verify.edge_probe import OVERDRIVE, Bulk, Echo, EdgeProbe, Train
from harness.verify.node.packet import small_frame

SECONDS: Final = 5.0
"""For one edge, by default; more time means more packets, hence narrower intervals."""
MIN_SECONDS: Final = 1.0
MAX_SECONDS: Final = 86_400.0

_MIN_ECHOES, _MAX_ECHOES = 20, 300
_FEWEST_ECHOES: Final = 5
"""A stall moves the median of 5 only where 3 of them are delayed."""
_MIN_INTERVAL_S: Final = 0.005
_PACKETS_PER_S: Final = 20_000
"""Small packets per second that the machine may send in all; 2 cores can carry twice that."""
_MIN_TRAIN, _MAX_TRAIN = 200, 100_000
_FEWEST_SMALL: Final = 20
"""Packets of a train. With 20, a loss of 14 % on a link that should lose none shows 19 times in 20."""
_WANTED_EVENTS: Final = 20
_MARGIN_S: Final = 0.5
"""How late a busy machine may be."""
_BULK_MARGIN_S: Final = 0.2
"""The same for a bulk train: shorter, because fast trains take turns, and missing its end does no harm."""
_MIN_FRAMES: Final = 60
_FEWEST_FRAMES: Final = 12
"""The rate comes from the second half, of which 5 must arrive."""
_MOST_ECHO, _MOST_TRAIN, _MOST_BULK = 3.0, 1.0, 1.0
"""A step may take this many times the edge's seconds, plus the delays."""
_BULK_S: Final = 0.5
"""How long a bulk train keeps the link busy, unless jitter needs longer."""
_MAX_BULK_BYTES: Final = 64 << 20
_BURST_S: Final = 0.004
_MAX_SUPER_PACKET: Final = 43 * FRAME
"""Bytes of full frames that fit a UDP super-packet of 64 KiB."""
_MANAGED_OVERDRIVE: Final = 1.15
"""The overdrive where a discipline keeps the queue short: at more, its drops may leave the queue empty."""
_MANAGED_BURST_S: Final = 0.001
_BURSTS_THAT_WAIT: Final = 4
"""How many bursts of a bulk train must find room in the queue at once."""


def spread_of(shape: LinkShape) -> float:
    """The longest delay minus the shortest, in seconds."""
    return jitter_form(shape).span * shape.jitter.seconds if shape.jitter.ns else 0.0


def longest_delay(shape: LinkShape) -> float:
    """The longest one-way delay of a lone packet, in seconds."""
    return shape.delay.seconds + max(0.0, jitter_form(shape).high) * shape.jitter.seconds


def _shares(shape: LinkShape) -> tuple[float, ...]:
    """The shares of packets to be lost, duplicated, reordered or corrupted."""
    return shape.mean_loss, float(shape.duplicate), float(shape.reorder), float(shape.corrupt)


def _serialisation(shape: LinkShape, wire_bytes: int) -> float:
    """Seconds that the link's rate takes for a packet."""
    return shape.rate.seconds(max(0, wire_bytes + shape.overhead)) if shape.rate else 0.0


def checked_seconds(seconds: float) -> float:
    """The time for one edge, if it is in range. Raises InputError."""
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:  # true for nan, too
        raise InputError(f"--seconds {seconds:g}: use {MIN_SECONDS:g} to {MAX_SECONDS:g}, the time for one edge")
    return seconds


def enough_seconds(forward: LinkShape, backward: LinkShape, *, ipv6: bool, frame: int = FRAME) -> float:
    """The seconds in which every quantity of an edge can be measured: a power of two, or MAX_SECONDS."""
    seconds = MIN_SECONDS
    while seconds < MAX_SECONDS:
        probe = probe_for((0, 1), forward, backward, seconds=seconds, sharing=1, ipv6=ipv6, frame=frame)
        if all((probe.echo, probe.forward_train, probe.backward_train, probe.forward_bulk, probe.backward_bulk)):
            break
        seconds *= 2
    return min(seconds, MAX_SECONDS)


def probe_for(
    pair: Pair,
    forward: LinkShape,
    backward: LinkShape,
    *,
    seconds: float,
    sharing: int,
    ipv6: bool,
    frame: int = FRAME,
) -> EdgeProbe:
    """What to send over one edge.

    Args:
        pair: its ranks.
        forward: the shape from the first to the second, as a lone flow meets it (caps.met_alone).
        backward: the shape of the opposite direction.
        seconds: for the edge: 60 % for the echo, 40 % for the trains. Where the jitter is large or the link slow, the
            least number of packets takes up to 6 times that, plus the delays.
        sharing: how many edges are measured at once.
        ipv6: whether the packets are IPv6.
        frame: bytes of a full frame.
    """
    up = forward.mean_loss < 1 and backward.mean_loss < 1
    return EdgeProbe(
        pair,
        _echo(forward, backward, seconds, ipv6) if up else None,
        _train(forward, seconds, sharing, ipv6),
        _train(backward, seconds, sharing, ipv6),
        _bulk(forward, seconds, frame) if forward.mean_loss < 1 else None,
        _bulk(backward, seconds, frame) if backward.mean_loss < 1 else None,
    )


def _echo(forward: LinkShape, backward: LinkShape, seconds: float, ipv6: bool) -> Echo | None:
    """Packets so far apart that hardly one waits for the one before.

    With a rate netem keeps packets in order: a packet with a long delay holds up the next, which would lengthen the
    mean and narrow the spread. Packets further apart than the sum of both directions' spreads cannot meet; at 3/4 of
    that, 1 packet in 400 waits.
    """
    serialisation = _serialisation(forward, small_frame(ipv6)) + _serialisation(backward, small_frame(ipv6))
    spread = spread_of(forward) + spread_of(backward)
    interval = max(_MIN_INTERVAL_S, 0.75 * spread + 1.5 * serialisation)
    wanted = max(_MIN_ECHOES, min(_MAX_ECHOES, int(0.6 * seconds / interval)))
    count = min(wanted, int((_MOST_ECHO * seconds + 2 * spread) / interval))
    if count < _FEWEST_ECHOES:
        return None
    return Echo(count, interval, longest_delay(forward) + longest_delay(backward) + serialisation + _MARGIN_S)


def _train(shape: LinkShape, seconds: float, sharing: int, ipv6: bool) -> Train | None:
    """Packets for 20 of the rarest events (loss, ...), if the time allows, at less than half of the link's rate."""
    serialisation = _serialisation(shape, small_frame(ipv6))
    interval = max(2 * sharing / _PACKETS_PER_S, 2.5 * serialisation)
    rarest = min((share for share in _shares(shape) if 0 < share < 1), default=1.0)
    wanted = int(_WANTED_EVENTS * loss_inflation(shape) / rarest)
    wished = max(_MIN_TRAIN, min(_MAX_TRAIN, wanted, int(0.4 * seconds / interval)))
    count = min(wished, int(_MOST_TRAIN * seconds / interval))
    return Train(count, interval, longest_delay(shape) + _MARGIN_S) if count >= _FEWEST_SMALL else None


def _bulk(shape: LinkShape, seconds: float, frame: int) -> Bulk | None:
    """Full frames at twice the link's rate, which then arrive at the link's rate. None where they take too long.

    Jitter stretches the beginning of the train; the estimate uses its second half, which must last longer than the
    jitter's spread. A token bucket passes twice its depth before it limits such a train.
    """
    if shape.rate is None:
        segments = most_segments(frame)
        return Bulk(
            _MAX_BULK_BYTES // (2 * segments * frame), segments, 0.0, longest_delay(shape) + _BULK_MARGIN_S, frame=frame
        )
    per_frame = _serialisation(shape, frame)
    jitter = int(2.5 * spread_of(shape) / per_frame)
    bucket = 4 * (shape.burst.bytes if shape.burst else 0) // frame
    room = int(_MOST_BULK * seconds / per_frame) + jitter - bucket
    if room < max(_FEWEST_FRAMES, jitter):
        return None
    frames = min(max(_MIN_FRAMES, int(_BULK_S / per_frame), jitter), _MAX_BULK_BYTES // frame, room) + bucket
    overdrive = overdrive_of(shape.queue)
    segments = burst_segments(shape, frame)
    return Bulk(
        -(-frames // segments),
        segments,
        segments * per_frame / overdrive,
        longest_delay(shape) + segments * per_frame + _BULK_MARGIN_S,
        overdrive,
        frame,
    )


def most_segments(frame: int) -> int:
    """The most full frames of a burst."""
    return _MAX_SUPER_PACKET // frame


def overdrive_of(queue: Queue | None) -> float:
    """The overdrive that keeps such a queue busy."""
    return _MANAGED_OVERDRIVE if queue and queue.kind != "droptail" else OVERDRIVE


def burst_segments(shape: LinkShape, frame: int) -> int:
    """Full frames in a burst: some milliseconds' worth, but several bursts must fit the link's queue."""
    segments = int((_MANAGED_BURST_S if shape.queue else _BURST_S) / _serialisation(shape, frame))
    if shape.buffer is not None and shape.rate is not None:
        segments = min(segments, buffer_bytes(shape.buffer, shape.rate) // (_BURSTS_THAT_WAIT * frame))
    return max(1, min(most_segments(frame), segments))
