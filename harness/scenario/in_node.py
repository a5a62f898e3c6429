"""Plays the scenario of the variable SCENARIO on one node of ``docker compose up``, beside its agent.

Every node plays the whole scenario by the same clock (harness/agent/scenario_player.py) and changes its copy of the
plan; its agent applies what this node enforces.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.agent.control_socket import ADDRESS
from harness.agent.edits import Edited, LimitEdit, edits_message
from harness.agent.job import as_user, user_of
from harness.agent.log import say
from harness.agent.settings import Settings
from harness.backends.base import Task
from harness.backends.docker.agents import Agents
from harness.backends.docker.backend import DockerBackend
from harness.backends.docker.registry import DockerRegistry
from harness.backends.registration import Registration
from harness.errors import HarnessError, InputError, NodeError
from harness.linux.syscalls import die_with_parent
from harness.model.plan import NetworkPlan
from harness.model.plan_cpus import changed_cpus
from harness.model.status import NodeStatus
from harness.networks.away import AwayFile, AwayLine
from harness.networks.network import Network, Reshaped
from harness.networks.plan_change import PlanChange
from harness.networks.registry import LocalRegistry
from harness.run_files import AWAY, RunFolder, append_json
from harness.scenario.action import Edit, LoadAction
from harness.scenario.played import Played, late_text
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario
from harness.scenario.scenario_name import scenario_path
from harness.scenario.schedule import NetworkScenario
from harness.scenario.step_file import StepFile
from harness.shaping.facts import engine_facts

_STATE: Final = Path("/run/harness/player")


class OwnAgent(Agents):
    """The agents of a network, of which only this node's is asked.

    Args:
        rank: this node's.
    """

    def __init__(self, rank: int) -> None:
        super().__init__({})
        self._rank = rank
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(ADDRESS)
        self._lines_of = self._socket.makefile("rwb")

    @property
    def ranks(self) -> list[int]:
        return [self._rank]

    def ask(self, messages: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any] | HarnessError]:
        """See Agents: sends only the message to this node."""
        return {rank: self._asked(messages[rank]) for rank in self.ranks if rank in messages}

    def _asked(self, message: Mapping[str, Any]) -> dict[str, Any] | HarnessError:
        what = f"ask its agent to {message['do']}"
        try:
            self._lines_of.write(json.dumps(message).encode() + b"\n")
            self._lines_of.flush()
            answer: dict[str, Any] = json.loads(self._lines_of.readline() or b"null") or {}
        except (OSError, ValueError) as problem:
            return NodeError(self._rank, what, str(problem))
        return NodeError(self._rank, **answer["error"]) if "error" in answer else answer

    def close(self) -> None:
        self._socket.close()


class OwnNode(DockerBackend):
    """A backend that changes one node; see Backend.

    Args:
        rank: this node's.
    """

    def __init__(self, rank: int) -> None:
        super().__init__("")
        self._rank = rank
        self._agents = OwnAgent(rank)
        self.engine = engine_facts(str(self.state()["engine"]))
        self.at_ns = 0
        """When the next change was due, since the epoch: the same at all nodes, so that agents can compare changes."""

    def call(self, tasks: Mapping[int, Task]) -> dict[int, NodeStatus | HarnessError]:
        """See Backend: performs this node's task, and tells the agent what changes at the other nodes."""
        edges: list[Edited] = [edge for task in tasks.values() for edge in task.edges(self.engine)]
        limits = [LimitEdit(rank, task.node.shape) for rank, task in tasks.items() if task.resized]
        own = tasks.get(self._rank)
        message = {
            "do": "play",
            **edits_message((self.at_ns, one) for one in (*edges, *limits)),
            "touched": None if own is None else sorted(own.touched),
        }
        answer = self._agents.ask({self._rank: message})[self._rank]
        if own is None:
            if isinstance(answer, HarnessError):
                raise answer
            return {}
        return {self._rank: answer if isinstance(answer, HarnessError) else NodeStatus.from_json(answer)}


