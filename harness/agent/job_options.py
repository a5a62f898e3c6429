"""What others who start the same image on many machines give every node: what the job is, and its environment; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from harness.model.plan_options import OPTIONS, NetworkOptions

CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL")
"""Of the agent: links and routes, packets that a link duplicates, running the job as another user and ending it.

Containers have all but NET_ADMIN by default; the other defaults are dropped.
"""


@dataclass(frozen=True)
class JobOptions:
    """What a job has beside its network.

    Args:
        name: of all that is made.
        image: that the machines have or can pull.
        command: that every node runs.
        master_port: of the rendezvous at rank 0.
        start_timeout: seconds that a node waits for the others to be scheduled and started.
        stops: whether the first rank that fails ends the job.
        collectives: whether each collective is recorded.
        scenario: a name, or nothing.
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
    """The environment of every node: what compose.yaml hands on, of that what is not the default. It lacks names."""
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
    """So that who expands $NAME and $$, as Kubernetes and Docker's stack files, makes this text of it again."""
    return text.replace("$", "$$")
