"""Converts a link's shape into a branch of the qdisc tree, and back."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from functools import lru_cache
from typing import Final

from harness.model.address import FRAME, MTU, SMALLEST_FRAME, full_frame
from harness.model.capacity import DROPTAIL
from harness.model.delivery import Delivery
from harness.model.distribution import highest
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LinkShape
from harness.model.node_plan import Port
from harness.model.queueing import Queue, buffer_bytes
from harness.model.units import ZERO_RATIO, Rate, Ratio, Size, Time
from harness.shaping.qdisc import MAX_AUTO_LIMIT, UNLIMITED, Branch, Netem, Tbf

MIN_QUEUE: Final = 32
"""Full frames that may wait for a rate, however low it is."""
MIN_LIMIT: Final = 1000
"""Packets of a queue without a rate: netem's own default."""
MAX_PACKETS_PER_S: Final = 1_000_000
"""More than the sockets of one machine send; delay lines without a rate are sized for it."""
MIN_QUEUEING: Final = Time(50 * 10**6)
AQM_FRAMES: Final = 1000
"""Default buffer of disciplines other than droptail, in full frames: tc's for codel."""
TBF_QUEUEING: Final = Time(50 * 10**6)
"""How long a packet may wait for tokens by default (tbf's latency)."""


def branch_of(port: Port, seed: int, mtu: int = MTU) -> Branch:
    """The branch that makes the shape of a port's edge."""
    shape = port.edge.effective
    tbf = tbf_of(shape, full_frame(mtu))
    waiting = waiting_bytes(shape, full_frame(mtu))
    return Branch(port.neighbour, netem_of(port, seed), tbf, shape.queue, waiting, mtu=mtu, delivery=shape.delivery)


def needs_bucket(shape: LinkShape) -> bool:
    """Whether tbf makes the rate: netem has no burst, counts its queue in packets, and does not drop early."""
    return shape.burst is not None or shape.buffer is not None or shape.queue is not None


def netem_of(port: Port, seed: int) -> Netem:
    """The netem for a port's edge, with its rate unless a tbf makes that."""
    shape = port.edge.effective
    rate = None if needs_bucket(shape) else shape.rate
    chain = None
    if model := shape.loss_chain:
        survives = Ratio(1 - model.loss_bad.value)
        chain = (model.p.u32, model.r.u32, survives.u32, model.loss_good.u32)
    return Netem(
        delay_ns=shape.delay.ns,
        jitter_ns=shape.jitter.ns,
        limit=queue_limit(shape),
        queue_bytes=queue_bytes(shape),
        queue_packets=queue_packets(shape),
        loss=0 if chain else shape.loss.u32,
        chain=chain,
        duplicate=shape.duplicate.u32,
        corrupt=shape.corrupt.u32,
        reorder=shape.reorder.u32,
        gap=1 if shape.reorder else 0,
        rate_byte_s=rate.byte_s if rate else 0,
        overhead=shape.overhead if rate else 0,
        distribution=shape.distribution,
        seed=edge_seed(seed, port.edge.src, port.edge.dst),
    )


def tbf_of(shape: LinkShape, frame: int = FRAME) -> Tbf | None:
    """The token bucket of a shape with a burst, a buffer or a discipline.

    Args:
        shape: of the link.
        frame: bytes of a full frame, for which the bucket must have room.
    """
    if shape.rate is None or not needs_bucket(shape):
        return None
    burst = max(shape.burst.bytes, frame) if shape.burst else automatic_burst(shape.rate.byte_s, frame)
    limit = waiting_bytes(shape, frame) or default_limit(shape.rate.byte_s, burst)
    return Tbf(shape.rate.byte_s, burst, min(limit, 2**32 - 1), shape.overhead)


