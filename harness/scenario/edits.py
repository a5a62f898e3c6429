"""Makes the changes of a scenario's events in a plan, and undoes them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.model.plan import NetworkPlan
from harness.scenario.undo import Undo

if TYPE_CHECKING:
    from harness.scenario.schedule import Due, Event


class EventEdits:
    """The changes that a scenario's events have made, in order.

    Args:
        events: of the scenario.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._undo: dict[int, Undo] = {}

    def apply(self, plan: NetworkPlan, due: Due) -> NetworkPlan:
        """The plan after a change of kind edit or undo.

        Raises:
            InputError: it contradicts what the links have by then; names the event's place in the file and the time.
        """
        event = self._events[due.event]
        try:
            if due.kind == "undo":
                return self._undo.pop(due.event, Undo()).apply(plan)
            assert due.edit is not None
            new = due.edit(plan)
        except InputError as error:
            over = due.kind == "undo"
            when = f"at {due.at:g} s, when it ends" if over else f"at {due.at:g} s"
            remedy = "; another event has changed the link meanwhile: end that one earlier" if over else ""
            raise type(error)(f"{event.place}: {when}: {error}{remedy}") from None
        if event.timing.lasts is not None:
            self._undo.setdefault(due.event, Undo()).remember(plan, new)
        return new
