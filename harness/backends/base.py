"""What a backend - where nodes live - can do, whichever kind it is."""

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
"""Called with what is being done, e.g. ``"wiring 16 nodes"``."""


@dataclass(frozen=True)
class Task:
    """Something to do inside a node.

    Args:
        action: ``apply`` makes the node's plan, ``observe`` only reads back.
        node: the plan.
        touched: see Engine.apply.
        resized: whether the node's uplink, downlink or share of a CPU is not as it was.
    """

    action: Literal["apply", "observe"]
    node: NodePlan
    touched: Collection[int] = ()
    resized: bool = False

    def edges(self, engine: EngineFacts) -> list[PlannedEdge]:
        """The directed edges that are touched, which the node makes by this engine."""
        ports = (*self.node.egress, *self.node.ingress)
        return [
            port.edge
            for port in ports
            if port.neighbour in self.touched and engine.enforced_at(port.edge.pair) == self.node.rank
        ]

    def begin(self, engine: Engine) -> Pending:
        """Begin it in the node's network namespace, which is the current one."""
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
    """Nodes, as far as programs can be started in them."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that programs in nodes begin with; nodes that have one of their own give nothing here."""
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
            own_group: whether it gets a session of its own, so that a signal can be sent to all that it starts;
                False for a program that shall read from our terminal.
            cwd: the folder in which it starts; None: ours, in a container its own.

        Raises:
            ProgramError: there is no such program; in a container it ends with 127 instead.
            NodeError: it cannot be started.
        """
        ...


class Sampling(Protocol):
    """What samples a network's links and flows, and has begun."""

    def messages(self) -> list[str]:
        """What the user should know and was not told yet."""
        ...

    def stop(self) -> list[str]:
        """Take a last sample and end; the last messages. Does nothing where it has ended."""
        ...


class Backend(ProgramStarter, Protocol):
    """The nodes of one network. Made by ``create``, or found again from ``handle``."""

    name: str
    python: str
    """The Python in the nodes that has this package."""

    @property
    def engine(self) -> EngineFacts:
        """The engine that enforces the links, at the nodes that its ``enforced_at`` names."""
        ...

    @property
    def handle(self) -> Mapping[str, Any]:
        """Plain JSON from which another process finds the same nodes again."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the nodes are there."""
        ...

    def check(self, plan: NetworkPlan, before: NetworkPlan | None = None) -> None:
        """Find out whether these nodes can make such a plan, before anything is made or changed.

        Args:
            plan: the new one.
            before: what they have made.

        Raises:
            InputError, ShapeError: they never can.
            UnavailableError: the kernel lacks what it needs.
        """
        ...

    def create(self, plan: NetworkPlan, progress: Progress) -> None:
        """Make the nodes and wire them, with no traffic possible yet. They vanish with this process until ``keep``."""
        ...

    def open(self, plan: NetworkPlan) -> None:
        """Let traffic flow; called once every node is shaped."""
        ...

    def keep(self) -> None:
        """From now on the nodes outlive this process."""
        ...

    def call(self, tasks: Mapping[int, Task]) -> dict[int, NodeStatus | HarnessError]:
        """Perform each rank's task inside its node. An error is an answer: the others' tasks are done all the same."""
        ...

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks; for an engine that shapes the bridge. Raises HarnessError."""
        ...

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Read them back. Raises HarnessError."""
        ...

    def machines(self) -> Machines | None:
        """Who is on which of several machines, and what is between these; None: all are here. Raises NodeError."""
        ...

    def spawn_privileged(
        self, rank: int, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdio: Stdio = Stdio()
    ) -> subprocess.Popen[bytes]:
        """Start a program of our own in a node, as ``spawn`` does, that may change the node's network (CAP_NET_ADMIN).

        Raises:
            NodeError: it cannot be started.
            UnavailableError: not on this node.
        """
        ...

    def kill_jobs(self, ranks: Collection[int]) -> None:
        """End all programs in these nodes at once (SIGKILL): what ``spawn`` started, and a node's own job.

        What belongs to the network is spared: engines, agents, cross traffic, probes. Raises NodeError.
        """
        ...

    def pause_jobs(self, ranks: Collection[int]) -> None:
        """Have them stand still (SIGSTOP) until ``resume_jobs``, or until this process ends. Raises NodeError."""
        ...

    def resume_jobs(self, ranks: Collection[int]) -> None:
        """Have those go on that this process has paused. Raises NodeError."""
        ...

    def restart_jobs(self, ranks: Collection[int]) -> None:
        """Start the jobs again that nodes run by themselves and ``kill_jobs`` has ended; others' are theirs who started
        them. Raises NodeError."""
        ...

    def sample(self, plan: NetworkPlan, folder: Path, attempt: int) -> Sampling:
        """Begin to record links and flows in that folder (docs/runs.md), until it is stopped or the nodes are gone.

        Args:
            plan: the network's.
            folder: of the run, absolute.
            attempt: at this run, from 1.

        Raises:
            HarnessError: it cannot be done.
        """
        ...

    def destroy(self) -> None:
        """Remove every node and whatever runs in it. Does nothing where there is nothing."""
        ...
