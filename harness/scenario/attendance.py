"""Performs a scenario's absences: cuts, pauses, kills and restores nodes, and informs the job's launcher.

Where absences of a node overlap, it is back when all of them are over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from harness.errors import HarnessError
from harness.model.plan import NetworkPlan
from harness.networks.away import AwayLine, Cause, What
from harness.networks.network import Network
from harness.scenario.absence import Away
from harness.scenario.schedule import Due
from harness.scenario.undo import Undo


class Attendance:
    """Which nodes of a network are away while a scenario plays.

    Args:
        network: a network that is up.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._file = network, network.away()
        self._holding: dict[tuple[Cause, int], set[Away]] = {}
        """The absences that keep a rank away, by cause and rank."""
        self._cuts: dict[Away, Undo] = {}

    def text(self, due: Due) -> str:
        """The event's text, with the ranks where they were drawn."""
        if due.away is None or due.away.chosen.ranks:
            return due.text
        return f"{due.text} (rank {', '.join(map(str, due.away.ranks(self._network.plan.size)))})"

    @staticmethod
    def changes_links(due: Due) -> bool:
        """Whether the plan changes."""
        return due.away is not None and due.away.cause == "cut"

    def edited(self, plan: NetworkPlan, due: Due) -> NetworkPlan:
        """The plan after a cut begins or ends; nodes that other events have cut off stay so."""
        assert due.away is not None
        if due.kind == "away":
            return self._cut(plan, due.away, self._cuts.setdefault(due.away, Undo()))
        plan = self._cuts.pop(due.away, Undo()).apply(plan)
        for other, undo in self._cuts.items():
            plan = self._cut(plan, other, undo)
        return plan

    @staticmethod
    def _cut(plan: NetworkPlan, away: Away, undo: Undo) -> NetworkPlan:
        new = away.cut(plan)
        undo.remember(plan, new)
        return new

    def perform(self, dues: Iterable[Due], now: float) -> None:
        """Write which nodes are away, then kill, pause and bring back nodes.

        Args:
            dues: of kinds away and back.
            now: seconds from the scenario's start.

        Raises:
            NodeError: a node refused.
        """
        for due in dues:
            away = due.away
            assert away is not None
            begins = due.kind == "away"
            until = None if away.until is None else time.time() + away.until - now
            ranks = [rank for rank in away.ranks(self._network.plan.size) if self._changed(rank, away, begins)]
            for rank in ranks:
                self._say(rank, away.cause, until if begins else None, begins, due.at)
            self._act(away.cause, begins, ranks)

    def _changed(self, rank: int, away: Away, begins: bool) -> bool:
        """Whether the rank must be acted on; always for a kill, because new programs may have started there."""
        holding = self._holding.setdefault((away.cause, rank), set())
        before = bool(holding)
        (holding.add if begins else holding.discard)(away)
        return bool(holding) is not before or (begins and away.cause == "kill")

    def _act(self, cause: Cause, begins: bool, ranks: list[int]) -> None:
        backend = self._network.backend
        if not ranks or cause == "cut":
            return
        if cause == "kill":
            (backend.kill_jobs if begins else backend.restart_jobs)(ranks)
        else:
            (backend.pause_jobs if begins else backend.resume_jobs)(ranks)

    @property
    def pauses(self) -> bool:
        """Whether a node is paused."""
        return any(cause == "pause" and holding for (cause, _), holding in self._holding.items())

    def end(self) -> None:
        """Resume all paused nodes, because the player ends."""
        paused = [rank for (cause, rank), holding in self._holding.items() if cause == "pause" and holding]
        try:
            self._network.backend.resume_jobs(paused)
        except HarnessError:  # the network is gone
            return
        for rank in paused:
            self._say(rank, "pause", None, False)

    def _say(self, rank: int, cause: Cause, until: float | None, begins: bool, at: float | None = None) -> None:
        what: What = cause if begins else "back"
        self._file.write(AwayLine(time.time(), rank, what, until, None if begins else cause, at))
