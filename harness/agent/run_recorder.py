"""What an agent writes to the folder of its job's run (docs/runs.md): so that ``harness report`` can read it.

Every node writes its own links' counters to links-R.jsonl, once a second. Rank 0 writes what it knows of the network to
run.json before the job starts, and how the job has ended to end.json; the trainer adds to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harness.agent.links import NodeLinks
from harness.errors import HarnessError
from harness.model.status import NodeStatus
from harness.run_files import Lines, RunFolder, append_json

_SIGNALS: Final = (130, 143)
"""Exit codes of what a user has stopped, by SIGINT or SIGTERM."""


def links_line(now: float, attempt: int, statuses: Mapping[int, NodeStatus]) -> dict[str, Any]:
    """A line of links.jsonl: what these nodes have counted until now (seconds since the epoch), by rank."""
    edges = [
        {"src": src, "dst": dst, **vars(edge.stats)}
        for node in statuses.values()
        for (src, dst), edge in node.edges.items()
    ]
    tcp = {str(rank): vars(node.tcp) for rank, node in statuses.items()}
    return {"time": now, "attempt": attempt, "edges": edges, "tcp": tcp}


@contextlib.contextmanager
def _as_user(uid: int, gid: int) -> Iterator[None]:
    """Files that are made within belong to that user. Root alone can do that; for others nothing changes."""
    if os.getuid():
        yield
        return
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class RunRecorder:
    """Records one run of a job. Raises HarnessError where the folder cannot be written to.

    Args:
        folder: of the run.
        links: of this node.
        congestion_control: of TCP.
        user: (uid, gid) that the job runs as, to whom the files belong.
    """

    def __init__(self, folder: Path, links: NodeLinks, congestion_control: str, user: tuple[int, int]) -> None:
        self._folder, self._links, self._user, self._began = RunFolder(folder), links, user, time.time()
        self._counters = folder / f"links-{links.rank}.jsonl"
        plan = links.plan
        with _as_user(*user):
            Lines(self._counters).close()
            if links.rank == 0:
                self._folder.begin(
                    {
                        "version": 1,
                        "slug": folder.name,
                        "profile": plan.profile,
                        "topology": plan.topology,
                        "nodes": plan.size,
                        "seed": plan.seed,
                        "target": None,
                        "stop_at_target": False,
                        "limit_seconds": None,
                        "runtime": "docker",
                        "engine": links.engine.name,
                        "congestion_control": congestion_control,
                        "plan": plan.to_json(),
                        "started": self._began,
                        "attempt": 1,
                    }
                )

    async def run(self) -> None:
        """Sample at every whole second, so that the samples of all nodes are of the same moments.

        Raises HarnessError where the counters cannot be read or written.
        """
        while True:
            self.sample()
            await asyncio.sleep(1 - time.time() % 1)

    def sample(self) -> None:
        """Record what this node's links have counted."""
        line = links_line(time.time(), 1, {self._links.rank: self._links.observe()})
        with _as_user(*self._user):
            append_json(self._counters, line)

    def end(self, code: int, failed_rank: int | None) -> None:
        """Record the last counters and, at rank 0, how the job has ended. Where that is impossible nothing is written.

        Args:
            code: the exit code of all nodes.
            failed_rank: the one that failed first, if any did.
        """
        with contextlib.suppress(HarnessError):
            self.sample()
        if self._links.rank:
            return
        status = "finished" if code == 0 else "stopped" if code in _SIGNALS else "failed"
        usual = {"seconds": time.time() - self._began, "last_lines": [], "reached_at_step": None, "notes": []}
        ending = {**usual, **(self._folder.ending or {}), "code": code}
        ending["failed_rank"] = failed_rank if status == "failed" else None
        rest = {name: value for name, value in ending.items() if name not in ("status", "time")}
        with _as_user(*self._user), contextlib.suppress(HarnessError):
            self._folder.end(status, **rest)
