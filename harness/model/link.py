"""What one direction of one edge does to packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, Self, get_args

from harness.errors import InputError, ShapeError, quoted
from harness.model.delivery import OVERHEAD, Delivery
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link_field import LinkField, link_field
from harness.model.queueing import Buffer, Queue, parse_buffer
from harness.model.units import ZERO_RATIO, ZERO_TIME, Rate, Ratio, Size, Time, is_whole_number

Pair = tuple[int, int]
"""Source and destination of a directed edge, or the two ends of an undirected one, the smaller first."""
Distribution = Literal["uniform", "normal", "pareto", "paretonormal"]
DISTRIBUTIONS: Final[tuple[str, ...]] = get_args(Distribution)

MAX_TIME: Final = Time(275 * 10**9)
"""The longest delay: netem's tick field, 2**32 ticks of 64 ns."""
MAX_JITTER: Final = Time(2**31 - 1)
"""Netem silently reduces longer jitter to this (net/sched/sch_netem.c, netem_change: tabledist takes 32 bits)."""
MAX_LIMIT: Final = 2**31 - 1
MIN_OVERHEAD: Final = -41
"""The smallest frame still counts as one byte."""
MAX_OVERHEAD: Final = 1000
MAX_BURST: Final = Size(2**31)
"""Half of what tbf's 32-bit fields hold, so that its queue fits on top."""
MAX_BURST_TIME: Final = Time(274 * 10**9)
"""The longest that a burst may take at its rate: tbf's tick field, 2**32 ticks of 64 ns."""


def _parse_jitter(text: str) -> Time | Ratio:
    return Ratio.parse(text) if "%" in text else Time.parse(text)


def _parse_queue(text: str) -> Queue | Time:
    """A discipline; or a time, the buffer, as it was written before there were disciplines."""
    return Time.parse(text) if text[:1].isdigit() else Queue.parse(text)


def _parse_overhead(text: str) -> int:
    if not is_whole_number(text.removeprefix("-")):
        raise InputError(f"{quoted(text)} is not a number of bytes, e.g. 24")
    return int(text)


def _parse_limit(text: str) -> int:
    if not is_whole_number(text):
        raise InputError(f"{quoted(text)} is not a number of packets, or auto")
    return int(text)


