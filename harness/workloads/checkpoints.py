"""What a run goes on from after it was stopped: for each rank a file per saved step, of which the last few are kept."""

from __future__ import annotations

import io
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
        """Write a state; a reader finds it whole or not at all. Raises HarnessError.

        Of earlier steps the last few are kept. Of later ones none: an attempt that counts no more has left them.
        """
        path = self._path(step)
        partial = path.with_suffix(".part")
        data = io.BytesIO()  # torch tells nothing of why a file refuses
        torch.save(dict(state), data)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(data.getbuffer())
                    os.fsync(file.fileno())
                os.replace(partial, path)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
            steps = self._steps()
            kept = [other for other in steps if other <= step][-_KEPT:]
            for other in set(steps) - set(kept):
                self._path(other).unlink(missing_ok=True)
        except OSError as error:
            raise HarnessError(f"{path} cannot be written: {error.strerror}") from None

    def clear(self) -> None:
        """Remove this rank's states."""
        for step in self._steps():
            self._path(step).unlink(missing_ok=True)

    def load_newest(self) -> tuple[int, Mapping[str, Any]] | None:
        """The newest step that every rank can read, and this rank's state then; None where there is none.

        All ranks call it at once.
        """
        mine = torch.zeros(_KEPT, dtype=torch.int64)
        steps = [step for step in self._steps()[-_KEPT:] if self._load(step) is not None]
        mine[: len(steps)] = torch.tensor(steps, dtype=torch.int64)
        everyone = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
        distributed.all_gather(everyone, mine)
        common = set.intersection(*(set(one.tolist()) for one in everyone)) - {0}
        if not common:
            return None
        state = self._load(max(common))
        assert state is not None
        return max(common), state

    def _load(self, step: int) -> Mapping[str, Any] | None:
        """A state; None where its file is damaged, as a power cut may leave it."""
        try:
            state: Mapping[str, Any] = torch.load(self._path(step), weights_only=True)
        except Exception:
            return None
        return state

    def _steps(self) -> list[int]:
        name = re.compile(rf"rank-{self._rank}-step-(\d+)\.pt")
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(int(found[1]) for path in names if (found := name.fullmatch(path.name)))

    def _path(self, step: int) -> Path:
        return self._folder / f"rank-{self._rank}-step-{step}.pt"
