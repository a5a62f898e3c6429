"""The schedule of a scenario: the changes of all its events in the order of their times; pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from harness.errors import InputError
from harness.model.plan import NetworkPlan
from harness.scenario.absence import Away, AwayAction
from harness.scenario.action import Action, LoadAction, PlanEdit
from harness.scenario.deliveries import DeliveryAction
from harness.scenario.timing import Timing
from harness.shaping.base import EngineFacts


@dataclass(frozen=True)
class Event:
    """An event, which happens once or several times.

    Args:
        timing: when.
        action: what.
        place: in the scenario's file, for errors.
    """

    timing: Timing
    action: Action
    place: str


def _ends(event: Event) -> bool:
    return event.timing.ends and (getattr(event.action, "period", None) is None or event.timing.lasts is not None)


@dataclass(frozen=True)
class Due:
    """One change.

    Args:
        at: when it is due, in seconds from the start.
        kind: ``edit`` changes the plan; ``undo`` undoes what the event has changed since it began; ``load`` and
            ``unload`` start and stop cross traffic; ``away`` and ``back`` begin and end an absence of nodes.
        event: the event's number in the scenario.
        text: for people.
        edit: for kind edit.
        away: for kinds away and back.
        follows: whether it is a further value of a ramp or trace: where it is late, it may be made together with what
            was due before it.
    """

    at: float
    kind: Literal["edit", "undo", "load", "unload", "away", "back"]
    event: int
    text: str
    edit: PlanEdit | None = None
    away: Away | None = None
    follows: bool = False


@dataclass(frozen=True)
class NetworkScenario:
    """Events, and the seed of random times and values."""

    events: tuple[Event, ...]
    seed: int = 0
    until: float | None = None
    """Seconds from the start, after which nothing changes; None: no limit."""
    description: str = ""
    """One line for people."""

    @property
    def ends(self) -> bool:
        """Whether there is a last change."""
        return self.until is not None or all(map(_ends, self.events))

    def left(self, after: float) -> Iterator[Due]:
        """For each event that ends, its first change later than ``after``, in seconds."""
        for number, event in enumerate(self.events):
            if _ends(event):
                late = (due for due in self._of(number, event) if due.at > after)
                if (due := next(late, None)) and (self.until is None or due.at <= self.until):
                    yield due

    def played_by(self, engine: EngineFacts) -> NetworkScenario:
        """The scenario for an engine: packet-delivery traces become rates where it cannot serve them."""
        if engine.serves_deliveries:
            return self
        actions = [event.action for event in self.events]
        made = [action.as_rates() if isinstance(action, DeliveryAction) else action for action in actions]
        pairs = zip(self.events, made, strict=True)
        return replace(self, events=tuple(replace(event, action=action) for event, action in pairs))

    def check(self, plan: NetworkPlan) -> None:
        """Raise the error that an event would raise on this network, with the event's place in the file."""
        for event in self.events:
            try:
                event.action.check(plan)
            except InputError as error:
                raise type(error)(f"{event.place}: {error}") from None

    def agenda(self) -> Iterator[Due]:
        """All changes by their times; changes at the same time are in the order of the file."""
        sources = [self._of(number, event) for number, event in enumerate(self.events)]
        for due in heapq.merge(*sources, key=lambda due: due.at):
            if self.until is not None and due.at > self.until:
                return
            yield due

    def _of(self, number: int, event: Event) -> Iterator[Due]:
        begins = event.timing.times(f"{self.seed}:{number}")
        start = next(begins, None)
        for nth in count():
            if start is None:
                return
            upcoming = next(begins, None)
            yield from self.occurrence(number, start, upcoming, nth)
            start = upcoming

    def occurrence(self, number: int, start: float, before: float | None = None, nth: int = 0) -> Iterator[Due]:
        """The changes of an event that begins once.

        Args:
            number: the event's.
            start: when it begins, in seconds.
            before: when it begins again; None: it does not.
            nth: the index of this beginning, or its step: part of the seed.
        """
        event = self.events[number]
        lasts, action = event.timing.lasts, event.action
        if isinstance(action, AwayAction):
            yield from self._absences(number, action, start, math.inf if lasts is None else start + lasts, nth)
            return
        if isinstance(action, LoadAction):
            yield Due(start, "load", number, action.text)
        for after, edit, text in action.steps():
            if (lasts is not None and after >= lasts) or (before is not None and start + after >= before):
                break
            yield Due(start + after, "edit", number, text, edit, follows=after > 0)
        if lasts is not None:
            kind: Literal["undo", "unload"] = "unload" if isinstance(action, LoadAction) else "undo"
            yield Due(start + lasts, kind, number, f"{action.text}: over")

    def _absences(self, number: int, action: AwayAction, start: float, end: float, nth: int) -> Iterator[Due]:
        last = math.inf if self.until is None else self.until
        for at, begins, away, text in action.changes(start, end, f"{self.seed}:{number}:{nth}"):
            known = away if away.until is None or away.until <= last else replace(away, until=None)
            yield Due(at, "away" if begins else "back", number, text, away=known)

    def kills(self, rank: int) -> bool:
        """Whether an event kills this rank by its number; ranks that are drawn do not count."""
        actions = (event.action for event in self.events)
        return any(isinstance(one, AwayAction) and one.cause == "kill" and one.names(rank) for one in actions)

    @property
    def by_steps(self) -> list[int]:
        """The numbers of the events that follow the job's steps."""
        return [number for number, event in enumerate(self.events) if event.timing.by_steps]