@dataclass(frozen=True)
class LinkShape:
    """One direction of one edge. A field that is None or zero does nothing.

    Args:
        rate: serialisation rate on the wire, frame headers included; None is unlimited.
        delay: one-way delay.
        jitter: half-width of a uniform spread around the delay; about the standard deviation for the others.
        distribution: of the jitter, as netem's tables have it.
        loss: share of packets lost at random.
        loss_correlation: lag-1 correlation of losses, made by a Gilbert chain because netem's own does not work.
        gilbert_elliott: loss in bursts, instead of loss.
        duplicate: share of packets sent twice.
        corrupt: share of packets with one flipped bit.
        reorder: share of packets that overtake, i.e. skip the delay.
        limit: most packets in the queue, including those on the delay line; None: sized from rate x delay.
        burst: depth of a token bucket (tbf), which then enforces the rate instead of netem.
        queue: the discipline of the queue in front of the rate; None: droptail. A time in its place is the buffer.
        buffer: how much may wait for the rate, as a time at that rate or in bytes; None: see shaping/shape_branch.py.
        overhead: bytes that the rate counts beside each frame's own, e.g. 24 for Ethernet's preamble, checksum and gap.
        delivery: a packet-delivery trace instead of a rate; only the user-space engine can serve it.
    """

    rate: Rate | None = link_field(Rate, "rate_bit_s", "e.g. 80mbit or 10MB/s; none for no limit.", off="none")
    delay: Time = link_field(Time, "delay_s", "One-way delay, e.g. 120ms.", ZERO_TIME)
    jitter: Time = link_field(
        Time, "jitter_s", "A time, or a share of the delay, e.g. 10%.", ZERO_TIME, parse=_parse_jitter
    )
    distribution: Distribution = link_field(
        str,
        "distribution",
        "Distribution of the jitter: uniform, normal, pareto or paretonormal.",
        "uniform",
        choices=DISTRIBUTIONS,
    )
    loss: Ratio = link_field(Ratio, "loss", "Share of packets lost, e.g. 1%.", ZERO_RATIO)
    loss_correlation: Ratio = link_field(Ratio, "loss_correlation", "Correlation of losses, e.g. 25%.", ZERO_RATIO)
    gilbert_elliott: GilbertElliott | None = link_field(
        GilbertElliott,
        "gilbert_elliott",
        "Loss in bursts: p=1%,r=20%[,loss_bad=90%[,loss_good=0%]], or 1%,20%,90%; none for no bursts.",
        off="none",
        metavar="CHAIN",
    )
    duplicate: Ratio = link_field(Ratio, "duplicate", "Share of packets sent twice.", ZERO_RATIO)
    corrupt: Ratio = link_field(Ratio, "corrupt", "Share of packets with a flipped bit.", ZERO_RATIO)
    reorder: Ratio = link_field(Ratio, "reorder", "Share of packets that skip the delay.", ZERO_RATIO)
    limit: int | None = link_field(
        int, "limit_packets", "Packets in the queue; auto: sized from rate x delay.", off="auto", parse=_parse_limit
    )
    burst: Size | None = link_field(
        Size, "burst_bytes", "Depth of a token bucket, e.g. 64KiB; none for no bucket.", off="none"
    )
    queue: Queue | None = link_field(
        Queue,
        "queue",
        "In front of the rate: codel, fq_codel, red or pie, e.g. codel,target=5ms; none for droptail.",
        off="none",
        metavar="DISCIPLINE",
        parse=_parse_queue,
    )
    buffer: Buffer | None = link_field(
        Buffer, "buffer", "Most that waits for the rate, e.g. 100ms or 64KiB, or auto.", off="auto", parse=parse_buffer
    )
    overhead: int = link_field(
        int,
        "overhead_bytes",
        "Bytes that the rate counts in addition to each frame, e.g. 24.",
        0,
        parse=_parse_overhead,
    )
    delivery: Delivery | None = link_field(
        Delivery,
        "delivery",
        "A packet-delivery trace instead of a rate: FILE[,loop=no][,offset=10s][,speed=2][,scale=50%], or none.",
        off="none",
        metavar="TRACE",
    )

    def __post_init__(self) -> None:
        if isinstance(self.queue, Time):
            object.__setattr__(self, "buffer", self.queue)
            object.__setattr__(self, "queue", None)
        if self.queue is not None and self.queue.kind == "droptail":
            object.__setattr__(self, "queue", None)
        self._check_delay()
        self._check_loss()
        self._check_burst()
        self._check_queue()

    def _check_delay(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ShapeError(f"distribution {quoted(self.distribution)} is unknown; one of {', '.join(DISTRIBUTIONS)}")
        if self.delay.ns < 0 or self.jitter.ns < 0:
            raise ShapeError("delay and jitter cannot be negative")
        if self.delay + self.jitter > MAX_TIME:
            raise ShapeError(f"delay {self.delay} + jitter {self.jitter} is over {MAX_TIME}, the most that netem takes")
        if self.jitter > MAX_JITTER:
            raise ShapeError(f"jitter {self.jitter} is over {MAX_JITTER}, the most that netem takes")
        if self.jitter > self.delay:
            raise ShapeError(
                f"jitter {self.jitter} is over the delay {self.delay}: a packet cannot arrive before it left"
            )
        if self.reorder and not self.delay.ns:
            raise ShapeError("reorder needs a delay: a reordered packet is one that skips it")

    def _check_loss(self) -> None:
        if self.loss and self.gilbert_elliott:
            raise ShapeError("give loss or gilbert_elliott, not both")
        if self.loss_correlation and not self.loss:
            raise ShapeError("loss_correlation needs loss")
        if self.loss_correlation.value == 1:
            raise ShapeError("loss_correlation must be under 100%")

    def _check_burst(self) -> None:
        if self.burst is None:
            return
        if self.rate is None:
            raise ShapeError("burst needs a rate")
        if self.burst.bytes < 1:
            raise ShapeError("burst 0B lets no packet pass; give at least one packet's size, e.g. 1600B")
        if self.burst.bytes > MAX_BURST.bytes:
            raise ShapeError(f"burst {self.burst} is over {MAX_BURST}, the most that tbf takes")
        if self.rate.seconds(self.burst.bytes) > MAX_BURST_TIME.seconds:
            raise ShapeError(f"burst {self.burst} takes over {MAX_BURST_TIME} at {self.rate}, the most that tbf takes")

    def _check_queue(self) -> None:
        if self.limit is not None and not 1 <= self.limit <= MAX_LIMIT:
            raise ShapeError(f"limit {self.limit} is not between 1 and {MAX_LIMIT} packets")
        for name in ("queue", "buffer", "overhead"):
            if getattr(self, name) and self.rate is None and (self.delivery is None or name == "overhead"):
                raise ShapeError(f"{name} needs a rate: it applies to packets that wait for the rate")
        if self.delivery is not None and self.rate is not None:
            raise ShapeError("give rate or delivery, not both")
        if self.delivery is not None and self.limit is not None:
            raise ShapeError("limit needs a rate; with delivery give buffer")
        if self.limit is not None and (self.queue or self.buffer) and self.burst is None:
            raise ShapeError(f"give limit or {'queue' if self.queue else 'buffer'}, not both")
        if not MIN_OVERHEAD <= self.overhead <= MAX_OVERHEAD:
            raise ShapeError(f"overhead {self.overhead} is not between {MIN_OVERHEAD} and {MAX_OVERHEAD} bytes")

    @classmethod
    def unchecked(cls, **values: Any) -> Self:
        """A shape whose fields may contradict each other: what the kernel reports after a change by tc."""
        shape = object.__new__(cls)
        vars(shape).update(vars(UNSHAPED), **values)
        return shape

    @property
    def is_unshaped(self) -> bool:
        """Whether packets pass as if there were no shape."""
        return all(getattr(self, name) == off for name, off in _OFF.items())

    @property
    def loss_chain(self) -> GilbertElliott | None:
        """The two-state chain that makes the loss, or None where losses are independent."""
        if self.gilbert_elliott is None and self.loss_correlation:
            return GilbertElliott.from_correlation(self.loss, self.loss_correlation)
        return self.gilbert_elliott

    @property
    def mean_rate(self) -> Rate | None:
        """The rate in the long run, of bytes with ``counted_overhead``; None: no limit."""
        return self.delivery.mean_rate if self.delivery else self.rate

    @property
    def counted_overhead(self) -> int:
        """Bytes that the mean rate counts beside each frame's own."""
        return OVERHEAD if self.delivery else self.overhead

    @property
    def burst_bytes(self) -> int:
        """The most bytes that pass at once beyond the mean rate: of a token bucket, or of a trace."""
        if self.delivery is not None:
            return self.delivery.burst_bytes
        return self.burst.bytes if self.burst else 0

    @property
    def mean_loss(self) -> float:
        """Share of packets lost in the long run.

        Netem sends a packet once that it draws both as lost and as duplicate (netem_enqueue).
        """
        lost = self.gilbert_elliott.mean_loss if self.gilbert_elliott else float(self.loss)
        return lost * (1 - float(self.duplicate))

    def waiting_seconds(self, queued_bytes: int) -> float:
        """How many seconds beyond the delay that many queued bytes wait for the rate.

        A full delay line holds delay x rate. 0 without a rate, or where tbf enforces it.
        """
        if self.rate is None or self.burst is not None:
            return 0.0
        return max(0.0, self.rate.seconds(queued_bytes) - self.delay.seconds)

    def changed(self, **changes: Any) -> LinkShape:
        """A copy with these fields replaced. Raises ShapeError where fields contradict each other."""
        return replace(self, **changes)

    @property
    def effects(self) -> dict[str, Any]:
        """The fields that do something, by name."""
        found = {name: value for name, value in vars(self).items() if value not in (None, ZERO_TIME, ZERO_RATIO, 0)}
        if not self.jitter.ns or self.distribution == "uniform":
            del found["distribution"]
        return found

    def describe(self) -> str:
        """The shape in tc's words, e.g. ``rate 80Mbit delay 20ms jitter 2ms loss 0.1%``."""
        return " ".join(f"{name} {value}" for name, value in self.effects.items()) or "unshaped"

    def to_json(self) -> dict[str, Any]:
        """Every field in SI units: bit/s, seconds, shares, packets, bytes."""
        values = vars(self)
        return {one.json: one.to_json(values[name]) for name, one in LINK_FIELDS.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, checked: bool = True) -> Self:
        """The exact inverse of to_json. Fields may contradict each other where not checked."""
        make = cls if checked else cls.unchecked
        values = _ABSENT | dict(data)
        return make(**{name: one.from_json(values[one.json]) for name, one in LINK_FIELDS.items()})


LINK_FIELDS: Final[Mapping[str, LinkField]] = {each.name: each.metadata["link"] for each in fields(LinkShape)}
"""The declarations of a link's fields, by name."""
UNSHAPED: Final = LinkShape()
_OFF: Final = {name: value for name, value in vars(UNSHAPED).items() if name != "distribution"}
"""Values that do nothing. Without jitter, any distribution does nothing."""
_ABSENT: Final = {key: value for key, value in UNSHAPED.to_json().items() if key != "delay_s"}
"""Of fields that JSON lacks because it was written before they existed. What has no delay describes no link."""
