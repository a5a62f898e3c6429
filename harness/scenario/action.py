"""What an event does: it changes the network's plan over time, or starts a load; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from harness.errors import InputError
from harness.model.link import LINK_FIELDS
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Ratio, Time
from harness.traffic.spec import TrafficSpec

PlanEdit = Callable[[NetworkPlan], NetworkPlan]
Step = tuple[float, PlanEdit, str]
"""Seconds after the event began, the change, and a text for people."""


class Action(Protocol):
    """What an event does from its beginning on."""

    @property
    def text(self) -> str:
        """For people."""

    def steps(self) -> Iterator[Step]:
        """The changes of the plan, ascending."""

    def check(self, plan: NetworkPlan) -> None:
        """Raise the error that its changes would raise on this plan."""


@dataclass(frozen=True)
class Edit:
    """A single change. See Action."""

    text: str
    edit: PlanEdit

    def steps(self) -> Iterator[Step]:
        yield 0.0, self.edit, self.text

    def check(self, plan: NetworkPlan) -> None:
        self.edit(plan)


@dataclass(frozen=True)
class Series:
    """A series of changes: a ramp or a recorded trace. See Action.

    Args:
        text: for people.
        points: seconds after the beginning, and texts of fields by name; ascending.
        make: makes the change that sets these fields.
        speed: factor by which time is shortened.
        period: seconds after which the series repeats; None: it ends.
    """

    text: str
    points: Sequence[tuple[float, Mapping[str, str]]]
    make: Callable[[Mapping[str, str]], PlanEdit]
    speed: float = 1.0
    period: float | None = None

    def steps(self) -> Iterator[Step]:
        begun = 0.0
        while True:
            for at, texts in self.points:
                words = " ".join(f"{name} {text}" for name, text in texts.items())
                yield (begun + at) / self.speed, self.make(texts), f"{self.text}: {words}"
            if self.period is None:
                return
            begun += self.period

    def check(self, plan: NetworkPlan) -> None:
        for _, texts in self.points:
            self.make(texts)(plan)


@dataclass(frozen=True)
class LoadAction:
    """Cross traffic while the event lasts. See Action."""

    text: str
    spec: TrafficSpec

    def steps(self) -> Iterator[Step]:
        """None: it does not change the plan."""
        return iter(())

    def check(self, plan: NetworkPlan) -> None:
        plan.path(self.spec.src, self.spec.dst)


def ramp(ends: Mapping[str, tuple[str, str]], over: float, step: float) -> list[tuple[float, dict[str, str]]]:
    """Points of a straight line between two values of each field, ends included.

    Args:
        ends: from and to, by field: rates, times or shares.
        over: seconds.
        step: seconds between two points.

    Raises:
        InputError: a text is not a value of its field.
    """
    count = max(1, round(over / step))
    pairs = {
        name: (LINK_FIELDS[name].read(first), LINK_FIELDS[name].read(last)) for name, (first, last) in ends.items()
    }
    return [
        (
            over * index / count,
            {name: str(_between(first, last, Fraction(index, count))) for name, (first, last) in pairs.items()},
        )
        for index in range(count + 1)
    ]


def _between(first: Rate | Time | Ratio, last: Rate | Time | Ratio, share: Fraction) -> Rate | Time | Ratio:
    match first, last:
        case Rate(), Rate():
            return Rate(round(first.bit_s + (last.bit_s - first.bit_s) * share))
        case Time(), Time():
            return Time(round(first.ns + (last.ns - first.ns) * share))
        case Ratio(), Ratio():
            exact = first.value + (last.value - first.value) * share
            return Ratio(Fraction(round(exact * 10**8), 10**8))
    raise InputError("a ramp goes between two rates, two times or two shares")
