"""Verdicts on the round trip and the jitter, both from the one-way delays of an echo exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt
from statistics import median
from typing import Final

from harness.model.distribution import jitter_form
from harness.model.format import count, format_time
from harness.model.link import LinkShape
from harness.model.machines import Path
from harness.verify.caps import Cap
from harness.verify.node.packet import small_frame
from harness.verify.samples import EchoSample
from harness.verify.stats import NOISE_S, Spread, spread, std_error
from harness.verify.verdict.row import UNMEASURED, JudgedDirection, Verdict

RTT_FLOOR_S: Final = 0.0005
RTT_SHARE: Final = 0.02
JITTER_SHARE: Final = 0.15
MACHINE_TIMES: Final = 2
"""An interval allows for this many times the delay that the machine adds as measured, because that varies."""
MOST_WIDENING_S: Final = 0.001
"""The most by which the machine may widen an interval, unless the tolerance is larger: an idle User-Mode Linux guest,
the slowest machine this is meant for, adds 0.5 to 1 ms to a round trip."""
_ROUNDING_S: Final = 2e-6
"""More than netem's rounding of a time: microseconds in its old fields, 64 ns ticks, nanoseconds in its new ones."""


def skipped(delay: float, shape: LinkShape) -> bool:
    """Whether a packet skipped the delay: it was reordered."""
    return bool(shape.reorder) and delay < (shape.delay.seconds - shape.jitter.seconds) / 2


@dataclass(frozen=True)
class _Accepted:
    """Where a value may lie: from ``low`` to ``high``, or machine-bound up to ``widest``.

    On a machine that adds nothing the upper end would be ``plain``. ``coarse``: the machine adds more than an interval
    may be widened.
    """

    low: float
    plain: float
    high: float
    widest: float
    coarse: bool

    @classmethod
    def around(cls, low: float, plain: float, tolerance: float, adds: float, wide: float) -> _Accepted:
        """An interval from ``low`` to ``plain``, widened upwards only, because the machine can only add delay.

        Args:
            low, plain: its ends.
            tolerance: the part of plain that allows for the link's own imprecision.
            adds: what this machine adds, in the same unit.
            wide: by how much that widens the interval where there is no limit to it.
        """
        most = max(MOST_WIDENING_S, tolerance)
        return cls(low, plain, plain + min(wide, most), plain + wide, adds > most)

    def holds(self, value: float) -> bool:
        """Whether a link that is right can cause the value."""
        return self.low <= value <= self.widest

    def bound(self, value: float) -> bool:
        """Whether the machine may have caused so much of the value that it says little about the link."""
        return self.holds(value) and (self.coarse or value > self.high)


def by_one_clock(echoes: Sequence[EchoSample], shape: LinkShape, ipv6: bool, path: Path) -> tuple[EchoSample, ...]:
    """Echoes between two machines, with the offset of their monotonic clocks removed.

    The offset is unknown; it is chosen so that the median one-way delay is the expected one. So only round trips and
    the differences of one-way delays are measured.

    Args:
        echoes: with timestamps of two clocks.
        shape: of the forward direction.
        ipv6: whether by IPv6.
        path: between the machines.
    """
    if not echoes:
        return ()
    ahead = median(echo.forward for echo in echoes) - _expected(shape, ipv6) - path.rtt / 2
    return tuple(EchoSample(echo.forward - ahead, echo.backward + ahead) for echo in echoes)


