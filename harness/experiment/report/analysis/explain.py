"""Why a run took so long: one sentence with its evidence, the time lost by cause, what to change first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.experiment.report.analysis.paths import EdgeLoad, base_round_trip, edge_loads, talking_pairs
from harness.experiment.report.analysis.waits import Waits, waits
from harness.experiment.report.load.records import RecordedRun
from harness.model.format import format_number, format_rate, format_share, format_time

Cause = Literal["latency", "loss", "rate", "queue", "straggler", "compute", "changed", "unknown"]

_LARGE: Final = 0.25
"""Share of the steps' time from which a cause is the answer: below, removing it would not be felt."""
_SHORT_TRIP: Final = 0.001
"""Seconds: round trips under this are lost among what software and processors take (0.2 ms on the build machine)."""


@dataclass(frozen=True)
class Explanation:
    """Why a run took so long.

    Args:
        cause: the largest one.
        sentence: it with its evidence.
        lost: seconds beyond what computing alone would need, by cause; "unknown" where they cannot be split.
        advice: what to change first; empty where nothing is known to help.
    """

    cause: Cause
    sentence: str
    lost: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""


def explain(run: RecordedRun) -> Explanation:
    """Explain one run, however little it recorded."""
    found = waits(run)
    if found is None or found.seconds <= 0:
        return Explanation("unknown", "No steps were recorded: computing and waiting cannot be told apart.")
    loads = edge_loads(run, found.begun, found.ended)
    trip = _round_trip(run, loads)
    lost = _lost(found, loads, trip)
    cause = max(lost, key=lambda name: (name != "unknown", lost[name]))
    if lost[cause] < _LARGE * found.seconds or cause == "unknown":
        return _computing(found, lost)
    if cause == "straggler":
        return _straggler(found)
    return _latency(found, loads, trip, lost) if cause == "latency" else _rate(found, loads, lost)


def _round_trip(run: RecordedRun, loads: tuple[EdgeLoad, ...]) -> float | None:
    if run.plan is None:
        return None
    return max((base_round_trip(run.plan, pair) for pair in talking_pairs(run, loads)), default=None)


def _lost(found: Waits, loads: tuple[EdgeLoad, ...], trip: float | None) -> dict[str, float]:
    full = max(((load.use or 0.0) * found.seconds for load in loads), default=0.0)
    rate = min(found.network, full)
    rest = found.network - rate
    latency = rest if trip is not None and trip >= _SHORT_TRIP else 0.0
    return {
        "latency": latency,
        "rate": rate,
        "straggler": min(found.behind, found.seconds - found.compute),
        "unknown": rest - latency + found.uneven,
    }


def _computing(found: Waits, lost: Mapping[str, float]) -> Explanation:
    share = format_share(found.compute / found.seconds, 2)
    sentence = f"Bound by computing: {share} of a step of {format_time(found.seconds / found.steps)} is computing."
    return Explanation("compute", sentence, lost, "a faster processor or a smaller model; the network is not the limit")


def _latency(found: Waits, loads: tuple[EdgeLoad, ...], trip: float | None, lost: Mapping[str, float]) -> Explanation:
    assert trip
    trips = format_number(lost["latency"] / found.steps / trip, 2)
    used = max((load.use or 0.0 for load in loads), default=None)
    links = "" if used is None else f"; the links are {format_share(used, 2)} used"
    sentence = f"Bound by latency: {trips} round trips of {format_time(trip)} a step{links}."
    return Explanation("latency", sentence, lost, "communicate less often (a larger H), in fewer and larger tensors")


def _rate(found: Waits, loads: tuple[EdgeLoad, ...], lost: Mapping[str, float]) -> Explanation:
    full = max(loads, key=lambda load: load.use or 0.0)
    where = f"link {full.pair[0]}->{full.pair[1]} carried {format_rate(full.bit_s)} of {format_rate(full.rate)}"
    sentence = f"Bound by the rate: {where}, {format_time(lost['rate'] / found.steps)} of each step."
    return Explanation("rate", sentence, lost, "send fewer bytes: compression, or a larger H")


def _straggler(found: Waits) -> Explanation:
    each, others = found.by_rank[found.slowest] / found.steps, found.compute / found.steps
    sentence = (
        f"Rank {found.slowest} is the straggler: it computes {format_time(each)} a step,"
        f" the others {format_time(others)}, and wait for it."
    )
    lost = {"straggler": found.behind, "unknown": max(0.0, found.seconds - found.compute - found.behind)}
    return Explanation("straggler", sentence, lost, f"find out what slows rank {found.slowest}")
