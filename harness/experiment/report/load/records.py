"""The records of a folder of runs. Field names and units are those of docs/runs.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from harness.experiment.recorded import UNFINISHED
from harness.model.capacity import Capacity
from harness.model.format import format_number, format_share
from harness.model.link import LinkShape, Pair
from harness.model.plan import NetworkPlan

HAD_TIME: Final = ("finished", "limit")
"""Statuses of runs that used their full time."""


@dataclass(frozen=True)
class Note:
    """Something odd in a file.

    Args:
        where: the file, and the line where there is one: ``wan.ring.ddp.seed0/rank-1.jsonl:17``.
        what: what is odd, and what the report makes of it.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Target:
    """The target of a run: a loss of at most `value`, an accuracy of at least `value`, or the end of a command."""

    kind: Literal["loss", "accuracy", "end"]
    value: float = 0.0

    def __str__(self) -> str:
        """As people read it: ``loss 0.4``, ``accuracy 90 %``, ``the end``."""
        if self.kind == "end":
            return "the end"
        return (
            f"accuracy {format_share(self.value)}" if self.kind == "accuracy" else f"loss {format_number(self.value)}"
        )

    def met(self, loss: float, accuracy: float | None) -> bool:
        """Whether these means over ranks have reached it; no loss and no accuracy is the end of a command."""
        if self.kind == "end":
            return False
        if self.kind == "accuracy":
            return accuracy is not None and accuracy >= self.value
        return loss <= self.value


@dataclass(frozen=True)
class RecordedStep:
    """One step of one rank; `seconds_comm` is what it waited for communication."""

    step: int
    time: float
    elapsed: float
    loss: float
    seconds: float
    seconds_compute: float
    seconds_comm: float
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True)
class Eval:
    """One rank's model on the whole held-out set."""

    step: int
    time: float
    elapsed: float
    loss: float
    accuracy: float | None


@dataclass(frozen=True)
class Ops:
    """How often a collective ran, and the bytes of its input tensors in all."""

    count: int
    bytes: int


@dataclass(frozen=True)
class Collectives:
    """What torch's flight recorder counted between two readings.

    Args:
        step: the last one that is in it.
        ops: per collective, as torch names it.
        missed: collectives that the recorder overwrote before they were read.
    """

    step: int
    ops: Mapping[str, Ops]
    missed: int = 0


class TimedCollective(NamedTuple):
    """One collective of one rank.

    Args:
        op: as torch names it: ``all_reduce``.
        start: when the rank called it, seconds since the epoch.
        seconds: until it was complete on this rank; None where it cannot be timed.
        bytes: of its input tensors.
        ranks: how many take part.
        group: the process group's name.
        step: in which it ran; None where nothing says it.
    """

    op: str
    start: float
    seconds: float | None
    bytes: int
    ranks: int
    group: str
    step: int | None = None


@dataclass(frozen=True)
class Logged:
    """What a script logged at one time with `harness.log`, e.g. ``loss`` and ``accuracy``, by name."""

    time: float
    step: int | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Rank:
    """What one rank recorded, without the lines that a resumed attempt made void.

    Args:
        rank: which.
        steps: by step, ascending.
        evals: by step, ascending.
        collectives: by step, ascending; the last steps of a run that was cut off are in none.
        parameters: of the model; None where it did not say.
        bytes_per_step: payload that the strategy says it sends per step on average; None where it did not say.
        resumed_from: the steps from which later attempts went on.
        redone: of each process group of an elastic run but its first, its number, and how many recorded steps it made
            void.
        uncounted: ranges (after, until] of steps that count but whose collectives a resume made void.
        timed: its collectives that were seen one by one, by start.
        untimed: how many more there were that nobody saw one by one.
        logs: what its script logged, in the order of the file.
    """

    rank: int
    steps: tuple[RecordedStep, ...] = ()
    evals: tuple[Eval, ...] = ()
    collectives: tuple[Collectives, ...] = ()
    parameters: int | None = None
    bytes_per_step: float | None = None
    resumed_from: tuple[int, ...] = ()
    redone: tuple[tuple[int, int], ...] = ()
    uncounted: tuple[tuple[int, int], ...] = ()
    timed: tuple[TimedCollective, ...] = ()
    untimed: int = 0
    logs: tuple[Logged, ...] = ()

    def counts(self, step: int) -> bool:
        """Whether the collectives of a step are counted."""
        return not any(after < step <= until for after, until in self.uncounted)


class EdgeCount(NamedTuple):
    """The counters of one directed edge since the network was made; the backlog is what waits now."""

    sent_packets: int
    sent_bytes: int
    dropped: int
    backlog_bytes: int
    backlog_packets: int


