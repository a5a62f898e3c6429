"""Performs one run: makes a network, trains on every node, and records both."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.experiment.progress import RunProgress
from harness.experiment.recording import Recording, network_facts, recorded_placement
from harness.experiment.spec import Experiment, Run, short
from harness.experiment.variants import StrategyVariant
from harness.experiment.watcher import Watcher
from harness.model.plan import NetworkPlan
from harness.model.plan_options import PlanOptions
from harness.networks.backends import DOCKER
from harness.networks.launch import launch
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from harness.training.options import TrainOptions
from harness.training.run_description import describe

Subnets = tuple[str | None, str | None]
"""IPv4 and IPv6, as the user wrote them; None: the default."""


def plan_of(experiment: Experiment, run: Run, subnets: Subnets = (None, None)) -> NetworkPlan:
    """The network of a run. Raises InputError."""
    return PlanOptions(experiment.nodes, run.topology, run.profile, None, run.drawn_with, *subnets).plan()


def train_options(experiment: Experiment, run: Run, out: str, resume: bool) -> TrainOptions:
    """The options of the training program on each rank of a run.

    Args:
        experiment: of the run.
        run: which.
        out: the run's folder, as a rank sees it.
        resume: whether to continue from the newest checkpoint.
    """
    assert isinstance(run.variant, StrategyVariant)
    return TrainOptions(
        task=experiment.task,
        strategy=run.variant.strategy,
        options=run.variant.options,
        schedule=experiment.schedule,
        seed=run.seed,
        resume=resume,
        out=Path(out),
    )


@dataclass(frozen=True)
class Runner:
    """Performs runs, one after the other.

    Args:
        experiment: of the runs.
        folder: of the experiment.
        name: of each run's network, for ``harness link set``.
        placement: where nodes live, and what makes their links.
        notify: called with each message for the user, one line each.
        subnets: of each run's network.
    """

    experiment: Experiment
    folder: Path
    name: str
    placement: Placement
    notify: Callable[[str], None]
    subnets: Subnets = (None, None)

    def folder_of(self, run: Run) -> RunFolder:
        """Where a run's records are."""
        return RunFolder(self.folder / run.slug)

    def perform(self, run: Run, watch: Callable[[RunProgress], None]) -> Mapping[str, Any]:
        """Perform a run and return its end.json. A rank that fails ends the run, not the experiment.

        Args:
            run: which.
            watch: called several times a second with the progress.

        Raises:
            HarnessError: the network cannot be made, or the records cannot be written.
        """
        plan, folder = plan_of(self.experiment, run, self.subnets), self.folder_of(run)
        placement = self._placement_of(run, folder)
        network = placement.start(self.name, plan, transient=True, progress=lambda _: None, tell=self.notify)
        try:
            before, resume = folder.facts, folder.can_go_on
            if not resume:
                folder.clear()
            with Recording(network, folder, self._facts(run, network, before), self.notify) as recording:
                self._train(run, recording, resume, Watcher(self.experiment, recording, watch))
        finally:
            network.down()
        return folder.ending or {}

    def _placement_of(self, run: Run, folder: RunFolder) -> Placement:
        """The placement, with the run's folder, which is made, and the user's files as volumes of containers."""
        placement = recorded_placement(self.placement, folder)
        if placement.runtime == DOCKER:
            data = self.experiment.task.data
            for path in filter(None, (getattr(run.variant, "file", None), Path(data) if data else None)):
                placement = placement.with_volume(f"{path}:{path}:ro")
        return placement

    def _train(self, run: Run, recording: Recording, resume: bool, watcher: Watcher) -> None:
        backend, plan = recording.network.backend, recording.network.plan
        options = json.dumps(train_options(self.experiment, run, recording.folder_of_ranks, resume).to_json())
        argv = [backend.python, "-m", "harness.training.train", "--json", options]
        try:
            outcome = launch(backend, plan, argv, recording.sink, extra_env=recording.environ, tick=watcher.tick)
        except (KeyboardInterrupt, SystemExit) as end:
            code = end.code if isinstance(end, SystemExit) else 128 + signal.SIGINT
            recording.end(**watcher.stopped(code))
            raise
        watcher.finish()
        recording.end(**watcher.ending(outcome))

    def _facts(self, run: Run, network: Network, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """The contents of run.json."""
        experiment = self.experiment
        return {
            **network_facts(network, self.placement.congestion_control),
            **describe(train_options(experiment, run, "", resume=False)),
            "slug": run.slug,
            "profile": short(run.profile),
            "topology": short(run.topology),
            "network_seed": run.drawn_with,
            "target": {experiment.target[0]: experiment.target[1]} if experiment.target else None,
            "stop_at_target": experiment.stop_at_target,
            "limit_seconds": experiment.limit_seconds,
            "attempt": (int(before.get("attempt", 1)) + 1) if before else 1,
        }
