"""Cross traffic beside a run: when it ran, and what it took of the links."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from harness.errors import HarnessError
from harness.experiment.report.analysis.links import attempt_at, zeros
from harness.experiment.report.load.network_records import RecordedLoad
from harness.experiment.report.load.records import RecordedRun
from harness.model.format import count, format_part, format_rate, format_time
from harness.traffic.spec import crossed

_WHOLE: Final = 0.9
"""Share of a run from which traffic counts as having run all the time."""
_DIGITS: Final = 2


@dataclass(frozen=True)
class TrafficSpan:
    """A load of cross traffic, from its first to its last record in seconds of training."""

    start: float
    end: float
    load: RecordedLoad

    @property
    def words(self) -> str:
        """``0→1, UDP at 30 Mbit/s: 29.8 Mbit/s arrived, 12 packets lost``."""
        load = self.load
        lost = load.samples[-1].lost_packets - load.samples[0].lost_packets
        what = "segments sent again" if "TCP" in load.what else f"{'packet' if lost == 1 else 'packets'} lost"
        return f"{load.src}→{load.dst}, {load.what}: {format_rate(load.bit_s)} arrived, {lost} {what}"


def traffic_spans(run: RecordedRun) -> list[TrafficSpan]:
    """Every load beside an attempt with steps that count."""
    zero, spans = zeros(run), []
    for load in run.traffic:
        attempt = attempt_at(run, load.began)
        if attempt in zero:
            end = load.ended or load.samples[-1].time
            spans.append(TrafficSpan(load.began - zero[attempt], end - zero[attempt], load))
    return spans


def competition(run: RecordedRun) -> str:
    """``Cross traffic took 30 of 50 Mbit/s of edge 0->1.``, of the place with the largest share; empty without any."""
    loads = [load for load in run.traffic if load.bit_s]
    if not loads:
        return ""
    taken: dict[str, float] = defaultdict(float)
    rates: dict[str, float] = {}
    for load in loads:
        for name, rate in _crossed(run, load):
            taken[name] += load.bit_s
            rates[name] = rate
    when = _when(run, loads)
    if not taken:
        total = format_rate(sum(load.bit_s for load in loads), _DIGITS)
        return f"Cross traffic ({count(len(loads), 'load')}) carried {total} beside it{when}."
    name = max(taken, key=lambda one: taken[one] / rates[one])
    return f"Cross traffic took {format_part(taken[name], rates[name], _DIGITS)} of {name}{when}."


def _crossed(run: RecordedRun, load: RecordedLoad) -> list[tuple[str, float]]:
    try:
        return [(name, rate.bit_s) for name, rate in crossed(run.plan, load.src, load.dst)] if run.plan else []
    except (HarnessError, LookupError):  # a plan that lacks these nodes
        return []


def _when(run: RecordedRun, loads: list[RecordedLoad]) -> str:
    times = [sample.time for sample in run.links]
    if len(times) < 2:
        return ""
    whole = times[-1] - times[0]
    ran = max(min(load.samples[-1].time, times[-1]) - max(load.began, times[0]) for load in loads)
    if ran >= _WHOLE * whole:
        return ""
    return f" for {format_time(max(0.0, ran), _DIGITS)} of {format_time(whole, _DIGITS)}"
