"""Nodes as containers: made by us or by Compose, each with an agent that shapes its own links (harness/agent)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.agent.edits import Edited, LimitEdit, edits_message, fingerprint
from harness.agent.trunks import refuse_trunks
from harness.backends.base import Progress, Stdio, Task
from harness.backends.docker.agents import Agents
from harness.backends.docker.container_options import ContainerOptions
from harness.backends.docker.cpu import check_daemon_cores, limit, refuse_new_shares
from harness.backends.docker.sampling import AgentSampling
from harness.errors import HarnessError, NodeError, RecordError, UnavailableError
from harness.model.machines import Machines
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus
from harness.shaping.base import EngineFacts
from harness.shaping.facts import NETEM, engine_facts

_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_ROOT: Final = "0:0"
_GROUPS: Final = ("running", "ended", "remote")


class DockerBackend:
    """See Backend. Nodes shape themselves as they start; ``call`` talks to their agents."""

    name = "docker"
    python = "python3"

    def __init__(
        self,
        network: str,
        engine: EngineFacts | None = None,
        containers: Mapping[int, str] | None = None,
        ended: Mapping[int, str] | None = None,
        recipe: ContainerOptions = ContainerOptions(),
        remote: Mapping[int, str] | None = None,
    ) -> None:
        self.engine = engine or engine_facts(NETEM)
        """Where none is given the agents choose it, and it is known only after ``create``."""
        self._network, self._recipe = network, recipe
        self._containers, self._ended, self._remote = dict(containers or {}), dict(ended or {}), dict(remote or {})
        self._agents = Agents(self._containers, self._ended, self._remote)
        self._ours = containers is not None
        """Whether ``destroy`` may remove what has that name: we found it running, or are making it."""
        self._user: str | None = None

    @classmethod
    def from_handle(cls, handle: Mapping[str, Any], engine: EngineFacts | None = None) -> DockerBackend:
        """The network that another process has made. Raises RecordError."""
        try:
            running, ended, remote = (
                {int(rank): str(where) for rank, where in handle[group].items()} for group in _GROUPS
            )
            return cls(handle["network"], engine, running, ended, remote=remote)
        except (LookupError, TypeError, ValueError, AttributeError) as problem:
            raise RecordError(f"its registration does not say where its nodes are ({problem!r})") from None

    @property
    def handle(self) -> Mapping[str, Any]:
        groups = (self._containers, self._ended, self._remote)
        found = ({str(rank): where for rank, where in group.items()} for group in groups)
        return {"network": self._network, **dict(zip(_GROUPS, found, strict=True))}

    @property
    def environ(self) -> Mapping[str, str]:
        """See Backend: containers have an environment of their own."""
        return {}

    @property
    def alive(self) -> bool:
        return bool(self._containers)

    def check(self, plan: NetworkPlan, before: NetworkPlan | None = None) -> None:
        refuse_trunks(plan)
        if self._remote:
            refuse_new_shares(plan, before)
        check_daemon_cores(plan, before)
        if self._containers:  # new containers choose their engine themselves, and check the plan
            self.engine.check(plan)

    def create(self, plan: NetworkPlan, progress: Progress) -> None:
        from harness.backends.docker import create

        plan.addressing.require(plan.size, others=1)
        create.check_free(self._network)
        self._ours = True
        self._containers = create.create(self._network, plan, self._recipe, progress)
        self._agents = Agents(self._containers)
        progress(f"waiting until {plan.size} nodes have shaped their links")
        self._wait(plan)

    def _wait(self, plan: NetworkPlan) -> None:
        """Wait until every agent has shaped its links; then let all begin. Raises NodeError.

        Agents also tell each other, but over the links, which may lose everything.
        """
        from harness.backends.docker import create

        deadline = time.monotonic() + _READY_SECONDS
        waiting = set(range(plan.size))
        message = {"do": "hold" if self._recipe.transient else "state"}
        while waiting:
            answers = self._agents.ask(dict.fromkeys(waiting, message))
            refusals = {rank: answer for rank, answer in answers.items() if isinstance(answer, HarnessError)}
            waiting = set(refusals)
            if waiting:
                create.check_running({rank: self._containers[rank] for rank in waiting})
                if time.monotonic() > deadline:
                    raise refusals[min(refusals)]
                time.sleep(_POLL_SECONDS)
        for answer in self._agents.ask({rank: {"do": "begin"} for rank in range(plan.size)}).values():
            if isinstance(answer, HarnessError):
                raise answer
        self.engine = engine_facts(str(self.state()["engine"]))

    def open(self, plan: NetworkPlan) -> None:
        """See Backend: the agents do it once their links are shaped."""

    def keep(self) -> None:
        """See Backend: containers outlive us unless they were made transient."""

    def state(self, *, plan: bool = False, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The network's state by the agent of rank 0 or, where it does not answer, of another. Raises HarnessError.

        Args:
            plan: whether to include the plan.
            known: a plan, in JSON, that need not be sent again.
        """
        message: dict[str, Any] = {"do": "state", "plan": plan}
        if known is not None:
            message["known"] = fingerprint(known)
        error: HarnessError = NodeError(0, "ask its agent", "no container of this network runs")
        for rank in self._agents.ranks:
            answer = self._agents.ask({rank: message})[rank]
            if not isinstance(answer, HarnessError):
                return answer
            error = answer
        raise error

    def machines(self) -> Machines | None:
        """See Backend: the agent of rank 0 measures."""
        if not self._remote:
            return None
        answer = self._agents.ask({0: {"do": "machines"}})[0]
        if isinstance(answer, HarnessError):
            raise answer
        return Machines.from_json(answer)

    def call(self, tasks: Mapping[int, Task]) -> dict[int, NodeStatus | HarnessError]:
        """See Backend. Rank 0 gets every change, too, and sends it to nodes that we do not ask or that return later."""
        at = time.time_ns()
        edges: list[Edited] = [edge for task in tasks.values() for edge in task.edges(self.engine)]
        limits = [LimitEdit(rank, task.node.shape) for rank, task in tasks.items() if task.resized]
        edits = edits_message((at, one) for one in (*edges, *limits))
        messages: dict[int, dict[str, Any]] = {}
        for rank, task in tasks.items():
            messages[rank] = {"do": "observe"}
            if task.action == "apply":
                messages[rank] = {"do": "apply", **edits, "touched": sorted(task.touched)}
        if (edges or limits) and 0 in self._agents.ranks:
            messages.setdefault(0, {"do": "edits", **edits})
        asked = sorted(rank for rank, message in messages.items() if "edits" in message)
        answers = self._agents.ask({rank: {**message, "asked": asked} for rank, message in messages.items()})
        found = {rank: _status(answer) for rank, answer in answers.items() if rank in tasks}
        return found | self._limited({rank: task for rank, task in tasks.items() if task.action == "apply"}, found)

    def _limited(
        self, tasks: Mapping[int, Task], found: Mapping[int, NodeStatus | HarnessError]
    ) -> dict[int, NodeStatus | HarnessError]:
        """Have Docker change the CPU shares that differ from the plan; returns those nodes' new status."""
        shares = {}
        for rank, task in tasks.items() if not self._remote else ():  # Swarm sets those of a stack, see check
            status, share = found[rank], task.node.shape.cpu
            held = status.cpu.applied if isinstance(status, NodeStatus) and status.cpu else None
            if not isinstance(status, HarnessError) and held != share and (share or task.resized):
                shares[rank] = share
        if not shares:
            return {}
        refused: Mapping[int, NodeStatus | HarnessError] = limit(self._containers, shares)
        again = self._agents.ask({rank: {"do": "observe"} for rank in shares if rank not in refused})
        return {**refused, **{rank: _status(answer) for rank, answer in again.items()}}

    def spawn(
        self,
        rank: int,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdio: Stdio = Stdio(),
        own_group: bool = True,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        self._agents.require(rank, f"start {argv[0]!r}")
        if self._user is None:
            self._user = str(self.state()["user"])
        return self._started(rank, argv, env, stdio, self._user, own_group=own_group, cwd=cwd)

    def spawn_privileged(
        self, rank: int, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdio: Stdio = Stdio()
    ) -> subprocess.Popen[bytes]:
        """See Backend: as the container's root; the agent of a node on another machine refuses that."""
        self._agents.require(rank, f"start {argv[0]!r}")
        if rank in self._remote:
            raise UnavailableError(
                f"node {rank} is on another machine, where no program is started as root from here: run this there, or"
                " choose edges between nodes of this machine"
            )
        return self._started(rank, argv, env, stdio, _ROOT, own_group=True, cwd="/")

    def _started(
        self,
        rank: int,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        stdio: Stdio,
        user: str,
        *,
        own_group: bool,
        cwd: str | None,
    ) -> subprocess.Popen[bytes]:
        from harness.backends.docker.exec.client import client_command

        service = self._remote.get(rank, "")
        container = self._containers[min(self._containers) if service else rank]
        command, environ = client_command(
            container, argv, env or {}, whose=f"node {rank}", user=user, cwd=cwd, service=service
        )
        return subprocess.Popen(
            command,
            env=environ,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            start_new_session=own_group,
        )

    def _order(self, order: str, ranks: Collection[int]) -> None:
        """Send an order to these nodes. Raises the first error."""
        for answer in self._agents.ask({rank: {"do": order} for rank in ranks}).values():
            if isinstance(answer, HarnessError):
                raise answer

    def kill_jobs(self, ranks: Collection[int]) -> None:
        """See Backend: kills all processes of the container that are not root's."""
        self._order("kill", ranks)

    def pause_jobs(self, ranks: Collection[int]) -> None:
        """See Backend: agents resume them when the connection to this process ends."""
        self._order("pause", ranks)

    def resume_jobs(self, ranks: Collection[int]) -> None:
        self._order("resume", ranks)

    def restart_jobs(self, ranks: Collection[int]) -> None:
        self._order("restart", ranks)

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Backend: ``check`` refuses plans with trunks."""
        return {}

    observe_trunks = apply_trunks

    def sample(self, plan: NetworkPlan, folder: Path, attempt: int) -> AgentSampling:
        """See Backend; the folder must be the containers' folder for results."""
        return AgentSampling(self._agents, attempt)

    def destroy(self) -> None:
        from harness.backends.docker import stack

        self._agents.close()
        if self._ours:
            stack.remove(self._network)
        self._containers = {}


def _status(answer: Mapping[str, Any] | HarnessError) -> NodeStatus | HarnessError:
    return answer if isinstance(answer, HarnessError) else NodeStatus.from_json(answer)