class OwnRegistry(DockerRegistry):
    """A registry that asks this node's agent; see Registry."""

    def __init__(self, node: OwnNode) -> None:
        super().__init__(LocalRegistry(_STATE))
        self._node = node
        self.load_folder()

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        assert known is not None
        state = self._node.state(plan=True, known=known.plan)
        return replace(known, plan=state.get("plan", known.plan))

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """None: OwnNetwork writes the record, as the user who owns the folder."""
        return None


class _OwnAway(AwayFile):
    """Who is away, written to the run folder too."""

    def __init__(self, path: Path, folder: Path | None) -> None:
        super().__init__(path)
        self._folder = folder

    def write(self, line: AwayLine) -> None:
        super().write(line)
        if self._folder is not None:
            with as_user(*user_of()):
                append_json(self._folder / AWAY, line.to_json())


class OwnNetwork(Network):
    """A network whose changes are applied to this node only.

    Args:
        rank: this node's.
        epoch: the scenario's start, in seconds since the epoch.
        folder: where rank 0 records changes; None: nowhere.
    """

    def __init__(self, rank: int, epoch: float, folder: Path | None) -> None:
        node = OwnNode(rank)
        plan = node.state(plan=True)["plan"]
        super().__init__(
            Registration("node", node.name, node.engine.name, {}, plan, epoch, False), OwnRegistry(node), node
        )
        self._node, self._epoch, self._folder = node, epoch, folder if rank == 0 else None

    def away(self) -> AwayFile:
        return _OwnAway(self.registry.away(self.name), self._folder)

    def reshape(self, change: Callable[[NetworkPlan], NetworkPlan], at: float | None = None) -> Reshaped:
        asked, old = time.time(), self.plan
        self._node.at_ns = round((self._epoch + (at or 0.0)) * 1e9)
        done = super().reshape(change, at)
        difference = PlanChange(old, done.plan)
        if self._folder is not None and difference:
            with as_user(*user_of()):
                difference.write(RunFolder(self._folder), asked, time.time(), at)
        return done


def _checked() -> NetworkScenario:
    settings = Settings.read(os.environ)
    script, plan = load_scenario(scenario_path(settings.scenario)), settings.options.plan()
    script.check(plan)
    for event in script.events:
        if isinstance(event.action, Edit) and _changes_cpus(event.action, plan):
            raise InputError(
                f"{event.place}: a container cannot change its share of a CPU: use 'harness play' for that"
            )
        if isinstance(event.action, LoadAction):
            raise InputError(f"{event.place}: SCENARIO cannot start loads: start them beside it, by 'harness play'")
    return script


def _changes_cpus(action: Edit, plan: NetworkPlan) -> bool:
    try:
        return bool(changed_cpus(plan, action.edit(plan)))
    except InputError:  # it changes a link, and needs what an earlier event sets
        return False


def _play(script: NetworkScenario, order: Mapping[str, Any]) -> None:
    """Play the scenario. Rank 0 logs its changes and the events that have not happened; each rank logs late changes."""
    rank, start = int(order["rank"]), order["start"]
    folder, steps = order["folder"] and Path(order["folder"]), order["steps"] and Path(order["steps"])
    network = OwnNetwork(rank, float(start["epoch"]), folder or None)

    late: list[Played] = []

    def tell(played: Played) -> None:
        if played.late:
            late.append(played)
        if rank == 0:
            say(played.describe())

    player = Player(network, script, tell, StepFile(steps) if steps else None)
    try:
        player.play(start["monotonic"])
    finally:
        if text := late_text(late):
            say(f"rank {rank}: {text}")
        if rank == 0:
            for text in player.left():
                say(text)


def main() -> int:
    """Check the scenario and report the result, wait for the start, play; the exit code."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        script = _checked()
    except HarnessError as error:
        print(json.dumps({"error": f"SCENARIO: {error}"}), flush=True)
        return error.exit_code
    print(json.dumps({"ready": True}), flush=True)
    line = sys.stdin.readline()
    if line:
        try:
            _play(script, json.loads(line))
        except HarnessError as error:
            say(f"the scenario ends here: {error}")
            return error.exit_code
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
