"""Finding the network that a verb is about, and the parts that make one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.cli.options import DEFAULT_NAME
from harness.cli.output import note
from harness.engine.make import make_engine
from harness.errors import HarnessError, InputError, NetworkStateError, PrivilegeError, RecordError, UnavailableError
from harness.plan import NetworkPlan, Pair
from harness.runtime.base import Runtime
from harness.runtime.containers import parse_volume
from harness.runtime.netns import NetnsRuntime
from harness.session import Ledger, Network
from harness.store import Record, Store
from harness.suggest import suggest

if TYPE_CHECKING:
    from harness.runtime.docker_ledger import DockerLedger

NETNS: Final = NetnsRuntime.name
DOCKER: Final = "docker"
RUNTIMES: Final = (NETNS, DOCKER)
_DOCKER_SOCKET: Final = "/var/run/docker.sock"


def check_runtime(name: str, image: str | None, volumes: Sequence[str]) -> None:
    """Raise InputError where --runtime knows no such name, or an option is not for it."""
    if name not in RUNTIMES:
        raise InputError(f"no runtime is called {name!r}; {suggest(name, RUNTIMES)}")
    if name != DOCKER and (image or volumes):
        raise InputError("--image and --volume are for containers: add --runtime docker")
    for volume in volumes:
        parse_volume(volume)


def check_engine(name: str) -> None:
    """Raise InputError where --engine knows no such name."""
    if name != "auto":
        make_engine(name)


def find_runtime(record: Record) -> Runtime:
    """The runtime of a recorded network. Raises RecordError where the record does not say which it is."""
    try:
        if record.runtime == DOCKER:
            from harness.runtime.docker import DockerRuntime

            return DockerRuntime.from_handle(record.handle, make_engine(record.engine))
        return NetnsRuntime.from_handle(record.handle, make_engine(record.engine))
    except (RecordError, InputError) as error:
        raise RecordError(f"network {record.name!r}: {error}; run 'harness down --name {record.name}'") from None


def ledgers() -> list[Ledger]:
    """Where networks are recorded: namespaces, then containers."""
    containers = _containers()
    return [Store(), containers] if containers else [Store()]


def names_in(ledger: Ledger) -> list[str]:
    """What a ledger knows of, up or not; nothing, and a note, where a Docker daemon is not ours to ask."""
    try:
        return ledger.names()
    except (UnavailableError, PrivilegeError) as error:
        note(f"networks of containers cannot be looked for: {error}")
        return []


def _containers() -> DockerLedger | None:
    """Networks of containers, where there seems to be a Docker daemon."""
    if not (os.environ.get("DOCKER_HOST") or os.path.exists(_DOCKER_SOCKET)):
        return None
    from harness.runtime.docker_ledger import DockerLedger

    return DockerLedger(Store())


def find_network(name: str) -> Network:
    """The network of that name; without one, also the only one whose nodes are containers.

    Raises:
        NetworkStateError: none is up.
    """
    try:
        return Network.find(name, Store(), find_runtime)
    except RecordError:
        raise
    except NetworkStateError as error:
        containers = _containers()
        if containers is None:
            raise
        try:
            names = containers.running()
        except HarnessError as problem:
            error.add_note(f"networks of containers could not be looked for: {problem}")
            raise error from None
        if name in names:
            return Network.find(name, containers, find_runtime)
        if name == DEFAULT_NAME and len(names) == 1:
            return Network.find(names[0], containers, find_runtime)
        if names:
            error.add_note(f"networks of containers: {', '.join(names)}; name one with --name")
        raise


@contextmanager
def watched(network: Network) -> Iterator[None]:
    """Tell at the end of the block what happened to the engine during it: results may have felt that."""
    before = set(network.notes())
    yield
    for text in network.notes():
        if text not in before:
            note(text)


def parse_pairs(text: str, plan: NetworkPlan, *, one_way: bool = False) -> list[Pair]:
    """The directed edges that ``A-B``, ``A-B,C-D`` or ``all`` stands for, both directions unless one way (A to B).

    Raises:
        InputError: it is none of these.
        PlanError: an unknown rank or edge.
    """
    if text == "all":
        return sorted(plan.edges)
    pairs: list[Pair] = []
    for word in text.split(","):
        a, dash, b = word.strip().partition("-")
        if not (dash and a.isdecimal() and b.isdecimal()):
            raise InputError(f"{word!r} is no edge; write A-B with two ranks, e.g. 0-1, or several as 0-1,1-2, or all")
        there, back = plan.edge(int(a), int(b)), plan.edge(int(b), int(a))
        pairs += [there.pair] if one_way else [there.pair, back.pair]
    return pairs
