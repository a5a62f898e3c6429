"""When a packet-delivery trace lets bytes pass. Pure: the time is an argument."""

from __future__ import annotations

import re
from array import array
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from typing import Final

from harness.model.delivery import Delivery

NEVER: Final = 1 << 62
MS: Final = 10**6
_ANY: Final = re.compile(rb"[^\0]", re.DOTALL)


class Opportunities:
    """A trace that is played from ``begun`` (ns) on.

    Slot i is millisecond i of the trace, counted on through its repetitions. Bytes are counted in units of ``1 / per``,
    so that a scaled opportunity is exact.

    Args:
        delivery: how it is played.
        counts: the opportunities of each millisecond (delivery.counts_of).
        begun: when it began, ns.
    """

    def __init__(self, delivery: Delivery, counts: bytes, begun: int) -> None:
        self._counts, self.begun = counts, begun
        self._offset, self._loop = delivery.offset.ns, delivery.loop
        self._fast, self._slow = delivery.speed.numerator, delivery.speed.denominator
        self._units, self._per = delivery.per_opportunity.numerator, delivery.per_opportunity.denominator
        self._slot, self._at, self._left = -1, -1, 0
        """The slot that was used last, its time, and the bytes that are left of it."""

    def deliver(self, now: int, size: int) -> int:
        """When the last of ``size`` bytes that wait from ``now`` (ns) on is delivered; NEVER after the trace's end.

        ``now`` must not decrease from call to call: what slots before it had left is lost.
        """
        if now > self._at:
            self._slot, self._left = self._first_slot(now) - 1, 0
        need = size * self._per
        while need > self._left:
            need -= self._left
            if (slot := self._used_slot(self._slot + 1)) is None:
                self._at, self._left = NEVER, 0
                return NEVER
            self._slot, self._at = slot, self._time(slot)
            self._left = self._counts[slot % len(self._counts)] * self._units
        self._left -= need
        return self._at

    def bytes_between(self, begin: int, end: int) -> Fraction:
        """Bytes of the opportunities after ``begin`` and up to ``end``, both in ns."""
        first, last = self._first_slot(begin + 1), self._first_slot(end + 1)
        return Fraction((self._before(last) - self._before(first)) * self._units, self._per)

    def _before(self, slot: int) -> int:
        """Opportunities in the slots before this one."""
        rounds, rest = divmod(slot, len(self._counts))
        if not self._loop and rounds:
            rounds, rest = 1, 0
        return rounds * self._totals[-1] + self._totals[rest]

    @cached_property
    def _totals(self) -> array[int]:
        return array("I", accumulate(self._counts, initial=0))

    def _time(self, slot: int) -> int:
        return self.begun + -(-((slot + 1) * MS - self._offset) * self._slow // self._fast)

    def _first_slot(self, now: int) -> int:
        """The first slot that is not before ``now`` (ns), nor before the offset."""
        reached = self._offset + max(0, now - self.begun) * self._fast // self._slow
        slot = max(-(-reached // MS) - 1, self._offset // MS)
        while self._time(slot) < now:
            slot += 1
        return slot

    def _used_slot(self, slot: int) -> int | None:
        """The first slot from this one on that has any opportunity."""
        rounds, place = divmod(slot, len(self._counts))
        if rounds and not self._loop:
            return None
        if (found := _ANY.search(self._counts, place)) is not None:
            return slot - place + found.start()
        if not self._loop:
            return None
        found = _ANY.search(self._counts)
        assert found is not None  # no trace is empty
        return (rounds + 1) * len(self._counts) + found.start()
