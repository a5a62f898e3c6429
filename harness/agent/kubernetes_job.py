"""Nodes as the pods of a Kubernetes Job, with the image and the variables of compose.yaml. Pure.

In an Indexed Job, pod i has the host name NAME-i; a headless Service of the same name lets all pods find it as
NAME-i.NAME, also before it is ready: so agents find each other by name, as in Compose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.agent.job_options import CAPABILITIES, JobOptions, literal, variables
from harness.agent.settings import HOST_NAME_LENGTH, NAMES, Settings
from harness.errors import InputError, quoted
from harness.model.plan_options import NetworkOptions

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_FILE: Final = re.compile(r"/|\.ya?ml$|^matrix:", re.IGNORECASE)
_MEMORY: Final = {"run": "16Mi", "tmp": "4Gi", "shm": "1Gi"}
"""Size limits of the volumes in memory, as in compose.yaml."""
_PLACES: Final = {"run": "/run", "tmp": "/tmp", "shm": "/dev/shm", "runs": "/runs"}


@dataclass(frozen=True)
class PodOptions(JobOptions):
    """The options of a Job in Kubernetes, beside those of its network.

    Args:
        runs_claim: a PersistentVolumeClaim for results that all pods can write to; None: results end with the pods.
    """

    runs_claim: str | None = None


def manifests(chosen: NetworkOptions, job: PodOptions) -> list[dict[str, Any]]:
    """The Service and the Job.

    Raises:
        InputError: pods cannot form this network, or Kubernetes does not allow the name.
    """
    size = _checked(chosen, job)
    environment = {**variables(chosen, job, size), NAMES: f"{job.name}-{{rank}}.{job.name}"}
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


def _checked(chosen: NetworkOptions, job: PodOptions) -> int:
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


def _files(chosen: NetworkOptions, job: PodOptions) -> list[tuple[str, str | None]]:
    """The options that may name a file."""
    network = [("--topology", chosen.topology), ("--profile", chosen.profile), ("--between", chosen.between)]
    return [*network, ("--scenario", job.scenario)]


def _pod(job: PodOptions, environment: Mapping[str, str]) -> dict[str, Any]:
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
                "args": [literal(word) for word in job.command],
                "env": [{"name": key, "value": literal(value)} for key, value in environment.items()],
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


def _volume(name: str, runs_claim: str | None) -> Mapping[str, Any]:
    if name == "runs" and runs_claim:
        return {"persistentVolumeClaim": {"claimName": runs_claim}}
    if name in _MEMORY:
        return {"emptyDir": {"medium": "Memory", "sizeLimit": _MEMORY[name]}}
    return {"emptyDir": {}}
