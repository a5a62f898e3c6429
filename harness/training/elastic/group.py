"""A process group that its members can leave at any time."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import Any

from harness.errors import HarnessError
from harness.training.elastic.decide import Roster
from harness.training.elastic.meeting import Meeting
from harness.training.elastic.sockets import GroupSockets
from harness.training.group import ProcessGroup, blamed, import_torch


class ElasticGroup(ProcessGroup):
    """The process group of a roster. The constructor returns when all members are connected.

    Args:
        meeting: where its members met.
        roster: of the group, with this rank.
        device: where this process computes.

    Raises:
        GroupError: a member cannot be reached.
    """

    def __init__(self, meeting: Meeting, roster: Roster, device: Any) -> None:
        self.torch, self.dist = import_torch()
        self._meeting, self.device, self._over = meeting, device, threading.Event()
        self.generation, self.members = roster.generation, roster.members
        self.global_rank, self.rank = meeting.rank, roster.members.index(meeting.rank)
        self.size = len(roster.members)
        self._sockets = GroupSockets(meeting.port)
        try:
            self._connect(meeting.connection(), meeting.away)
            self._sockets.note()
            meeting.watch(self._end)
        except HarnessError:
            self.leave()
            self.destroy()
            raise

    def _connect(self, store: Any, seconds: float) -> None:
        with blamed(self.global_rank, f"connecting ranks {', '.join(map(str, self.members))}"):
            self.dist.init_process_group(
                "gloo",
                store=self.dist.PrefixStore(f"gloo/{self.generation}", store),
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=seconds),
            )

    @property
    def ended(self) -> bool:
        """Whether a member has failed, or another rank wants to join."""
        return self._over.is_set()

    def leave(self) -> None:
        """Cut the connections of the group, whatever is under way in it. ``destroy`` it next."""
        self._meeting.leave()
        self._sockets.shut_down()

    def wait_for_all(self) -> None:
        """Wait for all members: the job is done."""
        with blamed(self.global_rank, "waiting for the last rank"):
            self.dist.barrier()
        self._meeting.finish()

    def destroy(self) -> None:
        """Destroy the group, also one that was never complete."""
        with contextlib.suppress(RuntimeError, ValueError):
            self.dist.destroy_process_group()

    def _end(self) -> None:
        self._over.set()
        self._sockets.shut_down()
