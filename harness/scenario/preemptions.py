"""The model of spot preemptions as absences of nodes; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.scenario.absence import Absence, Chosen
from harness.scenario.models.spot_preemption import draw


@dataclass(frozen=True)
class Preemptions:
    """Endless absences, ascending; each iteration gives the same.

    Args:
        seed: of their times.
        speed: factor by which the model's time is shortened.
        text: for people.
    """

    seed: str
    speed: float
    text: str

    def __iter__(self) -> Iterator[Absence]:
        for taken in draw(self.seed):
            chosen = Chosen(share=taken.share)
            yield Absence(taken.at / self.speed, chosen, taken.lasts / self.speed, self.text)
