"""Plays a scenario on a network that is up: makes each change at its time.

What is due at one moment is one change of the network. After an error or an interrupt, the network stays as the last
acknowledged change left it; the scenario's loads end.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from harness.model.plan import NetworkPlan
from harness.networks.network import Network
from harness.scenario.action import LoadAction
from harness.scenario.attendance import Attendance
from harness.scenario.edits import EventEdits
from harness.scenario.loads import Loads
from harness.scenario.played import Played
from harness.scenario.schedule import Due, NetworkScenario
from harness.scenario.step_file import StepFile

TOGETHER_S: Final = 0.001
"""What is due within this time is one change."""
POLL_S: Final = 0.003
"""Seconds between two looks at the job's steps, which take longer."""
LOOK_S: Final = 1.0
"""Seconds between two checks for loads that have failed."""


class Player:
    """Plays a scenario once.

    Args:
        network: a network that is up.
        scenario: checked against the network's plan.
        tell: called after every change.
        steps: the job's steps; needed where events follow them.
    """

    def __init__(
        self,
        network: Network,
        scenario: NetworkScenario,
        tell: Callable[[Played], None],
        steps: StepFile | None = None,
    ) -> None:
        self._network, self._tell, self._steps = network, tell, steps
        self._scenario = scenario.played_by(network.backend.engine)
        self._edits = EventEdits(self._scenario.events)
        self._loads = Loads(network)
        self._sources: list[tuple[float, int, Due, Iterator[Due]]] = []
        """A heap of the next changes: one source has all events by the clock, each other one an event by steps."""
        self.awaited: dict[int, int] = {}
        """By the event's number, the step at which it begins next."""
        self.reached = -1.0
        """When the last change was due, in seconds from the start; negative before the first one."""
        self._attendance = Attendance(network)
        self._start = 0.0
        self._number = 0

    def play(self, start: float | None = None) -> None:
        """Play until the last change is made, no load runs and no node is paused. Raises the error of a change.

        Args:
            start: the scenario's start, by time.monotonic(); None: now.
        """
        timings = [event.timing for event in self._scenario.events]
        steps = {number: timings[number].next_step(0) for number in self._scenario.by_steps}
        self.awaited = {number: step for number, step in steps.items() if step is not None}
        self._start = time.monotonic() if start is None else start
        self._add(self._scenario.agenda())
        try:
            while self._sources or self.awaited:
                self._begin_by_step()
                self._loads.require()
                wait = self._sources[0][0] - self._now if self._sources else POLL_S
                if wait > 0 or not self._sources:
                    time.sleep(min(wait, POLL_S if self.awaited else LOOK_S))
                    continue
                self._perform(self._due())
            end = math.inf if self._scenario.until is None else self._scenario.until
            while (self._loads or self._attendance.pauses) and (left := end - self._now) > 0:
                self._loads.require()
                time.sleep(min(left, LOOK_S))
        finally:
            self._attendance.end()
            self._loads.close()
        self._loads.require()

    def left(self) -> list[str]:
        """A line for each event that has not happened because playing ended early."""
        events = self._scenario.events
        dues = self._scenario.left(self.reached)
        return [
            *(f"{events[due.event].place}: ended before {due.at:.3f} s: {due.text} has not happened" for due in dues),
            *(
                f"{events[number].place}: the job has not reached step {step}, so this has not happened"
                for number, step in self.awaited.items()
            ),
        ]

    @property
    def _now(self) -> float:
        return time.monotonic() - self._start

    def _add(self, source: Iterator[Due]) -> None:
        if (due := next(source, None)) is not None:
            self._number += 1
            heapq.heappush(self._sources, (due.at, self._number, due, source))

    def _due(self) -> list[Due]:
        """What is due now, to be made as one change, with all late values of traces, so that these catch up."""
        first, now, found = self._sources[0][0], self._now, []
        while self._sources:
            at, _, due, source = self._sources[0]
            if at > first + TOGETHER_S and not (due.follows and at <= now):
                break
            heapq.heappop(self._sources)
            found.append(due)
            self._add(source)
        return found

    def _begin_by_step(self) -> None:
        """Begin the events whose step the job has reached."""
        if not self.awaited or self._steps is None:
            return
        done = self._steps.look()
        for number, step in sorted(self.awaited.items(), key=lambda one: one[1]):
            if done >= step:
                del self.awaited[number]
                if (following := self._scenario.events[number].timing.next_step(done)) is not None:
                    self.awaited[number] = following
                self._add(self._scenario.occurrence(number, self._now, nth=step))

    def _perform(self, group: Sequence[Due]) -> None:
        self._attendance.perform([due for due in group if due.away], self._now)
        edits = [due for due in group if due.kind in ("edit", "undo") or self._attendance.changes_links(due)]
        if edits:
            self._network.reshape(lambda plan: self._edited(plan, edits), group[0].at)
        acknowledged, self.reached = self._now, group[-1].at
        for due in group:
            if due.kind == "load":
                action = self._scenario.events[due.event].action
                assert isinstance(action, LoadAction)
                self._loads.begin(due.event, action)
            elif due.kind == "unload":
                self._loads.end(due.event)
        self._tell(Played(group[0].at, acknowledged, tuple(map(self._attendance.text, group))))

    def _edited(self, plan: NetworkPlan, edits: Iterable[Due]) -> NetworkPlan:
        for due in edits:
            plan = self._attendance.edited(plan, due) if due.away else self._edits.apply(plan, due)
        return plan
