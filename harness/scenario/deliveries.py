"""Packet-delivery traces as events: the engine serves them, or the player sets rates in their place; pure."""

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
    """A trace and the directed edges that follow it."""

    delivery: Delivery
    pairs: Callable[[NetworkPlan], Sequence[Pair]]


@dataclass(frozen=True)
class DeliveryAction:
    """Links follow traces from the event's beginning on. See Action.

    Args:
        text: for people.
        parts: one trace for both directions, or one per direction.
    """

    text: str
    parts: tuple[Served, ...]

    def steps(self) -> Iterator[Step]:
        yield 0.0, self._edit, self.text

    def _edit(self, plan: NetworkPlan) -> NetworkPlan:
        for part in self.parts:
            plan = reshaped(plan, part.pairs(plan), ShapeEdit({"delivery": part.delivery}))
        return plan

    def check(self, plan: NetworkPlan) -> None:
        self._edit(plan)

    def as_rates(self) -> DeliveryRates:
        """The same for an engine that cannot serve traces."""
        return DeliveryRates(self.text, self.parts)


@dataclass(frozen=True)
class DeliveryRates:
    """Rates of a token bucket that let as many bytes pass per tenth of a second as the trace does. See Action.

    A new rate of the bucket loses no queued packet and applies to those that wait. The kernel's tbf fills its bucket
    whenever its rate changes (net/sched/sch_tbf.c, tbf_change), and loses the tokens saved for the frame that waits,
    half a frame on average: a net gain of 2.5 kB, as measured. So the rate of a step is what its window has beyond
    that gain. While windows have less, the rate is one frame in all of them, and what passed too early is subtracted
    later.
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
        """Seconds after which a trace repeats; None: it does not. See Series."""
        lasting = [part.delivery for part in self.parts if part.delivery.loop]
        return max((float(one.period_ms / one.speed) / 1000 for one in lasting), default=None)


def _rated(plan: NetworkPlan, pair: Pair, delivery: Delivery, rate: Rate) -> ShapeEdit:
    """Sets a rate, and the buffer that the trace itself would have, unless the link has a buffer."""
    shape = plan.edges[pair].shape
    if shape.buffer is not None:
        return ShapeEdit({"rate": rate})
    return ShapeEdit({"rate": rate, "buffer": Size(trace_buffer(delivery, shape.delay, shape.queue))})


def rates(delivery: Delivery) -> Iterator[tuple[float, Rate]]:
    """Seconds after the beginning, and the rate from then on; endless where the trace loops."""
    opportunities = Opportunities(delivery, counts_of(delivery.digest), 0)
    ends = None if delivery.loop else float(Fraction(delivery.period_ms * MS - delivery.offset.ns) / delivery.speed)

    def due(window: int) -> Fraction:
        return opportunities.bytes_between(window * _WINDOW, (window + 1) * _WINDOW) * FRAME / OPPORTUNITY

    window, owed, last = 0, Fraction(0), _LEAST
    while ends is None or window * _WINDOW < ends:
        begun, gained = window, 0
        while (owed := owed + due(window)) <= (gained := _gained(owed)) and (ends is None or window * _WINDOW < ends):
            window += 1
        if window > begun:  # the last window has more than the gain, and is the next step
            owed -= due(window) + _gained(Fraction(0)) + FRAME
            passes = Fraction(FRAME)
        else:
            window += 1
            passes, owed = owed - gained, Fraction(0)
        rate = Rate(max(8, round(passes * 8000 / (WINDOW_MS * (window - begun)))))
        last = Rate(rate.bit_s + 8) if rate == last else rate  # only a changed rate fills the bucket
        yield begun * WINDOW_MS / 1000, last
    yield ends / 1e9, _LEAST


def _gained(window_bytes: Fraction) -> int:
    """Bytes that a new rate gains in a window of ``window_bytes``: a full bucket, less half a frame."""
    return automatic_burst(max(0, int(window_bytes * 1000 / WINDOW_MS)), FRAME) - FRAME // 2
