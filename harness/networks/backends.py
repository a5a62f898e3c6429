"""The backends by name, and the backend of a registered network."""

from __future__ import annotations

from typing import Final

from harness.backends.base import Backend
from harness.backends.registration import Registration
from harness.errors import InputError, RecordError
from harness.shaping.facts import engine_facts

NETNS: Final = "netns"
DOCKER: Final = "docker"
BACKENDS: Final = (NETNS, DOCKER)


def find_backend(record: Registration) -> Backend:
    """The backend of a registered network. Raises RecordError where the registration does not identify its nodes."""
    try:
        if record.runtime == DOCKER:
            from harness.backends.docker.backend import DockerBackend

            return DockerBackend.from_handle(record.handle, engine_facts(record.engine))
        from harness.backends.netns.backend import NetnsBackend
        from harness.shaping.detect import make_engine

        return NetnsBackend.from_handle(record.handle, make_engine(record.engine))
    except (RecordError, InputError) as error:
        raise RecordError(f"network {record.name!r}: {error}; run 'harness down --name {record.name}'") from None
