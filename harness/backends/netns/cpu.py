"""The cgroups for programs of nodes with a CPU share; each is made when its node first gets a share.

They do not contain what shapes and measures links, so a slow computer does not slow its links. Their folders are named
after the network's keeper, so that any command that removes the network finds them.
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
from harness.model.plan import NetworkPlan
from harness.model.plan_cpus import check_cores
from harness.model.status import NodeStatus


class NodeCpus:
    """The cgroups of one network's nodes.

    Args:
        parent: the folder of the groups; empty: this machine allows none.
    """

    def __init__(self, parent: str) -> None:
        self.parent = parent

    @classmethod
    def here(cls) -> NodeCpus:
        """For a network that this process makes: groups below its own."""
        try:
            return cls(str(CpuController.find().parent()))
        except (UnavailableError, OSError):
            return cls("")

    def check(self, plan: NetworkPlan, before: NetworkPlan | None) -> None:
        """Raise InputError or UnavailableError where nodes cannot have their shares.

        It tries to limit a process before a network is made. While the network is up it does not, to save time: there
        a change that fails is rolled back.
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
        """A node's group, whether it exists or not; None where there can be none."""
        if not self.parent:
            return None
        path = Path(self.parent, _name(keeper, rank))
        return CpuGroup(path, 2 if (path.parent / "cgroup.controllers").exists() else 1)

    def with_status(self, keeper: Keeper, task: Task, status: NodeStatus) -> NodeStatus | HarnessError:
        """Apply the node's CPU share if the task says so, and add what the kernel holds to the status."""
        share = task.node.shape.cpu
        if share is None and task.action == "apply" and not task.resized:  # it has no share, and had none
            return status
        group = self.group(keeper, task.node.rank)
        if group is None or not (group.exists or (share and task.action == "apply")):
            return status
        try:
            made = task.action == "apply" and group.make()
            held = group.read()
            if task.action == "apply" and held.applied != share:  # setting the same share again would refill the quota
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
        """A function by which a child that has entered the node joins the node's group, where it has one."""
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
                raise HarnessError(f"cannot remove a node's CPU group: {host.explain(problem)}") from None


def _name(keeper: Keeper, rank: int | str) -> str:
    return f"harness-{keeper.pid}-{keeper.start}-{rank}"


def _adopt(group: CpuGroup, keeper: Keeper, rank: int) -> None:
    """Move the programs that already run in the node into its group."""
    first = f"/proc/{keeper.pid}/root/proc/{keeper.firsts[rank]}"
    if [entry for entry in os.listdir(f"{first}/root/proc") if entry.isdigit()] == ["1"]:
        return
    node = os.readlink(f"{first}/ns/pid")
    each_program("/proc", lambda _, pid: group.add(pid), lambda folder: _is_inside(folder, node))


def _is_inside(folder: str, node: str) -> bool:
    """Whether a process is in a PID namespace, and not its first process, which only waits."""
    try:
        if os.readlink(f"{folder}/ns/pid") != node:
            return False
        with open(f"{folder}/status") as file:
            return next(line for line in file if line.startswith("NSpid:")).split()[-1] != "1"
    except PermissionError:  # the process is another user's
        return False
