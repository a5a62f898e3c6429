"""CPU shares of containers: Docker's quota, which limits everything in a container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from harness.backends.docker.daemon import DockerDaemon, DockerRefusal
from harness.errors import HarnessError, InputError, NodeError
from harness.linux.cgroup import quota_us
from harness.model.cpu import CpuShare
from harness.model.plan import NetworkPlan
from harness.model.plan_cpus import check_cores
from harness.shaping.facts import USERSPACE

_WHOLE: Final = "a container's share of a CPU is for everything in it, the agent included"
_LINKS: Final = (
    "; links in user space need some of it, and deliver late when a job uses it up: use --engine netem"
    " or --runtime netns"
)


def quota(share: CpuShare | None) -> dict[str, int]:
    """A share as a part of a request to Docker, where a quota of -1 means no limit."""
    if share is None:
        return {"CpuQuota": -1}
    quota, period = quota_us(share)
    return {"CpuPeriod": period, "CpuQuota": quota}


def shares_note(plan: NetworkPlan, engine: str) -> list[str]:
    """Messages for the user about the CPU shares of a plan's nodes."""
    if not any(shape.cpu for shape in plan.nodes.values()):
        return []
    return [_WHOLE + (_LINKS if engine == USERSPACE else "")]


def check_daemon_cores(plan: NetworkPlan, before: NetworkPlan | None) -> None:
    """Raise InputError where a new share exceeds the cores of the daemon's machine."""
    old = before.nodes if before else {}
    if any(shape.cpu and shape != old.get(rank) for rank, shape in plan.nodes.items()):
        check_cores(plan, int(DockerDaemon(os.environ).ask("GET", "/info")["NCPU"]))


def refuse_new_shares(plan: NetworkPlan, before: NetworkPlan | None) -> None:
    """Raise InputError where the share of a node in a Swarm stack would change: only Swarm can change it."""
    for rank in range(plan.size):
        if before is not None and plan.node_shape(rank).cpu != before.node_shape(rank).cpu:
            raise InputError(
                f"node {rank}'s share of a CPU is Swarm's to change: set deploy.resources.limits.cpus of rank-{rank} in"
                " the stack file, and deploy it again"
            )


def limit(containers: Mapping[int, str], shares: Mapping[int, CpuShare | None]) -> dict[int, HarnessError]:
    """Give these ranks' containers their shares; returns Docker's refusals, by rank.

    It leaves a limit that Docker got in another way, such as Compose's ``cpus``.
    """
    daemon, refused = DockerDaemon(os.environ), dict[int, HarnessError]()
    for rank, share in shares.items():
        path = f"/containers/{containers[rank]}"
        try:
            if share is not None or _has_quota(daemon.ask("GET", f"{path}/json")):
                daemon.ask("POST", f"{path}/update", quota(share))
        except DockerRefusal as refusal:
            refused[rank] = NodeError(rank, "limit cpu", refusal.cause)
    return refused


def _has_quota(container: Mapping[str, Any]) -> bool:
    return bool(container["HostConfig"].get("CpuQuota", 0) > 0)
