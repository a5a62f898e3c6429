"""``harness.log(step=, loss=)`` adds what a script measures to the record of its run (docs/runs.md).

Every script that logs imports this, so it imports slow modules only when it writes.
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
        """A tensor or array of one number, e.g. of PyTorch or NumPy."""

        def item(self) -> object:
            """The Python number."""
            ...


_files: dict[str, Lines] = {}
_failed = False
_steps: int | None = None


def log(*, step: SupportsIndex | None = None, **values: float | Scalar) -> None:
    """Add a line to this rank's record; does nothing where no run is recorded.

    ``harness run --record``, experiments, ``docker compose up`` and ``harness.network(record=...)`` record runs. Each
    call writes one line to rank-R.jsonl at once, in about 30 microseconds.

    Args:
        step: the script's own step number.
        values: by name, numbers or tensors of one number. NaN and infinity become null. Reports draw ``loss`` and
            ``accuracy`` over steps, and have charts of the others too.

    Raises:
        TypeError: a value is not a number, or the step is not a whole number of 0 or more.
    """
    folder, rank = os.environ.get("HARNESS_RUN_DIR"), os.environ.get("RANK", "")
    if not folder or not (rank.isascii() and rank.isdigit()):
        return
    import json

    numbers = {name: _number(name, value) for name, value in values.items()}
    line = {"kind": "log", "time": time.time(), "step": _step(step), "values": numbers}
    _write(os.path.join(folder, f"rank-{rank}.jsonl"), json.dumps(line, allow_nan=False).encode())


def step(number: int) -> None:
    """Report a finished step to a scenario whose events follow the job's steps; does nothing without one.

    It appends a line to the file $HARNESS_STEP_FILE, in about 10 microseconds; scripts in other languages can do the
    same. The highest step of any rank counts.

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
    """The number in a tensor or an array; any other value as it is."""
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) else value
    except (RuntimeError, ValueError, TypeError):  # PyTorch and NumPy raise these unless there is one number
        shape = tuple(getattr(value, "shape", ()))
        raise TypeError(f"harness.log: {name} has the shape {shape}: log one number, e.g. its mean()") from None


def _short(value: object) -> str:
    from harness.errors import quoted

    return quoted(value)


def _write(path: str, line: bytes) -> None:
    """Add a line; print the first failure, and let the script continue."""
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
