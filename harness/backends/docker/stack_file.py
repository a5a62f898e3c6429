"""Nodes as the services of a Docker Swarm stack, with the image and variables of compose.yaml; pure.

Each rank is a service of one container, which Swarm puts on any machine, and rank 0 on a manager, which gets the
results. Two networks join all containers: ``links``, which is shaped, and ``manage``, over which agents talk. A
container's interfaces are in the order of the networks' names, so ``links`` is eth0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.agent.job_options import CAPABILITIES, JobOptions, literal, variables
from harness.agent.settings import HOST_NAME_LENGTH, MACHINE, MANAGE, NAMES, Settings
from harness.backends.docker.container_options import Limits
from harness.backends.docker.labels import NETWORK, RANK, STACK
from harness.backends.docker.work_folder import WorkFile
from harness.errors import InputError, PlanError, quoted
from harness.linux.sysctls import CONTAINER
from harness.model.address import DEFAULT_IPV4, Addressing
from harness.model.cpu import CpuShare
from harness.model.plan import NetworkPlan
from harness.model.plan_options import NetworkOptions

VXLAN: Final = 50
"""Bytes that the overlay network adds to a packet: VXLAN's headers over IPv4 (RFC 7348, section 5)."""
MTU: Final = 1500 - VXLAN
"""Default of the links: what fits through machines' usual networks."""
LINKS, MANAGE_NETWORK = "links", "manage"
_NAME: Final = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_SYSCTLS: Final = {name.replace("/", "."): value for name, value in CONTAINER.items() if "ipv6" not in name}
"""Overlay networks have IPv4 alone."""
_VOLUMES: Final = (
    {"type": "volume", "target": "/tmp"},  # from a tmpfs of Swarm's no program can be run
    {"type": "tmpfs", "target": "/run", "tmpfs": {"size": 16 * 1024**2}},
    {"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": 1024**3}},
)
_COMMON: Final = "x-node"


@dataclass(frozen=True)
class StackOptions(JobOptions):
    """What a stack has beside its network.

    Args:
        files: for every node, in /work.
        runs: the folder for results on rank 0's machine; None: results vanish with the containers.
        machine: host name of rank 0's machine; None: any manager.
        limits: of each container.
    """

    files: Sequence[WorkFile] = ()
    runs: Path | None = None
    machine: str | None = None
    limits: Limits = field(default_factory=Limits)


def stack(chosen: NetworkOptions, job: StackOptions, plan: NetworkPlan) -> dict[str, Any]:
    """The file for ``docker stack deploy``.

    Args:
        chosen: options of the network, with files as nodes have them.
        job: what runs there.
        plan: the same network, as it was read here.

    Raises:
        InputError: services cannot be such a network, or Swarm takes no such names.
    """
    _check(chosen, job, plan)
    environment = {
        **variables(chosen, job, plan.size),
        "SUBNET": str(chosen.subnet or DEFAULT_IPV4),
        NAMES: "node-{rank}",
        MANAGE: "manage-{rank}",
    }
    Settings.read(environment, job.command).check(plan)
    environment = {key: literal(value) for key, value in environment.items()}
    # Docker's DNS asks others for names that it does not have; whoever does not answer is not waited for.
    environment |= {MACHINE: "{{.Node.ID}}", "RES_OPTIONS": "timeout:1 attempts:1"}
    label = {NETWORK: job.name}
    return {
        "version": "3.9",
        _COMMON: _container(job, environment),
        "services": {f"rank-{rank}": _service(job, plan, rank) for rank in range(plan.size)},
        "networks": {
            LINKS: {
                "driver": "overlay",
                "driver_opts": {"com.docker.network.driver.mtu": str(plan.mtu + VXLAN)},
                "ipam": {"config": [{"subnet": str(chosen.subnet or DEFAULT_IPV4)}]},
                "labels": label,
            },
            MANAGE_NETWORK: {"driver": "overlay", "labels": label},
        },
        "configs": {_config(file): {"file": literal(str(file.source)), "labels": label} for file in job.files},
    }


