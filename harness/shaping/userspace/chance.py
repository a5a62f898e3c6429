"""What netem leaves to chance: which packets are lost, sent twice, corrupted or reordered, and how the delay varies.

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
        meets: whether a packet may be lost, sent twice or corrupted.
        duplicates, corrupts, reorders: whether any packet may be.
    """

    def __init__(self, netem: Netem) -> None:
        self._seed = netem.seed
        self._random = Random(netem.seed)
        self._bad = False
        self.configure(netem)

    def configure(self, netem: Netem) -> None:
        """Draw like this from now on; another seed begins anew."""
        if netem.seed != self._seed:
            self._seed = netem.seed
            self._random = Random(netem.seed)
        self._loss, self._duplicate, self._corrupt, self._reorder = (
            share / _WHOLE for share in (netem.loss, netem.duplicate, netem.corrupt, netem.reorder if netem.gap else 0)
        )
        self._chain = tuple(share / _WHOLE for share in netem.chain) if netem.chain else None
        self._jitter = netem.jitter_ns
        self._table = None if netem.distribution == "uniform" else table(netem.distribution)
        self.duplicates, self.corrupts, self.reorders = bool(self._duplicate), bool(self._corrupt), bool(self._reorder)
        self.meets = bool(self._loss or self._chain or self.duplicates or self.corrupts)

    def repeats(self) -> bool:
        """Whether this packet is sent twice."""
        return self.duplicates and self._random.random() < self._duplicate

    def loses(self) -> bool:
        """Whether this packet is lost: by the chain of loss_gilb_ell, or independently of others (loss_event)."""
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
        """The packet with a bit changed; empty where it has none that may change."""
        return flipped(payload, self._random)

    def skips_delay(self) -> bool:
        """Whether this packet is reordered."""
        return self.reorders and self._random.random() < self._reorder

    def deviation(self) -> int:
        """How much later than the mean this packet leaves, ns: netem's tabledist, less its mean."""
        draw = self._random.random()
        if self._table is None:
            return int((2 * draw - 1) * self._jitter)
        return self._jitter * self._table[int(draw * len(self._table))] // SCALE