@dataclass(frozen=True)
class LinkSample:
    """Counters at one time; tcp has per rank (segments sent, segments retransmitted), each counted separately.

    In a run whose nodes sample on their own, an edge that was not read at this time is in neither.

    Every attempt of a run has a network of its own, whose counters begin at 0.
    """

    time: float
    edges: Mapping[Pair, EdgeCount]
    tcp: Mapping[int, tuple[int, int]]
    attempt: int = 1
    caps: Mapping[str, EdgeCount] = field(default_factory=dict)
    """Of shared capacities, by name: ``uplink 2``, ``downlink 2``, ``trunk eu->us``."""


class FlowSample(NamedTuple):
    """What the sender's TCP says of one flow at one time (the kernel's struct tcp_info).

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
class Flow:
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
        samples: by time; there is none while nothing changed.
        ended: when it was gone, seconds since the epoch; None where it was there at the end.
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
        edges: what changed, as a person reads it: ``0->1: delay 20ms -> 120ms``.
        rates: of the changed edges from then on, in bit/s; None: without limit, or down.
        limits: of nodes and trunks, likewise: ``node 2: uplink 20 Mbit/s → 5 Mbit/s``.
        caps: what they are from then on, by name as in LinkSample; None: without limit.
        shapes: the changed edges from then on, where the record makes sense.
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
    """What a load of cross traffic had achieved at a time, since it began."""

    time: float
    received_bytes: int
    lost_packets: int


@dataclass(frozen=True)
class RecordedLoad:
    """A load of cross traffic (harness traffic) that ran beside the run.

    Args:
        src: rank that sends.
        dst: rank that receives.
        what: as a person reads it: ``UDP at 30 Mbit/s``.
        path: the directed edges that it crosses.
        port: at which its receiver takes it.
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
        """The mean rate of what arrived on the wire, between the first sample and the last."""
        first, last = self.samples[0], self.samples[-1]
        seconds = last.time - first.time
        return 8 * (last.received_bytes - first.received_bytes) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class RecordedGroup:
    """A process group of a run whose ranks come and go (membership.jsonl).

    Args:
        time: when all its members had the state, seconds since the epoch.
        generation: its number, from 1.
        members: ranks.
        joined, lost: ranks, against the group before.
        step: the last one that counted then.
        state_bytes: that each member but rank 0 received.
        seconds: from the end of the group before to `time`.
    """

    time: float
    generation: int
    members: tuple[int, ...]
    joined: tuple[int, ...]
    lost: tuple[int, ...]
    step: int
    state_bytes: int
    seconds: float


@dataclass(frozen=True)
class RecordedAbsence:
    """A time for which a rank was away (away.jsonl).

    Args:
        rank: which.
        cause: ``kill``, ``pause``, ``cut``; ``failed``: by itself.
        since: seconds since the epoch.
        until: when it was back; None: it was not.
    """

    rank: int
    cause: str
    since: float
    until: float | None = None


@dataclass(frozen=True)
class End:
    """How a run ended; `notes` are events during the run that may have affected its results; `codes` by rank."""

    status: str
    seconds: float | None = None
    code: int | None = None
    failed_rank: int | None = None
    last_lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    time: float | None = None
    codes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedRun:
    """One run. `settings` is run.json as it stands, without the plan; `network_seed` None: the same as `seed`."""

    slug: str
    profile: str
    topology: str
    nodes: int
    seed: int
    strategy: str
    label: str
    target: Target | None
    engine: str
    settings: Mapping[str, Any]
    plan: NetworkPlan | None = None
    ranks: tuple[Rank, ...] = ()
    links: tuple[LinkSample, ...] = ()
    changes: tuple[RecordedChange, ...] = ()
    end: End | None = None
    network_seed: int | None = None
    flows: tuple[Flow, ...] = ()
    traffic: tuple[RecordedLoad, ...] = ()
    groups: tuple[RecordedGroup, ...] = ()
    absences: tuple[RecordedAbsence, ...] = ()

    @property
    def seeds(self) -> tuple[int, int]:
        """The seed of the network's draws and the seed of the training."""
        return self.seed if self.network_seed is None else self.network_seed, self.seed

    @property
    def status(self) -> str:
        """finished, failed, stopped, limit or unfinished."""
        return self.end.status if self.end else UNFINISHED


@dataclass(frozen=True)
class RecordedExperiment:
    """All runs of a folder.

    Args:
        id: the folder's name, or what experiment.json says.
        name: of the experiment.
        folder: where it was read.
        created: seconds since the epoch, or None where nothing says it.
        runs: those that left a run.json, in the experiment's order.
        missing: runs that experiment.json names and that have left nothing yet.
        notes: what was odd in the files.
        source: the path of the file that it was made from; None where nothing says it.
        run_options: options of `harness experiment run` that say where it ran, by name.
    """

    id: str
    name: str
    folder: Path
    created: float | None
    runs: tuple[RecordedRun, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    source: str | None = None
    run_options: Mapping[str, Any] = field(default_factory=dict)
