"""The variables that torchrun gives a process, for one process per node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.address import INTERFACE
from harness.plan import NetworkPlan

MASTER_PORT: Final = 29500


def environment(
    plan: NetworkPlan, rank: int, base: Mapping[str, str], master_port: int = MASTER_PORT
) -> dict[str, str]:
    """What torchrun sets (docs.pytorch.org, elastic/run: environment variables), one process per node.

    What the user set of the variables that only tune stays. HARNESS_NEIGHBOURS is ours: the ranks with a direct link to
    this one, ``1,3``.
    """
    env = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **base}
    return env | {
        "RANK": str(rank),
        "WORLD_SIZE": str(plan.size),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "GROUP_WORLD_SIZE": str(plan.size),
        "NODE_RANK": str(rank),
        "HARNESS_NEIGHBOURS": ",".join(map(str, plan.neighbours(rank))),
        "MASTER_ADDR": str(plan.addressing.ipv4(0)),
        "MASTER_PORT": str(master_port),
        "GLOO_SOCKET_IFNAME": INTERFACE,
        "NCCL_SOCKET_IFNAME": INTERFACE,
        "TP_SOCKET_IFNAME": INTERFACE,
    }
