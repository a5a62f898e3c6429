"""``harness.log(step=, loss=)``: what a script measures, into the record of its run (docs/runs.md).

Every script that logs imports this, so it imports nothing that takes time until there is something to write.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # without the import of typing: see above
if TYPE_CHECKING:
    from typing import Protocol, SupportsIndex

    from harness.run_files import Lines

    class Scalar(Protocol):
        """A tensor or array of one number, as PyTorch and NumPy have them."""

        def item(self) -> object:
            """The number, as Python has it."""
            ...


_files: dict[str, Lines] = {}
_failed = False
_steps: int | None = None


def log(*, step: SupportsIndex | None = None, **values: float | Scalar) -> None:
    """Add a line to what this rank records, where a run is recorded; elsewhere do nothing.

    A run is recorded by ``harness run --record``, in experiments, under ``docker compose up``, and by
    ``harness.network(record=...)``. Each call writes one line to rank-R.jsonl at once, in some 30 microseconds.

    Args:
        step: the script's own count, where it has one.
        values: by name, numbers, or tensors of one number. NaN and infinity become null. ``loss`` and ``accuracy`` are
            drawn over steps; charts have the others too.

    Raises:
        TypeError: a value is no number, or the step is no whole number.
    """
    folder, rank = os.environ.get("HARNESS_RUN_DIR"), os.environ.get("RANK", "")
    if not folder or not (rank.isascii() and rank.isdigit()):
        return
    import json

    numbers = {name: _number(name, value) for name, value in values.items()}
    line = {"kind": "log", "time": time.time(), "step": _step(step), "values": numbers}
    _write(os.path.join(folder, f"rank-{rank}.jsonl"), json.dumps(line, allow_nan=False).encode())


def step(number: int) -> None:
    """Say that this rank has done a step, to scenarios whose events follow the job's steps; elsewhere do nothing.

    It appends a line to the file that HARNESS_STEP_FILE names, in some 10 microseconds; a script in another language
    can do that itself. The highest step of any rank counts.

    Args:
        number: how many steps are done, from 1.
    """
    global _steps
    if not (path := os.environ.get("HARNESS_STEP_FILE")):
        return
    try:
        if _steps is None:
            _steps = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(_steps, b"%d\n" % number)
    except OSError as problem:
        if _steps != -1:
            print(f"harness: {path}: {problem.strerror}: scenarios do not see this rank's steps", file=sys.stderr)
        _steps = -1


def _number(name: str, value: object) -> float | None:
    number = _item(name, value)
    if not isinstance(number, int | float):
        raise TypeError(f"harness.log: {name} is {_short(value)}, not a number")
    return number if number - number == 0 else None  # neither NaN nor infinity


def _step(step: object) -> int | None:
    number = None if step is None else _item("step", step)
    if number is None or (isinstance(number, int) and number >= 0):
        return number
    raise TypeError(f"harness.log: step is {_short(step)}, not a whole number of 0 or more")


def _item(name: str, value: object) -> object:
    """The number of a tensor or an array; anything else as it is."""
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) else value
    except (RuntimeError, ValueError, TypeError):  # as PyTorch and NumPy say that there are more, or none
        shape = tuple(getattr(value, "shape", ()))
        raise TypeError(f"harness.log: {name} has the shape {shape}: log one number, e.g. its mean()") from None


def _short(value: object) -> str:
    from harness.errors import quoted

    return quoted(value)


def _write(path: str, line: bytes) -> None:
    """Add a line; where that fails, say so once, and let the script go on."""
    global _failed
    from pathlib import Path

    from harness.errors import HarnessError
    from harness.run_files import Lines

    try:
        if path not in _files:
            _files[path] = Lines(Path(path))
        _files[path].write(line)
    except HarnessError as problem:
        if not _failed:
            print(f"harness: {problem}: harness.log drops what it cannot write; the script continues", file=sys.stderr)
        _failed = True
