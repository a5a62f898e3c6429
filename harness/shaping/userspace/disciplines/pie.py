"""PIE, proportional integral controller enhanced (RFC 8033; section 4 and appendices A and B).

It drops an arriving packet with a probability, updated every t_update (the queue's ``interval``): it grows with
the queueing delay above the target, and with its rise. The delay is that of the packet sent last (section 5.2). With
ECN it marks a packet instead while the probability is below 10 % (section 5.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from harness.model.address import FRAME
from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.discipline import Fifo
from harness.shaping.userspace.packet import Packet, marked

ALPHA, BETA = 0.125, 1.25
"""Per second of delay above the target, and of its rise since the last update."""
MAX_BURST: Final = 150 * 10**6
"""A queue that begins to fill drops nothing for so long, ns."""
MARKED_BELOW: Final = 0.1
_TUNE: Final = ((1e-6, 2048), (1e-5, 512), (1e-4, 128), (1e-3, 32), (1e-2, 8), (1e-1, 2))
"""(probability, divisor): below the probability its changes are divided so (section 4.2)."""
_LARGE, _MOST_STEP = 0.1, 0.02
_TOO_LONG: Final = 250 * 10**6
_DECAY: Final = 0.98
_ALWAYS, _NEVER_BELOW = 8.5, 0.85
"""The sum of probabilities since the last drop at which a packet is surely dropped, and below which none is (5.4)."""
_MANY: Final = 1000
"""Updates without traffic after which the probability has decayed to nothing."""


class Pie(Fifo):
    """See Discipline; the queue's target and interval are set."""

    def __init__(self, queue: Queue, limit_bytes: int, seed: int) -> None:
        super().__init__(limit_bytes)
        self.probability = 0.0
        """Of a drop."""
        self._summed = 0.0
        self._largest = FRAME
        self._burst = MAX_BURST
        self._delay = self._old_delay = 0
        """Queueing delay of the packet sent last, and the same at the last update, ns."""
        self._update_at: int | None = None
        self._random = Random(seed)
        self.configure(queue, limit_bytes, 0)

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        assert queue.target is not None
        assert queue.interval is not None
        self.limit_bytes = limit_bytes
        self._target, self._interval, self._ecn = queue.target.ns, queue.interval.ns, queue.ecn

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        self._update(now)
        self._largest = max(self._largest, packet[2])
        if not self.has_room(packet):
            self._summed = 0.0
            return (packet,)
        if not self._burst and self._hit():
            self._summed = 0.0
            spared = marked(packet) if self._ecn and self.probability < MARKED_BELOW else None
            if spared is None:
                return (packet,)
            packet = spared
        self.push(now, packet)
        return ()

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        self._update(now)
        found = self.pop()
        if found is None:
            return None, ()
        self._delay = now - found[0] if self.waiting else 0
        return found[1], ()

    def _hit(self) -> bool:
        """Whether the packet is to be dropped or marked (drop_early)."""
        calm = self._old_delay < self._target // 2 and self.probability < 0.2
        if calm or self.bytes <= 2 * self._largest:
            return False
        if not self.probability:
            self._summed = 0.0
        self._summed += self.probability
        if self._summed < _NEVER_BELOW:
            return False
        return self._summed >= _ALWAYS or self._random.random() < self.probability

    def _update(self, now: int) -> None:
        """Make the updates that are due (calculate_drop_prob)."""
        if self._update_at is None:
            self._update_at = now + self._interval
        for _ in range(min(_MANY, (now - self._update_at) // self._interval + 1)):
            self._step()
            self._update_at += self._interval
        if self._update_at <= now:
            self._update_at = now + self._interval

    def _step(self) -> None:
        over, rise = (self._delay - self._target) / 1e9, (self._delay - self._old_delay) / 1e9
        change = ALPHA * over + BETA * rise
        change /= next((divisor for below, divisor in _TUNE if self.probability < below), 1)
        if self.probability >= _LARGE:
            change = min(change, _MOST_STEP)
        if self._delay > _TOO_LONG:
            change += _MOST_STEP
        probability = min(1.0, max(0.0, self.probability + change))
        if not self._delay and not self._old_delay and not self.waiting:
            probability *= _DECAY
        self.probability = probability
        self._burst = max(0, self._burst - self._interval)
        if not probability and max(self._delay, self._old_delay) < self._target // 2:
            self._burst = MAX_BURST
        self._old_delay = self._delay
