"""How containers are to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.errors import InputError

IMAGE: Final = "harness-node"


@dataclass(frozen=True)
class ContainerOptions:
    """What ``harness up --runtime docker`` was asked for.

    Args:
        image: made by ``harness image build``, or made from that.
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


def parse_volume(text: str) -> tuple[str, str, bool]:
    """Folder of the host, folder inside, whether it is read-only, of ``/HOST:/INSIDE[:ro]``. Raises InputError."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source.startswith("/") and target.startswith("/")) or mode not in ("", "ro", "rw"):
        raise InputError(f"--volume {text!r}: write /HOST/FOLDER:/FOLDER/INSIDE or /HOST/FOLDER:/FOLDER/INSIDE:ro")
    return source, target, mode == "ro"
