"""One run: a network of its own, the training workload on every node, and a record of all of it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from harness.experiment.progress import RunProgress
from harness.experiment.spec import Experiment, Run
from harness.home import DOCKER, Home
from harness.launch import Outcome, Stream, launch
from harness.plan import NetworkPlan
from harness.plan_options import PlanOptions
from harness.run_folder import RunFolder
from harness.session import Network

_LAST_LINES: Final = 10
_SAMPLE_SECONDS: Final = 1.0
INSIDE: Final = "/run-folder"
"""Where a container has the folder of its run."""


def plan_of(experiment: Experiment, run: Run) -> NetworkPlan:
    """The network of a run. Raises InputError."""
    return PlanOptions(experiment.nodes, run.topology, run.profile, None, run.seed, None, None).plan()


def arguments(experiment: Experiment, run: Run, out: str, resume: bool) -> list[str]:
    """What the training workload is called with."""
    task = experiment.task
    words = [
        *("--task", task.name, "--shards", task.shards, "--batch", str(task.batch)),
        *("--optimizer", task.optimizer, "--lr", repr(task.lr), "--layers", str(task.layers)),
        *("--context", str(task.context), "--strategy", run.variant.strategy, "--steps", str(experiment.steps)),
        *("--seed", str(run.seed), "--evaluate-every", str(experiment.evaluate_every)),
        *("--checkpoint-every", str(experiment.checkpoint_every), "--out", out),
    ]
    for name, value in (("--width", task.width), ("--data", task.data)):
        words += [] if value is None else [name, str(value)]
    for name, value in run.variant.options.items():
        words += ["--option", f"{name}={value}"]
    return [*words, "--resume"] if resume else words


@dataclass(frozen=True)
class Runner:
    """Performs runs, one after the other.

    Args:
        experiment: that they belong to.
        folder: of the experiment.
        name: of each run's network: with it, ``harness link set`` finds it.
        home: where nodes live.
        tell: called with what the user should know, one line each.
    """

    experiment: Experiment
    folder: Path
    name: str
    home: Home
    tell: Callable[[str], None]

    def folder_of(self, run: Run) -> RunFolder:
        """Where a run's records are."""
        return RunFolder(self.folder / run.slug)

    def perform(self, run: Run, watch: Callable[[RunProgress], None]) -> Mapping[str, Any]:
        """Do a run; what its end.json says. A rank that fails ends the run, not the experiment.

        Args:
            run: which.
            watch: called some times a second with how far it is.

        Raises:
            HarnessError: the network cannot be made, or the record not written.
        """
        plan, folder = plan_of(self.experiment, run), self.folder_of(run)
        before = folder.facts
        resume = before is not None and (folder.path / "checkpoints").is_dir()
        folder.path.mkdir(parents=True, exist_ok=True)
        home = self.home
        if home.runtime == DOCKER:
            home = home.with_volume(f"{folder.path.absolute()}:{INSIDE}")
        network = home.start(self.name, plan, transient=True, progress=lambda _: None, tell=self.tell)
        try:
            folder.begin(self._facts(run, plan, network, before))
            network.record_in(folder.path)
            return self._train(run, network, folder, resume, watch)
        finally:
            network.down()

    def _train(
        self, run: Run, network: Network, folder: RunFolder, resume: bool, watch: Callable[[RunProgress], None]
    ) -> Mapping[str, Any]:
        out = INSIDE if network.runtime.name == DOCKER else str(folder.path.absolute())
        argv = [network.runtime.python, "-m", "harness.workloads.train", *arguments(self.experiment, run, out, resume)]
        job = _Job(self.experiment, network, folder, watch)
        began = time.time()
        try:
            with ExitStack() as stack:
                logs = [stack.enter_context(folder.log(rank)) for rank in range(network.plan.size)]

                def sink(rank: int, _: Stream, line: bytes) -> None:
                    logs[rank].write(line + b"\n")

                outcome = launch(network.runtime, network.plan, argv, sink, tick=job.tick)
        except (KeyboardInterrupt, SystemExit):
            folder.end("stopped", seconds=time.time() - began, code=130, failed_rank=None, last_lines=[])
            raise
        job.tick()
        self._end(folder, outcome, job, time.time() - began)
        return folder.ending or {}

    def _end(self, folder: RunFolder, outcome: Outcome, job: _Job, seconds: float) -> None:
        failed = outcome.failed_rank
        status = "failed" if failed is not None else "limit" if job.over_limit else "finished"
        lines: list[str] = []
        if failed is not None:
            text = (folder.path / f"rank-{failed}.log").read_text(errors="replace")
            lines = text.splitlines()[-_LAST_LINES:]
        reached = job.progress.reached_at
        folder.end(
            status, seconds=seconds, code=outcome.code, failed_rank=failed, last_lines=lines, reached_at_step=reached
        )

    def _facts(self, run: Run, plan: NetworkPlan, network: Network, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """What run.json says."""
        experiment = self.experiment
        return {
            "version": 1,
            "slug": run.slug,
            "profile": run.profile,
            "topology": run.topology,
            "nodes": plan.size,
            "seed": run.seed,
            "strategy": run.variant.strategy,
            "options": dict(run.variant.options),
            "label": run.variant.label,
            "task": vars(experiment.task),
            "steps": experiment.steps,
            "target": {experiment.target[0]: experiment.target[1]} if experiment.target else None,
            "stop_at_target": experiment.stop_at_target,
            "limit_seconds": experiment.limit_seconds,
            "runtime": network.runtime.name,
            "engine": network.engine,
            "congestion_control": self.home.congestion_control,
            "plan": plan.to_json(),
            "versions": versions(),
            "started": time.time(),
            "attempt": (int(before.get("attempt", 1)) + 1) if before else 1,
        }


class _Job:
    """What is done beside a job several times a second: its progress, its links, its limits."""

    def __init__(
        self, experiment: Experiment, network: Network, folder: RunFolder, watch: Callable[[RunProgress], None]
    ) -> None:
        self._experiment, self._network, self._folder, self._watch = experiment, network, folder, watch
        self.progress = RunProgress(folder.path, network.plan.size, experiment.target)
        self.over_limit = False
        self._sample_at = 0.0

    def tick(self) -> bool:
        """Whether the job is to end now."""
        now = time.time()
        if now >= self._sample_at:
            self._sample_at = max(self._sample_at + _SAMPLE_SECONDS, now + _SAMPLE_SECONDS / 2)
            self._folder.links(sample(self._network))
        self.progress.update()
        self._watch(self.progress)
        limit, started = self._experiment.limit_seconds, self.progress.started_at
        self.over_limit = limit is not None and started is not None and now - started > limit
        reached = self._experiment.stop_at_target and self.progress.reached_at is not None
        return self.over_limit or reached


def sample(network: Network) -> dict[str, Any]:
    """A line of links.jsonl. Raises NodeError."""
    readings = network.observe()
    edges = [
        {"src": src, "dst": dst, **vars(edge.stats)}
        for node in readings.values()
        for (src, dst), edge in node.edges.items()
    ]
    return {"time": time.time(), "edges": edges, "tcp": {str(rank): vars(one.tcp) for rank, one in readings.items()}}


def versions() -> dict[str, str]:
    """Of what makes a difference."""
    found = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
    for name, package in (("harness", "tc-harness"), ("torch", "torch"), ("numpy", "numpy")):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "cpus": str(len(os.sched_getaffinity(0)))}
