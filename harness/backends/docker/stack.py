"""Removes a network of containers; of a Docker Swarm stack, services on all machines, networks and configs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from harness.backends.docker import labels
from harness.backends.docker.daemon import DockerDaemon, DockerRefusal
from harness.errors import UnavailableError

_LEAVE_SECONDS: Final = 60.0
"""How long containers may take to end: Swarm kills them after 10 s, unless the stack sets another grace period."""
_POLL_SECONDS: Final = 0.5


def remove(name: str) -> None:
    """Remove a network of containers: a stack on all machines, or else what is on this one.

    Raises:
        UnavailableError: there is a stack, and this is no manager of its swarm.
        HarnessError: Docker refuses, or containers do not end.
    """
    if not _remove_stack(name):
        from harness.backends.docker import create

        create.remove(name)


def _remove_stack(name: str) -> bool:
    """Returns whether there was such a stack of ours; see remove."""
    daemon = DockerDaemon(os.environ)
    try:
        listed = _listed(daemon, "services", name)
    except DockerRefusal as refusal:
        if refusal.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        if not _containers(daemon, name):
            return False
        raise UnavailableError(
            f"it is a stack of Docker Swarm, which only a manager can remove: run 'harness down --name {name}' there"
            " (docker node ls)"
        ) from None
    services = [one for one in listed if labels.STACK in one["Spec"]["TaskTemplate"]["ContainerSpec"].get("Labels", {})]
    for service in services:
        _delete(daemon, f"/services/{service['ID']}")
    networks = _listed(daemon, "networks", name)
    if not services:  # somebody else has removed them, or has a stack of that name
        networks = [one for one in networks if labels.NETWORK in (one["Labels"] or {})]
    deadline = time.monotonic() + _LEAVE_SECONDS
    for network in networks:
        _delete(daemon, f"/networks/{network['Id']}", deadline)
    if not services and not networks:
        return False
    for config in _listed(daemon, "configs", name):
        _delete(daemon, f"/configs/{config['ID']}")
    while _containers(daemon, name) and time.monotonic() < deadline:  # Swarm removes them when they have ended
        time.sleep(_POLL_SECONDS)
    return True


def _listed(daemon: DockerDaemon, what: str, name: str) -> list[Mapping[str, Any]]:
    """The stack's objects of one kind."""
    found: list[Mapping[str, Any]] = daemon.ask("GET", f"/{what}?filters={_filter(f'{labels.NAMESPACE}={name}')}")
    return found


def _filter(*wanted: str) -> str:
    return quote(json.dumps({"label": wanted}))


def _delete(daemon: DockerDaemon, path: str, deadline: float = 0.0) -> None:
    """Remove one object; until the deadline, try again while ending containers use it."""
    while True:
        try:
            daemon.ask("DELETE", path)
        except DockerRefusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _containers(daemon: DockerDaemon, name: str) -> list[Mapping[str, Any]]:
    """The containers of our stack that are on this machine, also ended ones."""
    ours = _filter(labels.STACK, f"{labels.NAMESPACE}={name}")
    found: list[Mapping[str, Any]] = daemon.ask("GET", f"/containers/json?all=1&filters={ours}")
    return found
