"""The schedule of a scenario: the changes of all its events in the order of their times; pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, Literal

from harness.errors import InputError, ShapeError
from harness.model.plan import NetworkPlan
from harness.scenario.absence import Away, AwayAction
from harness.scenario.action import Action, LoadAction, PlanEdit
from harness.scenario.deliveries import DeliveryAction
from harness.scenario.edits import EventEdits
from harness.scenario.timing import Timing
from harness.shaping.base import EngineFacts

_MOST_CHECKED: Final = 2_000
"""Changes after the first one of each event that are checked in order, times the edges: some 50 ms of CPU."""
_LEAST_CHECKED: Final = 16
"""The least number of these changes, in large networks."""
_AFTER_OTHERS: Final = (
    "at {:g} s, after earlier events, the link has these values: set what it needs in this event, too"
)


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

    def check(self, plan: NetworkPlan, remedy: str = "") -> None:
        """Raise the error that it would raise on this network, with its place and, where links do not fit, a remedy."""
        try:
            self.action.check(plan)
        except ShapeError as error:
            raise ShapeError(f"{self.place}: {error}{remedy}") from None
        except InputError as error:
            raise type(error)(f"{self.place}: {error}") from None


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
        """Raise the error that an event would raise on this network, with the event's place in the file.

        What is due at a known time is checked against what the links have then, by the events before it.
        """
        checked = self._check_in_order(plan)
        for number, event in enumerate(self.events):
            if number not in checked:
                event.check(plan)

    def _check_in_order(self, plan: NetworkPlan) -> set[int]:
        """Check changes in the order of their times; returns the numbers of the events that this has reached.

        It checks nothing where events at steps change links, because their order is unknown, and ends where a
        packet-delivery trace begins, because what links have then depends on the engine.
        """
        checked: set[int] = set()
        if any(not isinstance(self.events[number].action, AwayAction | LoadAction) for number in self.by_steps):
            return checked
        left = max(_LEAST_CHECKED, _MOST_CHECKED // max(1, len(plan.edges)))
        edits, start = EventEdits(self.events), plan
        for due in self.agenda():
            event = self.events[due.event]
            if isinstance(event.action, DeliveryAction) or not left:
                break
            if due.event in checked:
                left -= 1
            else:
                event.check(plan, "" if plan is start else f"; {_AFTER_OTHERS.format(due.at)}")
                checked.add(due.event)
            if due.kind in ("edit", "undo"):
                plan = edits.apply(plan, due)
        return checked

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
