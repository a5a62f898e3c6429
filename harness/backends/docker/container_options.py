"""Options of the containers that are made, and their parsers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from harness.errors import InputError, quoted

IMAGE: Final = "harness-node"


_GPU: Final = re.compile(r"[A-Za-z0-9:-]+", re.ASCII)
_AMOUNT: Final = re.compile(r"\d+[bkmg]?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What a container may use; 0: no limit.

    Args:
        pids: processes and threads.
        memory: bytes, in Docker's notation: 512m, 16g. Shared memory and /tmp are part of it.
        tmp: bytes of /tmp, in the same notation.
    """

    pids: str = "4096"
    memory: str = "16g"
    tmp: str = "4g"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From HARNESS_PIDS, HARNESS_MEMORY and HARNESS_TMP, which compose.yaml uses, too. Raises InputError."""
        made = cls(**{one.name: environ.get(f"HARNESS_{one.name.upper()}") or str(one.default) for one in fields(cls)})
        if not made.pids.isascii() or not made.pids.isdigit():
            raise InputError(f"HARNESS_PIDS={made.pids!r}: write a number of processes, e.g. 4096, or 0 for no limit")
        for name, value in (("MEMORY", made.memory), ("TMP", made.tmp)):
            if not _AMOUNT.fullmatch(value):
                raise InputError(
                    f"HARNESS_{name}={value!r}: write an amount of memory, e.g. 512m or 16g, or 0 for no limit"
                )
        return made


@dataclass(frozen=True)
class ContainerOptions:
    """Options of ``harness up --runtime docker``.

    Args:
        image: made by ``harness image build``, or from that image.
        volumes: HOST:CONTAINER[:ro], as for docker run.
        engine: auto, netem or userspace.
        congestion_control: of TCP.
        transient: whether the containers end with this process.
        limits: of each container.
        gpus: of each container, see parse_gpus; None: none.
    """

    image: str = IMAGE
    volumes: tuple[str, ...] = ()
    engine: str = "auto"
    congestion_control: str = "cubic"
    transient: bool = False
    limits: Limits = Limits()
    gpus: str | None = None


def parse_gpus(text: str | None) -> dict[str, Any] | None:
    """A device request of Docker's API, without capabilities, for ``all``, ``2`` or ``device=0,GPU-3a23``.

    Raises InputError.
    """
    if text is None:
        return None
    if text == "all" or (text.isascii() and text.isdigit() and int(text)):
        return {"count": -1 if text == "all" else int(text)}
    names = text.removeprefix("device=").split(",")
    if not text.startswith("device=") or not all(_GPU.fullmatch(name) for name in names):
        raise InputError(f"--gpus {quoted(text)}: write all, a number of GPUs, or device=0,2")
    return {"device_ids": names}


def parse_volume(text: str) -> tuple[str, str, bool]:
    """(folder of the host, folder in the container, whether read-only) of ``/HOST:/INSIDE[:ro]``. Raises InputError."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source.startswith("/") and target.startswith("/")) or mode not in ("", "ro", "rw"):
        raise InputError(f"--volume {text!r}: write /HOST/FOLDER:/FOLDER/INSIDE or /HOST/FOLDER:/FOLDER/INSIDE:ro")
    return source, target, mode == "ro"
