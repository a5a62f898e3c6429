"""Records loads in traffic.jsonl of the run that is being recorded (docs/runs.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.backends.registration import Registry
from harness.errors import HarnessError
from harness.model.plan import NetworkPlan
from harness.run_files import TRAFFIC, append_json
from harness.traffic.load_file import Load


class TrafficJournal:
    """Records a load in each run on its network that is being recorded.

    Args:
        registry: knows these runs.
        network: its name.
        plan: of the network.
        port: the receiver's, by which readers distinguish the load's TCP flows from the job's.
    """

    def __init__(self, registry: Registry, network: str, plan: NetworkPlan, port: int) -> None:
        self._registry, self._network, self._plan, self._port = registry, network, plan, port
        self._folder: Path | None = None

    def sample(self, load: Load) -> None:
        """Record its totals; in a run that has just begun, its start first."""
        with contextlib.suppress(HarnessError, OSError):
            folder = self._registry.recording(self._network, load.created)
            if folder is not None and folder != self._folder:
                self._add(folder, "start", load, {**load.spec.to_json(), "port": self._port, "path": self._path(load)})
            self._folder = folder
            if folder is not None:
                self._add(folder, "sample", load, {})

    def stop(self, load: Load) -> None:
        """Record its end, if the run with its start is still being recorded."""
        with contextlib.suppress(HarnessError, OSError):
            folder = self._registry.recording(self._network, load.created)
            if folder is not None and folder == self._folder:
                self._add(folder, "stop", load, {"ended": load.ended})

    def _path(self, load: Load) -> list[list[int]]:
        return [list(edge.pair) for edge in self._plan.path(load.spec.src, load.spec.dst)]

    def _add(self, folder: Path, kind: str, load: Load, facts: Mapping[str, Any]) -> None:
        time = round(load.began + load.totals.seconds, 4)
        line = {"kind": kind, "time": time, "id": load.id, "began": load.began, **facts}
        append_json(folder / TRAFFIC, {**line, **load.totals.to_json()})
