"""Verdicts on the round trip and the jitter, both from the one-way delays of an echo exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harness.distribution import jitter_form
from harness.link import LinkShape
from harness.measurement import NOISE_S, EchoSample, Spread, spread, std_error
from harness.probe_packet import small_frame
from harness.verdict.row import Verdict, Way

RTT_FLOOR_S: Final = 0.0005
RTT_SHARE: Final = 0.02
JITTER_SHARE: Final = 0.15
NORMAL_QUARTILES: Final = 1.349
"""The interquartile range of a normal distribution in standard deviations."""
MACHINE_TIMES: Final = 2
"""How many times what the machine itself adds to a delay, as measured beside it, is put up with."""
_ROUNDING_S: Final = 2e-6
"""What netem's fields round a time to, with room: microseconds in old ones, 64 ns ticks, nanoseconds in new ones."""


def skipped(delay: float, shape: LinkShape) -> bool:
    """Whether a packet skipped the delay line, as some do where reordering is applied."""
    return bool(shape.reorder) and delay < (shape.delay.seconds - shape.jitter.seconds) / 2


def rtt(way: Way) -> Verdict:
    """The round trip that starts at src; its way there must be right by itself, too."""
    requested = way.requested.delay.seconds + way.back.effective.delay.seconds
    applied = way.applied.delay.seconds + way.applied_back.delay.seconds
    fence = max(jitter_form(way.applied).fence, jitter_form(way.applied_back).fence)
    seen = spread(_delays(way, lambda echo: echo.round_trip), fence)
    if not seen.count:
        sent = way.edge_measured.echoes_sent
        note = f"no packet came back of {sent}" if sent else "it was not measured"
        return way.row("rtt", requested, applied, note=note)
    one_way = _expected(way.applied, way.ipv6)
    expected = one_way + _expected(way.applied_back, way.ipv6)
    low, high = _around(way, expected, seen, 2)
    note = _note(way, expected, expected - applied)
    row = way.row("rtt", requested, applied, seen.mean, low=low, high=high, samples=seen.count, note=note)
    there = spread(_delays(way, lambda echo: echo.forward), jitter_form(way.applied).fence)
    low, high = _around(way, one_way, there, 1)
    if not low <= there.mean <= high:
        row = row.failed(f"one way takes {_ms(there.mean)}, {_ms(one_way)} expected")
    return row.holding(2 * _ROUNDING_S, _ms)


def jitter(way: Way) -> Verdict:
    """The jitter in the profile's own unit: the standard deviation over the distribution's, for a jitter of 1.

    Where none is applied, all spread is the machine's, in rare long waits: then the standard deviation is that
    of a normal distribution with the same middle half.
    """
    requested, applied = way.requested.jitter.seconds, way.applied.jitter.seconds
    shape = jitter_form(way.applied)
    seen = spread(_delays(way, lambda echo: echo.forward), shape.fence)
    if seen.count < 2:
        return way.row("jitter", requested, applied, note="too few packets came back")
    sampling = way.z * std_error(shape.kurtosis, seen.count)
    noise = max(NOISE_S, 2 * way.lateness.std)
    row = way.row(
        "jitter",
        requested,
        applied,
        (seen.std if applied else seen.middle / NORMAL_QUARTILES) / shape.std,
        low=max(0.0, applied * (1 - JITTER_SHARE - sampling)),
        high=applied * (1 + JITTER_SHARE + sampling) + noise / shape.std,
        samples=seen.count,
        note=f"{seen.stalls} stalls of the machine left out" if seen.stalls and applied else "",
    )
    if requested and way.applied.distribution != way.requested.distribution:
        row = row.failed(f"the kernel holds {way.applied.distribution}, {way.requested.distribution} was requested")
    return row.holding(_ROUNDING_S, _ms)


def _delays(way: Way, of: Callable[[EchoSample], float]) -> list[float]:
    """One value of each echo, without those that skipped a delay line."""
    return [
        of(echo)
        for echo in way.echoes
        if not skipped(echo.forward, way.applied) and not skipped(echo.backward, way.applied_back)
    ]


def _expected(shape: LinkShape, ipv6: bool) -> float:
    """The mean one-way delay of an echo packet: its jitter's mean need not be zero, and the rate takes time."""
    line = shape.rate.seconds(small_frame(ipv6)) if shape.rate and not shape.burst else 0.0
    return shape.delay.seconds + jitter_form(shape).mean * shape.jitter.seconds + line


def _around(way: Way, expected: float, seen: Spread, ways: int) -> tuple[float, float]:
    """Where a mean delay of one way or two may lie: the machine can only add to it."""
    margin = max(RTT_FLOOR_S, RTT_SHARE * expected)
    sampling = way.z * seen.mean_error
    above = max(margin, MACHINE_TIMES * ways * way.machine_delay)
    return max(0.0, expected - margin - sampling), expected + above + sampling


def _note(way: Way, expected: float, extra: float) -> str:
    notes = []
    if abs(extra) > RTT_FLOOR_S / 2:
        notes.append(f"{_ms(extra)} expected on top, from the jitter's mean and the time to send the probe itself")
    if MACHINE_TIMES * 2 * way.machine_delay > max(RTT_FLOOR_S, RTT_SHARE * expected):
        notes.append(f"this machine itself adds {_ms(2 * way.machine_delay)}")
    return "; ".join(notes)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"
