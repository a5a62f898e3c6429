"""The samples that probes take. Pure values.

Times are in seconds, shares between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, int]
"""An arrival in seconds, and the bytes on the wire so far."""


@dataclass(frozen=True)
class EchoSample:
    """One packet's delays there and back, in seconds, without the time that the far end took to return it."""

    forward: float
    backward: float

    @property
    def round_trip(self) -> float:
        """Both ways together."""
        return self.forward + self.backward


@dataclass(frozen=True)
class TrainCount:
    """What arrived of a train of small packets; duplicates are not counted as received.

    Overtakers are packets that arrived before one that was sent before them.
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
        points: (arrival in s, bytes on the wire so far) of reads whose time of arrival is known.
        busiest_cpu: share of the time for which the busiest CPU was busy meanwhile.
        ends: the first and the last read as points, by the time of the read where that of the arrival is not known.
    """

    sent_bytes: int
    sent_s: float
    received_bytes: int
    points: tuple[Point, ...]
    busiest_cpu: float = 0.0
    ends: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Direction:
    """What was measured one way; None where it was not.

    The steps in left_out were not tried, because the link is too slow for a result in the time that was given.
    """

    train: TrainCount | None = None
    bulk: BulkSample | None = None
    left_out: tuple[Literal["train", "bulk"], ...] = ()


@dataclass(frozen=True)
class EdgeMeasurement:
    """What was measured over one edge: forward is from the first of its pair to the second.

    How much the machine itself adds to a delay was measured beside it: ``timers_late`` is by how much the sender's
    sleeps ended too late (a qdisc's delay ends by a timer, too), ``local_delays`` how long a packet takes from a node
    to itself; both in seconds. ``echo_left_out``: see Direction.left_out.
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
    """What came through a shared capacity from all its senders at once.

    Args:
        samples: of each flow.
        timers_late: by how much the senders' sleeps ended too late, in seconds.
        busiest_cpu: share of the time for which the busiest CPU was busy.
    """

    samples: tuple[BulkSample, ...]
    timers_late: tuple[float, ...] = ()
    busiest_cpu: float = 0.0
