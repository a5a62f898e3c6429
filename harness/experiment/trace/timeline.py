"""The timeline of a run: the events of all of its records, on one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from harness.experiment.report.load.records import RecordedRun
from harness.experiment.trace.events import Event, Instant, Track, arguments
from harness.experiment.trace.network import change_event, flow_events, link_events, load_events, load_marks
from harness.experiment.trace.ranks import absence_events, rank_events

EVENTS = Track("run", "start, changes, end")


@dataclass(frozen=True)
class Timeline:
    """A run and the beginning of its timeline, ``zero``, in seconds since the epoch."""

    run: RecordedRun
    zero: float

    def events(self) -> Iterator[Event]:
        """All events, track by track, each track's in order of time."""
        run = self.run
        ranks = (rank_events(rank) for rank in run.ranks)
        flows = (flow_events(flow) for flow in sorted(run.flows, key=lambda one: (one.src, one.dst, one.src_port)))
        loads = load_events(run.traffic)
        return chain(_of_run(run), *ranks, absence_events(run), link_events(run.links), loads, *flows)


def timeline(run: RecordedRun) -> Timeline:
    """The timeline of a run, which begins at the time in run.json, or at the first record."""
    return Timeline(run, min(_firsts(run), default=0.0))


def _of_run(run: RecordedRun) -> Iterator[Event]:
    if run.started is not None:
        about = arguments(profile=run.profile, topology=run.topology, nodes=run.nodes, seed=run.seed, label=run.label)
        yield Instant(EVENTS, "start of the run", run.started, about)
    for change in run.changes:
        yield change_event(EVENTS, change)
    for load in run.traffic:
        yield from load_marks(EVENTS, load)
    if run.end and run.end.time is not None:
        args = arguments(seconds=run.end.seconds, code=run.end.code, failed_rank=run.end.failed_rank)
        yield Instant(EVENTS, f"end of the run: {run.end.status}", run.end.time, args)


def _firsts(run: RecordedRun) -> Iterator[float]:
    """The first time of each kind of record."""
    if run.started is not None:
        yield run.started
    for rank in run.ranks:
        yield from (step.time - step.seconds for step in rank.steps[:1])
        yield from (one.time for one in rank.evals[:1])
        yield from (one.time for one in rank.logs[:1])
        yield from (one.start for one in rank.timed[:1])
    yield from (sample.time for sample in run.links[:1])
    yield from (flow.samples[0].time for flow in run.flows if flow.samples)
    yield from (change.asked for change in run.changes)
    yield from (load.began for load in run.traffic)
    yield from (absence.since for absence in run.absences)
