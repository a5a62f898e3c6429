"""Records this node for a job that a command started (``harness experiment``, ``run --record``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from harness.agent.job import RUNS, user_of
from harness.agent.links import NodeLinks
from harness.agent.node_recorder import NodeRecorder
from harness.errors import InputError


class RecordingOrders:
    """One recording at a time, into the folder for results, which is then the run folder.

    Args:
        links: of this node.
        spawn: starts a task.
        folder: for results.
    """

    def __init__(
        self, links: NodeLinks, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]], folder: Path = RUNS
    ) -> None:
        self._links, self._spawn, self._folder = links, spawn, folder
        self._recorder: NodeRecorder | None = None
        self._task: asyncio.Task[None] | None = None
        self._messages: list[str] = []

    def begin(self, attempt: int) -> None:
        """Begin to record, and end an earlier recording. Raises HarnessError."""
        self.end()
        if not self._folder.is_mount():  # what is written to the container itself is lost when it ends
            raise InputError(f"nothing can be recorded: {self._folder} is not a folder of the host; mount one there")
        self._recorder = NodeRecorder(self._folder, self._links, attempt, user_of(), self._messages.append)
        self._task = self._spawn(self._recorder.run())

    def end(self) -> None:
        """Take a last sample and end, if there is a recording."""
        if self._recorder and self._task:
            self._task.cancel()
            self._recorder.end()
            self._recorder = None

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Begin, go on or end, as a command asks; new messages for the user. Raises HarnessError."""
        if message["do"] == "record":
            self.begin(int(message["attempt"]))
        elif message["end"]:
            self.end()
        messages, self._messages[:] = list(self._messages), []
        return {"messages": messages}
