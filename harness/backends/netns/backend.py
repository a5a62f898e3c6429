"""Nodes as network namespaces with veth pairs on a bridge, in a namespace of their own; rootless where possible."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.backends.base import Progress, Stdio, Task
from harness.backends.netns.cpu import NodeCpus
from harness.backends.netns.environ import program_environment
from harness.backends.netns.keeper_process import end_keeper, start_keeper
from harness.backends.netns.namespaces import Keeper
from harness.backends.netns.pauses import Pauses
from harness.backends.netns.sampling_process import SamplingProcess
from harness.backends.netns.visits import away, in_bridge, spread, tour
from harness.errors import (
    HarnessError,
    InputError,
    NodeError,
    ProgramError,
    RecordError,
)
from harness.linux import host, signals, syscalls
from harness.linux.fork import forked
from harness.linux.programs import HELPER, signal_programs
from harness.model.address import node_name
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus
from harness.shaping.base import Engine, Pending
from harness.shaping.check_needs import check_needs
from harness.shaping.needs import needs_of

T = TypeVar("T")
OPEN_ENGINES: Final = 64
"""How many nodes' engines stay open, with some five files each."""


class NetnsBackend:
    """See Backend. The nodes live in a keeper process; see keeper.py."""

    name = "netns"
    python = sys.executable

    def __init__(
        self,
        engine: Engine,
        congestion_control: str = "cubic",
        keeper: Keeper | None = None,
        cpus: NodeCpus | None = None,
    ) -> None:
        self.engine = engine
        self._cpus = cpus or NodeCpus.here()
        self._congestion_control = congestion_control
        self._keeper = keeper
        self._lifeline: int | None = None
        self._engines: dict[int, Engine] = {}
        """The engines used last, by rank."""
        self._features: frozenset[str] = frozenset()
        """Features that this kernel was found to have."""
        self._calls = threading.Lock()
        self._pauses = Pauses(self._signal)

    @property
    def environ(self) -> Mapping[str, str]:
        return program_environment()

    @classmethod
    def from_handle(cls, handle: Mapping[str, Any], engine: Engine) -> NetnsBackend:
        """The network that another process has made. Raises RecordError."""
        try:
            saved = handle["keeper"]
            keeper = Keeper(**{**saved, "nodes": tuple(saved["nodes"]), "firsts": tuple(saved["firsts"])})
            numbers = (keeper.pid, keeper.start, keeper.bridge, *keeper.nodes, *keeper.firsts)
            sound = all(isinstance(number, int) and number >= 0 for number in numbers)
            if len(keeper.nodes) != len(keeper.firsts) or not sound:
                raise ValueError(f"no process, time and files: {numbers}")
            return cls(engine, handle["congestion_control"], keeper, NodeCpus(str(handle.get("cpu_groups", ""))))
        except (LookupError, TypeError, ValueError) as problem:
            raise RecordError(f"its registration does not say where its nodes are ({problem!r})") from None

    @property
    def handle(self) -> Mapping[str, Any]:
        return {
            "keeper": vars(self._require()),
            "congestion_control": self._congestion_control,
            "cpu_groups": self._cpus.parent,
        }

    @property
    def alive(self) -> bool:
        return self._keeper is not None and self._keeper.alive

    def check(self, plan: NetworkPlan, before: NetworkPlan | None = None) -> None:
        """See Backend: namespaces can have all that the engine makes."""
        self._cpus.check(plan, before)
        self.engine.check(plan)
        name = self.engine.name
        needed = {need.feature for need in needs_of(plan, name)}
        known = self._features | {need.feature for need in needs_of(before, name)} if before else self._features
        if not needed <= known:
            check_needs(plan, name, known=known)
            self._features |= needed

    def create(self, plan: NetworkPlan, progress: Progress) -> None:
        from harness.backends.netns import wiring

        if plan.size > wiring.BRIDGE_PORTS:
            raise InputError(
                f"{plan.size} nodes: a Linux bridge has {wiring.BRIDGE_PORTS} ports, one per node; take fewer"
            )
        progress(f"making {plan.size} network namespaces")
        self._keeper, self._lifeline = start_keeper(plan, self.engine.daemon_module)
        progress(f"wiring {plan.size} nodes to a bridge")
        forked(lambda: self._wire(plan))
        self.in_each(range(plan.size), lambda rank: wiring.configure(plan.node(rank)), "configure it")

    def _wire(self, plan: NetworkPlan) -> None:
        from harness.backends.netns import wiring

        keeper = self._require()
        namespaces = dict(enumerate(keeper.open(f"fd/{fd}") for fd in keeper.nodes))
        bridge = keeper.open(f"fd/{keeper.bridge}")
        keeper.enter_user()
        syscalls.setns(bridge, syscalls.CLONE_NEWNET)
        wiring.create_bridge(namespaces, plan.addressing, plan.mtu)

    def open(self, plan: NetworkPlan) -> None:
        from harness.backends.netns import wiring

        control = self._congestion_control
        self.in_each(range(plan.size), lambda rank: wiring.bring_up(plan.node(rank), control), "let traffic flow")

    def in_each(self, ranks: Iterable[int], work: Callable[[int], T], what: str = "work in it") -> dict[int, T]:
        """Do something in each of these nodes' network namespaces. Raises what it raises; for an OSError, NodeError."""
        keeper = self._require()
        return spread(keeper, list(ranks), partial(tour, keeper, works=[lambda rank, _: work(rank)], what=what))

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        return in_bridge(self._require(), lambda: self.engine.apply_trunks(plan))

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        return in_bridge(self._require(), lambda: self.engine.observe_trunks(plan))

    def keep(self) -> None:
        if self._lifeline is not None:
            os.write(self._lifeline, b"k")
            os.close(self._lifeline)
            self._lifeline = None

    def call(self, tasks: Mapping[int, Task]) -> dict[int, NodeStatus | HarnessError]:
        keeper, cpus = self._require(), self._cpus

        def begin(rank: int, _: object) -> Pending | HarnessError:
            return _attempt(rank, tasks[rank], lambda: tasks[rank].begin(self._engine(rank)))

        def finish(rank: int, begun: Pending | HarnessError) -> NodeStatus | HarnessError:
            answer = begun if isinstance(begun, HarnessError) else _attempt(rank, tasks[rank], begun)
            return answer if isinstance(answer, HarnessError) else cpus.with_status(keeper, tasks[rank], answer)

        ranks = list(tasks)
        with self._calls:  # one at a time, because an engine has one netlink socket
            visit = partial(tour, keeper, works=[begin, finish], what="enter it")
            if len(ranks) > OPEN_ENGINES:
                return spread(keeper, ranks, lambda part: self._in_turns(part, visit))
            return away(keeper, lambda: self._in_turns(ranks, visit))

    def _in_turns(self, ranks: Sequence[int], visit: Callable[[Sequence[int]], dict[int, T]]) -> dict[int, T]:
        """Visit at most OPEN_ENGINES nodes at a time, and close all engines but the last ones."""
        answers: dict[int, T] = {}
        for start in range(0, len(ranks), OPEN_ENGINES):
            answers |= visit(ranks[start : start + OPEN_ENGINES])
            for rank in list(self._engines)[:-OPEN_ENGINES]:
                self._engines.pop(rank).close()
        return answers

    def _engine(self, rank: int) -> Engine:
        engine = self._engines.pop(rank) if rank in self._engines else self.engine.another()
        self._engines[rank] = engine  # now the last
        return engine

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
        if env is not None and "HOSTNAME" in env:  # some shells export the host's name
            env = {**env, "HOSTNAME": node_name(rank)}
        keeper = self._require()
        with contextlib.ExitStack() as stack:
            join = stack.enter_context(self._cpus.door(keeper, rank)) if HELPER not in argv else _nothing
            enter = stack.enter_context(keeper.entrance(rank, cwd, join))
            stack.enter_context(signals.held())
            try:
                return subprocess.Popen(
                    list(argv),
                    env=None if env is None else dict(env),
                    stdin=stdio.stdin,
                    stdout=stdio.stdout,
                    stderr=stdio.stderr,
                    start_new_session=own_group,
                    preexec_fn=enter,
                )
            except (FileNotFoundError, NotADirectoryError) as problem:
                raise ProgramError(rank, argv[0], problem.strerror or str(problem), found=False) from None
            except OSError as problem:
                cause = problem.strerror or str(problem)
                if problem.errno in (errno.EACCES, errno.ENOEXEC):
                    raise ProgramError(rank, argv[0], cause, found=True) from None
                remedy = host.open_files_remedy(problem.errno)
                raise NodeError(rank, f"start {argv[0]!r}", cause, remedy) from None
            except subprocess.SubprocessError as problem:
                raise NodeError(rank, f"enter the node to start {argv[0]!r}", str(problem)) from None

    def spawn_privileged(
        self, rank: int, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdio: Stdio = Stdio()
    ) -> subprocess.Popen[bytes]:
        """See Backend: here every program in a node may."""
        return self.spawn(rank, argv, env=env, stdio=stdio, cwd="/")

    def _signal(self, rank: int, number: signal.Signals) -> None:
        keeper = self._require()
        try:
            signal_programs(f"/proc/{keeper.pid}/root/proc/{keeper.firsts[rank]}/root/proc", number)
        except OSError as problem:
            raise NodeError(rank, f"send {number.name} to its programs", host.explain(problem)) from None

    def machines(self) -> None:
        """See Backend: all nodes are on this one."""

    def kill_jobs(self, ranks: Collection[int]) -> None:
        for rank in ranks:
            self._signal(rank, signal.SIGKILL)

    def pause_jobs(self, ranks: Collection[int]) -> None:
        self._pauses.begin(ranks)

    def resume_jobs(self, ranks: Collection[int]) -> None:
        self._pauses.end(ranks)

    def restart_jobs(self, ranks: Collection[int]) -> None:
        """See Backend: a node here has no job of its own."""

    def sample(self, plan: NetworkPlan, folder: Path, attempt: int) -> SamplingProcess:
        order = {"keeper": vars(self._require()), "plan": plan.to_json(), "engine": self.engine.name}
        return SamplingProcess({**order, "folder": str(folder), "attempt": attempt})

    def destroy(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        while self._engines:
            self._engines.popitem()[1].close()
        if self._keeper is not None:
            if self._keeper.alive:
                end_keeper(self._keeper.pid)
            self._cpus.remove(self._keeper)
        self._keeper = None

    def _require(self) -> Keeper:
        if self._keeper is None:
            raise HarnessError("the network was not created")
        return self._keeper


def _nothing() -> None:
    """Join no group."""


def _attempt(rank: int, task: Task, work: Callable[[], T]) -> T | HarnessError:
    """Do something; an error is returned."""
    try:
        return work()
    except HarnessError as error:
        return error
    except OSError as problem:
        what = "shape its links" if task.action == "apply" else "read its links"
        return NodeError(rank, what, host.explain(problem))
