"""The samples that probes take, as values. Times are in seconds, shares between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, int]
"""A time of arrival, and the bytes on the wire until then."""


@dataclass(frozen=True)
class EchoSample:
    """One packet's delays there and back, without the time that the far end took to return it."""

    forward: float
    backward: float

    @property
    def round_trip(self) -> float:
        """Both ways together."""
        return self.forward + self.backward


@dataclass(frozen=True)
class TrainCount:
    """What arrived of a train of small packets: received without duplicates, duplicates, and overtakers.

    Overtakers arrived before a packet that was sent earlier.
    """

    sent: int
    received: int
    duplicates: int = 0
    overtakers: int = 0

    @property
    def loss(self) -> float:
        """Share of packets that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 0.0


@dataclass(frozen=True)
class BulkSample:
    """A train of full frames as it left and as it arrived.

    Args:
        sent_bytes: on the wire.
        sent_s: how long it took to hand them to the kernel.
        received_bytes: on the wire.
        points: of reads whose time of arrival is known.
        busiest_cpu: share of the time for which the busiest CPU was busy.
        ends: the first and the last read, at the time of the read.
    """

    sent_bytes: int
    sent_s: float
    received_bytes: int
    points: tuple[Point, ...]
    busiest_cpu: float = 0.0
    ends: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Direction:
    """The measurements of one direction; None: not measured.

    The steps in left_out were not tried, because the link is too slow for a result in the given time.
    """

    train: TrainCount | None = None
    bulk: BulkSample | None = None
    left_out: tuple[Literal["train", "bulk"], ...] = ()


@dataclass(frozen=True)
class EdgeMeasurement:
    """The measurements of one edge: forward is from the first of its pair to the second.

    Two of them show what the machine itself adds to a delay: ``timers_late``, by how much the sender's sleeps ended too
    late (a qdisc's delay ends by a timer, too), and ``local_delays``, of packets from a node to itself.
    ``echo_left_out``: see Direction.left_out.
    """

    pair: tuple[int, int]
    echoes_sent: int = 0
    echoes: tuple[EchoSample, ...] = ()
    timers_late: tuple[float, ...] = ()
    local_delays: tuple[float, ...] = ()
    forward: Direction = Direction()
    backward: Direction = Direction()
    ipv6: bool = False
    echo_left_out: bool = False


@dataclass(frozen=True)
class LoadMeasurement:
    """What arrived through a shared capacity from all its senders at once.

    Args:
        samples: of each flow.
        timers_late: by how much the senders' sleeps ended too late.
        busiest_cpu: share of the time for which the busiest CPU was busy.
    """

    samples: tuple[BulkSample, ...]
    timers_late: tuple[float, ...] = ()
    busiest_cpu: float = 0.0
