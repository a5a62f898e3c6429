"""Limits the CPU time of groups of processes, by the cpu controller of cgroup v1 or v2 (cgroups(7)).

In every period the kernel stops the processes of a group that has used up its quota of CPU time
(Documentation/scheduler/sched-bwc.rst).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import HarnessError, UnavailableError
from harness.linux import host
from harness.linux.fork import forked
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus

PERIOD_US: Final = 20_000
"""With the kernel's default of 100 ms, most steps of 10 ms run at full speed, and some stop for 70 ms; with 20 ms each
step takes the 37 ms that 25 % of a CPU mean. Less gains nothing: the kernel checks at every tick (1 to 10 ms), and the
smallest quota is 1 ms, 5 % of 20 ms."""
_LEAST_QUOTA_US: Final = 1_000
"""min_cfs_quota_period in kernel/sched/core.c."""
_REMOVE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.005
_HAND_ON: Final = "as root, enable it: echo +cpu > {}/cgroup.subtree_control"


@dataclass(frozen=True)
class CpuGroup:
    """A group with a CPU limit.

    Args:
        path: its folder.
        version: of cgroups, 1 or 2.
    """

    path: Path
    version: int

    @property
    def exists(self) -> bool:
        """Whether the group exists."""
        return self.path.is_dir()

    def make(self) -> bool:
        """Make the group; returns False where it exists already. Raises OSError."""
        try:
            self.path.mkdir()
        except FileExistsError:
            return False
        return True

    def limit(self, share: CpuShare | None) -> None:
        """Limit the group to a share; None: no limit. Raises OSError."""
        for name, text in limits(share, self.version):
            (self.path / name).write_text(text)

    def read(self) -> CpuStatus:
        """The share that the kernel enforces, and for how long it has stopped processes. Raises OSError."""
        if self.version == 2:
            quota, period = (self.path / "cpu.max").read_text().split()
        else:
            quota, period = ((self.path / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        stat = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        throttled = int(stat["throttled_usec"]) / 1e6 if self.version == 2 else int(stat["throttled_time"]) / 1e9
        share = None if quota in ("max", "-1") else CpuShare.from_json(int(quota) / int(period))
        return CpuStatus(share, throttled)

    def add(self, pid: int) -> None:
        """Move a process into the group, with its later children; 0: the calling process. Raises OSError."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group; waits for processes in it that are ending. Raises OSError."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                self.path.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError as problem:
                if problem.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_SECONDS)


def limits(share: CpuShare | None, version: int) -> list[tuple[str, str]]:
    """(file, text) for each file to write, in this order."""
    if share is None:
        return [("cpu.max", "max")] if version == 2 else [("cpu.cfs_quota_us", "-1")]
    quota, period = quota_us(share)
    if version == 2:
        return [("cpu.max", f"{quota} {period}")]
    return [("cpu.cfs_period_us", str(period)), ("cpu.cfs_quota_us", str(quota))]


def quota_us(share: CpuShare) -> tuple[int, int]:
    """Quota and period of a share, in microseconds."""
    quota = max(PERIOD_US * share.thousandths // 1000, _LEAST_QUOTA_US)
    return quota, quota * 1000 // share.thousandths


@dataclass(frozen=True)
class CpuController:
    """This process's place in the cpu controller's tree of groups.

    Args:
        version: of cgroups.
        top: the tree's root folder.
        own: the folder of this process's group.
        parents: folders in which limited groups can be made, the nearest first.
    """

    version: int
    top: Path
    own: Path
    parents: tuple[Path, ...]

    @classmethod
    def find(cls, proc: Path = Path("/proc/self")) -> CpuController:
        """Read from /proc. Raises UnavailableError."""
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
        groups = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
        for root, mount, kind, options in map(_parts, mounts):
            if kind == "cgroup" and "cpu" in options:
                own = _inside(mount, root, next((path for _, names, path in groups if "cpu" in names.split(",")), "/"))
                return cls(1, mount, own, (own,))
        for root, mount, kind, _ in map(_parts, mounts):
            if kind == "cgroup2" and "cpu" in _words(mount / "cgroup.controllers"):
                own = _inside(mount, root, next((path for number, _, path in groups if number == "0"), "/"))
                above = [own, *own.parents]
                above = above[: above.index(mount) + 1]
                return cls(
                    2, mount, own, tuple(path for path in above if "cpu" in _words(path / "cgroup.subtree_control"))
                )
        raise UnavailableError("this kernel has no cpu controller for cgroups, or none is mounted at /sys/fs/cgroup")

    def parent(self) -> Path:
        """The nearest folder in which a limited group can be made. Raises UnavailableError."""
        if not self.parents:
            remedy = _HAND_ON.format(self.top)
            raise UnavailableError(
                f"no cgroup from {self.own} up enables the cpu controller for its children; {remedy}"
            )
        return self.parents[0]

    def own_group(self) -> CpuGroup:
        """The group of this process."""
        return CpuGroup(self.own, self.version)


def check_limits(parent: Path | None = None) -> str:
    """Try to limit a process; returns how it works, e.g. ``cgroup v2``.

    Args:
        parent: the folder in which to try; None: the nearest one.

    Raises:
        UnavailableError: it does not work; says why, and how to fix it.
    """
    controller = CpuController.find()
    group = CpuGroup((parent or controller.parent()) / f"harness-probe-{os.getpid()}", controller.version)
    try:
        group.make()
        try:
            group.limit(CpuShare(250))
            forked(lambda: group.add(0))
        finally:
            group.remove()
    except (OSError, HarnessError) as problem:
        why = host.explain(problem) if isinstance(problem, OSError) else str(problem)
        remedy = "run as root"
        if os.geteuid() == 0:
            remedy = "mount the cgroup tree writable; in a container, limit it from outside"
        elif controller.version == 2:
            remedy = "run as root, or in 'systemd-run --user --scope -p Delegate=yes'"
        raise UnavailableError(f"may not limit the CPU of processes: {why}; {remedy}") from None
    return f"cgroup v{controller.version}"


def _parts(mount: list[str]) -> tuple[str, Path, str, list[str]]:
    """(root, mount point, file system, options) of a line of mountinfo; see proc(5)."""
    kind = mount.index("-") + 1
    return mount[3], Path(mount[4]), mount[kind], mount[kind + 2].split(",")


def _inside(mount: Path, root: str, group: str) -> Path:
    """The folder of a group in a mount that shows the tree below ``root``; the mount point where it is not below."""
    relative = os.path.relpath(group, root)
    return mount if relative.startswith("..") else Path(os.path.normpath(mount / relative))


def _words(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text().split()
    return []
