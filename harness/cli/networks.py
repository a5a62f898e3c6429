"""Finds the network that a verb is about."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.backends.registration import Registry
from harness.cli.output import note
from harness.errors import HarnessError, NetworkStateError, PrivilegeError, RecordError, UnavailableError
from harness.model.plan_options import NAME_UNLESS_GIVEN
from harness.networks.registry import LocalRegistry

if TYPE_CHECKING:
    from harness.backends.docker.registry import DockerRegistry, FoundContainers
    from harness.networks.network import Network

_DOCKER_SOCKET: Final = "/var/run/docker.sock"


def registries() -> list[Registry]:
    """The registries of networks: of namespaces, then of containers."""
    containers = _containers()
    return [LocalRegistry(), containers] if containers else [LocalRegistry()]


def names_in(registry: Registry) -> list[str]:
    """The networks that a registry lists, up or not; if Docker refuses this user, a note and none."""
    try:
        return registry.names()
    except (UnavailableError, PrivilegeError) as error:
        note(f"cannot list networks of containers: {error}")
        return []


def _containers() -> DockerRegistry | None:
    """The registry of networks of containers, if there seems to be a Docker daemon."""
    if not (os.environ.get("DOCKER_HOST") or os.path.exists(_DOCKER_SOCKET)):
        return None
    from harness.backends.docker.registry import DockerRegistry

    return DockerRegistry(LocalRegistry())


def find_network(name: str, ranks: Collection[int] = ()) -> Network:
    """The network of this name, or for the default name the only network that is up.

    Args:
        name: of the network.
        ranks: nodes that will be asked next: if they are containers, connecting to them begins at once.

    Raises:
        NetworkStateError: no network is up, or it is not clear which one is meant.
    """
    local = LocalRegistry()
    if network := _in(local, name):
        return network
    containers, problem, listed = _containers(), None, {}
    try:
        listed = {found.name: found for found in containers.found() if found.running} if containers else {}
    except HarnessError as error:
        problem = error
    if containers and name in listed:
        return _connected(containers, listed[name], ranks)
    up = {other: network for other in local.names() if (network := _if_readable(local, other))}
    names = sorted({*up, *listed})
    if name == NAME_UNLESS_GIVEN and len(names) == 1:
        return up[names[0]] if up or not containers else _connected(containers, listed[names[0]], ranks)
    if not names:
        _refuse_inside_a_node()
    if containers and not problem and containers.has_stack(name):
        raise NetworkStateError(
            f"no container of stack {name!r} runs on this machine: run this on one where some do, as the manager with"
            f" rank 0 (docker stack ps {name})"
        )
    hint = f"; up are: {', '.join(names)}; choose one with --name" if names else ""
    missing = NetworkStateError(f"network {name!r} is not up{hint}; start it with 'harness up --name {name}'")
    if problem:
        missing.add_note(f"could not list networks of containers: {problem}")
    raise missing


def _refuse_inside_a_node() -> None:
    """Raise NetworkStateError if this runs in a node, from where no network can be seen."""
    from harness.model.torchrun import INSIDE_A_NODE

    if INSIDE_A_NODE in os.environ:
        raise NetworkStateError(
            f"this is node {os.environ.get('RANK', '?')} of a network; networks cannot be seen or changed inside a"
            " node: run the command outside, in another terminal"
        )


def _connected(containers: DockerRegistry, found: FoundContainers, ranks: Collection[int]) -> Network:
    containers.connect(found, ranks)
    from harness.networks.network import Network  # while the agents' processes start, which takes as long

    return Network(containers.registration(found), containers)


def _in(registry: Registry, name: str) -> Network | None:
    record = registry.load(name)
    if record is None:
        return None
    from harness.networks.network import Network

    network = Network(record, registry)
    return network if network.backend.alive else None


def _if_readable(registry: Registry, name: str) -> Network | None:
    try:
        return _in(registry, name)
    except RecordError:
        return None


@contextmanager
def watched(network: Network) -> Iterator[None]:
    """At the end of the block, print what happened to the engine during it: it may have affected results."""
    before = set(network.notes())
    yield
    for text in network.notes():
        if text not in before:
            note(text)
