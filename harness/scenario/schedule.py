"""The order in which a scenario's changes come: one agenda of all its events; pure."""

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
    """Something that happens, once or several times.

    Args:
        timing: when.
        action: what.
        place: where it stands in the file, for errors.
    """

    timing: Timing
    action: Action
    place: str


def _ends(event: Event) -> bool:
    return event.timing.ends and (getattr(event.action, "period", None) is None or event.timing.lasts is not None)


@dataclass(frozen=True)
class Due:
    """One change that is due.

    Args:
        at: seconds from the start.
        kind: ``edit`` changes the plan; ``undo`` takes back all that the event has changed since it began; ``load`` and
            ``unload`` begin and end cross traffic, ``away`` and ``back`` an absence of nodes.
        event: its number in the scenario.
        text: for people.
        edit: of kind edit.
        away: of kinds away and back: whom it is about.
        follows: whether it is a later one of the values that a link goes through in one event: where it is late, it can
            be made together with what was due before it.
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
    """Events, and the seed of what happens by chance."""

    events: tuple[Event, ...]
    seed: int = 0
    until: float | None = None
    """No change is later, seconds."""
    description: str = ""
    """One line for people."""

    @property
    def ends(self) -> bool:
        """Whether there is a last change."""
        return self.until is not None or all(map(_ends, self.events))

    def left(self, after: float) -> Iterator[Due]:
        """What was yet to come, later than this, in seconds: the first change of each event that has a last one."""
        for number, event in enumerate(self.events):
            if _ends(event):
                late = (due for due in self._of(number, event) if due.at > after)
                if (due := next(late, None)) and (self.until is None or due.at <= self.until):
                    yield due

    def played_by(self, engine: EngineFacts) -> NetworkScenario:
        """The scenario with packet-delivery traces as rates where the engine has those alone."""
        if engine.serves_deliveries:
            return self
        actions = [event.action for event in self.events]
        made = [action.as_rates() if isinstance(action, DeliveryAction) else action for action in actions]
        pairs = zip(self.events, made, strict=True)
        return replace(self, events=tuple(replace(event, action=action) for event, action in pairs))

    def check(self, plan: NetworkPlan) -> None:
        """Raise, with its place in the file, what an event would raise on this network."""
        for event in self.events:
            try:
                event.action.check(plan)
            except InputError as error:
                raise type(error)(f"{event.place}: {error}") from None

    def agenda(self) -> Iterator[Due]:
        """All changes in the order of their times; those of one time in the order of the file."""
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
        """What an event does once it begins.

        Args:
            number: of the event.
            start: when it begins, seconds.
            before: when it begins again; None: it does not.
            nth: how manieth time it begins, or the step at which: what is drawn follows from it.
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
        """Whether an event kills this rank; those that are drawn are never rank 0."""
        actions = (event.action for event in self.events)
        return any(isinstance(one, AwayAction) and one.cause == "kill" and one.names(rank) for one in actions)

    @property
    def by_steps(self) -> list[int]:
        """The numbers of the events that follow the job's steps."""
        return [number for number, event in enumerate(self.events) if event.timing.by_steps]
