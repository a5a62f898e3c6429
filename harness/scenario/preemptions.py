"""The model of machines that a cloud takes back, as absences of a scenario's nodes; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.scenario.absence import Absence, Chosen
from harness.scenario.models.spot_preemption import draw


@dataclass(frozen=True)
class Preemptions:
    """Absences without end, ascending; the same each time that they are asked for.

    Args:
        seed: of their times.
        speed: how many times as fast the model's time passes.
        text: for people.
    """

    seed: str
    speed: float
    text: str

    def __iter__(self) -> Iterator[Absence]:
        for taken in draw(self.seed):
            chosen = Chosen(share=taken.share)
            yield Absence(taken.at / self.speed, chosen, taken.lasts / self.speed, self.text)
