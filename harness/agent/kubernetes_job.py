"""Nodes as the pods of a Kubernetes Job: the same image and the same variables as compose.yaml's; pure.

An Indexed Job gives pod i the host name NAME-i, and a headless Service of the same name makes that NAME-i.NAME for all
pods, also before they are ready: so every agent finds the others by name, as in Compose. Kubernetes schedules; the
agents do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from harness.agent.settings import HOST_NAME_LENGTH, NAMES, Settings
from harness.errors import InputError, quoted
from harness.model.plan_options import OPTIONS, NetworkOptions

CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL")
"""As in compose.yaml. Containers have all but NET_ADMIN by default; the other defaults are dropped."""
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_FILE: Final = re.compile(r"/|\.ya?ml$|^matrix:", re.IGNORECASE)
_MEMORY: Final = {"run": "16Mi", "tmp": "4Gi", "shm": "1Gi"}
"""What is kept in memory, as in compose.yaml."""
_PLACES: Final = {"run": "/run", "tmp": "/tmp", "shm": "/dev/shm", "runs": "/runs"}


@dataclass(frozen=True)
class JobOptions:
    """What a Job has beside its network.

    Args:
        name: of the Job and its Service.
        image: that the cluster can pull.
        command: that every node runs.
        master_port: of the rendezvous at rank 0.
        start_timeout: seconds that a node waits for the others to be scheduled and started.
        stops: whether the first rank that fails ends the job.
        collectives: whether each collective is recorded.
        scenario: the name of one that ships, or nothing.
        runs_claim: a PersistentVolumeClaim for results, that all pods can write to; None: they end with the pods.
    """

    name: str
    image: str
    command: Sequence[str]
    master_port: int
    start_timeout: int = 600
    stops: bool = True
    collectives: bool = False
    scenario: str = ""
    runs_claim: str | None = None


def manifests(chosen: NetworkOptions, job: JobOptions) -> list[dict[str, Any]]:
    """The Service and the Job.

    Raises:
        InputError: pods cannot be such a network, or Kubernetes takes no such names.
    """
    size = _checked(chosen, job)
    environment = variables(chosen, job, size)
    Settings.read(environment, job.command).check()
    labels = {"app.kubernetes.io/name": "tc-harness", "app.kubernetes.io/instance": job.name}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": job.name, "labels": {**labels}},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {**labels}},
    }
    indexed = {
        "completionMode": "Indexed",
        "completions": size,
        "parallelism": size,
        "backoffLimit": 0,
        "template": {"metadata": {"labels": {**labels}}, "spec": _pod(job, environment)},
    }
    return [
        service,
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job.name, "labels": labels}, "spec": indexed},
    ]


def _checked(chosen: NetworkOptions, job: JobOptions) -> int:
    """How many nodes there are. Raises InputError."""
    for option, text in _files(chosen, job):
        if text and _FILE.search(text):
            raise InputError(
                f"{option} {quoted(text)}: pods do not have that file; build it into an image of yours (FROM"
                f" harness-node), and write its path there in the printed file"
            )
    for option, given in (("--subnet", chosen.subnet), ("--subnet6", chosen.subnet6)):
        if given:
            raise InputError(f"{option} is not for pods: they get their addresses from the cluster")
    plan = chosen.plan()
    if any(plan.node(rank).detours() for rank in range(plan.size)):
        raise InputError(
            f"--topology {quoted(chosen.topology)} needs nodes that forward packets for others, which pods on several"
            " machines cannot do: take one in which all are neighbours, e.g. fully_connected or regions:aws"
        )
    longest = f"{job.name}-{plan.size - 1}"
    if not _NAME.fullmatch(job.name) or len(longest) > HOST_NAME_LENGTH:
        raise InputError(
            f"--name {quoted(job.name)} cannot name a Service and its pods: use lower-case letters, digits and hyphens,"
            f" a letter first, and with -{plan.size - 1} at its end at most {HOST_NAME_LENGTH} characters"
        )
    return plan.size


def _files(chosen: NetworkOptions, job: JobOptions) -> list[tuple[str, str | None]]:
    """The options that may name a file."""
    network = [("--topology", chosen.topology), ("--profile", chosen.profile), ("--between", chosen.between)]
    return [*network, ("--scenario", job.scenario)]


def variables(chosen: NetworkOptions, job: JobOptions, size: int) -> dict[str, str]:
    """The environment of every pod: what compose.yaml hands on, of that what is not the default."""
    defaults = NetworkOptions()
    found = {"NODES": str(size)}
    for one in fields(chosen):
        name, value = OPTIONS[one.name].compose, getattr(chosen, one.name)
        if name and one.name not in ("nodes", "image") and value != getattr(defaults, one.name):
            found[name] = str(int(value)) if isinstance(value, bool) else str(value)
    if job.scenario:
        found["SCENARIO"] = job.scenario
    found |= {
        "MASTER_PORT": str(job.master_port),
        "START_TIMEOUT": str(job.start_timeout),
        "ON_FAILURE": "stop" if job.stops else "continue",
        "COLLECTIVES": str(int(job.collectives)),
        NAMES: f"{job.name}-{{rank}}.{job.name}",
    }
    return found


def _pod(job: JobOptions, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "subdomain": job.name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 15,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 2147483647"}],
        },
        "containers": [
            {
                "name": "node",
                "image": job.image,
                "imagePullPolicy": "IfNotPresent",
                "args": [_literal(word) for word in job.command],
                "env": [{"name": key, "value": _literal(value)} for key, value in environment.items()],
                "securityContext": {
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
                },
                "readinessProbe": {"exec": {"command": ["test", "-e", "/run/harness/ready"]}, "periodSeconds": 5},
                "volumeMounts": [{"name": name, "mountPath": place} for name, place in _PLACES.items()],
            }
        ],
        "volumes": [{"name": name, **_volume(name, job.runs_claim)} for name in _PLACES],
    }


def _literal(text: str) -> str:
    """So that Kubernetes, which expands $(NAME) and $$, makes this text of it again."""
    return text.replace("$", "$$")


def _volume(name: str, runs_claim: str | None) -> Mapping[str, Any]:
    if name == "runs" and runs_claim:
        return {"persistentVolumeClaim": {"claimName": runs_claim}}
    if name in _MEMORY:
        return {"emptyDir": {"medium": "Memory", "sizeLimit": _MEMORY[name]}}
    return {"emptyDir": {}}
