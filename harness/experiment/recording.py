"""Writes the records of one run: output of ranks, links and flows, reshapes, how it ended (docs/runs.md)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

from harness.agent.job import RUNS
from harness.backends.docker.container_options import parse_volume
from harness.errors import HarnessError, InputError
from harness.installed import PACKAGE
from harness.model.collectives_hook import HOOK, RUN_DIR, collectives_environment
from harness.networks.backends import DOCKER
from harness.networks.launch import LaunchOutcome
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.networks.rank_process import Stream
from harness.networks.sampler import Sampler
from harness.run_files import Lines, RunFolder, append_json
from harness.training.run_description import versions

FOLDER_IN_CONTAINER: Final = str(RUNS)
"""Programs in a container run as this folder's owner."""
_PACKAGE_IN_CONTAINER: Final = "/opt/harness-of-the-host/harness"
_LAST_LINES: Final = 10
_FULL: Final = os.strerror(errno.ENOSPC)
"""A full disk is reported once, whichever files could not be written."""


def check_volumes(placement: Placement) -> None:
    """Raise InputError where a volume of the user is mounted at the place of the run's folder."""
    for volume in placement.volumes:
        if parse_volume(volume)[1].rstrip("/") == FOLDER_IN_CONTAINER:
            raise InputError(
                f"--volume {volume}: a recorded run has its folder at {FOLDER_IN_CONTAINER} in containers; mount this"
                " volume at another path"
            )


def recorded_placement(placement: Placement, folder: RunFolder, *, collectives: bool = False) -> Placement:
    """Make the folder of a run, and mount it in containers. Raises HarnessError.

    ``collectives``: whether ranks record each collective, for which containers get this package, whatever their image.
    """
    in_containers = placement.runtime == DOCKER
    folder.make(shared=in_containers and os.geteuid() == 0)
    if not in_containers:
        return placement
    placement = placement.with_volume(f"{folder.path.absolute()}:{FOLDER_IN_CONTAINER}")
    return placement.with_volume(f"{PACKAGE}:{_PACKAGE_IN_CONTAINER}:ro") if collectives else placement


def network_facts(network: Network, congestion_control: str) -> dict[str, Any]:
    """What run.json says of the network, as it is when the run begins, and of the software."""
    plan = network.plan
    return {
        "version": 1,
        "profile": plan.profile,
        "topology": plan.topology,
        "nodes": plan.size,
        "seed": plan.seed,
        "network_seed": plan.seed,
        "target": None,
        "stop_at_target": False,
        "limit_seconds": None,
        "runtime": network.backend.name,
        "engine": network.engine,
        "congestion_control": congestion_control,
        "plan": plan.to_json(),
        "versions": versions(),
        "started": time.time(),
        "attempt": 1,
    }


def folder_of_ranks(network: Network, folder: RunFolder) -> str:
    """A run's folder, as a rank sees it."""
    return FOLDER_IN_CONTAINER if network.backend.name == DOCKER else str(folder.path.absolute())


