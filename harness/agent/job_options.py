"""The options of a job on many machines (``harness k8s``, ``harness stack``), and the environment they make. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from harness.model.plan_options import OPTIONS, NetworkOptions

CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL")
"""What the agent needs: for links and routes, for duplicated packets, and to run and end the job as another user.

Containers have all but NET_ADMIN by default; their other default capabilities are dropped.
"""


@dataclass(frozen=True)
class JobOptions:
    """The options of a job, beside those of its network.

    Args:
        name: of the objects that are made.
        image: which the machines have or can pull.
        command: for every node.
        master_port: of the rendezvous at rank 0.
        start_timeout: seconds that a node waits for the others to be scheduled and started.
        stops: whether the first rank that fails ends the job.
        collectives: whether each collective is recorded.
        scenario: a name; empty: none.
    """

    name: str
    image: str
    command: Sequence[str]
    master_port: int
    start_timeout: int = 600
    stops: bool = True
    collectives: bool = False
    scenario: str = ""


def variables(chosen: NetworkOptions, job: JobOptions, size: int) -> dict[str, str]:
    """The variables of compose.yaml for every node, without those at their default and without the nodes' names."""
    defaults = NetworkOptions()
    found = {"NODES": str(size)}
    for one in fields(chosen):
        name, value = OPTIONS[one.name].compose, getattr(chosen, one.name)
        if name and one.name not in ("nodes", "image") and value != getattr(defaults, one.name):
            several = isinstance(value, tuple)
            found[name] = ",".join(value) if several else str(int(value)) if isinstance(value, bool) else str(value)
    if job.scenario:
        found["SCENARIO"] = job.scenario
    return found | {
        "MASTER_PORT": str(job.master_port),
        "START_TIMEOUT": str(job.start_timeout),
        "ON_FAILURE": "stop" if job.stops else "continue",
        "COLLECTIVES": str(int(job.collectives)),
    }


def literal(text: str) -> str:
    """Escape a text for files in which $NAME and $$ are expanded, those of Kubernetes and Docker stacks."""
    return text.replace("$", "$$")
