"""Plays a scenario on a network that is up: one change after the other, each at its time.

What is due at one moment is one change of the network. Where a change fails, or the player is interrupted, the network
stays as the last acknowledged change has made it; loads that the scenario has started end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import InputError
from harness.model.plan import NetworkPlan
from harness.networks.network import Network
from harness.scenario.action import LoadAction
from harness.scenario.schedule import Due, NetworkScenario
from harness.scenario.undo import Undo
from harness.traffic.manager import CrossTraffic

TOGETHER_S: Final = 0.001
"""What is due within so long is done at once."""
LATE_S: Final = 0.05
"""A change that is acknowledged later than this after its time is named."""


@dataclass(frozen=True)
class Played:
    """A change that was made.

    Args:
        at: seconds from the start at which it was due.
        acknowledged: seconds from the start at which the network had made it.
        texts: what it was.
    """

    at: float
    acknowledged: float
    texts: tuple[str, ...]

    @property
    def late(self) -> bool:
        """Whether it took longer than LATE_S."""
        return self.acknowledged - self.at > LATE_S

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in seconds."""
        return {"at": self.at, "acknowledged": self.acknowledged, "events": list(self.texts)}


class Player:
    """One performance of a scenario.

    Args:
        network: that is up.
        scenario: checked against its plan.
        tell: called after every change.
    """

    def __init__(self, network: Network, scenario: NetworkScenario, tell: Callable[[Played], None]) -> None:
        self._network, self._scenario, self._tell = network, scenario, tell
        self._undo: dict[int, Undo] = {}
        self._loads: dict[int, Future[CrossTraffic]] = {}

    def play(self) -> None:
        """Until the last change; loads without an end go on until then. Raises what a change raises."""
        start, group = time.monotonic(), list[Due]()
        with ThreadPoolExecutor(1) as helper:  # a load takes a while to begin: no change waits for it
            try:
                for due in self._scenario.agenda():
                    if group and due.at - group[0].at > TOGETHER_S:
                        self._perform(start, group, helper)
                        group = []
                    group.append(due)
                    if len(group) == 1:
                        _sleep_until(start + due.at)
                if group:
                    self._perform(start, group, helper)
                if self._scenario.until is not None:
                    _sleep_until(start + self._scenario.until)
            finally:
                for load in self._loads.values():
                    if load.exception() is None:
                        load.result().stop()

    def _perform(self, start: float, group: Sequence[Due], helper: ThreadPoolExecutor) -> None:
        edits = [due for due in group if due.kind in ("edit", "undo")]
        if edits:
            self._network.reshape(lambda plan: self._edited(plan, edits))
        acknowledged = time.monotonic() - start
        for due in group:
            if due.kind == "load":
                action = self._scenario.events[due.event].action
                assert isinstance(action, LoadAction)
                self._loads[due.event] = helper.submit(CrossTraffic, self._network, [action.spec], through_down=True)
            elif due.kind == "unload":
                self._loads.pop(due.event).result().stop()
        self._tell(Played(group[0].at, acknowledged, tuple(due.text for due in group)))

    def _edited(self, plan: NetworkPlan, edits: Iterable[Due]) -> NetworkPlan:
        for due in edits:
            event = self._scenario.events[due.event]
            try:
                if due.kind == "undo":
                    plan = self._undo.pop(due.event, Undo()).apply(plan)
                    continue
                assert due.edit is not None
                new = due.edit(plan)
            except InputError as error:
                raise type(error)(f"{event.place}: at {due.at:g} s: {error}") from None
            if event.timing.lasts is not None:
                self._undo.setdefault(due.event, Undo()).remember(plan, new)
            plan = new
        return plan


def _sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)