def rtt(way: JudgedDirection) -> Verdict:
    """The round trip that starts at src; the one-way delay from src to dst must be right, too."""
    requested = way.requested.delay.seconds + way.back.effective.delay.seconds
    applied = way.applied.delay.seconds + way.applied_back.delay.seconds
    fence = max(jitter_form(way.applied).fence, jitter_form(way.applied_back).fence)
    seen = spread(_delays(way, lambda echo: echo.round_trip), fence)
    if not seen.count:
        sent = way.edge_measured.echoes_sent
        row = way.row("rtt", requested, applied, note=f"none of {sent} packets came back" if sent else UNMEASURED)
        return (row.left_out() if way.edge_measured.echo_left_out else row).compared(2 * _ROUNDING_S, format_time)
    one_way = _expected(way.applied, way.ipv6)
    expected = one_way + _expected(way.applied_back, way.ipv6) + way.path_rtt
    measured, accepted = _judged(way, expected, seen, (way.applied, way.applied_back), (*way.caps, *way.caps_back))
    row = way.row("rtt", requested, applied, measured, low=accepted.low, high=accepted.high, samples=seen.count)
    if trace := way.applied.delivery or way.applied_back.delivery:
        return row.follows(trace).compared(2 * _ROUNDING_S, format_time)
    row = row.with_note(_note(way, expected - applied - way.path_rtt, measured > accepted.plain))
    if way.path:
        if accepted.bound(measured):
            row = _bound(row, accepted, 2 * way.machine_delay, accepted.widest - expected)
        return _between_machines(row, way.path).compared(2 * _ROUNDING_S, format_time)
    there, accepted_there = _judged(
        way,
        one_way,
        spread(_delays(way, lambda echo: echo.forward), jitter_form(way.applied).fence),
        (way.applied,),
        way.caps,
    )
    if not accepted_there.holds(there):
        row = row.failed(f"one way takes {format_time(there)} instead of {format_time(one_way)}")
    elif accepted.holds(measured) and (accepted.bound(measured) or accepted_there.bound(there)):
        row = _bound(row, accepted, 2 * way.machine_delay, accepted.widest - expected)
    return row.compared(2 * _ROUNDING_S, format_time)


def jitter(way: JudgedDirection) -> Verdict:
    """The jitter in the profile's unit: the standard deviation over that of the distribution for a jitter of 1.

    Where none is applied, rare long waits of the machine cause all spread: the standard deviation then is that of a
    normal distribution with the same interquartile range, as in the estimate of what the machine adds.
    """
    requested, applied = way.requested.jitter.seconds, way.applied.jitter.seconds
    shape = jitter_form(way.applied)
    seen = spread(_delays(way, lambda echo: echo.forward), shape.fence)
    if seen.count < 2:
        row = way.row("jitter", requested, applied, note="too few packets came back")
        return (row.left_out() if way.edge_measured.echo_left_out else row).compared(_ROUNDING_S, format_time)
    sampling = way.z * std_error(shape.kurtosis, seen.count)
    measured = (seen.std if applied else seen.robust_std) / shape.std
    adds, noise = way.machine_spread / shape.std, NOISE_S / shape.std
    accepted = _Accepted.around(
        max(0.0, applied * (1 - JITTER_SHARE - sampling)),
        applied * (1 + JITTER_SHARE + sampling) + noise,
        JITTER_SHARE * applied,
        adds,
        max(0.0, MACHINE_TIMES * adds - noise),
    )
    row = way.row(
        "jitter",
        requested,
        applied,
        measured,
        low=accepted.low,
        high=accepted.high,
        samples=seen.count,
        note=f"{count(seen.stalls, 'stall')} of the machine left out" if seen.stalls and applied else "",
    )
    if accepted.bound(measured):
        row = _bound(row, accepted, adds, accepted.widest - applied)
    if way.applied.delivery is not None:
        row = row.follows(way.applied.delivery)
    if requested and way.applied.distribution != way.requested.distribution:
        row = row.failed(f"requested {way.requested.distribution}, but the engine reports {way.applied.distribution}")
    return row.compared(_ROUNDING_S, format_time)


def _delays(way: JudgedDirection, of: Callable[[EchoSample], float]) -> list[float]:
    """One value of each echo, without those that skipped a delay."""
    return [
        of(echo)
        for echo in way.echoes
        if not skipped(echo.forward, way.applied) and not skipped(echo.backward, way.applied_back)
    ]


