"""What a run goes on from after it was stopped: for each rank a file per saved step, of which the last few are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed

from harness.errors import HarnessError

_KEPT: Final = 3
"""Ranks that seldom meet may be apart by more than one."""


class Checkpoints:
    """The saved states of one rank.

    Args:
        folder: of all ranks.
        rank: of this process.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write a state; a reader finds it whole or not at all. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(step)
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            torch.save(dict(state), file)
        os.replace(partial, path)
        for old in self._steps()[:-_KEPT]:
            self._path(old).unlink(missing_ok=True)

    def load_newest(self) -> tuple[int, Mapping[str, Any]] | None:
        """The newest step that every rank has saved, and this rank's state then; None where there is none.

        All ranks call it at once.
        """
        mine = torch.zeros(_KEPT, dtype=torch.int64)
        steps = self._steps()[-_KEPT:]
        mine[: len(steps)] = torch.tensor(steps, dtype=torch.int64)
        everyone = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
        distributed.all_gather(everyone, mine)
        common = set.intersection(*(set(one.tolist()) for one in everyone)) - {0}
        if not common:
            return None
        path = self._path(max(common))
        try:
            return max(common), torch.load(path, weights_only=True)
        except Exception as error:
            raise HarnessError(f"rank {self._rank}: reading {path}: {error}; remove it to start anew") from error

    def _steps(self) -> list[int]:
        name = re.compile(rf"rank-{self._rank}-step-(\d+)\.pt")
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(int(found[1]) for path in names if (found := name.fullmatch(path.name)))

    def _path(self, step: int) -> Path:
        return self._folder / f"rank-{self._rank}-step-{step}.pt"
