"""The environment of a program in a node: torchrun's variables, for one process per node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness.model.address import INTERFACE
from harness.model.plan import NetworkPlan
from harness.model.torchrun_options import left_out

MASTER_PORT: Final = 29500
NCCL: Final = {
    "NCCL_SOCKET_IFNAME": INTERFACE,
    "NCCL_NET": "Socket",
    "NCCL_P2P_DISABLE": "1",
    "NCCL_SHM_DISABLE": "1",
    "NCCL_IB_DISABLE": "1",
    "NCCL_MNNVL_ENABLE": "0",
    "NCCL_NVLS_ENABLE": "0",
}
"""These make NCCL use the shaped link only, not NVLink, PCIe, shared memory or InfiniBand."""
RESTART: Final = "HARNESS_RESTART"
"""How many times a rank was restarted after a scenario had killed it: 1, 2, ..."""
STEP_FILE: Final = "HARNESS_STEP_FILE"
"""The file to which a job appends each step that it has done; ``harness.step(n)`` does it."""
INSIDE_A_NODE: Final = "HARNESS_NEIGHBOURS"
"""The ranks with a direct link to this node, ``1,3``; only programs in nodes have this variable."""


def environment(
    plan: NetworkPlan,
    rank: int,
    base: Mapping[str, str],
    master_port: int = MASTER_PORT,
    argv: Sequence[str] = (),
) -> dict[str, str]:
    """The variables that torchrun sets (docs.pytorch.org, elastic/run: environment variables), and those that it reads.

    PET_X is the default of its option --x: `torchrun --nproc-per-node 2 train.py` in every node becomes one job, with
    static and c10d rendezvous. Variables that contradict a torchrun in argv, the command, are left out.

    Variables that only tune do not override those of ``base``. One of them keeps workers from sharing torchrun's store:
    restarted workers could read the addresses of earlier ones from it, as happens over a slow link (pytorch/pytorch
    issue 135712).
    """
    master = str(plan.addressing.ipv4(0))
    without = left_out(argv)
    defaults = {
        "NNODES": str(plan.size),
        "NODE_RANK": str(rank),
        "MASTER_ADDR": master,
        "MASTER_PORT": str(master_port),
        "RDZV_ENDPOINT": f"{master}:{master_port}",
        "LOCAL_ADDR": str(plan.addressing.ipv4(rank)),
    }
    tuning = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return {
        **tuning,
        **base,
        "RANK": str(rank),
        "WORLD_SIZE": str(plan.size),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "GROUP_WORLD_SIZE": str(plan.size),
        "NODE_RANK": str(rank),
        INSIDE_A_NODE: ",".join(map(str, plan.neighbours(rank))),
        "ROLE_NAME": "default",
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": str(plan.size),
        "MASTER_ADDR": master,
        "MASTER_PORT": str(master_port),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        **{f"PET_{name}": value for name, value in defaults.items() if name not in without},
        "GLOO_SOCKET_IFNAME": INTERFACE,
        **NCCL,
        "TP_SOCKET_IFNAME": INTERFACE,
    }
