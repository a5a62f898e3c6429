"""The protocol of all backends: where nodes live, and what can be done with them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from harness.errors import HarnessError
from harness.linux.tcp import tcp_counters
from harness.model.machines import Machines
from harness.model.node_plan import NodePlan, PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus
from harness.shaping.base import Engine, EngineFacts, Pending

Progress = Callable[[str], None]
"""Reports the current step, e.g. ``"wiring 16 nodes"``."""


@dataclass(frozen=True)
class Task:
    """Something to do inside a node.

    Args:
        action: ``apply`` makes the node's plan, ``observe`` only reads back.
        node: the plan.
        touched: see Engine.apply.
        resized: whether the node's uplink, downlink or CPU share changes.
    """

    action: Literal["apply", "observe"]
    node: NodePlan
    touched: Collection[int] = ()
    resized: bool = False

    def edges(self, engine: EngineFacts) -> list[PlannedEdge]:
        """The touched edges that this engine enforces at the node."""
        ports = (*self.node.egress, *self.node.ingress)
        return [
            port.edge
            for port in ports
            if port.neighbour in self.touched and engine.enforced_at(port.edge.pair) == self.node.rank
        ]

    def begin(self, engine: Engine) -> Pending:
        """Begin the task in the node's network namespace, which must be the current one."""
        if self.action == "apply":
            return engine.begin(self.node, self.touched)
        return lambda: replace(engine.observe(self.node), tcp=tcp_counters())


@dataclass(frozen=True)
class Stdio:
    """The standard streams of a process in a node; None inherits ours, subprocess.PIPE makes a pipe."""

    stdin: int | IO[Any] | None = None
    stdout: int | IO[Any] | None = None
    stderr: int | IO[Any] | None = None


class ProgramStarter(Protocol):
    """Starts programs in nodes."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment for programs in nodes; empty where nodes have one of their own."""
        ...

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
        """Start a program in a node; it dies with this process.

        Args:
            rank: the node.
            argv: the program and its arguments.
            env: its environment, made from ``environ``; None: just that.
            stdio: its standard streams.
            own_group: whether it gets a session of its own, so that one signal reaches all that it starts; False for a
                program that reads from our terminal.
            cwd: the folder in which it starts; None: ours, in a container the container's.

        Raises:
            ProgramError: there is no such program; in a container its exit code is 127 instead.
            NodeError: it cannot be started.
        """
        ...


class Sampling(Protocol):
    """A running recording of a network's links and flows."""

    def messages(self) -> list[str]:
        """New messages for the user."""
        ...

    def stop(self) -> list[str]:
        """Take a last sample and end; returns the last messages. Does nothing where it has ended."""
        ...


class Backend(ProgramStarter, Protocol):
    """The nodes of one network, made by ``create`` or found again from ``handle``."""

    name: str
    python: str
    """The Python in the nodes that has this package."""

    @property
    def engine(self) -> EngineFacts:
        """The engine that enforces the links, at the nodes that its ``enforced_at`` names."""
        ...

    @property
    def handle(self) -> Mapping[str, Any]:
        """Plain JSON by which another process finds the same nodes."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the nodes are there."""
        ...

    def check(self, plan: NetworkPlan, before: NetworkPlan | None = None) -> None:
        """Check whether these nodes can make a plan, before anything is made or changed.

        Args:
            plan: the new plan.
            before: the plan that they have applied.

        Raises:
            InputError, ShapeError: they never can.
            UnavailableError: the kernel lacks what it needs.
        """
        ...

    def create(self, plan: NetworkPlan, progress: Progress) -> None:
        """Make and wire the nodes, without traffic yet. Until ``keep`` they vanish with this process."""
        ...

    def open(self, plan: NetworkPlan) -> None:
        """Let traffic flow; to be called once every node is shaped."""
        ...

    def keep(self) -> None:
        """From now on the nodes outlive this process."""
        ...

    def call(self, tasks: Mapping[int, Task]) -> dict[int, NodeStatus | HarnessError]:
        """Perform each rank's task inside its node. An error is returned, and does not stop the other tasks."""
        ...

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks; for an engine that shapes the bridge. Raises HarnessError."""
        ...

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Read them back. Raises HarnessError."""
        ...

    def machines(self) -> Machines | None:
        """Which node is on which machine, and the links between these; None: all are here. Raises NodeError."""
        ...

    def spawn_privileged(
        self, rank: int, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdio: Stdio = Stdio()
    ) -> subprocess.Popen[bytes]:
        """As ``spawn``, for a program of our own that may change the node's network (CAP_NET_ADMIN).

        Raises:
            NodeError: it cannot be started.
            UnavailableError: this node allows no such program.
        """
        ...

    def kill_jobs(self, ranks: Collection[int]) -> None:
        """Kill all programs in these nodes (SIGKILL): those that ``spawn`` started, and a node's own job.

        It spares what belongs to the network: engines, agents, cross traffic, probes. Raises NodeError.
        """
        ...

    def pause_jobs(self, ranks: Collection[int]) -> None:
        """Stop these programs (SIGSTOP) until ``resume_jobs``, or until this process ends. Raises NodeError."""
        ...

    def resume_jobs(self, ranks: Collection[int]) -> None:
        """Continue the programs that this process has paused. Raises NodeError."""
        ...

    def restart_jobs(self, ranks: Collection[int]) -> None:
        """Start the nodes' own jobs again after ``kill_jobs``, but not what ``spawn`` started. Raises NodeError."""
        ...

    def sample(self, plan: NetworkPlan, folder: Path, attempt: int) -> Sampling:
        """Begin to record links and flows (docs/runs.md), until it is stopped or the nodes are gone.

        Args:
            plan: the network's.
            folder: of the run, absolute.
            attempt: at this run, from 1.

        Raises:
            HarnessError: it cannot be done.
        """
        ...

    def destroy(self) -> None:
        """Remove every node and whatever runs in it; idempotent."""
        ...
