"""The record of networks of containers: Docker knows which there are, and their agents what they are like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.backends.docker import containers
from harness.backends.docker.backend import DockerBackend
from harness.backends.docker.containers import Found, sort_out
from harness.backends.docker.http import DockerDaemon
from harness.backends.registration import Registration, Registry
from harness.errors import NodeError, RecordError


class DockerRegistry:
    """What Store is for namespaces; nothing is written, agents hold it all. Raises UnavailableError without Docker."""

    unread = "no agent of network {name!r} answers; its containers are removed all the same"

    _filters = quote(f'{{"label":["{containers.NETWORK}"]}}')

    def __init__(self, store: Registry) -> None:
        self._store = store

    def lock(self, name: str) -> AbstractContextManager[None]:
        """See Registry: it keeps commands of this machine from each other."""
        return self._store.lock(name)

    def found(self) -> list[Found]:
        """All networks that have containers."""
        path = f"/containers/json?all=1&filters={self._filters}"
        listed: list[Mapping[str, Any]] = DockerDaemon(os.environ).ask("GET", path)
        return sort_out(listed)

    def running(self) -> list[str]:
        """The names of those whose containers run."""
        return [found.name for found in self.found() if found.running]

    def names(self) -> list[str]:
        """Of all networks of which something is there: containers that have ended, or only a bridge."""
        bridges: list[Mapping[str, Any]] = DockerDaemon(os.environ).ask("GET", f"/networks?filters={self._filters}")
        names = {one["Labels"][containers.NETWORK] for one in bridges}
        return sorted(names | {found.name for found in self.found()})

    def load(self, name: str) -> Registration | None:
        """A network whose containers run, or None. Raises RecordError where no agent answers."""
        found = next((one for one in self.found() if one.name == name and one.running), None)
        if found is None:
            return None
        backend = DockerBackend(name, None, found.running, found.ended)
        handle = backend.handle
        try:
            state = backend.state(plan=True)
        except NodeError as error:
            raise RecordError(f"network {name!r} does not answer: {error}") from None
        return Registration(name, "docker", state["engine"], handle, state["plan"], found.created, found.transient)

    def save(self, record: Registration) -> None:
        """Nothing: agents keep what they were told."""

    def remove(self, name: str) -> None:
        """Remove its containers and its bridge."""
        from harness.backends.docker import create

        create.remove(name)
        self._store.remove(name)

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None:
        """See Registry: it is of this machine."""
        self._store.record_in(name, folder, created)

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """See Registry: it is of this machine."""
        return self._store.recording(name, created)
