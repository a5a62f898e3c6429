"""A scenario that plays while a job runs, by the clock or by the job's steps."""

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
from harness.scenario.step_file import JobSteps, make_local_steps

STEPS_IN_CONTAINER: Final = "/run/harness-steps"
"""The step file as ranks in containers see it: one file of this machine, mounted in all of them."""


@dataclass(frozen=True)
class Accompaniment:
    """A scenario to be played on a network while a job runs in it.

    Args:
        network: the network's name.
        file: the scenario.
        steps: the file that the job writes its steps to, once it exists.
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
        """Mount the step file in containers, where the scenario needs it; call this before the network is made."""
        if placement.runtime != DOCKER or not load_scenario(self.file).by_steps:
            return self, placement
        path = self.make_shared_steps()
        ready = replace(self, steps=JobSteps(path, STEPS_IN_CONTAINER))
        return ready, placement.with_volume(f"{path}:{STEPS_IN_CONTAINER}")

    def make_shared_steps(self) -> Path:
        """Make the step file for containers. A failed attempt to make the network removes it, so make it for each."""
        path = LocalRegistry().make_steps(self.network)
        path.chmod(0o666)  # ranks are another user; they do not see the folder of the file
        return path

    @contextmanager
    def playing(self, tell: Callable[[str], None] | None = None) -> Iterator[dict[str, Any]]:
        """Play from when the job has started until the end of the block; the network must be up.

        Args:
            tell: see ScenarioProcess.

        Yields:
            Options of ``launch`` for the job.

        Raises:
            HarnessError: the player cannot start.
        """
        steps = self.steps or make_local_steps(self.network)
        try:
            with ScenarioProcess(self.network, self.file, steps.path, tell) as player:
                yield {"begun": player.begin, "extra_env": {STEP_FILE: steps.of_ranks}}
        finally:
            steps.path.unlink(missing_ok=True)


def no_scenario() -> AbstractContextManager[dict[str, Any]]:
    """In place of ``playing`` where there is no scenario."""
    return nullcontext({})