def to_yaml(made: Mapping[str, Any]) -> str:
    """A stack as text, in which ranks refer to the part that they have in common."""
    import yaml

    text = yaml.safe_dump(dict(made), sort_keys=False, width=120)
    return text.replace(f"{_COMMON}:\n", f"{_COMMON}: &node\n", 1).replace("'<<': '*node'\n", "<<: *node\n")


def _check(chosen: NetworkOptions, job: StackOptions, plan: NetworkPlan) -> None:
    """Raises InputError."""
    longest = f"{job.name}_rank-{plan.size - 1}"
    if not _NAME.fullmatch(job.name) or len(longest) > HOST_NAME_LENGTH:
        raise InputError(
            f"--name {quoted(job.name)} is not a name for a stack: letters, digits, hyphens and underscores, from a"
            f" letter or digit to one, up to"
            f" {HOST_NAME_LENGTH - len(longest) + len(job.name)} characters for this network"
        )
    if chosen.subnet6:
        raise InputError("--subnet6 is not for a stack: Swarm's overlay networks have IPv4 alone")
    addressing = Addressing.parse(chosen.subnet)
    try:
        addressing.require(plan.size, others=2)
    except PlanError as error:
        raise InputError(
            f"--subnet: {error}, beside the address that Swarm takes for a gateway and one for each machine"
        ) from None


def _service(job: StackOptions, plan: NetworkPlan, rank: int) -> dict[str, Any]:
    """The part of one rank."""
    labels = {NETWORK: job.name, STACK: str(plan.size), RANK: str(rank)}
    made: dict[str, Any] = {
        "<<": "*node",
        "labels": labels,
        "networks": {LINKS: {"aliases": [f"node-{rank}"]}, MANAGE_NETWORK: {"aliases": [f"manage-{rank}"]}},
        "deploy": _deploy(job, rank, plan.node_shape(rank).cpu, labels),
    }
    if rank == 0 and job.runs is not None:
        made["volumes"] = [*_VOLUMES, {"type": "bind", "source": literal(str(job.runs)), "target": "/runs"}]
    return made


def _container(job: StackOptions, environment: Mapping[str, str]) -> dict[str, Any]:
    """The part that all ranks have in common."""
    return {
        "image": literal(job.image),
        "command": [literal(word) for word in job.command],
        "environment": dict(environment),
        "cap_drop": ["ALL"],
        "cap_add": list(CAPABILITIES),
        "read_only": True,
        "sysctls": dict(_SYSCTLS),
        "dns_search": ".",
        "stop_grace_period": "15s",
        # Swarm resolves only the names of healthy containers, and a node that finds no other is never healthy.
        "healthcheck": {"disable": True},
        "configs": [
            {
                "source": _config(file),
                "target": literal(f"/work/{file.target}"),
                "mode": 0o555 if file.executable else 0o444,
            }
            for file in job.files
        ],
        "volumes": [*_VOLUMES, {"type": "tmpfs", "target": "/runs"}],
    }


def _deploy(job: StackOptions, rank: int, cpu: CpuShare | None, labels: Mapping[str, str]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if cpu is not None:
        limits["cpus"] = f"{float(cpu):g}"
    if job.limits.memory != "0":
        limits["memory"] = job.limits.memory
    if job.limits.pids != "0":
        limits["pids"] = int(job.limits.pids)
    made: dict[str, Any] = {"endpoint_mode": "dnsrr", "restart_policy": {"condition": "none"}, "labels": dict(labels)}
    if limits:
        made["resources"] = {"limits": limits}
    if rank == 0:
        where = f"node.hostname == {job.machine}" if job.machine else None
        made["placement"] = {"constraints": ["node.role == manager", *([where] if where else [])]}
    return made


def _config(file: WorkFile) -> str:
    """The name of a file's config: Swarm's configs cannot change, so another content needs another name."""
    return f"file-{file.digest[:12]}"
