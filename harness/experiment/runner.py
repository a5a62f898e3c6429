"""Performs one run: makes a network, starts the program on every node, and records both."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.backends.docker.container_options import parse_volume
from harness.experiment.measuring import Measuring
from harness.experiment.program import facts_of, program_of
from harness.experiment.progress import RunProgress
from harness.experiment.recording import Recording, folder_of_ranks, network_facts, recorded_placement
from harness.experiment.spec import Experiment, Run, short
from harness.experiment.variants import CommandVariant, StrategyVariant
from harness.experiment.watcher import Watcher
from harness.model.collectives_hook import COLLECTIVES
from harness.model.format import count
from harness.model.plan import NetworkPlan
from harness.model.plan_options import PlanOptions
from harness.networks.backends import DOCKER
from harness.networks.launch import launch
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from harness.scenario.accompany import Accompaniment, no_scenario
from harness.scenario.scenario_name import NONE

START_IN_CONTAINER: Final = "/work"
"""Where programs in containers start."""
Subnets = tuple[str | None, str | None]
"""IPv4 and IPv6, as the user wrote them; None: the default."""


def plan_of(experiment: Experiment, run: Run, subnets: Subnets = (None, None)) -> NetworkPlan:
    """The network of a run. Raises InputError."""
    subnet, subnet6 = subnets
    return PlanOptions(
        experiment.nodes,
        run.topology,
        run.profile,
        seed=run.drawn_with,
        subnet=subnet,
        subnet6=subnet6,
        **experiment.network,
    ).plan()


def _collectives() -> bool:
    """Whether each collective of own commands is recorded; the trainer does so anyway."""
    return os.environ.get(COLLECTIVES) == "1"


def sharing(together: int) -> str:
    """The warning that runs at a time distort each other's times."""
    cores = count(len(os.sched_getaffinity(0)), "core")
    return f"{together} runs at a time share {cores}: each may take longer than it would alone"


@dataclass(frozen=True)
class Runner:
    """Performs runs, one after the other.

    Args:
        experiment: with the runs.
        folder: of the experiment.
        name: of each run's network, for ``harness link set``.
        placement: the backend and the engine.
        notify: called with each message for the user, one line each.
        subnets: of each run's network.
        together: how many runs of the experiment go on at a time.
    """

    experiment: Experiment
    folder: Path
    name: str
    placement: Placement
    notify: Callable[[str], None]
    subnets: Subnets = (None, None)
    together: int = 1

    def folder_of(self, run: Run) -> RunFolder:
        """The folder of a run's records."""
        return RunFolder(self.folder / run.slug)

    def perform(self, run: Run, watch: Callable[[RunProgress], None]) -> Mapping[str, Any]:
        """Perform a run and return its end.json. A rank that fails ends the run, not the experiment.

        Args:
            run: of the experiment.
            watch: called several times a second with the progress.

        Raises:
            HarnessError: the network cannot be made, or the records cannot be written.
        """
        plan, folder = plan_of(self.experiment, run, self.subnets), self.folder_of(run)
        beside = None if run.scenario == NONE else Accompaniment.checked(self.name, Path(run.scenario), plan)
        placement = self._placement_of(run, folder)
        if beside:
            beside, placement = beside.placed(placement)
        network = placement.start(self.name, plan, transient=True, progress=lambda _: None, tell=self.notify)
        try:
            before, resume = folder.facts, folder.can_go_on and isinstance(run.variant, StrategyVariant)
            if not resume:
                folder.clear()
            facts = self._facts(run, network, before)
            with (
                Recording(network, folder, facts, self.notify, collectives=_collectives()) as recording,
                beside.playing(self._tell_of(run)) if beside else no_scenario() as options,
            ):
                self._perform(run, recording, resume, watch, options)
        finally:
            network.down()
        return folder.ending or {}

    def _placement_of(self, run: Run, folder: RunFolder) -> Placement:
        """Make the run's folder; the placement that mounts it, and the user's files, in containers."""
        placement = recorded_placement(self.placement, folder, collectives=_collectives())
        if placement.runtime == DOCKER:
            for volume in self._files(run):
                placement = placement.with_volume(volume)
        return placement

    def _files(self, run: Run) -> Iterator[str]:
        """Read-only volumes with the user's files; a command's folder is mounted unless the user has a volume there."""
        if isinstance(run.variant, CommandVariant):
            if not any(parse_volume(volume)[1] == START_IN_CONTAINER for volume in self.placement.volumes):
                yield f"{run.variant.command.folder}:{START_IN_CONTAINER}:ro"
            return
        data = self.experiment.task.data
        for path in filter(None, (run.variant.file, Path(data) if data else None)):
            yield f"{path}:{path}:ro"

    def _perform(
        self,
        run: Run,
        recording: Recording,
        resume: bool,
        watch: Callable[[RunProgress], None],
        options: Mapping[str, Any],
    ) -> None:
        backend, plan = recording.network.backend, recording.network.plan
        program = program_of(self.experiment, run, plan.size, recording.folder_of_ranks, backend.python, resume)
        measuring = self._measuring(run, recording)
        watcher = Watcher(self.experiment, recording, watch, measuring)
        if self.together > 1:
            recording.notes.append(sharing(self.together))
        try:
            outcome = launch(
                backend,
                plan,
                program.argv,
                measuring.sink if measuring else recording.sink,
                extra_env={**recording.environ, **options.get("extra_env", {}), **program.env},
                begun=options.get("begun"),
                away=recording.network.away(),
                tick=watcher.tick,
                cwd=str(program.folder) if program.folder and backend.name != DOCKER else None,
            )
        except (KeyboardInterrupt, SystemExit) as end:
            code = end.code if isinstance(end, SystemExit) else 128 + signal.SIGINT
            recording.end(**watcher.stopped(code))
            raise
        watcher.finish()
        recording.end(**watcher.ending(outcome))

    def _tell_of(self, run: Run) -> Callable[[str], None]:
        return lambda text: self.notify(f"{run.slug}: {text}")

    def _measuring(self, run: Run, recording: Recording) -> Measuring | None:
        """Finds the measured values of a command; None for strategies, which record themselves."""
        measure = self.experiment.measure
        if measure is None or not isinstance(run.variant, CommandVariant):
            return None
        nodes = recording.network.plan.size
        here = measure.at(run.values(nodes, str(recording.folder.path.absolute())))  # as we see the files
        return Measuring(here, recording, run.variant.command.folder / here.path if here.path else None)

    def _facts(self, run: Run, network: Network, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """The contents of run.json."""
        experiment = self.experiment
        return {
            **network_facts(network, self.placement.congestion_control),
            **facts_of(experiment, run, network.plan.size, folder_of_ranks(network, self.folder_of(run))),
            "slug": run.slug,
            "label": run.label,
            "scenario": None if run.scenario == NONE else run.scenario,
            "profile": short(run.profile),
            "topology": short(run.topology),
            "network_seed": run.drawn_with,
            "target": {experiment.target[0]: experiment.target[1]} if experiment.target else None,
            "stop_at_target": experiment.stop_at_target,
            "limit_seconds": experiment.limit_seconds,
            "attempt": (int(before.get("attempt", 1)) + 1) if before else 1,
        }