def _expected(shape: LinkShape, ipv6: bool) -> float:
    """The expected one-way delay of an echo packet, with the jitter's mean and the time at the link's rate."""
    counted = max(0, small_frame(ipv6) + shape.overhead)
    serialisation = shape.rate.seconds(counted) if shape.rate and not shape.burst else 0.0
    return shape.delay.seconds + jitter_form(shape).mean * shape.jitter.seconds + serialisation


def _judged(
    way: JudgedDirection, expected: float, seen: Spread, shapes: Sequence[LinkShape], caps: Sequence[Cap]
) -> tuple[float, _Accepted]:
    """The centre of delays over links of these shapes, and where it may lie.

    A shared capacity may add a packet's time at its rate, or none where it passes a few packets at once.

    The centre is the median where the distributions are symmetric, because stalls do not move it; else the mean of the
    delays within the fence. Standard errors: the mean's is std / sqrt(n); the median's is 1 / (2 f sqrt(n)) with the
    density f at the median, which is the interquartile range over sqrt(n) for a uniform distribution and less for a
    normal one and for sums. The spread is computed from the shapes. Measured spread beyond it counts as the machine's
    noise and widens the interval, up to what the spread of the machine's sleeps explains.
    """
    forms = [(jitter_form(shape), shape.jitter.seconds) for shape in shapes]
    if all(_symmetric(shape) for shape in shapes):
        centre, scale = seen.median, seen.middle
        model = hypot(*(form.high / form.fence * jitter for form, jitter in forms))
    else:
        centre, scale = seen.mean, seen.std
        model = hypot(*(form.std * jitter for form, jitter in forms))
    errors = way.z / sqrt(seen.count)
    tolerance, adds = max(RTT_FLOOR_S, RTT_SHARE * expected), len(shapes) * way.machine_delay
    noise = min(max(0.0, scale - model), NOISE_S + MACHINE_TIMES * len(shapes) * way.lateness.middle)
    wide = max(0.0, MACHINE_TIMES * adds - tolerance) + errors * noise
    reach = tolerance + errors * model
    shared = sum(cap.serialisation(small_frame(way.ipv6)) for cap in caps)
    return centre, _Accepted.around(max(0.0, expected - reach), expected + reach + shared, tolerance, adds, wide)


def _symmetric(shape: LinkShape) -> bool:
    """Whether delays lie as far above their mean as below: not for pareto, nor where a delay would be negative."""
    skewed = shape.distribution in ("pareto", "paretonormal")
    return not shape.jitter.ns or (not skewed and abs(jitter_form(shape).mean) < 0.001)


def _bound(row: Verdict, accepted: _Accepted, adds: float, room: float) -> Verdict:
    note = f"this machine itself adds {format_time(adds)}, so it cannot detect a difference under {format_time(room)}"
    return replace(row, ok=True, machine_bound=True, high=accepted.widest, note=note)


def _between_machines(row: Verdict, path: Path) -> Verdict:
    """The row with a note on the path between the machines."""
    own = f"the path between the machines takes {format_time(path.rtt)} of it"
    if 0 < (row.requested or 0.0) < path.rtt:
        own = f"the plan asks for less than the path between the machines takes by itself, {format_time(path.rtt)}"
    one_way = f"one way not measured: clocks of two machines, +-{format_time(path.uncertainty)}"
    return row.with_note("; ".join(filter(None, (row.note, own, one_way))))


def _note(way: JudgedDirection, extra: float, widened: bool) -> str:
    notes = []
    if abs(extra) > RTT_FLOOR_S / 2:
        notes.append(f"expected {format_time(extra)} more: the jitter's mean, and the probe's time at the link's rate")
    if widened:
        notes.append(f"this machine itself adds {format_time(2 * way.machine_delay)}")
    return "; ".join(notes)
