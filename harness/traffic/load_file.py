"""What a load says of itself while it runs, for ``harness traffic show``: a small file in the state folder."""

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
    """A load, as its file has it.

    Args:
        id: of no other load of its network.
        created: the network's: a later one of that name has other loads.
        spec: what it is.
        began: seconds since the epoch.
        pid: of the process that keeps it.
        start: that one's start time in clock ticks.
        totals: what it has achieved.
        now_bit_s: the rate of what arrived in the last second, on the wire.
        ended: why it does not send any more; empty while it does.
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
        """Whether the process that keeps it runs."""
        return bool(self.pid) and start_time(self.pid) == self.start

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units."""
        return {**vars(self), "spec": self.spec.to_json(), "totals": self.totals.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of to_json."""
        spec, totals = TrafficSpec.from_json(data["spec"]), Totals.from_json(data["totals"])
        return cls(**{**data, "spec": spec, "totals": totals})


def path_of(folder: Path, network: str, number: int) -> Path:
    """The file of a load of that network."""
    return folder / f"{network}.{number}.{_SUFFIX}"


def reserve(folder: Path, network: str) -> tuple[int, Path]:
    """A new load's number and file, which is empty."""
    number = 1
    while True:
        path = path_of(folder, network, number)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return number, path
        except FileExistsError:
            number += 1


def write(path: Path, load: Load) -> None:
    """What there is to say now; where the file was removed, the network is, and nothing is written."""
    if path.exists():
        replace_file(path, json.dumps(load.to_json()).encode())


def files(folder: Path, network: str) -> Iterator[Path]:
    """Of all loads of a network of that name."""
    ours = re.compile(rf"{re.escape(network)}\.\d+\.{_SUFFIX}")
    return iter(sorted(path for path in folder.glob(f"{network}.*.{_SUFFIX}") if ours.fullmatch(path.name)))


def read(path: Path) -> Load | None:
    """What a file says; None where it is new, damaged or gone."""
    try:
        return Load.from_json(read_json(path) or {})
    except (LookupError, TypeError, AttributeError):
        return None
