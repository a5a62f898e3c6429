"""Packet-delivery traces as events: served by the engine, or played as rates where it has those alone; pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from harness.model.address import FRAME
from harness.model.delivery import OPPORTUNITY, WINDOW_MS, Delivery, counts_of
from harness.model.link import Pair
from harness.model.link_edit import ShapeEdit
from harness.model.opportunities import MS, Opportunities
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import reshaped
from harness.model.units import Rate, Size
from harness.scenario.action import Step
from harness.shaping.shape_branch import automatic_burst, trace_buffer

_WINDOW: Final = WINDOW_MS * MS
_LEAST: Final = Rate(8)


@dataclass(frozen=True)
class Served:
    """A trace, and the directed edges that have it."""

    delivery: Delivery
    pairs: Callable[[NetworkPlan], Sequence[Pair]]


@dataclass(frozen=True)
class DeliveryAction:
    """Links serve traces from when the event begins. See Action.

    Args:
        text: for people.
        parts: one trace for both directions, or one for each.
    """

    text: str
    parts: tuple[Served, ...]

    def steps(self) -> Iterator[Step]:
        """See Action: the engine serves the trace from then on."""
        yield 0.0, self._edit, self.text

    def _edit(self, plan: NetworkPlan) -> NetworkPlan:
        for part in self.parts:
            plan = reshaped(plan, part.pairs(plan), ShapeEdit({"delivery": part.delivery}))
        return plan

    def check(self, plan: NetworkPlan) -> None:
        self._edit(plan)

    def as_rates(self) -> DeliveryRates:
        """The same for an engine that has rates alone."""
        return DeliveryRates(self.text, self.parts)


@dataclass(frozen=True)
class DeliveryRates:
    """Rates that let as much pass in each tenth of a second as the trace does, by a token bucket: at a new rate of it
    nothing that is queued is lost, and what waits leaves at that rate.

    The kernel's tbf is full whenever its rate is changed (net/sched/sch_tbf.c, tbf_change), but what it had saved up
    for the frame that waits is lost, half a frame on average: measured, 2.5 kB are gained. So a step's rate is what
    its window has beyond that. Where it has not as much, the rate is one frame until there is again, and what passes
    too early is taken off later.
    """

    text: str
    parts: tuple[Served, ...]

    def steps(self) -> Iterator[Step]:
        return heapq.merge(*map(self._of, self.parts), key=lambda step: step[0])

    def _of(self, part: Served) -> Iterator[Step]:
        for at, rate in rates(part.delivery):

            def edit(plan: NetworkPlan, rate: Rate = rate) -> NetworkPlan:
                for pair in part.pairs(plan):
                    plan = reshaped(plan, [pair], _rated(plan, pair, part.delivery, rate))
                return plan

            yield at, edit, f"{self.text}: rate {rate}"

    def check(self, plan: NetworkPlan) -> None:
        DeliveryAction(self.text, self.parts).check(plan)

    @property
    def period(self) -> float | None:
        """Seconds after which a trace begins again, or None: see Series."""
        lasting = [part.delivery for part in self.parts if part.delivery.loop]
        return max((float(one.period_ms / one.speed) / 1000 for one in lasting), default=None)


def _rated(plan: NetworkPlan, pair: Pair, delivery: Delivery, rate: Rate) -> ShapeEdit:
    """A rate, made by a token bucket: with the buffer that the trace itself would have, unless one is given."""
    shape = plan.edges[pair].shape
    if shape.buffer is not None:
        return ShapeEdit({"rate": rate})
    return ShapeEdit({"rate": rate, "buffer": Size(trace_buffer(delivery, shape.delay, shape.queue))})


def rates(delivery: Delivery) -> Iterator[tuple[float, Rate]]:
    """When the rate changes (seconds after the beginning), and to what; endless where the trace loops."""
    opportunities = Opportunities(delivery, counts_of(delivery.digest), 0)
    ends = None if delivery.loop else float(Fraction(delivery.period_ms * MS - delivery.offset.ns) / delivery.speed)

    def due(window: int) -> Fraction:
        return opportunities.bytes_between(window * _WINDOW, (window + 1) * _WINDOW) * FRAME / OPPORTUNITY

    window, owed, last = 0, Fraction(0), _LEAST
    while ends is None or window * _WINDOW < ends:
        begun, gained = window, 0
        while (owed := owed + due(window)) <= (gained := _gained(owed)) and (ends is None or window * _WINDOW < ends):
            window += 1
        if window > begun:  # the last one has more, and comes next
            owed -= due(window) + _gained(Fraction(0)) + FRAME
            passes = Fraction(FRAME)
        else:
            window += 1
            passes, owed = owed - gained, Fraction(0)
        rate = Rate(max(8, round(passes * 8000 / (WINDOW_MS * (window - begun)))))
        last = Rate(rate.bit_s + 8) if rate == last else rate  # so that it is a change, which fills the bucket
        yield begun * WINDOW_MS / 1000, last
    yield ends / 1e9, _LEAST


def _gained(window_bytes: Fraction) -> int:
    """What a new rate gains for a window of so many bytes: a full bucket, less half a frame."""
    return automatic_burst(max(0, int(window_bytes * 1000 / WINDOW_MS)), FRAME) - FRAME // 2