class Recording:
    """Records one run on a network, from entering to ``end``.

    Args:
        network: of the run.
        folder: of the run; it exists.
        facts: the contents of run.json.
        notify: called with each message for the user, one line each.
        required: whether a record that cannot be written is an error; if not, it is reported once, and the run goes on.
        collectives: whether ranks record each collective; see ``recorded_placement``.
    """

    def __init__(
        self,
        network: Network,
        folder: RunFolder,
        facts: Mapping[str, Any],
        notify: Callable[[str], None],
        *,
        required: bool = True,
        collectives: bool = False,
    ) -> None:
        self.network, self.folder, self.facts = network, folder, facts
        self._notify, self._required, self._collectives = notify, required, collectives
        self._logs: dict[int, Lines] = {}
        self._open = ExitStack()
        self.notes: list[str] = []
        """Messages of the engine and the sampler, each once, e.g. that a shaper daemon, and so its links, was down."""
        self._incomplete = False
        self._began = time.time()
        self._sampler = Sampler(network, folder.path, facts["attempt"])

    def __enter__(self) -> Self:
        """Write run.json and begin to record links, flows and reshapes. Raises HarnessError."""
        with ExitStack() as opened:
            self._write(self.folder.begin, self.facts)
            self._write(self.network.record_in, self.folder.path)
            for rank in range(self.network.plan.size):
                self._write(self._open_log, opened, rank)
            self._write(self._sampler.start)
            self._open = opened.pop_all()
        return self

    def _open_log(self, opened: ExitStack, rank: int) -> None:
        self._logs[rank] = opened.enter_context(self.folder.log(rank, self.facts["attempt"]))

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._open.close()
        self._sampler.stop()

    @property
    def environ(self) -> dict[str, str]:
        """Variables of the ranks: the run's folder as they see it, and the hook that records collectives."""
        found = {RUN_DIR: self.folder_of_ranks}
        if not self._collectives:
            return found
        nodes = self.network.backend
        hook = f"{_PACKAGE_IN_CONTAINER}/{HOOK.name}" if nodes.name == DOCKER else str(HOOK)
        return found | collectives_environment(nodes.environ, hook)

    @property
    def folder_of_ranks(self) -> str:
        """The run's folder, as a rank sees it."""
        return folder_of_ranks(self.network, self.folder)

    def sink(self, rank: int, _: Stream, line: bytes) -> None:
        """Add a line of output to rank-R.log. Raises HarnessError."""
        if log := self._logs.get(rank):
            self._write(log.write, line)

    def share_logs(self) -> None:
        """Make every rank-R.jsonl, writable for a rank in a container, which is another user. Raises HarnessError."""
        for rank in range(self.network.plan.size):
            path = self.folder.path / f"rank-{rank}.jsonl"
            self._write(lambda path=path: Lines(path).close())
            if path.stat().st_uid == os.geteuid():
                path.chmod(0o666)

    def log(self, rank: int, line: Mapping[str, Any]) -> None:
        """Add a line to rank-R.jsonl, as ``harness.log`` does in a rank. Raises HarnessError."""
        self._write(append_json, self.folder.path / f"rank-{rank}.jsonl", line)

    def tick(self) -> None:
        """Report new messages of the engine and the sampler."""
        self._say(self._sampler.messages())

    def _say(self, texts: list[str]) -> None:
        for text in texts:
            if text not in self.notes:
                full_before = any(_FULL in one for one in self.notes)
                self.notes.append(text)
                if not (full_before and _FULL in text):
                    self._notify(f"{self.folder.path.name}: {text}")

    def ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        """The fields of end.json for a program that has ended on all ranks; pass them to ``end``."""
        failed = outcome.failed_rank
        status = "failed" if failed is not None else "limit" if outcome.unended else "finished"
        return {
            "status": status,
            "code": outcome.code,
            "codes": {str(rank): code for rank, code in sorted(outcome.codes.items())},
            "failed_rank": failed,
            "last_lines": [] if failed is None else self.folder.last_lines(failed, _LAST_LINES),
        }

    def end(self, status: str, **fields: Any) -> None:
        """Sample a last time and write end.json. Raises HarnessError.

        Args:
            status: finished, failed, stopped or limit.
            fields: those that differ from a run in which no rank failed.
        """
        seconds = time.time() - self._began
        self._say(self._sampler.stop())
        usual = {"code": 0, "codes": {}, "failed_rank": None, "last_lines": [], "reached_at_step": None}
        self._write(lambda: self.folder.end(status, **{"seconds": seconds, **usual, **fields, "notes": self.notes}))

    def _write(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except HarnessError as problem:
            if self._required:
                raise
            if not self._incomplete:
                self._say([f"{problem}; its record will be incomplete, and the run goes on"])
            self._incomplete = True
