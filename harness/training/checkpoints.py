"""Checkpoints, from which a stopped run continues: one file per rank and saved step, of which the newest are kept."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed

from harness.errors import HarnessError
from harness.run_files import replace_file

_KEPT: Final = 3
"""The least number of files that a rank keeps."""
_COMMON: Final = 2
"""How many steps that all ranks have saved are kept: the newest may be damaged."""


class Checkpoints:
    """The saved states of one rank.

    Args:
        folder: of all ranks.
        rank: of this process.
        ranks: how many.
        device: where this rank computes.
    """

    def __init__(self, folder: Path, rank: int, ranks: int, device: str | torch.device = "cpu") -> None:
        self._folder, self._rank, self._ranks, self._device = folder, rank, ranks, device

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write a state; a reader finds it whole or not at all. Raises HarnessError.

        Earlier steps are kept as long as a resumed run may need them: all ranks continue from a step that each has
        saved, and ranks that rarely synchronise may be far apart. Later steps are of an earlier attempt, and are
        removed.
        """
        path = self._path(step)
        data = io.BytesIO()  # torch does not report why a file cannot be written
        torch.save(dict(state), data)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, data.getbuffer(), sync=True)
            steps = self._steps(self._rank)
            kept = self._kept([other for other in steps if other <= step])
            for other in set(steps) - set(kept):
                self._path(other).unlink(missing_ok=True)
        except OSError as error:
            raise HarnessError(f"{path} cannot be written: {error.strerror}") from None

    def clear(self) -> None:
        """Remove this rank's states."""
        for step in self._steps(self._rank):
            self._path(step).unlink(missing_ok=True)

    def load_newest(self) -> tuple[int, Mapping[str, Any]] | None:
        """The newest step that every rank can read, and this rank's state of it; None: there is none.

        A collective: all ranks must call it. Raises HarnessError.
        """
        steps: list[list[int]] = [[] for _ in range(self._ranks)]
        distributed.all_gather_object(steps, self._steps(self._rank))
        for step in sorted(set.intersection(*map(set, steps)), reverse=True):
            state = self._load(step)
            readable = torch.tensor(state is not None, dtype=torch.int32)
            distributed.all_reduce(readable, distributed.ReduceOp.MIN)
            if state is not None and readable:
                return step, state
        return None

    def _kept(self, mine: list[int]) -> list[int]:
        """The steps of this rank from which a later attempt may continue.

        These are the last few, and all since the last two that every rank has saved. If no step is saved by every rank
        (others are slow, or have folders of their own), the first two are kept too, which the others will reach.
        """
        common = sorted(set(mine).intersection(*(self._steps(rank) for rank in range(self._ranks))))[-_COMMON:]
        if not common:
            return sorted({*mine[:_COMMON], *mine[-_KEPT:]})
        return [step for step in mine if step >= min(common + mine[-_KEPT:])]

    def _load(self, step: int) -> Mapping[str, Any] | None:
        """A state; None, with a line on standard error, if its file is damaged.

        Raises HarnessError if it cannot be read.
        """
        path = self._path(step)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise HarnessError(f"{path} cannot be read: {error.strerror}") from None
        try:
            state: Mapping[str, Any] = torch.load(io.BytesIO(data), map_location=self._device, weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file raises many kinds: pickle's, zip's, torch's own
            line = f"{path.name} is damaged ({type(error).__name__}); it is not used to resume"
            print(line, file=sys.stderr, flush=True)
            return None
        return state

    def _steps(self, rank: int) -> list[int]:
        name = re.compile(rf"rank-{rank}-step-(\d+)\.pt")
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(int(found[1]) for path in names if (found := name.fullmatch(path.name)))

    def _path(self, step: int) -> Path:
        return self._folder / f"rank-{self._rank}-step-{step}.pt"
