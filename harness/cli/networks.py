"""Finding the network that a verb is about."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.backends.registration import Registry
from harness.cli.options import DEFAULT_NAME
from harness.cli.output import note
from harness.errors import HarnessError, NetworkStateError, PrivilegeError, RecordError, UnavailableError
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry

if TYPE_CHECKING:
    from harness.backends.docker.registry import DockerRegistry

_DOCKER_SOCKET: Final = "/var/run/docker.sock"


def registries() -> list[Registry]:
    """Where networks are recorded: namespaces, then containers."""
    containers = _containers()
    return [LocalRegistry(), containers] if containers else [LocalRegistry()]


def names_in(registry: Registry) -> list[str]:
    """The networks that a registry lists, up or not; none, and a note, where Docker refuses this user."""
    try:
        return registry.names()
    except (UnavailableError, PrivilegeError) as error:
        note(f"cannot list networks of containers: {error}")
        return []


def _containers() -> DockerRegistry | None:
    """Networks of containers, where there seems to be a Docker daemon."""
    if not (os.environ.get("DOCKER_HOST") or os.path.exists(_DOCKER_SOCKET)):
        return None
    from harness.backends.docker.registry import DockerRegistry

    return DockerRegistry(LocalRegistry())


def find_network(name: str) -> Network:
    """The network of that name; without one, also the only one whose nodes are containers.

    Raises:
        NetworkStateError: none is up.
    """
    try:
        return Network.find(name, LocalRegistry())
    except RecordError:
        raise
    except NetworkStateError as error:
        containers = _containers()
        if containers is None:
            raise
        try:
            names = containers.running()
        except HarnessError as problem:
            error.add_note(f"could not list networks of containers: {problem}")
            raise error from None
        if name in names:
            return Network.find(name, containers)
        if name == DEFAULT_NAME and len(names) == 1:
            return Network.find(names[0], containers)
        if names:
            error.add_note(f"networks of containers: {', '.join(names)}; name one with --name")
        raise


@contextmanager
def watched(network: Network) -> Iterator[None]:
    """Tell at the end of the block what happened to the engine during it: this may have affected results."""
    before = set(network.notes())
    yield
    for text in network.notes():
        if text not in before:
            note(text)
