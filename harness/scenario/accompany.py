"""A scenario beside a job: played from when the job has begun until it ends, also by the job's own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from harness.model.plan import NetworkPlan
from harness.model.torchrun import STEP_FILE
from harness.networks.backends import DOCKER
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.scenario.process import ScenarioProcess
from harness.scenario.scenario_file import load_scenario
from harness.scenario.step_file import JobSteps

STEPS_IN_CONTAINER: Final = "/run/harness-steps"
"""Where ranks in containers find the file of their steps: one file of this machine for all of them."""


@dataclass(frozen=True)
class Accompaniment:
    """A scenario that will be played on a network while a job runs in it.

    Args:
        network: the network's name.
        file: the scenario.
        steps: where the job says how far it is, once there is such a file.
    """

    network: str
    file: Path
    steps: JobSteps | None = None

    @classmethod
    def checked(cls, network: str, file: Path, plan: NetworkPlan) -> Self:
        """Read the scenario and check it against the plan; touches no machine. Raises InputError."""
        load_scenario(file).check(plan)
        return cls(network, file)

    def kills(self, rank: int) -> bool:
        """Whether the scenario kills this rank."""
        return load_scenario(self.file).kills(rank)

    def placed(self, placement: Placement) -> tuple[Self, Placement]:
        """Before the network is made: the placement in which ranks in containers see the file of their steps."""
        if placement.runtime != DOCKER or not load_scenario(self.file).by_steps:
            return self, placement
        path = self.make_shared_steps()
        ready = replace(self, steps=JobSteps(path, STEPS_IN_CONTAINER))
        return ready, placement.with_volume(f"{path}:{STEPS_IN_CONTAINER}")

    def make_shared_steps(self) -> Path:
        """Make the file of steps that containers see; again where a try to make the network has failed: it went too."""
        path = LocalRegistry().make_steps(self.network)
        path.chmod(0o666)  # ranks are another user, and see nothing else of the folder that it is in
        return path

    @property
    def steps_made(self) -> JobSteps:
        """Once the network is up: where the job says how far it is; the file is made where there is none."""
        if self.steps is not None:
            return self.steps
        path = LocalRegistry().make_steps(self.network)
        return JobSteps(path, str(path))

    @contextmanager
    def playing(self, tell: Callable[[str], None] | None = None) -> Iterator[dict[str, Any]]:
        """Once the network is up: plays from when the job has begun until the end of the block.

        Args:
            tell: see ScenarioProcess.

        Yields:
            Options of launch for that job.

        Raises:
            HarnessError: it cannot be played; it has said why.
        """
        steps = self.steps_made
        try:
            with ScenarioProcess(self.network, self.file, steps.path, tell) as player:
                yield {"begun": player.begin, "extra_env": {STEP_FILE: steps.of_ranks}}
        finally:
            steps.path.unlink(missing_ok=True)


def no_scenario() -> AbstractContextManager[dict[str, Any]]:
    """What stands for ``playing`` where there is no scenario."""
    return nullcontext({})
