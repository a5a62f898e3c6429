"""Trains in one group after another: when a group fails, the next one continues with rank 0's state."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.run_files import MEMBERSHIP, append_json
from harness.training.elastic.decide import Roster
from harness.training.elastic.group import ElasticGroup
from harness.training.elastic.meeting import Meeting
from harness.training.elastic.state import shared
from harness.training.group import GroupError, blamed
from harness.training.train_loop import Training


class ElasticLoop:
    """One rank's part of a training run whose ranks come and go.

    Args:
        meeting: where they meet.
        device: where this rank computes.
        out: folder of membership.jsonl, which rank 0 writes; None: it is not written.
        training: of this rank.
        facts: more fields for the record's start lines.
    """

    def __init__(
        self,
        meeting: Meeting,
        device: Any,
        out: Path | None,
        training: Training,
        facts: Mapping[str, Any],
    ) -> None:
        self._meeting, self._device, self._out = meeting, device, out
        self._training, self._facts = training, facts
        self._failed_at = -1
        """The step after which the last group failed."""

    def run(self, *, resume: bool) -> None:
        """Train to the end.

        Args:
            resume: whether the first group continues from the newest checkpoint.

        Raises:
            HarnessError: a failure that no absent rank has caused, or rank 0 is gone.
        """
        error: GroupError | None = None
        while True:
            began = time.time()
            roster = self._meeting.join()
            if roster is None:
                line = f"rank {self._meeting.rank}: the others have finished, so this rank has no group to join"
                print(line, file=sys.stderr, flush=True)
                return
            if error and not roster.lost and not roster.joined:
                self._check(error)
            error = self._one_group(roster, began, resume)
            if error is None:
                return

    def _one_group(self, roster: Roster, began: float, resume: bool) -> GroupError | None:
        """Train in a group to the end, or until it fails; the failure."""
        group: ElasticGroup | None = None
        try:
            group = ElasticGroup(self._meeting, roster, self._device)
            self._train(group, roster, began, resume)
            self._training.close()
        except HarnessError as error:
            if not (isinstance(error, GroupError) or (group and group.ended)):
                raise
            failure = GroupError(str(error))
        else:
            return None
        if group:
            group.leave()
        self._training.leave()
        gc.collect()  # what refers to the group must be gone before it: see Training.close
        if group:
            group.destroy()
        return failure

    def _train(self, group: ElasticGroup, roster: Roster, began: float, resume: bool) -> None:
        training = self._training
        facts = {**self._facts, "generation": roster.generation, "members": list(roster.members)}
        state, size = self._state(group)
        training.enter(group, state)
        if not state:
            training.load(resume)
        self._record(roster, state.get("step", training.step), size, began)
        if not state:
            training.run(facts)
            return
        self._say(roster, state["step"])
        training.go_on(facts, state["step"])

    def _state(self, group: ElasticGroup) -> tuple[Mapping[str, Any], int]:
        """The state from which to continue, and its size; empty before training has begun."""
        if group.generation == 1:
            return {}, 0
        with blamed(group.global_rank, "receiving the state of rank 0"):
            return shared(self._training.state(), group.rank, self._device)

    def _record(self, roster: Roster, step: int, size: int, began: float) -> None:
        """Write the line of a group."""
        if self._meeting.rank == 0 and self._out:
            now = time.time()
            append_json(
                self._out / MEMBERSHIP,
                {
                    "time": now,
                    "generation": roster.generation,
                    "members": list(roster.members),
                    "joined": list(roster.joined),
                    "lost": list(roster.lost),
                    "step": step,
                    "state_bytes": size,
                    "seconds": now - began,
                },
            )

    def _say(self, roster: Roster, step: int) -> None:
        """On rank 0, print the group's members."""
        if self._meeting.rank == 0:
            lost = f", without {_named(roster.lost)}" if set(roster.lost) - set(roster.members) else ""
            joined = f", {_named(roster.joined)} joined" if roster.joined else ""
            print(f"group {roster.generation}: {_named(roster.members)}{lost}{joined}, from step {step}", flush=True)

    def _check(self, error: GroupError) -> None:
        """Raise an error that the same ranks had twice at one step: another group would fail too."""
        step = self._training.step
        if step == self._failed_at:
            raise HarnessError(
                f"{error}; the same ranks failed at this step before: a collective may take more than"
                f" --elastic {self._meeting.away:g} seconds over these links"
            )
        self._failed_at = step


def _named(ranks: tuple[int, ...]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
