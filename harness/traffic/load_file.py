"""The file of a running load in the state folder, which ``harness traffic show`` reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from harness.backends.netns.namespaces import start_time
from harness.run_files import read_json, replace_file
from harness.traffic.spec import TrafficSpec
from harness.traffic.totals import Totals

_SUFFIX: Final = "traffic"


@dataclass(frozen=True)
class Load:
    """A load, as in its file.

    Args:
        id: unique in its network.
        created: when its network was created, to distinguish it from others of the same name.
        spec: of the load.
        began: seconds since the epoch.
        pid: of the process that runs it.
        start: start time of that process in clock ticks.
        totals: so far.
        now_bit_s: the rate of arrivals in the last second, on the wire.
        ended: why it has ended; empty while it runs.
    """

    id: int
    created: float
    spec: TrafficSpec
    began: float = 0.0
    pid: int = 0
    start: int = 0
    totals: Totals = field(default_factory=Totals)
    now_bit_s: float = 0.0
    ended: str = ""

    @property
    def alive(self) -> bool:
        """Whether the process that runs it is alive."""
        return bool(self.pid) and start_time(self.pid) == self.start

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units."""
        return {**vars(self), "spec": self.spec.to_json(), "totals": self.totals.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of to_json."""
        spec, totals = TrafficSpec.from_json(data["spec"]), Totals.from_json(data["totals"])
        return cls(**{**data, "spec": spec, "totals": totals})


def reserve(folder: Path, network: str) -> tuple[int, Path]:
    """The number of a new load, and its file, created empty."""
    number = 1
    while True:
        path = folder / f"{network}.{number}.{_SUFFIX}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return number, path
        except FileExistsError:
            number += 1


def write(path: Path, load: Load) -> None:
    """Update a load's file. Writes nothing where the file was removed, as it is with its network."""
    if path.exists():
        replace_file(path, json.dumps(load.to_json()).encode())


def files(folder: Path, network: str) -> Iterator[Path]:
    """The files of all loads of networks of that name."""
    ours = re.compile(rf"{re.escape(network)}\.\d+\.{_SUFFIX}")
    return iter(sorted(path for path in folder.glob(f"{network}.*.{_SUFFIX}") if ours.fullmatch(path.name)))


def read(path: Path) -> Load | None:
    """The load in a file; None where the file is empty, damaged or gone."""
    try:
        return Load.from_json(read_json(path) or {})
    except (LookupError, TypeError, AttributeError):
        return None
