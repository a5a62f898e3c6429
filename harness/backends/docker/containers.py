"""The containers of networks, found by their labels, whoever started them: Compose, or ``harness up``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import InputError

NETWORK: Final = "tc-harness.network"
"""The label with the network's name."""
RANK: Final = "tc-harness.rank"
"""The label with the rank, where it is not Compose who numbers the containers."""
TRANSIENT: Final = "tc-harness.transient"
"""The label of what ends with the command that made it."""
IMAGE: Final = "harness-node"
_NUMBER: Final = "com.docker.compose.container-number"


@dataclass(frozen=True)
class ContainerOptions:
    """How containers are to be made.

    Args:
        image: made by scripts/build-image, or made from that.
        volumes: HOST:CONTAINER[:ro], as docker run's.
        engine: what makes the links: auto, netem or userspace.
        congestion_control: of TCP.
        transient: whether they end with this process.
    """

    image: str = IMAGE
    volumes: tuple[str, ...] = ()
    engine: str = "auto"
    congestion_control: str = "cubic"
    transient: bool = False


@dataclass(frozen=True)
class Found:
    """The containers of one network.

    Args:
        name: the network's.
        running: by rank, the ids of those that run (or are paused).
        ended: by rank, the ids of those that do not.
        created: seconds since the epoch.
        transient: whether they end with the command that started them.
    """

    name: str
    running: Mapping[int, str]
    ended: Mapping[int, str]
    created: float
    transient: bool


def sort_out(listed: Iterable[Mapping[str, Any]]) -> list[Found]:
    """Networks by name, from what ``GET /containers/json?all=1`` lists (Docker Engine API)."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in listed:
        if name := one["Labels"].get(NETWORK):
            groups.setdefault(name, []).append(one)
    return [_found(name, groups[name]) for name in sorted(groups)]


def _found(name: str, listed: list[Mapping[str, Any]]) -> Found:
    running: dict[int, str] = {}
    ended: dict[int, str] = {}
    for one in listed:
        labels = one["Labels"]
        if RANK in labels or _NUMBER in labels:
            rank = int(labels[RANK]) if RANK in labels else int(labels[_NUMBER]) - 1
            (running if one["State"] in ("running", "paused") else ended)[rank] = one["Id"]
    return Found(
        name,
        running,
        ended,
        min(float(one["Created"]) for one in listed),
        any(TRANSIENT in one["Labels"] for one in listed),
    )


def parse_volume(text: str) -> tuple[str, str, bool]:
    """Folder of the host, folder inside, whether it is read-only, of ``/HOST:/INSIDE[:ro]``. Raises InputError."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source.startswith("/") and target.startswith("/")) or mode not in ("", "ro", "rw"):
        raise InputError(f"--volume {text!r}: write /HOST/FOLDER:/FOLDER/INSIDE or /HOST/FOLDER:/FOLDER/INSIDE:ro")
    return source, target, mode == "ro"