def automatic_burst(rate_byte_s: int, frame: int) -> int:
    """Default depth of a bucket: what is sent in a millisecond, by which a timer may be late."""
    return max(2 * frame, rate_byte_s // 1000)


def default_limit(rate_byte_s: int, burst: int) -> int:
    """Bytes that may wait for a bucket of a shape with a burst, but without a buffer: tc's for a latency of 50 ms."""
    return burst + max(buffer_bytes(TBF_QUEUEING, Rate(8 * rate_byte_s)), MIN_QUEUE * FRAME)


def has_automatic_burst(tbf: Tbf, frame: int) -> bool:
    """Whether a bucket has the default depth. The kernel reports the depth in ticks of 64 ns at the rate."""
    tick = math.ceil(tbf.rate_byte_s * 128e-9) + 1
    return abs(tbf.burst - automatic_burst(tbf.rate_byte_s, frame)) <= tick


def with_queue_of_leaf(branch: Branch) -> Branch:
    """A branch read from the kernel, completed by ``queue`` and ``buffer_bytes``, which follow from tbf and leaf.

    A tbf without a leaf has a bfifo of its own with the tbf's limit, which may be default_limit.
    """
    tbf, leaf = branch.tbf, branch.leaf
    if tbf is None or tbf.passes:
        return branch
    if leaf is not None and leaf.queue != DROPTAIL:
        return replace(branch, queue=leaf.queue, buffer_bytes=leaf.limit)
    tick = math.ceil(tbf.rate_byte_s * 128e-9) + 1
    automatic = abs(tbf.limit - default_limit(tbf.rate_byte_s, tbf.burst)) <= tick
    return replace(branch, buffer_bytes=0 if automatic else tbf.limit)


def waiting_bytes(shape: LinkShape, frame: int = FRAME) -> int:
    """Bytes that may wait for the rate of a shape with a buffer or a discipline, or for a trace; else 0."""
    if shape.mean_rate is None:
        return 0
    if shape.buffer is not None:
        return max(buffer_bytes(shape.buffer, shape.mean_rate), frame)
    if shape.delivery is not None:
        return trace_buffer(shape.delivery, shape.delay, shape.queue)
    return _automatic_buffer(shape.mean_rate, shape.delay) if shape.queue else 0


def trace_buffer(delivery: Delivery, delay: Time, queue: Queue | None) -> int:
    """Default buffer of a trace, bytes: that of its highest rate, so that one TCP flow can use that."""
    return (_automatic_buffer if queue else _delay_product)(delivery.peak_rate, delay)


def _automatic_buffer(rate: Rate, delay: Time) -> int:
    """Default buffer of disciplines other than droptail, bytes."""
    return max(_delay_product(rate, delay), AQM_FRAMES * FRAME)


def queue_bytes(shape: LinkShape) -> int:
    """Bytes that may wait for netem's rate; 0 without a rate, or with the user's own limit.

    One bandwidth-delay product of the round trip over this edge (2 x delay), at least 50 ms and 32 full frames: the
    classical rule that lets one TCP flow fill the link (Villamizar and Song 1994).
    """
    if shape.rate is None or shape.limit is not None or needs_bucket(shape):
        return 0
    return _delay_product(shape.rate, shape.delay)


def _delay_product(rate: Rate, delay: Time) -> int:
    seconds = max(2 * delay.ns, MIN_QUEUEING.ns) / 1e9
    return max(math.ceil(min(rate, UNLIMITED).bit_s * seconds / 8), MIN_QUEUE * FRAME)


def queue_packets(shape: LinkShape) -> int:
    """Packets that may wait for the rate in the kernel: queue_bytes in full frames, and what jitter bunches up.

    A link with a rate does not reorder: a packet that jitter delays long delays those behind it, so packets sent within
    the span of the jitter (twice its value) reach the queue together, in the smallest frames at worst.
    """
    if not (waiting := queue_bytes(shape)) or shape.rate is None:
        return 0
    return math.ceil(waiting / FRAME) + _smallest_frames(shape.rate, 2 * shape.jitter.ns / 1e9)


def queue_limit(shape: LinkShape) -> int:
    """Packets that fit on the delay line and in the queue behind it.

    No packet in flight may be dropped, whatever its size: with a rate there are at most rate x (delay + the largest
    jitter) / SMALLEST_FRAME. A token bucket comes after the delay, so it does not limit the packets in flight.
    """
    if shape.limit is not None:
        return shape.limit
    longest = (shape.delay.ns + highest(shape.distribution) * shape.jitter.ns) / 1e9
    rate = shape.rate if shape.rate and not needs_bucket(shape) else UNLIMITED
    packets = _smallest_frames(rate, longest) + queue_packets(shape)
    return min(max(packets, MIN_QUEUE if shape.rate else MIN_LIMIT), MAX_AUTO_LIMIT)


def _smallest_frames(rate: Rate, seconds: float) -> int:
    return math.ceil(min(rate.bit_s / (8 * SMALLEST_FRAME), MAX_PACKETS_PER_S) * seconds)


@lru_cache(8192)
def edge_seed(seed: int, src: int, dst: int) -> int:
    """A 64-bit seed of netem's random numbers, different for every direction of every edge."""
    return int.from_bytes(hashlib.sha256(f"netem {seed} {src} {dst}".encode()).digest()[:8], "little")


@lru_cache(8192)
def shape_of(branch: Branch, mtu: int = MTU) -> LinkShape:
    """The link shape that a branch makes, for showing what the kernel reports."""
    netem, tbf = branch.netem, None if branch.tbf and branch.tbf.passes else branch.tbf
    rate_byte_s, overhead = (tbf.rate_byte_s, tbf.overhead) if tbf else (netem.rate_byte_s, netem.overhead)
    buffer, burst = branch.buffer_bytes, Size(tbf.burst) if tbf else None
    if tbf and buffer and has_automatic_burst(tbf, full_frame(mtu)):
        burst = None
    delay, trace = Time(netem.delay_ns), branch.delivery
    if branch.queue and buffer == _automatic_buffer(Rate(8 * rate_byte_s), delay):
        buffer = 0
    if trace and buffer == trace_buffer(trace, delay, branch.queue):
        buffer = 0
    chain = None
    if netem.chain:
        p, r, survive, loss_good = (Ratio.from_u32(raw) for raw in netem.chain)
        chain = GilbertElliott(p, r, Ratio(1 - survive.value), loss_good)
    return LinkShape.unchecked(
        rate=Rate(8 * rate_byte_s) if rate_byte_s else None,
        delay=delay,
        jitter=Time(netem.jitter_ns),
        distribution=netem.distribution,
        loss=ZERO_RATIO if chain else Ratio.from_u32(netem.loss),
        gilbert_elliott=chain,
        duplicate=Ratio.from_u32(netem.duplicate),
        corrupt=Ratio.from_u32(netem.corrupt),
        reorder=Ratio.from_u32(netem.reorder),
        limit=netem.limit,
        burst=burst,
        queue=branch.queue,
        buffer=Size(buffer) if buffer else None,
        overhead=overhead,
        delivery=trace,
    )
