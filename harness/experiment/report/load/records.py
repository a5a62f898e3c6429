"""The records of a folder of runs, with the names and units of docs/runs.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from harness.experiment.recorded import UNFINISHED
from harness.experiment.report.load.network_records import FlowRecord, LinkSample, RecordedChange, RecordedLoad
from harness.experiment.report.load.rank_records import Rank
from harness.model.format import format_number, format_share
from harness.model.plan import NetworkPlan

HAD_TIME: Final = ("finished", "limit")
"""Statuses of runs that used their full time."""


@dataclass(frozen=True)
class Note:
    """A problem in a file; ``where``: the file, and the line if known: ``wan.ring.ddp.seed0/rank-1.jsonl:17``."""

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
        """``loss 0.4``, ``accuracy 90 %``, ``the end``."""
        if self.kind == "end":
            return "the end"
        if self.kind == "accuracy":
            return f"accuracy {format_share(self.value)}"
        return f"loss {format_number(self.value)}"

    def met(self, loss: float, accuracy: float | None) -> bool:
        """Whether these means over ranks reach it; never for the end of a command."""
        if self.kind == "end":
            return False
        if self.kind == "accuracy":
            return accuracy is not None and accuracy >= self.value
        return loss <= self.value


@dataclass(frozen=True)
class RecordedGroup:
    """A process group of a run whose ranks come and go (membership.jsonl).

    Args:
        time: when all members had the state, seconds since the epoch.
        generation: its number, from 1.
        members: ranks.
        joined, lost: ranks, compared with the group before.
        step: the last one that counted when it was formed.
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
    """A time for which a rank was away (away.jsonl), in seconds since the epoch.

    ``cause``: ``kill``, ``pause``, ``cut``, or ``failed`` (by itself); ``until``: None if it did not return.
    """

    rank: int
    cause: str
    since: float
    until: float | None = None


@dataclass(frozen=True)
class RunEnd:
    """How a run ended; `notes`: events that may have affected its results; `codes`: exit codes by rank."""

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
    """One run. `settings`: run.json without the plan; `network_seed` None: the same as `seed`."""

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
    end: RunEnd | None = None
    network_seed: int | None = None
    flows: tuple[FlowRecord, ...] = ()
    traffic: tuple[RecordedLoad, ...] = ()
    groups: tuple[RecordedGroup, ...] = ()
    absences: tuple[RecordedAbsence, ...] = ()

    @property
    def own_command(self) -> bool:
        """Whether it is a run of the user's own command."""
        return "command" in self.settings

    @property
    def started(self) -> float | None:
        """When it began by run.json, in seconds since the epoch."""
        started = self.settings.get("started")
        return float(started) if isinstance(started, int | float) else None

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
        created: seconds since the epoch; None: not recorded.
        runs: those with a run.json, in the experiment's order.
        missing: runs of experiment.json that have not begun.
        notes: problems in the files.
        source: the path of the experiment's file; None: not recorded.
        run_options: options of `harness experiment run` by name: runtime, engine and so on.
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
