"""Loss in bursts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from harness.errors import InputError, ShapeError, quoted
from harness.model.units import WHOLE, ZERO_RATIO, Ratio


@dataclass(frozen=True)
class GilbertElliott:
    """Loss in bursts: a good and a bad state, which may change at every packet (Gilbert 1960, Elliott 1963).

    Args:
        p: chance to go from good to bad.
        r: chance to go from bad to good.
        loss_bad: share of packets lost in the bad state (1 - h in the papers).
        loss_good: share of packets lost in the good state (1 - k).
    """

    p: Ratio
    r: Ratio
    loss_bad: Ratio = WHOLE
    loss_good: Ratio = ZERO_RATIO

    def __post_init__(self) -> None:
        if self.p.value + self.r.value == 0:
            raise ShapeError("gilbert_elliott: p and r are both 0%, so the state never changes; give at least one")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``p=1%,r=20%,loss_bad=90%,loss_good=0.1%``, or the shares alone in this order. Raises InputError."""
        names = [field.name for field in fields(cls)]
        words = [[side.strip() for side in part.split("=", 1)] for part in text.split(",")]
        named = all(len(word) == 2 and word[0] in names for word in words)
        if named or (len(words) <= len(names) and all(len(word) == 1 for word in words)):
            chances = {word[0] if named else name: word[-1] for name, word in zip(names * 2, words, strict=False)}
            if {"p", "r"} <= chances.keys() and len(chances) == len(words):
                return cls(**{name: Ratio.parse(share) for name, share in chances.items()})
        raise InputError(
            f"{quoted(text)} is not a chain; write p=1%,r=20%[,loss_bad=90%[,loss_good=0%]], or 1%,20%,90%"
        )

    def __str__(self) -> str:
        return ",".join(f"{name}={share}" for name, share in vars(self).items())

    def to_json(self) -> dict[str, float]:
        """Shares by name."""
        return {name: float(share) for name, share in vars(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> Self:
        """The exact inverse of to_json."""
        return cls(**{name: Ratio.from_float(share) for name, share in data.items()})

    @classmethod
    def from_correlation(cls, loss: Ratio, correlation: Ratio) -> Self:
        """The chain with this mean loss and this lag-1 correlation of losses.

        It loses all packets in the bad state and none in the good one; p and r follow from its mean loss p / (p + r)
        and its correlation 1 - p - r.
        """
        free = 1 - correlation.value
        return cls(p=Ratio(loss.value * free), r=Ratio((1 - loss.value) * free))

    @property
    def bad_share(self) -> float:
        """Share of packets that meet the bad state."""
        return float(self.p.value / (self.p.value + self.r.value))

    @property
    def mean_loss(self) -> float:
        """Share of packets lost in the long run."""
        return self.bad_share * float(self.loss_bad) + (1 - self.bad_share) * float(self.loss_good)

    @property
    def correlation(self) -> float:
        """Lag-1 autocorrelation of the state: 1 - p - r."""
        return float(1 - self.p.value - self.r.value)
