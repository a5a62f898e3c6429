"""The record of networks of containers: Docker knows which there are, and their agents what they are like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.errors import NodeError, RecordError
from harness.runtime import containers
from harness.runtime.containers import Found, sort_out
from harness.runtime.docker import DockerRuntime
from harness.runtime.docker_http import Daemon
from harness.store import Record, Store


class DockerLedger:
    """What Store is for namespaces; nothing is written, agents hold it all. Raises UnavailableError without Docker."""

    unread = "no agent of network {name!r} answers; its containers are removed all the same"

    _filters = quote(f'{{"label":["{containers.NETWORK}"]}}')

    def __init__(self, store: Store) -> None:
        self._store = store

    def lock(self, name: str) -> AbstractContextManager[None]:
        """See Store: it keeps commands of this machine from each other."""
        return self._store.lock(name)

    def found(self) -> list[Found]:
        """All networks that have containers."""
        path = f"/containers/json?all=1&filters={self._filters}"
        listed: list[Mapping[str, Any]] = Daemon(os.environ).ask("GET", path)
        return sort_out(listed)

    def running(self) -> list[str]:
        """The names of those whose containers run."""
        return [found.name for found in self.found() if found.running]

    def names(self) -> list[str]:
        """Of all networks of which something is there: containers that have ended, or only a bridge."""
        bridges: list[Mapping[str, Any]] = Daemon(os.environ).ask("GET", f"/networks?filters={self._filters}")
        names = {one["Labels"][containers.NETWORK] for one in bridges}
        return sorted(names | {found.name for found in self.found()})

    def load(self, name: str) -> Record | None:
        """A network whose containers run, or None. Raises RecordError where no agent answers."""
        found = next((one for one in self.found() if one.name == name and one.running), None)
        if found is None:
            return None
        runtime = DockerRuntime(name, None, found.running, found.ended)
        handle = runtime.handle
        try:
            state = runtime.state(plan=True)
        except NodeError as error:
            raise RecordError(f"network {name!r} does not answer: {error}") from None
        return Record(name, "docker", state["engine"], handle, state["plan"], found.created, found.transient)

    def save(self, record: Record) -> None:
        """Nothing: agents keep what they were told."""

    def remove(self, name: str) -> None:
        """Remove its containers and its bridge."""
        from harness.runtime import docker_setup  # imports the SDK, which takes long

        docker_setup.remove(name)
        self._store.remove(name)

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None:
        """See Store: it is of this machine."""
        self._store.record_in(name, folder, created)

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """See Store: it is of this machine."""
        return self._store.recording(name, created)
