"""The groups in which programs of nodes with a share of a CPU run; they are made when a node first has one.

What shapes links, and what measures them, is in none: a slow computer does not slow its links. The folders are named
after the network's keeper, so that whoever removes the network finds them, also where a command was killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.backends.base import Task
from harness.backends.netns.namespaces import Keeper
from harness.errors import HarnessError, NodeError, UnavailableError
from harness.linux import host
from harness.linux.cgroup import CpuController, CpuGroup, check_limits
from harness.linux.programs import each_program
from harness.model.cpu import check_cores
from harness.model.plan import NetworkPlan
from harness.model.status import NodeStatus


class NodeCpus:
    """Of the nodes of one network.

    Args:
        parent: the folder in which the groups are; empty: there can be none.
    """

    def __init__(self, parent: str) -> None:
        self.parent = parent

    @classmethod
    def here(cls) -> NodeCpus:
        """For a network that this process makes: below its own group."""
        try:
            return cls(str(CpuController.find().parent()))
        except (UnavailableError, OSError):
            return cls("")

    def check(self, plan: NetworkPlan, before: NetworkPlan | None) -> None:
        """Raise InputError or UnavailableError where nodes cannot have their shares.

        That is tried before a network is made; while it is up, a change itself tries it, and is taken back: a scenario
        has no time for more.
        """
        if before is not None and plan.nodes == before.nodes:
            return
        check_cores(plan, os.cpu_count() or 1)
        if any(shape.cpu for shape in plan.nodes.values()) and (before is None or not self.parent):
            try:
                check_limits(Path(self.parent) if self.parent else None)
            except UnavailableError as error:
                raise UnavailableError(f"--cpu: {error}") from None

    def group(self, keeper: Keeper, rank: int) -> CpuGroup | None:
        """Of a node, made or not."""
        if not self.parent:
            return None
        path = Path(self.parent, _name(keeper, rank))
        return CpuGroup(path, 2 if (path.parent / "cgroup.controllers").exists() else 1)

    def with_status(self, keeper: Keeper, task: Task, status: NodeStatus) -> NodeStatus | HarnessError:
        """Do what the task says of the node's share of a CPU, and add what the kernel holds then."""
        share = task.node.shape.cpu
        if share is None and task.action == "apply" and not task.resized:  # it has none, and had none
            return status
        group = self.group(keeper, task.node.rank)
        if group is None or not (group.exists or (share and task.action == "apply")):
            return status
        try:
            made = task.action == "apply" and group.make()
            held = group.read()
            if task.action == "apply" and held.applied != share:  # the kernel gives a new quota at each that is set
                group.limit(share)
                held = group.read()
            if made:
                _adopt(group, keeper, task.node.rank)
            return status.with_cpu(held, share)
        except OSError as problem:
            return NodeError(
                task.node.rank, "limit its CPU", host.explain(problem), "'harness doctor' says what it needs"
            )

    @contextlib.contextmanager
    def door(self, keeper: Keeper, rank: int) -> Iterator[Callable[[], None]]:
        """What a child calls, once it is in the node, to be in the node's group where it has one."""
        if not self.parent:
            yield lambda: None
            return
        folder = os.open(self.parent, os.O_PATH | os.O_CLOEXEC)

        def join() -> None:
            with contextlib.suppress(FileNotFoundError):
                joined = os.open(f"{_name(keeper, rank)}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
                os.write(joined, b"0")
                os.close(joined)

        try:
            yield join
        finally:
            os.close(folder)

    def remove(self, keeper: Keeper) -> None:
        """Remove all groups of a network whose processes have ended. Raises HarnessError."""
        if not self.parent:
            return
        for path in Path(self.parent).glob(_name(keeper, "*")):
            try:
                CpuGroup(path, 1).remove()
            except OSError as problem:
                raise HarnessError(f"a group of CPU time cannot be removed: {host.explain(problem)}") from None


def _name(keeper: Keeper, rank: int | str) -> str:
    return f"harness-{keeper.pid}-{keeper.start}-{rank}"


def _adopt(group: CpuGroup, keeper: Keeper, rank: int) -> None:
    """Take up the programs that run in the node already."""
    first = f"/proc/{keeper.pid}/root/proc/{keeper.firsts[rank]}"
    if [entry for entry in os.listdir(f"{first}/root/proc") if entry.isdigit()] == ["1"]:
        return
    node = os.readlink(f"{first}/ns/pid")
    each_program("/proc", lambda _, pid: group.add(pid), lambda folder: _is_inside(folder, node))


def _is_inside(folder: str, node: str) -> bool:
    """Whether a process is in that PID namespace, and not its first one, which only waits."""
    try:
        if os.readlink(f"{folder}/ns/pid") != node:
            return False
        with open(f"{folder}/status") as file:
            return next(line for line in file if line.startswith("NSpid:")).split()[-1] != "1"
    except PermissionError:  # of another user
        return False
