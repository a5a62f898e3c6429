"""The records of a run's network: counters, TCP connections, changes and cross traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.model.capacity import Capacity
from harness.model.link import LinkShape, Pair


class EdgeCount(NamedTuple):
    """The counters of one directed edge since the network was made, and its present backlog."""

    sent_packets: int
    sent_bytes: int
    dropped: int
    backlog_bytes: int
    backlog_packets: int


@dataclass(frozen=True)
class LinkSample:
    """Counters at one time; ``tcp``: (segments sent, segments retransmitted) by rank, counted separately.

    Where nodes sample on their own, edges that were not read at this time are missing. Every attempt of a run has a
    network of its own, whose counters begin at 0.
    """

    time: float
    edges: Mapping[Pair, EdgeCount]
    tcp: Mapping[int, tuple[int, int]]
    attempt: int = 1
    caps: Mapping[str, EdgeCount] = field(default_factory=dict)
    """Shared capacities by name: ``uplink 2``, ``downlink 2``, ``trunk eu->us``."""


class FlowSample(NamedTuple):
    """The state of the sender's TCP of one flow at one time (the kernel's struct tcp_info).

    Args:
        time: seconds since the epoch.
        cwnd: congestion window, in segments.
        rtt: smoothed round trip, in seconds.
        retransmits: segments sent again, in total.
        delivery_rate: in bit/s, the last that TCP measured.
        acked_bytes: in total.
        busy: seconds with data to send or unacknowledged, in total.
        rwnd_limited: seconds for which the receiver's window held it back, in total.
    """

    time: float
    cwnd: int
    rtt: float
    retransmits: int
    delivery_rate: float
    acked_bytes: int
    busy: float
    rwnd_limited: float


@dataclass(frozen=True)
class FlowRecord:
    """One direction of one TCP connection between nodes, seen from its sender.

    Args:
        id: unique with `attempt` and `src`.
        attempt: of the run.
        src: rank that sends.
        dst: rank that receives.
        src_port: of the sender.
        dst_port: of the receiver.
        congestion_control: by the kernel's name: ``cubic``.
        mss: largest segment, in bytes.
        samples: by time; there is none while nothing changes.
        ended: when it was closed, seconds since the epoch; None where it was open at the end.
    """

    id: int
    attempt: int
    src: int
    dst: int
    src_port: int
    dst_port: int
    congestion_control: str
    mss: int
    samples: Sequence[FlowSample] = ()
    ended: float | None = None


@dataclass(frozen=True)
class RecordedChange:
    """A reshape of links, nodes' limits or trunks while the run went on.

    Args:
        asked: when the command began to change them.
        acknowledged: when every node had read back its new settings.
        edges: the changes of edges in words: ``0->1: delay 20ms -> 120ms``.
        rates: of the changed edges after it, in bit/s; None: without limit, or down.
        limits: the changes of nodes and trunks in words: ``node 2: uplink 20 Mbit/s → 5 Mbit/s``.
        caps: the changed capacities after it, by name as in LinkSample; None: without limit.
        shapes: of the changed edges after it, where the record is valid.
    """

    asked: float
    acknowledged: float
    edges: tuple[str, ...]
    rates: Mapping[Pair, float | None] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    caps: Mapping[str, Capacity | None] = field(default_factory=dict)
    shapes: Mapping[Pair, LinkShape] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that changed."""
        return (*self.edges, *self.limits)


class LoadSample(NamedTuple):
    """The totals of a load of cross traffic since it began, at one time."""

    time: float
    received_bytes: int
    lost_packets: int


@dataclass(frozen=True)
class RecordedLoad:
    """A load of cross traffic (harness traffic) that ran beside the run.

    Args:
        src: rank that sends.
        dst: rank that receives.
        what: in words: ``UDP at 30 Mbit/s``.
        path: the directed edges that it crosses.
        port: of the receiver.
        samples: by time; at least one.
        ended: when it was stopped, seconds since the epoch; None where it outlived the run.
    """

    src: int
    dst: int
    what: str
    path: tuple[Pair, ...]
    port: int
    samples: tuple[LoadSample, ...]
    ended: float | None = None

    @property
    def began(self) -> float:
        """When it was first seen in this run, seconds since the epoch."""
        return self.samples[0].time

    @property
    def bit_s(self) -> float:
        """The mean rate at which it arrived, between the first sample and the last."""
        first, last = self.samples[0], self.samples[-1]
        seconds = last.time - first.time
        return 8 * (last.received_bytes - first.received_bytes) / seconds if seconds > 0 else 0.0
