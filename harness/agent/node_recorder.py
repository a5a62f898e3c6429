"""Records the links and flows of one node while a job runs: links-R.jsonl and flows-R.jsonl (docs/runs.md)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from harness.agent.job import as_user
from harness.agent.links import NodeLinks
from harness.errors import HarnessError
from harness.linux import host
from harness.sampling.pace import NODES, SHARE, Pace
from harness.sampling.sample_recorder import SampleRecorder


class NodeRecorder:
    """Samples this node's links and flows.

    Args:
        folder: of the run.
        links: of this node.
        attempt: number of the attempt at this run.
        user: (uid, gid) to whom the files belong.
        say: called once with each message for the user.

    Raises:
        HarnessError: links and flows cannot be sampled.
    """

    def __init__(
        self, folder: Path, links: NodeLinks, attempt: int, user: tuple[int, int], say: Callable[[str], None]
    ) -> None:
        try:
            self._node, self._size = links.sampler(), links.plan.size
        except OSError as problem:
            raise HarnessError(f"links and flows cannot be recorded: {host.explain(problem)}") from None
        files = folder / f"links-{links.rank}.jsonl", folder / f"flows-{links.rank}.jsonl"
        with as_user(*user):
            self._recorder = SampleRecorder({links.rank: self._node}, files, attempt, say)

    def sample(self) -> None:
        """Sample once."""
        self._recorder.record(time.time())

    async def run(self) -> None:
        """Sample until cancelled, at the same moments as the other nodes."""
        pace = Pace(SHARE / min(self._size, NODES))
        while True:
            before = time.thread_time()
            self.sample()
            await asyncio.sleep(pace.next(time.time(), time.thread_time() - before) - time.time())

    def end(self) -> None:
        """Take a last sample and close the files."""
        self._recorder.record(time.time(), last=True)
        self._recorder.close()
        self._node.close()
