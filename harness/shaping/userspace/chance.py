"""netem's random decisions: loss, duplication, corruption, reordering, jitter.

Pure. It draws in the order of netem_enqueue (net/sched/sch_netem.c, 6.18), from one seed.
"""

from __future__ import annotations

from random import Random
from typing import Final

from harness.model.distribution import SCALE, table
from harness.shaping.qdisc import Netem
from harness.shaping.userspace.packet import flipped

_WHOLE: Final = 0xFFFFFFFF


class Chance:
    """The draws of one directed edge.

    Args:
        netem: with the probabilities, and the seed.

    Attributes:
        meets: whether a packet may be lost, duplicated or corrupted.
        duplicates, corrupts, reorders: whether a packet may be duplicated, corrupted, reordered.
    """

    def __init__(self, netem: Netem) -> None:
        self._seed, self._random = netem.seed, Random(netem.seed)
        self._bad = False
        self.configure(netem)

    def configure(self, netem: Netem) -> None:
        """Use these probabilities from now on; a new seed restarts the random numbers."""
        if netem.seed != self._seed:
            self._seed, self._random = netem.seed, Random(netem.seed)
        self._loss, self._duplicate, self._corrupt, self._reorder = (
            share / _WHOLE for share in (netem.loss, netem.duplicate, netem.corrupt, netem.reorder if netem.gap else 0)
        )
        self._chain = tuple(share / _WHOLE for share in netem.chain) if netem.chain else None
        self._jitter = netem.jitter_ns
        self._table = None if netem.distribution == "uniform" else table(netem.distribution)
        self.duplicates, self.corrupts, self.reorders = bool(self._duplicate), bool(self._corrupt), bool(self._reorder)
        self.meets = bool(self._loss or self._chain or self.duplicates or self.corrupts)

    def repeats(self) -> bool:
        """Whether this packet is duplicated."""
        return self.duplicates and self._random.random() < self._duplicate

    def loses(self) -> bool:
        """Whether this packet is lost: by netem's loss_gilb_ell, or independently of others (loss_event)."""
        chance = self._random.random
        if self._chain is None:
            return bool(self._loss) and chance() < self._loss
        to_bad, to_good, survive, lost_in_good = self._chain
        if not self._bad:
            self._bad = chance() < to_bad
            return chance() < lost_in_good
        self._bad = chance() >= to_good
        return chance() > survive

    def hits(self) -> bool:
        """Whether this packet is corrupted."""
        return self.corrupts and self._random.random() < self._corrupt

    def flip(self, payload: bytes) -> bytes:
        """See packet.flipped."""
        return flipped(payload, self._random)

    def skips_delay(self) -> bool:
        """Whether this packet is reordered, that is, sent without delay."""
        return self.reorders and self._random.random() < self._reorder

    def deviation(self) -> int:
        """This packet's delay less the mean delay, ns: netem's tabledist without mu."""
        draw = self._random.random()
        if self._table is None:
            return int((2 * draw - 1) * self._jitter)
        return self._jitter * self._table[int(draw * len(self._table))] // SCALE
