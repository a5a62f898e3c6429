"""Finds networks of containers by Docker's labels, whether Compose or ``harness up`` started them.

Their agents know the plans.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from harness.backends.docker.agents import Agents
from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.labels import NAMESPACE, NETWORK, RANK, STACK, TRANSIENT
from harness.backends.registration import Registration, Registry
from harness.errors import HarnessError, NodeError, PrivilegeError, RecordError, UnavailableError

if TYPE_CHECKING:
    from harness.backends.docker.backend import DockerBackend

_NUMBER: Final = "com.docker.compose.container-number"
_OURS: Final = quote(f'{{"label":["{NETWORK}"]}}')


@dataclass(frozen=True)
class FoundContainers:
    """The containers of one network.

    Args:
        name: the network's.
        running: ids of running and paused containers, by rank.
        ended: ids of ended containers, by rank.
        created: seconds since the epoch.
        transient: whether they end with the command that started them.
        remote: Swarm services of ranks whose containers are on other machines, or gone, by rank.
    """

    name: str
    running: Mapping[int, str]
    ended: Mapping[int, str]
    created: float
    transient: bool
    remote: Mapping[int, str]


def sort_out(listed: Iterable[Mapping[str, Any]]) -> list[FoundContainers]:
    """Networks, sorted by name, of the containers that ``GET /containers/json?all=1`` lists (Docker Engine API)."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in listed:
        if name := _name(one["Labels"]):
            groups.setdefault(name, []).append(one)
    return [_found(name, groups[name]) for name in sorted(groups)]


def _name(labels: Mapping[str, str]) -> str | None:
    """The network's name by its labels; a stack has the name with which it was deployed."""
    name = labels.get(NETWORK)
    return labels.get(NAMESPACE, name) if name else None


def _found(name: str, listed: list[Mapping[str, Any]]) -> FoundContainers:
    running: dict[int, str] = {}
    ended: dict[int, str] = {}
    size = 0
    for one in listed:
        labels = one["Labels"]
        size = max(size, int(labels.get(STACK, 0)))
        if RANK in labels or _NUMBER in labels:
            rank = int(labels[RANK]) if RANK in labels else int(labels[_NUMBER]) - 1
            (running if one["State"] in ("running", "paused") else ended)[rank] = one["Id"]
    return FoundContainers(
        name,
        running,
        ended,
        min(float(one["Created"]) for one in listed),
        any(TRANSIENT in one["Labels"] for one in listed),
        {rank: f"{name}_rank-{rank}" for rank in range(size) if rank not in running},
    )


class DockerRegistry:
    """The registry of containers, which reads labels and asks agents. Raises UnavailableError without Docker.

    Args:
        local: keeps this machine's locks and folders.
    """

    unread = "no agent of network {name!r} answers; its containers are removed all the same"

    def __init__(self, local: Registry) -> None:
        self._local = local
        self._daemon: DockerDaemon | None = None
        """The connection that listed containers; the next conversation with an agent takes it over."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """See Registry: it locks out other commands on this machine."""
        return self._local.lock(name)

    def found(self) -> list[FoundContainers]:
        """All networks that have containers."""
        self._daemon = DockerDaemon(os.environ)
        listed: list[Mapping[str, Any]] = self._daemon.ask("GET", f"/containers/json?all=1&filters={_OURS}")
        return sort_out(listed)

    def names(self) -> list[str]:
        """All networks, also those of which only ended containers or a bridge are left."""
        found = self.found()
        assert self._daemon is not None
        bridges: list[Mapping[str, Any]] = self._daemon.ask("GET", f"/networks?filters={_OURS}")
        listed = {_name(one["Labels"]) or "" for one in bridges}
        return sorted(listed | {one.name for one in found})

    def has_stack(self, name: str) -> bool:
        """Whether the swarm or this machine has a stack of ours of that name."""
        daemon = DockerDaemon(os.environ)
        listed: list[Mapping[str, Any]] = daemon.ask("GET", f"/networks?filters={_OURS}")
        return any(NAMESPACE in one["Labels"] and _name(one["Labels"]) == name for one in listed)

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        """See Registry: a network whose containers run, or None. Raises RecordError where no agent answers."""
        if known is not None:
            with contextlib.suppress(NodeError):  # it may have other containers by now
                state = _backend().from_handle(known.handle).state(plan=True, known=known.plan)
                return replace(known, plan=state.get("plan", known.plan))
        found = next((one for one in self.found() if one.name == name and one.running), None)
        return None if found is None else self.registration(found)

    def connect(self, found: FoundContainers, ranks: Collection[int] = ()) -> None:
        """Start conversations with the agents of a network, without waiting.

        Args:
            found: its containers.
            ranks: whose agents will get other requests than for the registration.
        """
        daemon, self._daemon = self._daemon, None
        Agents(found.running, found.ended, found.remote).connect(ranks, daemon)

    def registration(self, found: FoundContainers) -> Registration:
        """The registration of a network whose containers run. Raises RecordError where no agent answers."""
        try:
            self.connect(found)
            backend = _backend()(found.name, None, found.running, found.ended, remote=found.remote)
            state = backend.state(plan=True)
        except (PrivilegeError, UnavailableError):
            raise
        except HarnessError as error:  # also where a container has ended since it was listed
            raise RecordError(f"network {found.name!r} does not answer: {error}") from None
        return Registration(
            found.name, backend.name, state["engine"], backend.handle, state["plan"], found.created, found.transient
        )

    def save(self, record: Registration) -> None:
        """Does nothing: agents keep the changes that they get."""

    def amend(self, record: Registration, change: Mapping[str, Any]) -> None:
        """Does nothing, as save."""

    def remove(self, name: str) -> None:
        """Remove its containers and its networks."""
        from harness.backends.docker import stack

        stack.remove(name)
        self._local.remove(name)

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None:
        """See Registry: it is of this machine."""
        self._local.record_in(name, folder, created)

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """See Registry: it is of this machine."""
        return self._local.recording(name, created)

    def probe_counts(self, name: str) -> Path:
        """See Registry: it is of this machine."""
        return self._local.probe_counts(name)

    def away(self, name: str) -> Path:
        """See Registry: it is of this machine."""
        return self._local.away(name)

    def load_folder(self) -> Path:
        """See Registry: it is of this machine."""
        return self._local.load_folder()


def _backend() -> type[DockerBackend]:
    """Import the backend late: while the agents' processes start there is time for it."""
    from harness.backends.docker.backend import DockerBackend

    return DockerBackend
